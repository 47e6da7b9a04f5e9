/* How many tokens a model generates: caps, early stops and routing by difficulty shorten the output, methods
 * that think in vectors replace tokens by latent steps. A latent step is a decode step whose next input is
 * not one row of the embedding table but its mean, weighted by the probabilities of all tokens (Soft
 * Thinking; SwiReasoning, arXiv:2510.05069): a product [sequences, vocabulary] x [vocabulary, hidden], which
 * reads the whole table. */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct token_budget_parameters {
    double output_factor;
    double output_cap;
    double probe_tokens;
    double latent_share;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct token_budget_parameters *p = parameters;
    double output = rewrite->request->output * p->output_factor;
    if (p->output_cap > 0)
        output = fmin(output, p->output_cap);
    rewrite->request->output = fmax(1, output + p->probe_tokens);
    return true;
}

static int embedding_table(const struct graph *graph)
{
    for (int i = 0; i < graph->op_count; i++)
        if (strcmp(graph->ops[i].name, OP_NAME_EMBEDDING) == 0)
            return graph->ops[i].weights;
    return BUFFER_NONE;
}

/* The soft embedding, behind the sampling that gives the probabilities: run in a share of the steps. */
static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct token_budget_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    int table = embedding_table(graph);
    if (p->latent_share == 0)
        return true;
    if (table == BUFFER_NONE || graph->model->generation == GENERATION_MASKED_DIFFUSION)
        return diag_error(rewrite->diag, NOWHERE,
                          "token_budget: %s has no latent steps: it does not decode from one embedding table",
                          graph->model->id);
    struct op *op = graph_add_op(graph, OP_NAME_SOFT_EMBEDDING, OP_GEMM, OUTSIDE_LAYERS);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "token_budget: more than %d operators", OPS_MOST);
    op->regime = REGIME_DECODE;
    op->rows = ROWS_SAMPLED;
    op->per_layer = p->latent_share;
    op->weights = table;
    op->gemm.n = graph->buffers[table].cols;
    op->gemm.k = graph->buffers[table].rows;
    op->gemm.batch = 1;
    op->gemm.a_type = op->gemm.c_type = graph->types.activations;
    return true;
}

static const struct field fields[] = {
    QUANTITY_FIELD(token_budget_parameters, output_factor, DIM_NONE, 0.0001, 1e4, "1",
                   "generated tokens (and latent steps) of the output that was asked for"),
    QUANTITY_FIELD(token_budget_parameters, output_cap, DIM_TOKENS, 0, 1e9, "0",
                   "at which generation is cut; 0: none"),
    QUANTITY_FIELD(token_budget_parameters, probe_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "generated on top and thrown away: probes whether an answer is complete"),
    FRACTION_FIELD(token_budget_parameters, latent_share, "0",
                   "of the steps, those that feed back a mean of all embeddings instead of a token"),
};
static const struct schema schema = {.name = "token_budget",
                                     .size = sizeof(struct token_budget_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"output_factor", "probe_tokens", "latent_share", NULL};

extern const struct mechanism token_budget;
const struct mechanism token_budget = {
    .name = "token_budget",
    .summary = "fewer or more generated tokens, and latent steps in place of tokens",
    .other_work = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct token_budget_parameters),
    .on_workload = on_workload,
    .on_ops = on_ops,
};
