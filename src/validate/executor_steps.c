#include "validate/executor_steps.h"

#include "exec/kernels/small.h"

static int least(int a, int b)
{
    return a < b ? a : b;
}

int static_batch_step_tokens(const struct executor_case *run)
{
    int all = run->batch * run->prompt;
    int step = run->chunk > 0 ? least(run->chunk, all) : all;
    return step > run->batch ? step : run->batch;
}

/* SplitMix64's finaliser (Steele, Lea and Flood 2014): one well-mixed number a counter. */
static uint64_t mixed(uint64_t counter)
{
    uint64_t z = counter * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct static_batch *static_batch_new(struct arena *arena, struct diag *diag, struct runner *runner,
                                      const struct executor_case *run, int vocab)
{
    struct static_batch *batch = ARENA_NEW(arena, struct static_batch);
    size_t sequences = (size_t)run->batch, prompt = (size_t)run->prompt;
    if (batch)
        *batch = (struct static_batch){.runner = runner,
                                       .batch = run->batch,
                                       .prompt = run->prompt,
                                       .output = run->output,
                                       .chunk = run->chunk,
                                       .tokens = ARENA_ARRAY(arena, int, sequences *prompt),
                                       .last = ARENA_ARRAY(arena, int, sequences),
                                       .logits = ARENA_ARRAY(arena, float, sequences *(size_t)vocab),
                                       .vocab = vocab,
                                       .parts = ARENA_ARRAY(arena, struct step_part, sequences)};
    if (!batch || !batch->tokens || !batch->last || !batch->logits || !batch->parts) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < sequences * prompt; i++)
        batch->tokens[i] = (int)(mixed(i + 1) % (uint64_t)vocab);
    return batch;
}

/* The greatest logit of each of the parts that asked for one. */
static void take_tokens(struct static_batch *batch, int count)
{
    struct op_clock *clock = runner_clock(batch->runner);
    const struct sampling greedy = {.temperature = 0, .top_k = 0, .top_p = 1};
    double begin = clock_seconds();
    int row = 0;
    for (int i = 0; i < count; i++)
        if (batch->parts[i].logits > 0) {
            const float *logits = batch->logits + (size_t)row++ * (size_t)batch->vocab;
            batch->last[batch->parts[i].sequence] =
                sample(runner_isa(batch->runner), &greedy, logits, (size_t)batch->vocab, 0, NULL);
        }
    if (row > 0)
        op_clock_add(clock, OP_NAME_SAMPLE, -1, begin);
}

/* One step: tokens [from, from + count) of the prompts of sequences [first, last). */
static bool prompt_step(struct static_batch *batch, struct diag *diag, int first, int last, int from,
                        int count)
{
    int parts = 0;
    for (int s = first; s < last; s++)
        batch->parts[parts++] =
            (struct step_part){.sequence = s,
                               .tokens = batch->tokens + (size_t)s * (size_t)batch->prompt + from,
                               .count = count,
                               .logits = from + count == batch->prompt};
    if (!runner_step(batch->runner, diag, batch->parts, parts, batch->logits))
        return false;
    take_tokens(batch, parts);
    return true;
}

/* The odd rests first, of as many sequences as a chunk holds; then full chunks, a sequence at a time. */
static bool long_prompts(struct static_batch *batch, struct diag *diag)
{
    int rest = batch->prompt % batch->chunk;
    int together = rest > 0 ? batch->chunk / rest : 0;
    for (int s = 0; rest > 0 && s < batch->batch; s += together)
        if (!prompt_step(batch, diag, s, least(s + together, batch->batch), 0, rest))
            return false;
    for (int s = 0; s < batch->batch; s++)
        for (int from = rest; from < batch->prompt; from += batch->chunk)
            if (!prompt_step(batch, diag, s, s + 1, from, batch->chunk))
                return false;
    return true;
}

bool static_batch_prefill(struct static_batch *batch, struct diag *diag)
{
    if (batch->chunk > 0 && batch->prompt > batch->chunk)
        return long_prompts(batch, diag);
    int together = batch->chunk > 0 ? batch->chunk / batch->prompt : batch->batch;
    for (int s = 0; s < batch->batch; s += together)
        if (!prompt_step(batch, diag, s, least(s + together, batch->batch), 0, batch->prompt))
            return false;
    return true;
}

bool static_batch_decode(struct static_batch *batch, struct diag *diag)
{
    for (int made = 1; made < batch->output; made++) {
        for (int s = 0; s < batch->batch; s++)
            batch->parts[s] =
                (struct step_part){.sequence = s, .tokens = &batch->last[s], .count = 1, .logits = 1};
        if (!runner_step(batch->runner, diag, batch->parts, batch->batch, batch->logits))
            return false;
        take_tokens(batch, batch->batch);
    }
    return true;
}
