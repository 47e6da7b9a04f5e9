/* Experts of a latent space (LatentMoE): the work of one layer by hand, what crosses the wires, and that a
 * latent as wide as the model is the plain mixture with two more projections. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* Nemotron 3 Super's mixtures. */
enum {
    TOKENS = 100,
    HIDDEN = 4096,
    LATENT = 1024,
    EXPERTS = 512,
    CHOSEN = 22,
    INTERMEDIATE = 2688,
    SHARED = 5376,
    MIXTURES = 40
};

static struct question on_h200s(struct parallelism parallel)
{
    return (struct question){.model = "nemotron-3-super-120b-a12b",
                             .device = "h200-sxm",
                             .software = "ideal",
                             .parallel = parallel,
                             .batch = 8,
                             .prompt = TOKENS,
                             .output = 9};
}

static struct asked answered(const struct question *question)
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct asked with_latent(struct question question, const char *setting)
{
    const char *settings[] = {setting};
    question.settings = (struct string_list){settings, 1};
    return answered(&question);
}

/* Of one layer in the prefill of one prompt. */
static void expect_gemm(const struct asked *asked, const char *name, double flops, double weights,
                        double activations)
{
    const struct step_op *op = phase_op(asked, "prefill", name, NULL);
    cr_assert(op != NULL, "%s", name);
    cr_expect(close_to(op->each.flops, flops, 1e-12), "%s: %.0f FLOPs, not %.0f", name, op->each.flops,
              flops);
    cr_expect(close_to(op->each.bytes[BYTES_WEIGHTS], weights, 1e-12), "%s: %.0f bytes of weights, not %.0f",
              name, op->each.bytes[BYTES_WEIGHTS], weights);
    cr_expect(close_to(op->each.bytes[BYTES_ACTIVATIONS], activations, 1e-12),
              "%s: %.0f bytes of activations, not %.0f", name, op->each.bytes[BYTES_ACTIVATIONS],
              activations);
    cr_expect_eq(op->count, MIXTURES, "%s", name);
}

Test(moe_latent, one_layer_by_hand)
{
    struct question question = on_h200s((struct parallelism){.tp = 1});
    question.batch = 1;
    struct asked asked = answered(&question);
    double t = TOKENS, pairs = t * CHOSEN, two = 2; /* bytes of a bf16 value, FLOPs of a multiply-add */
    double distinct = EXPERTS * (1 - pow(1 - (double)CHOSEN / EXPERTS, t));
    double matrix = (double)LATENT * INTERMEDIATE;
    expect_gemm(&asked, OP_NAME_ROUTER, two * t * HIDDEN * EXPERTS, two * HIDDEN * EXPERTS,
                two * t * (HIDDEN + EXPERTS));
    expect_gemm(&asked, OP_NAME_MOE_LATENT_DOWN, two * t * HIDDEN * LATENT, two * HIDDEN * LATENT,
                two * t * (HIDDEN + LATENT));
    expect_gemm(&asked, OP_NAME_MOE_GATE_UP, two * pairs * matrix, two * distinct * matrix,
                two * pairs * (LATENT + INTERMEDIATE));
    expect_gemm(&asked, OP_NAME_MOE_DOWN, two * pairs * matrix, two * distinct * matrix,
                two * pairs * (LATENT + INTERMEDIATE));
    expect_gemm(&asked, OP_NAME_MOE_LATENT_UP, two * t * HIDDEN * LATENT, two * HIDDEN * LATENT,
                two * t * (HIDDEN + LATENT));
    expect_gemm(&asked, OP_NAME_SHARED_GATE_UP, two * t * HIDDEN * SHARED, two * HIDDEN * SHARED,
                two * t * (HIDDEN + SHARED));
    expect_gemm(&asked, OP_NAME_SHARED_DOWN, two * t * HIDDEN * SHARED, two * HIDDEN * SHARED,
                two * t * (HIDDEN + SHARED));
    /* each pair's latent is copied to its expert; each token's 22 are summed to one */
    const struct step_op *permute = phase_op(&asked, "prefill", OP_NAME_MOE_PERMUTE, NULL);
    const struct step_op *combine = phase_op(&asked, "prefill", OP_NAME_MOE_COMBINE, NULL);
    cr_assert(permute != NULL && combine != NULL);
    cr_expect(close_to(op_bytes(permute), two * pairs * 2 * LATENT, 1e-12));
    cr_expect(close_to(op_bytes(combine), two * (pairs + t) * LATENT, 1e-12));
    cr_expect(close_to(combine->each.flops, 2 * pairs * LATENT, 1e-12));
    asked_free(&asked);
}

/* ---- a latent as wide as the model ---- */

static bool of_latent(const char *name)
{
    return strcmp(name, OP_NAME_MOE_LATENT_DOWN) == 0 || strcmp(name, OP_NAME_MOE_LATENT_UP) == 0;
}

/* Every operator of `wide` but the projections is the next of `plain`, with the same work and time. Returns
 * the FLOPs of the projections. */
static double expect_same_but_projections(const struct phase_cost *wide, const struct phase_cost *plain)
{
    const struct graph *a = &wide->plan->graph, *b = &plain->plan->graph;
    double projections = 0;
    int at = 0;
    for (int i = 0; i < a->op_count; i++) {
        const struct step_op *x = &wide->step.ops[i], *y = &plain->step.ops[at];
        if (of_latent(a->ops[i].name)) {
            projections += x->count * x->each.flops;
            continue;
        }
        cr_assert_lt(at, b->op_count);
        cr_expect_str_eq(a->ops[i].name, b->ops[at].name);
        cr_expect_eq(x->count, y->count, "%s", a->ops[i].name);
        at++;
        if (strcmp(a->ops[i].name, OP_NAME_MOE_COMBINE) == 0)
            continue; /* the shared experts' result joins here, or in the projection's own sum */
        cr_expect_eq(x->each.flops, y->each.flops, "%s", a->ops[i].name);
        cr_expect_eq(op_bytes(x), op_bytes(y), "%s", a->ops[i].name);
        cr_expect_eq(x->each.bytes[BYTES_WIRE], y->each.bytes[BYTES_WIRE], "%s", a->ops[i].name);
        cr_expect_eq(x->each.time, y->each.time, "%s", a->ops[i].name);
    }
    cr_expect_eq(at, b->op_count);
    return projections;
}

Test(moe_latent, as_wide_as_the_model_is_the_plain_mixture_and_projections)
{
    static const struct parallelism splits[] = {
        {.tp = 1}, {.tp = 8}, {.tp = 8, .ep = 8}, {.tp = 2, .dp = 4, .ep = 8}};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct question question = on_h200s(splits[i]);
        struct asked wide = with_latent(question, "model.blocks.experts.moe.latent=4096");
        struct asked plain = with_latent(question, "model.blocks.experts.moe.latent=0");
        double tokens = 8 * TOKENS * (splits[i].dp > 1 ? 1.0 / 8 : 1);
        double flops = expect_same_but_projections(phase_of(&wide, "prefill"), phase_of(&plain, "prefill"));
        cr_expect(close_to(flops, MIXTURES * 2 * 2.0 * tokens * HIDDEN * HIDDEN, 1e-12), "%g", flops);
        expect_same_but_projections(phase_of(&wide, "decode"), phase_of(&plain, "decode"));
        double more = wide.answer.memory.weights - plain.answer.memory.weights;
        cr_expect(close_to(more, MIXTURES * 2 * 2.0 * HIDDEN * HIDDEN, 1e-9), "on every rank: %g", more);
        cr_expect_gt(wide.answer.ttft_s, plain.answer.ttft_s);
        asked_free(&wide);
        asked_free(&plain);
    }
}

/* ---- ranks ---- */

Test(moe_latent, tokens_travel_as_latents)
{
    struct question question = on_h200s((struct parallelism){.tp = 2, .dp = 4, .ep = 8});
    question.batch = 64;
    struct asked narrow = answered(&question);
    struct asked plain = with_latent(question, "model.blocks.experts.moe.latent=0");
    double copies = 8 * (1 - pow(1 - 1.0 / 8, CHOSEN)); /* ranks that hold one of a token's experts */
    static const char *const names[] = {OP_NAME_MOE_DISPATCH, OP_NAME_MOE_GATHER};
    for (int i = 0; i < 2; i++) {
        const struct op *op, *wide;
        cr_assert(phase_op(&narrow, "decode", names[i], &op) && phase_op(&plain, "decode", names[i], &wide));
        cr_expect(close_to(op->collective.bytes_per_row, copies * LATENT * 2, 1e-12), "%s", names[i]);
        cr_expect(close_to(wide->collective.bytes_per_row, copies * HIDDEN * 2, 1e-12), "%s", names[i]);
        cr_expect_eq(op->collective.kind, COLLECTIVE_ALL_TO_ALL);
        cr_expect_eq(op->collective.ranks, 8);
    }
    /* a rank projects its own 8 of the 64 tokens, before they leave and after they are back */
    const struct step_op *down = phase_op(&narrow, "decode", OP_NAME_MOE_LATENT_DOWN, NULL);
    const struct step_op *up = phase_op(&narrow, "decode", OP_NAME_MOE_LATENT_UP, NULL);
    cr_assert(down != NULL && up != NULL);
    cr_expect(close_to(down->each.flops, 2.0 * 8 * HIDDEN * LATENT, 1e-12));
    cr_expect(close_to(up->each.flops, 2.0 * 8 * HIDDEN * LATENT, 1e-12));
    asked_free(&narrow);
    asked_free(&plain);
}

Test(moe_latent, tensor_parallelism_cuts_experts_and_not_the_latent)
{
    struct question question = on_h200s((struct parallelism){.tp = 8});
    struct asked asked = answered(&question);
    const struct op *down, *up, *grouped, *reduce;
    cr_assert(phase_op(&asked, "decode", OP_NAME_MOE_LATENT_DOWN, &down) != NULL);
    cr_assert(phase_op(&asked, "decode", OP_NAME_MOE_LATENT_UP, &up) != NULL);
    cr_assert(phase_op(&asked, "decode", OP_NAME_MOE_GATE_UP, &grouped) != NULL);
    cr_assert(phase_op(&asked, "decode", OP_NAME_FFN_ALLREDUCE, &reduce) != NULL);
    cr_expect(down->gemm.n == LATENT && down->gemm.k == HIDDEN && down->rows_factor == 1);
    cr_expect(up->gemm.n == HIDDEN && up->gemm.k == LATENT && up->rows_factor == 1);
    cr_expect(grouped->gemm.n == INTERMEDIATE / 8 && grouped->gemm.k == LATENT);
    /* one sum over ranks, of the routed and the shared experts' results together */
    cr_expect_eq(reduce->collective.bytes_per_row, 2 * HIDDEN);
    asked_free(&asked);
}

/* As the checkpoints in FP8 and NVFP4 have it, the router too. */
Test(moe_latent, projections_keep_their_type_when_experts_are_quantised)
{
    struct question question = on_h200s((struct parallelism){.tp = 1});
    question.device = "b200";
    question.weights = "nvfp4";
    struct asked asked = answered(&question);
    const struct step_op *down = phase_op(&asked, "decode", OP_NAME_MOE_LATENT_DOWN, NULL);
    const struct step_op *shared = phase_op(&asked, "decode", OP_NAME_SHARED_DOWN, NULL);
    cr_assert(down != NULL && shared != NULL);
    cr_expect(close_to(down->each.bytes[BYTES_WEIGHTS], 2.0 * HIDDEN * LATENT, 1e-12));
    cr_expect_lt(shared->each.bytes[BYTES_WEIGHTS], 0.6 * HIDDEN * SHARED);
    asked_free(&asked);
}

/* The prediction layer is a block of its own: no operator, no memory, and stages are shared out without it.
 */
Test(moe_latent, a_block_of_predictions_only_is_not_run)
{
    struct question question = on_h200s((struct parallelism){.tp = 4, .pp = 2});
    struct asked asked = answered(&question);
    const struct plan *plan = phase_of(&asked, "decode")->plan;
    for (int i = 0; i < plan->graph.op_count; i++) {
        int block = plan->graph.ops[i].block;
        cr_expect(block == OUTSIDE_LAYERS || strcmp(plan->model->blocks[block].name, "prediction") != 0, "%s",
                  plan->graph.ops[i].name);
    }
    cr_expect(isfinite(asked.answer.latency_s) && asked.answer.latency_s > 0);
    cr_expect(isfinite(asked.answer.energy_j) && isfinite(asked.answer.memory.total));
    asked_free(&asked);
}
