/* How tokens come about: drafts of all kinds, several tokens a step, blocks denoised, layers left out, layers
 * beside the model. Off is the baseline exactly, more never hurts what it is for, all compose with narrow
 * weights and tensor parallelism, tokens are conserved, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { SETTINGS_MOST = 6 };

struct asking {
    const char *model, *device, *software, *technique, *weights;
    int devices;
    double batch, prompt, output;
    const char *settings[SETTINGS_MOST];
};

static struct asked put(const struct asking *asking)
{
    struct question question = {.model = asking->model ? asking->model : "llama-3.1-8b",
                                .device = asking->device ? asking->device : "h100-sxm",
                                .software = asking->software ? asking->software : "vllm",
                                .weights = asking->weights,
                                .devices = asking->devices,
                                .batch = asking->batch > 0 ? asking->batch : 2,
                                .prompt = asking->prompt > 0 ? asking->prompt : 300,
                                .output = asking->output > 0 ? asking->output : 65};
    const char *techniques[] = {asking->technique}, *settings[SETTINGS_MOST];
    size_t count = 0;
    while (count < SETTINGS_MOST && asking->settings[count]) {
        settings[count] = asking->settings[count];
        count++;
    }
    question.techniques = (struct string_list){techniques, asking->technique != NULL};
    question.settings = (struct string_list){settings, count};
    return ask(&question);
}

static struct answer answer_of(const struct asking *asking)
{
    struct asked asked = put(asking);
    cr_assert(asked.ok, "%s: %s", asking->technique ? asking->technique : "plain",
              diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}
#define ANSWER(...) answer_of(&(struct asking){__VA_ARGS__})
#define SET(...)    .settings = {__VA_ARGS__}

static void expect_refused(const struct asking *asking, const char *reason)
{
    struct asked asked = put(asking);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", reason);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}
#define REFUSED(reason, ...) expect_refused(&(struct asking){__VA_ARGS__}, reason)

static void expect_same(struct answer a, struct answer b)
{
    cr_expect_eq(a.ttft_s, b.ttft_s);
    cr_expect_eq(a.tpot_s, b.tpot_s);
    cr_expect_eq(a.memory.total, b.memory.total);
    cr_expect_eq(a.energy_j, b.energy_j);
}

Test(mechanism_generation, off_is_the_baseline_exactly)
{
    expect_same(ANSWER(.model = NULL), ANSWER(.technique = "ffn-skipllm", SET("layer_skipping.ffn=1")));
    expect_same(ANSWER(.model = NULL), ANSWER(.technique = "skipdecode", SET("layer_skipping.layers=1")));
    expect_same(ANSWER(.model = NULL),
                ANSWER(.technique = "hamburger",
                       SET("auxiliary_model.linears=0", "multi_token_generation.tokens_per_step="
                                                        "1")));
    expect_same(ANSWER(.model = "llada-8b"), ANSWER(.model = "llada-8b", .technique = "localleap",
                                                    SET("block_diffusion.tokens_per_step=1")));
}

Test(mechanism_generation, more_of_it_helps)
{
    static const struct {
        const char *model, *technique;
        const char *settings[3];
    } rising[] = {
        {NULL,
         "medusa",
         {"speculative_decoding.tokens_per_cycle=1.5", "speculative_decoding.tokens_per_cycle=2.5",
          "speculative_decoding.tokens_per_cycle=3.5"}},
        {NULL,
         "swift",
         {"speculative_decoding.acceptance=0.2", "speculative_decoding.acceptance=0.6",
          "speculative_decoding.acceptance=0.95"}},
        {NULL,
         "recursive-speculative-decoding",
         {"speculative_decoding.candidates=1", "speculative_decoding.candidates=2",
          "speculative_decoding.candidates=4"}},
        {NULL,
         "hamburger",
         {"multi_token_generation.tokens_per_step=1.2", "multi_token_generation.tokens_per_step=2",
          "multi_token_generation.tokens_per_step=4"}},
        {NULL,
         "fast-dllm-v2",
         {"block_diffusion.tokens_per_step=1", "block_diffusion.tokens_per_step=3",
          "block_diffusion.tokens_per_step=8"}},
        {"llada-8b",
         "adablock-dllm",
         {"block_diffusion.tokens_per_step=1", "block_diffusion.tokens_per_step=3",
          "block_diffusion.tokens_per_step=8"}},
        {"llada-8b",
         "adablock-dllm",
         {"block_diffusion.cache=none", "block_diffusion.cache=prefix", "block_diffusion.cache=dual"}},
        {NULL,
         "skipdecode",
         {"layer_skipping.layers=1.5", "layer_skipping.layers=0.8", "layer_skipping.layers=0.3"}},
        {NULL, "ffn-skipllm", {"layer_skipping.ffn=1", "layer_skipping.ffn=0.75", "layer_skipping.ffn=0.5"}},
    };
    for (size_t i = 0; i < sizeof rising / sizeof *rising; i++) {
        double tpot = INFINITY;
        for (int k = 0; k < 3; k++) {
            struct answer answer = ANSWER(.model = rising[i].model, .technique = rising[i].technique,
                                          .output = 257, SET(rising[i].settings[k]));
            cr_expect(answer.tpot_s < tpot, "%s %s", rising[i].technique, rising[i].settings[k]);
            tpot = answer.tpot_s;
        }
    }
}

/* What a phase's steps do a cycle. */
static double steps_of(const struct asked *asked, const char *phase)
{
    double sum = 0;
    for (int i = 0; i < asked->breakdown.count; i++)
        if (strncmp(asked->breakdown.phases[i].name, phase, strlen(phase)) == 0)
            sum += asked->breakdown.phases[i].steps;
    return sum;
}

Test(mechanism_generation, tokens_are_conserved)
{
    static const struct {
        const char *model, *technique;
        double tokens, decode_steps; /* a cycle */
    } cycles[] = {
        {NULL, "medusa", 2.589, 1}, {NULL, "hamburger", 2.25, 1},
        {NULL, "skipdecode", 1, 1}, {NULL, "fast-dllm-v2", 32, 32 / 2.64 + 1},
        {NULL, "aded", 2.5, 1},     {NULL, "easyspec", 0, 1},
        {NULL, "dovetail", 4, 1},   {"llama-2-13b", "swift", 4.68559, 1},
    };
    for (size_t i = 0; i < sizeof cycles / sizeof *cycles; i++) {
        struct asking asking = {.model = cycles[i].model, .technique = cycles[i].technique, .output = 201};
        struct asked asked = put(&asking);
        cr_assert(asked.ok, "%s: %s", cycles[i].technique, diag_first_error(&asked.diag));
        double tokens = asked.resolved.deployment.generation.tokens_per_cycle;
        if (strcmp(cycles[i].technique, "easyspec") != 0)
            cr_expect(close_to(tokens, cycles[i].tokens, 1e-9), "%s: %g", cycles[i].technique, tokens);
        cr_expect(close_to(steps_of(&asked, "decode"), 200 / tokens * cycles[i].decode_steps, 1e-9),
                  "%s: %g steps", cycles[i].technique, steps_of(&asked, "decode"));
        double parts = 0;
        for (int p = 0; p < asked.breakdown.count; p++)
            parts += strstr(asked.breakdown.phases[p].name, "prefill") ? 0 : asked.breakdown.phases[p].time_s;
        cr_expect(close_to(parts, asked.answer.latency_s - asked.answer.ttft_s, 1e-6), "%s",
                  cycles[i].technique);
        asked_free(&asked);
    }
}

Test(mechanism_generation, composes_with_quantised_weights_and_tensor_parallelism)
{
    static const char *const techniques[] = {"medusa",      "swift",      "scaling-laws-speculative",
                                             "hamburger",   "skipdecode", "ffn-skipllm",
                                             "fast-dllm-v2"};
    for (size_t i = 0; i < sizeof techniques / sizeof *techniques; i++) {
        struct answer wide = ANSWER(.technique = techniques[i]);
        struct answer narrow = ANSWER(.technique = techniques[i], .weights = "fp8");
        struct answer cut = ANSWER(.technique = techniques[i], .device = "8xh100");
        cr_expect(narrow.tpot_s < wide.tpot_s && narrow.memory.weights < wide.memory.weights, "%s",
                  techniques[i]);
        cr_expect(cut.tpot_s < wide.tpot_s && cut.memory.weights < wide.memory.weights, "%s", techniques[i]);
    }
}

Test(mechanism_generation, a_draft_cut_from_the_model_takes_only_its_own_memory)
{
    struct answer plain = ANSWER(.model = NULL), self = ANSWER(.technique = "swift"),
                  features = ANSWER(.technique = "fspad", SET("auxiliary_model.linears=0"));
    cr_expect_eq(self.memory.weights, plain.memory.weights);
    cr_expect_eq(self.memory.kv, plain.memory.kv);
    /* a layer of 218M parameters, its norm and the fusion of 8192 to 4096 */
    double own = (features.memory.weights - plain.memory.weights) / 2;
    cr_expect(close_to(own, 218.1e6 + 33.6e6, 0.01), "%g parameters", own);
    cr_expect(close_to(features.memory.kv / plain.memory.kv, 33.0 / 32, 1e-6));
}

Test(mechanism_generation, what_runs_beside_hides_the_shorter)
{
    const char *device = "speculative_decoding.draft_device=h100-sxm";
    struct answer turn = ANSWER(.technique = "speculative-chain", SET(device)),
                  beside = ANSWER(.technique = "speculative-chain",
                                  SET(device, "speculative_decoding.overlapped=true"));
    cr_expect(beside.tpot_s < turn.tpot_s && beside.tpot_s > turn.tpot_s / 2);
    struct answer host = ANSWER(.technique = "aded", SET("speculative_decoding.host_time=12 ms")),
                  none = ANSWER(.technique = "aded", SET("speculative_decoding.host_time=2 ms"));
    cr_expect(close_to(host.tpot_s - none.tpot_s, 0.010 / 2.5, 1e-6), "%g", host.tpot_s - none.tpot_s);
}

/* Of all operators of the name: prefill and decode may have their own. */
static double executions(const struct asked *asked, const char *phase, const char *name)
{
    const struct phase_cost *cost = phase_of(asked, phase);
    double sum = 0;
    for (int i = 0; cost && i < cost->plan->graph.op_count; i++)
        if (strcmp(cost->plan->graph.ops[i].name, name) == 0 && cost->step.ops[i].each.flops > 0)
            sum += cost->step.ops[i].count;
    return sum;
}

Test(mechanism_generation, layers_left_out_are_not_read)
{
    double counts[3];
    const char *const settings[] = {"layer_skipping.layers=1", "layer_skipping.layers=0.5",
                                    "layer_skipping.layers=2"};
    for (int i = 0; i < 3; i++) {
        struct asking asking = {.technique = "skipdecode", .batch = 1, SET(settings[i])};
        struct asked asked = put(&asking);
        cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
        counts[i] = executions(&asked, "decode", "o_proj");
        cr_expect_eq(executions(&asked, "prefill", "o_proj"), 32);
        asked_free(&asked);
    }
    cr_expect(close_to(counts[1], counts[0] / 2, 1e-9) && close_to(counts[2], counts[0] * 2, 1e-9));
    /* each token its own layers: of a large batch nearly all layers are read, by their share of the tokens */
    struct answer alone = ANSWER(.technique = "ffn-skipllm", .batch = 1),
                  plain = ANSWER(.model = NULL, .batch = 1),
                  many = ANSWER(.technique = "ffn-skipllm", .batch = 16),
                  all = ANSWER(.model = NULL, .batch = 16);
    cr_expect(alone.tpot_s < 0.9 * plain.tpot_s);
    cr_expect(many.tpot_s > 0.95 * all.tpot_s && many.tpot_s <= all.tpot_s);
    struct answer half = ANSWER(.technique = "deer-vla", .output = 2, SET("layer_skipping.max_layers=16"));
    cr_expect(half.memory.kv < 0.51 * ANSWER(.model = NULL, .output = 2).memory.kv);
}

Test(mechanism_generation, what_makes_no_sense_is_refused)
{
    REFUSED("draft_model is missing", .technique = "speculative-chain",
            SET("speculative_decoding.draft_model="));
    REFUSED("acceptance is missing", .technique = "speculative-chain",
            SET("speculative_decoding.acceptance=-1"));
    REFUSED("exceeds the proposals", .technique = "speculative-chain",
            SET("speculative_decoding.tokens_per_cycle=9"));
    REFUSED("drafter: model", .technique = "medusa", SET("speculative_decoding.draft_model=llama-3.2-1b"));
    REFUSED("draft_device", .technique = "medusa", SET("speculative_decoding.draft_device=h100-sxm"));
    REFUSED("fewer than draft_tokens", .technique = "medusa", SET("speculative_decoding.tree_nodes=2"));
    REFUSED("does not decode token by token", .model = "llada-8b", .technique = "medusa");
    REFUSED("emits several tokens a step already", .model = "llada-8b", .technique = "hamburger");
    REFUSED("needs units", .technique = "speculative-chain", SET("speculative_decoding.overlapped=true"));
    REFUSED("cache: exact", .technique = "localleap");
    REFUSED("recurrent layers", .model = "jamba-v0.1", .technique = "fast-dllm-v2", .device = "8xh100");
    REFUSED("exceed a block", .technique = "fast-dllm-v2", SET("block_diffusion.tokens_per_step=33"));
    REFUSED("cannot be cut", .technique = "hamburger", SET("multi_token_generation.micro_layers=60"));
    REFUSED("max_layers 99", .technique = "deer-vla", SET("layer_skipping.max_layers=99"));
    REFUSED("per_token", .technique = "ffn-skipllm", SET("layer_skipping.ffn=1.5"));
    REFUSED("does not divide", .device = "8xa100", .technique = "easyspec",
            SET("speculative_decoding.layer_parallel=3"));
    REFUSED("encoder", .model = "t5-3b", .technique = "skipdecode");
}
