#include "exec/generate.h"

#include "base/random.h"

#include <string.h>

struct generating {
    struct runner *runner;
    struct diag *diag;
    const struct generation_request *request;
    struct generated *out;
    size_t vocab;
    int **known;                      /* [sequences][prompt + output]: prompt, then what is generated */
    struct sequence_progress *states; /* [sequences] */
    struct step_choice *choices;
    struct step_part *parts;
    float *logits; /* [wanted rows of a step][vocab] */
    size_t logit_rows;
    struct candidate *candidates;
    uint64_t random;
};

/* ---- memory ---- */

static size_t longest_prompt(const struct generation_request *request)
{
    int most = 0;
    for (int s = 0; s < request->sequences; s++)
        most = request->prompt_tokens[s] > most ? request->prompt_tokens[s] : most;
    return (size_t)most;
}

static bool make_sequences(struct generating *g, struct arena *arena)
{
    size_t count = (size_t)g->request->sequences, output = (size_t)g->request->output_tokens;
    g->known = ARENA_ARRAY(arena, int *, count);
    g->states = ARENA_ARRAY(arena, struct sequence_progress, count);
    g->choices = ARENA_ARRAY(arena, struct step_choice, count);
    g->parts = ARENA_ARRAY(arena, struct step_part, count);
    g->candidates = ARENA_ARRAY(arena, struct candidate, g->vocab);
    g->out->tokens = ARENA_ARRAY(arena, int *, count);
    g->out->counts = ARENA_ARRAY(arena, int, count);
    if (g->known == NULL || g->states == NULL || g->choices == NULL || g->parts == NULL ||
        g->candidates == NULL || g->out->tokens == NULL || g->out->counts == NULL)
        return diag_error(g->diag, NOWHERE, "out of memory");
    for (size_t s = 0; s < count; s++) {
        size_t prompt = (size_t)g->request->prompt_tokens[s];
        g->known[s] = ARENA_ARRAY(arena, int, prompt + output);
        if (g->known[s] == NULL)
            return diag_error(g->diag, NOWHERE, "out of memory");
        memcpy(g->known[s], g->request->prompts[s], prompt * sizeof(int));
        g->out->tokens[s] = g->known[s] + prompt;
        g->states[s] = (struct sequence_progress){.prompt = (int)prompt, .known = (int)prompt};
    }
    return true;
}

static bool make_logits(struct generating *g)
{
    const struct generation_request *request = g->request;
    size_t rows = (size_t)request->sequences, bytes;
    if (request->all_logits)
        rows += longest_prompt(request);
    g->logit_rows = rows;
    if (__builtin_mul_overflow(rows, g->vocab * sizeof(float), &bytes) ||
        (g->logits = buffer_new(g->diag, bytes)) == NULL)
        return diag_error(g->diag, NOWHERE, "out of memory for %zu rows of logits", rows);
    if (!request->all_logits)
        return true;
    size_t kept = (size_t)request->prompt_tokens[0] + (size_t)request->output_tokens;
    if (__builtin_mul_overflow(kept, g->vocab * sizeof(float), &g->out->logit_bytes) ||
        (g->out->logits = buffer_new(g->diag, g->out->logit_bytes)) == NULL)
        return diag_error(g->diag, NOWHERE, "out of memory for %zu rows of logits", kept);
    return true;
}

/* ---- steps ---- */

static bool wants_all(const struct generating *g, int sequence)
{
    return g->request->all_logits && sequence == 0;
}

/* The parts of the choices. Logits are wanted where all known tokens are behind: they choose the next one. */
static void make_parts(const struct generating *g, int count)
{
    for (int p = 0; p < count; p++) {
        const struct step_choice *choice = &g->choices[p];
        const struct sequence_progress *state = &g->states[choice->sequence];
        bool last = state->done + choice->tokens == state->known;
        g->parts[p] = (struct step_part){
            .sequence = choice->sequence,
            .tokens = g->known[choice->sequence] + state->done,
            .count = choice->tokens,
            .logits = wants_all(g, choice->sequence) ? choice->tokens : last,
        };
    }
}

static void keep_logits(struct generating *g, const float *rows, int count)
{
    memcpy(g->out->logits + g->out->logit_rows * g->vocab, rows, (size_t)count * g->vocab * sizeof(float));
    g->out->logit_rows += (size_t)count;
}

/* The next token of a sequence, by the logits of its last one. */
static void take_token(struct generating *g, int sequence, const float *row)
{
    struct sequence_progress *state = &g->states[sequence];
    int token = sample(runner_isa(g->runner), &g->request->sampling, row, g->vocab, random_unit(&g->random),
                       g->candidates);
    g->known[sequence][state->known++] = token;
    g->out->counts[sequence]++;
    state->ended = token == g->request->end_token || g->out->counts[sequence] == g->request->output_tokens;
}

/* Moves the sequences on; returns the tokens of prompts that the step had. */
static int finish_parts(struct generating *g, int count)
{
    const float *row = g->logits;
    int prompt_tokens = 0;
    for (int p = 0; p < count; p++) {
        const struct step_part *part = &g->parts[p];
        struct sequence_progress *state = &g->states[part->sequence];
        prompt_tokens += state->done < state->prompt ? part->count : 0;
        state->done += part->count;
        if (wants_all(g, part->sequence))
            keep_logits(g, row, part->logits);
        row += (size_t)part->logits * g->vocab;
        if (state->done == state->known && part->logits > 0)
            take_token(g, part->sequence, row - g->vocab);
    }
    return prompt_tokens;
}

static void add_times(struct phase_times *phase, const struct op_clock *clock)
{
    for (int i = 0; i < clock->count; i++) {
        int at = 0;
        while (at < phase->op_count && strcmp(phase->ops[at].name, clock->ops[i].name) != 0)
            at++;
        if (at == phase->op_count)
            phase->ops[phase->op_count++] = (struct op_time){.name = clock->ops[i].name};
        phase->ops[at].seconds += clock->ops[i].seconds;
        phase->ops[at].count += clock->ops[i].count;
    }
}

static bool run_step(struct generating *g, int count)
{
    struct op_clock *clock = runner_clock(g->runner);
    struct runner_work work = {0};
    make_parts(g, count);
    runner_work(g->runner, g->parts, count, &work);
    op_clock_clear(clock);
    double begin = clock_seconds();
    if (!runner_step(g->runner, g->diag, g->parts, count, g->logits))
        return false;
    double sampling = clock_seconds();
    int prompt_tokens = finish_parts(g, count);
    double end = op_clock_add(clock, OP_NAME_SAMPLE, -1, sampling);
    struct phase_times *phase = prompt_tokens > 0 ? &g->out->prefill : &g->out->decode;
    phase->seconds += end - begin;
    phase->tokens += prompt_tokens > 0 ? prompt_tokens : count;
    phase->steps++;
    runner_work_add(&phase->work, &work);
    add_times(phase, clock);
    return true;
}

/* The logits behind the last token, which no step needed. */
static bool run_last(struct generating *g)
{
    const struct sequence_progress *state = &g->states[0];
    const struct step_part part = {
        .sequence = 0, .tokens = g->known[0] + state->done, .count = state->known - state->done, .logits = 1};
    if (!g->request->all_logits)
        return true;
    if (!runner_step(g->runner, g->diag, &part, 1, g->logits))
        return false;
    keep_logits(g, g->logits, 1);
    return true;
}

/* A step that is not counted: threads wake, kernels' scratch and code come in. */
static bool warm_up(struct generating *g)
{
    const struct step_part part = {.sequence = 0, .tokens = g->known[0], .count = 1, .logits = 1};
    struct op_clock *clock = runner_clock(g->runner);
    struct op_event *events = clock->events;
    clock->events = NULL; /* nor traced */
    bool ok = runner_step(g->runner, g->diag, &part, 1, g->logits);
    clock->events = events;
    clock->step = 0;
    runner_forget(g->runner, 0);
    return ok;
}

static bool run_steps(struct generating *g, const struct scheduler *scheduler)
{
    int count;
    for (int s = 0; s < g->request->sequences; s++)
        runner_forget(g->runner, s);
    if (!warm_up(g))
        return false;
    while ((count = scheduler->next(scheduler->state, g->states, g->request->sequences, g->choices)) > 0)
        if (!run_step(g, count))
            return false;
    return run_last(g);
}

bool generate(struct runner *runner, struct arena *arena, struct diag *diag,
              const struct generation_request *request, const struct scheduler *scheduler,
              struct generated *generation)
{
    struct generating g = {.runner = runner,
                           .diag = diag,
                           .request = request,
                           .out = generation,
                           .vocab = (size_t)weights_model(runner_weights(runner))->vocab,
                           .random = request->seed};
    *generation = (struct generated){0};
    bool ok = make_sequences(&g, arena) && make_logits(&g) && g.logits != NULL && run_steps(&g, scheduler);
    buffer_free(g.logits, g.logit_rows * g.vocab * sizeof(float));
    return ok;
}

void generation_free(struct generated *generation)
{
    buffer_free(generation->logits, generation->logit_bytes);
    generation->logits = NULL;
}
