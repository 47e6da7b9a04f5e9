#include "exec/scheduler.h"

struct limits {
    int step_tokens;
};

static bool in_prompt(const struct sequence_progress *progress)
{
    return !progress->ended && progress->done < progress->prompt;
}

static bool has_next(const struct sequence_progress *progress)
{
    return !progress->ended && progress->done >= progress->prompt && progress->done < progress->known;
}

/* The next token of each sequence past its prompt, `most` at most. */
static int choose_decodes(const struct sequence_progress *progress, int count, int most,
                          struct step_choice *choices)
{
    int chosen = 0;
    for (int s = 0; s < count && chosen < most; s++)
        if (has_next(&progress[s]))
            choices[chosen++] = (struct step_choice){s, progress[s].known - progress[s].done};
    return chosen;
}

static int next_static(void *state, const struct sequence_progress *progress, int count,
                       struct step_choice *choices)
{
    const struct limits *limits = state;
    int chosen = 0, left = limits->step_tokens;
    for (int s = 0; s < count; s++) {
        int tokens = progress[s].prompt - progress[s].done;
        if (!in_prompt(&progress[s]))
            continue;
        if (chosen > 0 && tokens > left)
            break;
        choices[chosen++] = (struct step_choice){s, tokens};
        left -= tokens < left ? tokens : left;
    }
    return chosen > 0 ? chosen : choose_decodes(progress, count, count, choices);
}

static int next_chunked(void *state, const struct sequence_progress *progress, int count,
                        struct step_choice *choices)
{
    const struct limits *limits = state;
    int chosen = choose_decodes(progress, count, limits->step_tokens, choices);
    int left = limits->step_tokens - chosen;
    for (int s = 0; s < count && left > 0; s++) {
        int tokens = progress[s].prompt - progress[s].done;
        if (!in_prompt(&progress[s]))
            continue;
        if (tokens > left)
            tokens = left;
        choices[chosen++] = (struct step_choice){s, tokens};
        left -= tokens;
    }
    return chosen;
}

/* The odd rests of prompts that nothing was done of, as many as fit. */
static int choose_rests(const struct sequence_progress *progress, int count, int chunk,
                        struct step_choice *choices)
{
    int chosen = 0, left = chunk;
    for (int s = 0; s < count; s++) {
        int rest = progress[s].prompt % chunk;
        if (!in_prompt(&progress[s]) || progress[s].done > 0 || rest == 0)
            continue;
        if (rest > left)
            break;
        choices[chosen++] = (struct step_choice){s, rest};
        left -= rest;
    }
    return chosen;
}

static int next_estimated(void *state, const struct sequence_progress *progress, int count,
                          struct step_choice *choices)
{
    const struct limits *limits = state;
    int chosen = choose_rests(progress, count, limits->step_tokens, choices);
    for (int s = 0; s < count && chosen == 0; s++)
        if (in_prompt(&progress[s]))
            choices[chosen++] = (struct step_choice){s, limits->step_tokens};
    return chosen > 0 ? chosen : choose_decodes(progress, count, count, choices);
}

static bool make(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler)
{
    struct limits *limits = ARENA_NEW(arena, struct limits);
    if (limits == NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    limits->step_tokens = step_tokens;
    scheduler->state = limits;
    return true;
}

bool scheduler_static(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler)
{
    *scheduler = (struct scheduler){.name = "static", .next = next_static};
    return make(arena, diag, step_tokens, scheduler);
}

bool scheduler_chunked(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler)
{
    *scheduler = (struct scheduler){.name = "chunked", .next = next_chunked};
    return make(arena, diag, step_tokens, scheduler);
}

bool scheduler_estimated(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler)
{
    *scheduler = (struct scheduler){.name = "estimated", .next = next_estimated};
    return make(arena, diag, step_tokens, scheduler);
}
