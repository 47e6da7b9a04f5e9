/* Sparse attention with a lightning indexer: work of one layer by hand, and what must hold beside dense MLA.
 */
#include "support/ask.h"

#include "cost/cost.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* Of DeepSeek-V3.2. */
enum {
    HIDDEN = 7168,
    Q_RANK = 1536,
    INDEX_HEADS = 64,
    INDEX_DIM = 128,
    TOP_K = 2048,
    HEADS = 128,
    LATENT = 512,
    ROPE = 64,
    LAYERS = 61,
    KEY_BYTES = INDEX_DIM + 4 /* fp8 and a scale */
};

struct stepped {
    struct asked asked;
    const struct plan *plan;
    struct step_cost cost;
};

static struct stepped planned(const char *model, const char *software, int tp)
{
    struct question question = {.model = model,
                                .device = "h200-sxm",
                                .devices = tp,
                                .software = software,
                                .batch = 1,
                                .prompt = 64,
                                .output = 2};
    struct stepped s = {.asked = ask(&question)};
    cr_assert(s.asked.ok, "%s", diag_first_error(&s.asked.diag));
    s.plan = s.asked.resolved.deployment.pools[0].plans[0];
    s.cost.ops = ARENA_ARRAY(s.asked.arena, struct step_op, (size_t)s.plan->graph.op_count);
    return s;
}

static double step(struct stepped *s, double sequences, double tokens, double context)
{
    struct step step = {
        .segments = {{.sequences = sequences, .new_tokens = tokens, .context = context, .sampled = 1}},
        .count = 1};
    plan_step(s->plan, &step, false, &s->cost);
    return s->cost.time;
}

/* The first operator of the name that the last step ran, of one layer. */
static const struct op_cost *of_layer(const struct stepped *s, const char *name)
{
    for (int i = 0; i < s->plan->graph.op_count; i++)
        if (strcmp(s->plan->graph.ops[i].name, name) == 0 && s->cost.ops[i].each.launches > 0)
            return &s->cost.ops[i].each;
    cr_assert_fail("%s did not run", name);
    return NULL;
}

static void expect(double found, double expected, const char *what)
{
    cr_expect(close_to(found, expected, 1e-6), "%s: %.12g, expected %.12g", what, found, expected);
}

static bool is_index(const struct op *op)
{
    return strncmp(op->name, "index_", 6) == 0;
}

Test(indexer, decode_of_one_layer_by_hand)
{
    struct stepped s = planned("deepseek-v3.2", "ideal", 1);
    double n = 3, seen = 5001;
    step(&s, n, 1, seen - 1);
    const struct op_cost *op = of_layer(&s, OP_NAME_INDEX_Q_PROJ);
    expect(op->flops, 2 * n * Q_RANK * INDEX_HEADS * INDEX_DIM, "queries");
    expect(op->bytes[BYTES_WEIGHTS], 1.0 * Q_RANK * INDEX_HEADS * INDEX_DIM + 12 * 64 * 4.0, "fp8 blocks");
    op = of_layer(&s, OP_NAME_INDEX_K_PROJ);
    expect(op->flops, 2 * n * HIDDEN * INDEX_DIM, "keys");
    op = of_layer(&s, OP_NAME_INDEX_WEIGHTS_PROJ);
    expect(op->flops, 2 * n * HIDDEN * INDEX_HEADS, "weights of heads");
    expect(op->bytes[BYTES_WEIGHTS], 2.0 * HIDDEN * INDEX_HEADS, "in bf16");
    op = of_layer(&s, OP_NAME_INDEX_ROPE_CACHE);
    expect(op->bytes[BYTES_KV_WRITE], n * KEY_BYTES, "cached keys");
    op = of_layer(&s, OP_NAME_INDEX_SCORES);
    expect(op->flops, n * seen * 2 * INDEX_HEADS * INDEX_DIM, "scores");
    expect(op->bytes[BYTES_KV_READ], n * seen * KEY_BYTES, "keys of the whole context");
    expect(op->bytes[BYTES_ACTIVATIONS], n * (INDEX_HEADS * (INDEX_DIM + 4.0) + 4 * seen), "q, w, scores");
    op = of_layer(&s, OP_NAME_INDEX_TOP_K);
    expect(op->bytes[BYTES_ACTIVATIONS], n * 4 * (seen + TOP_K), "scores in, positions out");
    op = of_layer(&s, OP_NAME_ATTENTION);
    expect(op->flops, n * TOP_K * HEADS * 2 * (2 * LATENT + ROPE), "attention to the best");
    expect(op->bytes[BYTES_KV_READ], n * TOP_K * 2 * (LATENT + ROPE), "their latents");
    asked_free(&s.asked);
}

Test(indexer, prefill_of_one_layer_by_hand)
{
    struct stepped s = planned("deepseek-v3.2", "ideal", 1);
    double n = 3000, pairs = TOP_K * (TOP_K + 1) / 2.0 + (n - TOP_K) * TOP_K;
    step(&s, 2, n, 0);
    expect(of_layer(&s, OP_NAME_INDEX_SCORES)->flops, 2 * n * (n + 1) / 2 * 2 * INDEX_HEADS * INDEX_DIM,
           "all");
    const struct op_cost *op = of_layer(&s, OP_NAME_ATTENTION);
    expect(op->flops, 2 * pairs * HEADS * 2 * (2 * LATENT + ROPE), "the best");
    expect(op->bytes[BYTES_KV_READ], 2 * n * 2 * (LATENT + ROPE), "each latent once at least");
    /* a few tokens on a long context touch what they pick */
    step(&s, 1, 20, 100000);
    expect(of_layer(&s, OP_NAME_ATTENTION)->bytes[BYTES_KV_READ], 20.0 * TOP_K * 2 * (LATENT + ROPE),
           "gathered");
    /* a verification: four queries on a context that the selection just exceeds */
    step(&s, 1, 4, TOP_K - 2);
    expect(of_layer(&s, OP_NAME_ATTENTION)->flops,
           (TOP_K - 1.0 + 3 * TOP_K) * HEADS * 2 * (2 * LATENT + ROPE), "four queries");
    asked_free(&s.asked);
}

/* Nothing is left out of a context of at most top_k tokens: decode costs what dense MLA does and the indexer.
 */
Test(indexer, short_contexts_cost_dense_attention_and_the_indexer)
{
    static const char *const stacks[] = {"ideal", "vllm"};
    static const double contexts[] = {1, 100, 1500, TOP_K - 1};
    for (int k = 0; k < 2; k++) {
        struct stepped sparse = planned("deepseek-v3.2", stacks[k], 1);
        struct stepped dense = planned("deepseek-v3", stacks[k], 1);
        for (int c = 0; c < 4; c++)
            for (double n = 1; n < 300; n *= 7) {
                step(&sparse, n, 1, contexts[c]);
                step(&dense, n, 1, contexts[c]);
                double indexer = 0;
                for (int i = 0; i < sparse.plan->graph.op_count; i++)
                    if (is_index(&sparse.plan->graph.ops[i]))
                        indexer += sparse.cost.ops[i].time;
                double with = sparse.cost.device_time, without = dense.cost.device_time;
                cr_expect(indexer > 0);
                cr_expect(close_to(with, without + indexer, 1e-9), "%s, %g at %g: %.12g, not %.12g + %.12g",
                          stacks[k], n, contexts[c], with, without, indexer);
            }
        asked_free(&sparse.asked);
        asked_free(&dense.asked);
    }
}

Test(indexer, time_and_bytes_grow_with_the_context)
{
    static const char *const stacks[] = {"ideal", "vllm", "hf-eager"};
    for (int k = 0; k < 3; k++) {
        struct stepped s = planned("deepseek-v3.2", stacks[k], 1);
        for (int tokens = 1; tokens <= 64; tokens *= 8) { /* decode, a verification, a chunk of prefill */
            double before = 0;
            for (double context = 1; context < 150000; context = floor(context * 1.3) + 1) {
                double time = step(&s, 5, tokens, context);
                cr_expect(time >= before * (1 - 1e-12), "%s: %d tokens at %g: %.12g after %.12g", stacks[k],
                          tokens, context, time, before);
                before = time;
            }
        }
        double before = 0;
        for (double prompt = 17; prompt < 40000; prompt = floor(prompt * 1.2) + 1) {
            double time = step(&s, 1, prompt, 0);
            cr_expect(time >= before * (1 - 1e-12), "%s: a prompt of %g", stacks[k], prompt);
            before = time;
        }
        asked_free(&s.asked);
    }
}

/* Past top_k a decode step reads 132 bytes a token and layer more, where dense MLA reads 1152. */
Test(indexer, long_contexts_read_keys_instead_of_latents)
{
    struct stepped sparse = planned("deepseek-v3.2", "ideal", 1), dense = planned("deepseek-v3", "ideal", 1);
    double read[2][2];
    for (int far = 0; far < 2; far++) {
        struct stepped *both[] = {&sparse, &dense};
        for (int m = 0; m < 2; m++) {
            step(both[m], 1, 1, far ? 100000 : 50000);
            read[m][far] = 0;
            for (int i = 0; i < both[m]->plan->graph.op_count; i++)
                read[m][far] += both[m]->cost.ops[i].count * both[m]->cost.ops[i].each.bytes[BYTES_KV_READ];
        }
    }
    expect(read[0][1] - read[0][0], 50000.0 * LAYERS * KEY_BYTES, "sparse");
    expect(read[1][1] - read[1][0], 50000.0 * LAYERS * 2 * (LATENT + ROPE), "dense");
    cr_expect(step(&sparse, 64, 1, 100000) < step(&dense, 64, 1, 100000));
    asked_free(&sparse.asked);
    asked_free(&dense.asked);
}

/* Ranks of a group share the main heads and repeat the indexer. */
Test(indexer, every_rank_runs_the_whole_indexer)
{
    struct stepped one = planned("deepseek-v3.2", "ideal", 1), eight = planned("deepseek-v3.2", "ideal", 8);
    step(&one, 4, 1, 9000);
    step(&eight, 4, 1, 9000);
    static const char *const whole[] = {OP_NAME_INDEX_Q_PROJ, OP_NAME_INDEX_K_PROJ,
                                        OP_NAME_INDEX_WEIGHTS_PROJ, OP_NAME_INDEX_SCORES,
                                        OP_NAME_INDEX_TOP_K};
    for (int i = 0; i < 5; i++)
        expect(of_layer(&eight, whole[i])->flops, of_layer(&one, whole[i])->flops, whole[i]);
    expect(8 * of_layer(&eight, OP_NAME_ATTENTION)->flops, of_layer(&one, OP_NAME_ATTENTION)->flops, "heads");
    expect(eight.asked.answer.memory.kv, one.asked.answer.memory.kv, "the cache");
    asked_free(&one.asked);
    asked_free(&eight.asked);
}

/* A group of two has whole sequences: of one sequence one group has all of it, of two each has one. */
Test(indexer, groups_have_whole_sequences)
{
    struct question question = {.model = "deepseek-v3.2",
                                .device = "h200-sxm",
                                .devices = 2,
                                .software = "ideal",
                                .batch = 2,
                                .prompt = 64,
                                .output = 2,
                                .parallel = {.tp = 1, .dp = 2}};
    struct stepped s = {.asked = ask(&question)};
    cr_assert(s.asked.ok, "%s", diag_first_error(&s.asked.diag));
    s.plan = s.asked.resolved.deployment.pools[0].plans[0];
    s.cost.ops = ARENA_ARRAY(s.asked.arena, struct step_op, (size_t)s.plan->graph.op_count);
    for (int n = 1; n <= 3; n++) {
        double here = (n + 1) / 2;
        step(&s, n, 1, 5000);
        expect(of_layer(&s, OP_NAME_INDEX_TOP_K)->bytes[BYTES_ACTIVATIONS], here * 4 * (5001 + TOP_K),
               "top k");
        expect(of_layer(&s, OP_NAME_INDEX_SCORES)->bytes[BYTES_KV_READ], here * 5001 * KEY_BYTES, "scores");
    }
    asked_free(&s.asked);
}

/* Frameworks that expand the latent mask what was not picked: all pairs are computed. */
Test(indexer, expanded_attention_is_masked)
{
    struct stepped s = planned("deepseek-v3.2", "hf-eager", 1);
    step(&s, 1, 1, 4999);
    expect(of_layer(&s, OP_NAME_ATTENTION)->flops, 5000.0 * HEADS * 2 * (128 + 64 + 128), "all tokens");
    expect(of_layer(&s, OP_NAME_INDEX_SCORES)->flops, 5000.0 * 2 * INDEX_HEADS * INDEX_DIM, "and the scores");
    asked_free(&s.asked);
}

/* The main cache's type is asked for, the indexer's is its own. */
Test(indexer, keys_stay_in_fp8)
{
    struct question question = {.model = "deepseek-v3.2",
                                .device = "8xh200",
                                .software = "ideal",
                                .kv = "bf16",
                                .batch = 1,
                                .prompt = 1000,
                                .output = 1};
    struct asked wide = ask(&question);
    question.kv = "fp8";
    struct asked narrow = ask(&question);
    cr_assert(wide.ok && narrow.ok, "%s", diag_first_error(&narrow.diag));
    expect(wide.answer.memory.kv, 1000.0 * LAYERS * (2 * (LATENT + ROPE) + KEY_BYTES), "bf16 latents");
    expect(narrow.answer.memory.kv, 1000.0 * LAYERS * (LATENT + ROPE + KEY_BYTES), "fp8 latents");
    asked_free(&wide);
    asked_free(&narrow);
}
