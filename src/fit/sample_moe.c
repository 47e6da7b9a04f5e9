/* Rows of moe.csv: both grouped GEMMs of a gated MLP and the activation between them on one rank, of
 * num_experts / moe_ep_size experts with inter_size / moe_tp_size columns each. */
#include "fit/deal.h"
#include "fit/sample_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct operand_types named[] = {
    {"int4_wo", "bf16", "int4-g128"}, {"w4a16_mxfp4", "bf16", "mxfp4"}, {"w4afp8", "fp8", "int4-g128"}};

/* "balanced", or "power_law_1.2". */
static double skew_of(struct sample_row *row)
{
    const char *text = row_text(row, "distribution"), *law = "power_law_";
    row->sample->variant = strcmp(text, "balanced") == 0 ? "balanced" : "skewed";
    if (strcmp(text, "balanced") == 0)
        return 0;
    char *end = NULL;
    double exponent = strncmp(text, law, strlen(law)) == 0 ? strtod(text + strlen(law), &end) : 0;
    if (!end || *end != '\0' || !(exponent > 0) || exponent > 10)
        row_skip(row, "a distribution of tokens other than balanced or power_law_A");
    return exponent;
}

static void add_grouped(struct sample_row *row, const char *name, double n, double k,
                        const struct gemm_work *work, const struct element_type *b_type)
{
    struct op *op = graph_add_op(row->graph, name, OP_GEMM, OUTSIDE_LAYERS);
    op->weights = row_weights(row, b_type, n, k);
    op->gemm = *work;
    op->gemm.n = n;
    op->gemm.k = k;
}

/* A step beside the two GEMMs: values read and written a token. */
static void add_step(struct sample_row *row, const char *name, double read, double written)
{
    struct op *op = graph_add_op(row->graph, name, OP_ELEMENTWISE, OUTSIDE_LAYERS);
    op->stream = (struct stream_work){.read = read,
                                      .written = written,
                                      .flops = 5 * written,
                                      .exponentials = strcmp(name, OP_NAME_MOE_ACTIVATION) == 0 ? written : 0,
                                      .read_type = row->graph->types.activations,
                                      .write_type = row->graph->types.activations};
    op->rows_factor = 1;
}

/* What else is in a row's time. Layers time their routing, bare functions do not. "cutlass" sorts rows by
 * expert and works on this rank's alone; "monolithic" gathers and scatters inside its GEMMs; the others
 * (Triton, Marlin) keep a row for every (token, choice) of all ranks: other ranks' are filled with zeros,
 * activated and summed too. All write every token's sum. */
struct steps {
    double hidden, up, width, top_k, experts;
    double here; /* (token, choice) pairs of this rank a token */
    bool bare, sorted, fused, quantised;
};

static void add_steps(struct sample_row *row, const struct steps *steps)
{
    double hidden = steps->hidden, pairs = steps->sorted || steps->fused ? steps->here : steps->top_k;
    if (!steps->bare)
        add_step(row, OP_NAME_ROUTE, steps->experts, 2 * steps->top_k);
    if (!steps->bare && steps->top_k == 1) /* its weight multiplies the input (Llama 4) */
        add_step(row, "moe_weigh", hidden, hidden);
    if (steps->quantised) /* fp8: half the bytes */
        add_step(row, "moe_quantise", hidden, hidden / 2);
    if (steps->sorted)
        add_step(row, OP_NAME_MOE_PERMUTE, pairs * hidden, pairs * hidden);
    else if (!steps->fused && pairs > steps->here)
        add_step(row, "moe_zeros", 0, (pairs - steps->here) * (steps->up + hidden));
    if (!steps->fused)
        add_step(row, OP_NAME_MOE_ACTIVATION, pairs * steps->up, pairs * steps->width);
    add_step(row, OP_NAME_MOE_COMBINE, pairs * hidden, hidden);
}

/* Experts without a gate: one matrix up, squared ReLU, one down (Nemotron 3's three sizes; the columns do not
 * say). The bare function "vllm_fused_moe" was timed with a gate whatever the model, layers as the model has
 * them. */
static bool gated(bool bare, double hidden, double inter, double top_k, double experts)
{
    static const struct {
        double hidden, inter, top_k, experts;
    } ungated[] = {{2688, 1856, 6, 128}, {1024, 2688, 22, 512}, {2048, 5120, 22, 512}};
    if (bare)
        return true;
    for (size_t i = 0; i < sizeof ungated / sizeof *ungated; i++)
        if (ungated[i].hidden == hidden && ungated[i].inter == inter && ungated[i].top_k == top_k &&
            ungated[i].experts == experts)
            return false;
    return true;
}

static void read_moe(struct sample_row *row)
{
    static const char *const shape[] = {"hidden_size", "inter_size", "topk", "num_experts", NULL};
    double tokens = row_number(row, "num_tokens", 1), hidden = row_number(row, "hidden_size", 1);
    double experts = row_number(row, "num_experts", 1), top_k = row_number(row, "topk", 1);
    double ep = row_number(row, "moe_ep_size", 1);
    double inter = row_number(row, "inter_size", 1), width = inter / row_number(row, "moe_tp_size", 1);
    const char *dtype = row_text(row, "moe_dtype");
    const char *kernel = row_text(row, "kernel_source");
    bool bare = strcmp(kernel, "vllm_fused_moe") == 0;
    struct element_type a_type, b_type;
    if (!row_operands(row, "moe_dtype", named, sizeof named / sizeof *named, &a_type, &b_type))
        return;
    const char *stored = row_text(row, "weight_dtype");
    if (stored[0] != '\0') {
        b_type = row_type(row, "weight_dtype");
        dtype = arena_printf(row->arena, "%s/%s", dtype, stored);
    }
    if (ep > experts || top_k > experts) {
        row_skip(row, "more ranks or choices than experts");
        return;
    }
    struct gemm_work work = {.a_type = a_type,
                             .c_type = row->graph->types.activations,
                             .experts = experts,
                             .local_experts = experts / ep,
                             .top_k = top_k,
                             .skew = skew_of(row),
                             .ranks = ep,
                             .marlin = strstr(kernel, "marlin") != NULL};
    if (row->failed || row->skip)
        return;
    if (experts > 4096 || tokens > 1 << 24 || fmod(experts, ep) != 0 || floor(experts) != experts ||
        floor(top_k) != top_k || floor(tokens) != tokens) {
        row_skip(row, "experts that cannot be dealt over ranks, or too many");
        return;
    }
    struct deal deal = {(int)tokens, (int)experts, (int)top_k, (int)ep, work.skew, bare};
    if (!deal_tokens(&deal, row->arena, &work)) {
        row->failed = diag_error(row->diag, NOWHERE, "out of memory") || true;
        return;
    }
    double up = (gated(bare, hidden, inter, top_k, experts) ? 2 : 1) * width;
    double here = 0;
    for (int i = 0; i < work.dealt_count; i++)
        here += work.dealt[i].experts * work.dealt[i].share;
    add_grouped(row, OP_NAME_MOE_GATE_UP, up, hidden, &work, &b_type);
    add_steps(row, &(struct steps){.hidden = hidden,
                                   .up = up,
                                   .width = width,
                                   .here = here,
                                   .top_k = top_k,
                                   .experts = experts,
                                   .bare = bare,
                                   .sorted = strstr(kernel, "cutlass") != NULL,
                                   .fused = strstr(kernel, "monolithic") != NULL,
                                   .quantised = a_type.format == FORMAT_FP8});
    add_grouped(row, OP_NAME_MOE_DOWN, hidden, width, &work, &b_type);
    row->sample->segment = (struct segment){.sequences = 1, .new_tokens = tokens};
    row->regime = REGIME_PREFILL;
    row->dtype = operand_of_marlin(&b_type) != operand_of(&b_type) && work.marlin
                     ? arena_printf(row->arena, "%s marlin", dtype)
                     : dtype;
    if (!row->dtype)
        row->failed = diag_error(row->diag, NOWHERE, "out of memory") || true;
    row->sample->kernel = kernel;
    row_shape(row, shape);
}

static const char *const columns[] = {"moe_dtype",   "num_tokens",  "hidden_size", "inter_size",   "topk",
                                      "num_experts", "moe_tp_size", "moe_ep_size", "distribution", NULL};
const struct sample_schema moe_samples = {"moe", columns, read_moe};
