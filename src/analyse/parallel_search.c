#include "analyse/parallel_search.h"

#include <math.h>
#include <stdlib.h>

enum { CANDIDATES_MOST = 4096 };

struct ranked {
    struct candidate candidate;
    double score;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    bool x_kept = x->candidate.strain <= 1, y_kept = y->candidate.strain <= 1;
    if (x_kept != y_kept)
        return x_kept ? -1 : 1;
    if (!x_kept && x->candidate.strain != y->candidate.strain)
        return x->candidate.strain < y->candidate.strain ? -1 : 1;
    return (x->score > y->score) - (x->score < y->score);
}

struct walk {
    struct evaluator *evaluator;
    const struct question *question;
    const struct limits *limits;
    enum objective objective;
    struct ranked *list;
    struct search *search;
    double batch;
    int experts; /* most of any layer; 1: dense */
    const char *reason;
};

/* A replica takes its share of the batch; the fullest one sets the times. */
static void merge_replicas(struct answer *answer, int replicas, double batch, double replica_batch)
{
    double scale = replicas;
    answer->throughput_tokens_per_s *= batch / replica_batch;
    answer->requests_per_s *= batch / replica_batch;
    answer->energy_j *= scale;
    answer->power_w *= scale;
    answer->cost_usd *= scale;
    answer->carbon_kg *= scale;
    answer->devices *= replicas;
    answer->throughput_tokens_per_s_per_device = answer->throughput_tokens_per_s / answer->devices;
    double tokens = answer->throughput_tokens_per_s * answer->latency_s;
    answer->energy_j_per_output_token = answer->energy_j / tokens;
    answer->cost_usd_per_million_output_tokens = answer->cost_usd / tokens * 1e6;
}

static void try_split(struct walk *walk, int tp, int pp, int dp, int ep, int replicas)
{
    struct search *search = walk->search;
    if (search->count == CANDIDATES_MOST)
        return;
    struct question question = *walk->question;
    struct ranked *ranked = &walk->list[search->count];
    struct candidate *candidate = &ranked->candidate;
    question.devices = tp * pp * dp;
    question.parallel.tp = tp;
    question.parallel.pp = pp;
    question.parallel.dp = dp;
    question.parallel.ep = ep;
    question.batch = ceil(walk->batch / replicas);
    *candidate = (struct candidate){.parallel = question.parallel, .replicas = replicas};
    const char *reason;
    if (!evaluate(walk->evaluator, &question, &candidate->answer, NULL, &reason)) {
        search->refused++;
        walk->reason = reason;
        return;
    }
    merge_replicas(&candidate->answer, replicas, walk->batch, question.batch);
    candidate->strain = limits_strain(walk->limits, &candidate->answer, &candidate->tightest);
    ranked->score = objective_score(&candidate->answer, walk->objective);
    search->count++;
    search->kept += candidate->strain <= 1;
}

static void try_expert_splits(struct walk *walk, int tp, int pp, int dp, int replicas)
{
    int ranks = tp * dp;
    size_t refused = walk->search->refused;
    for (int ep = 1; ep <= ranks && ep <= walk->experts; ep++) {
        if (ranks % ep == 0)
            try_split(walk, tp, pp, dp, ep, replicas);
        if (ep == 1 && walk->search->refused > refused)
            return; /* what is refused without expert parallelism is refused with it */
    }
}

static void try_all(struct walk *walk, int devices)
{
    for (int replicas = 1; replicas <= devices && replicas <= walk->batch; replicas++) {
        if (devices % replicas != 0)
            continue;
        int each = devices / replicas;
        for (int pp = 1; pp <= each && pp <= STAGES_MOST; pp++)
            for (int dp = 1; dp <= each / pp && dp <= walk->batch / replicas; dp++)
                if (each % (pp * dp) == 0)
                    try_expert_splits(walk, each / (pp * dp), pp, dp, replicas);
    }
}

/* The batch that the question means, its own or its workload's; 0 with diag. */
static double batch_of(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                       const struct question *question)
{
    if (question->batch > 0)
        return question->batch;
    const struct workload *workload = question_workload(arena, diag, evaluator->catalogue, question);
    return workload ? workload->batch : 0;
}

/* Experts of the layer that has most; 1 for a dense model, and for one that the first split will refuse by
 * name. */
static int experts_of(struct evaluator *evaluator, const struct question *question)
{
    struct diag quiet = {.arena = evaluator->scratch};
    struct catalogue catalogue = *evaluator->catalogue;
    int experts = 1;
    arena_reset(evaluator->scratch);
    catalogue.arena = evaluator->scratch;
    const struct model *model =
        question->model ? catalogue_model(&catalogue, &quiet, question->model, NULL) : NULL;
    for (size_t b = 0; model && b < model->block_count; b++)
        if (model->blocks[b].moe.experts > experts)
            experts = model->blocks[b].moe.experts;
    return experts;
}

/* Best first into the arena. */
static bool keep_ranked(const struct walk *walk, struct arena *arena, struct diag *diag)
{
    struct search *search = walk->search;
    if (search->count == 0)
        return diag_error(diag, NOWHERE, "no split of %d devices has an answer; the last reason: %s",
                          search->devices, walk->reason);
    qsort(walk->list, search->count, sizeof *walk->list, by_rank);
    search->list = ARENA_ARRAY(arena, struct candidate, search->count);
    if (!search->list)
        return diag_error(diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < search->count; i++)
        search->list[i] = walk->list[i].candidate;
    return true;
}

bool search_parallelism(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                        const struct question *question, int devices, const struct limits *limits,
                        enum objective objective, struct search *search)
{
    struct walk walk = {.evaluator = evaluator,
                        .question = question,
                        .limits = limits,
                        .objective = objective,
                        .search = search,
                        .reason = ""};
    *search = (struct search){.devices = devices};
    walk.batch = batch_of(evaluator, arena, diag, question);
    if (!(walk.batch > 0))
        return false;
    /* most searches fill little of it, and many follow each other: not in the arena */
    walk.list = malloc(CANDIDATES_MOST * sizeof *walk.list);
    if (!walk.list)
        return diag_error(diag, NOWHERE, "out of memory");
    walk.experts = experts_of(evaluator, question);
    try_all(&walk, devices);
    bool kept = keep_ranked(&walk, arena, diag);
    free(walk.list);
    return kept;
}
