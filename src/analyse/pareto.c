#include "analyse/pareto.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS_MOST = 65536 };

static int fastest_first(const void *a, const void *b)
{
    const struct pareto_point *x = a, *y = b;
    if (x->tokens_per_s_per_user != y->tokens_per_s_per_user)
        return x->tokens_per_s_per_user < y->tokens_per_s_per_user ? 1 : -1;
    return (x->tokens_per_s_per_device < y->tokens_per_s_per_device) -
           (x->tokens_per_s_per_device > y->tokens_per_s_per_device);
}

static void take(struct pareto *pareto, const struct search *search, double batch)
{
    for (size_t i = 0; i < search->kept && pareto->all_count < POINTS_MOST; i++) {
        const struct answer *answer = &search->list[i].answer;
        if (isnan(answer->tpot_s))
            continue;
        pareto->all[pareto->all_count++] =
            (struct pareto_point){.candidate = search->list[i],
                                  .batch = batch,
                                  .tokens_per_s_per_user = 1 / answer->tpot_s,
                                  .tokens_per_s_per_device = answer->throughput_tokens_per_s_per_device};
    }
}

/* Going from the fastest per user on, a point is on the front when it gives more per device than all before
 * it. */
static void keep_front(struct pareto *pareto)
{
    double most = 0;
    for (size_t i = 0; i < pareto->all_count; i++) {
        if (pareto->all[i].tokens_per_s_per_device <= most)
            continue;
        most = pareto->all[i].tokens_per_s_per_device;
        pareto->front[pareto->count++] = pareto->all[i];
    }
}

bool pareto_front(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                  const struct question *question, int devices, double batch_most,
                  const struct limits *limits, struct pareto *pareto)
{
    long before = evaluator->evaluations;
    *pareto = (struct pareto){.all = ARENA_ARRAY(arena, struct pareto_point, POINTS_MOST)};
    if (!pareto->all)
        return diag_error(diag, NOWHERE, "out of memory");
    for (double batch = 1; batch <= batch_most; batch *= 2) {
        struct question asked = *question;
        struct search search;
        asked.batch = batch;
        evaluator->share = batch / (2 * batch_most); /* later batches have more replicas to try */
        if (!search_parallelism(evaluator, arena, diag, &asked, devices, limits, OBJECTIVE_THROUGHPUT,
                                &search))
            return false;
        take(pareto, &search, batch);
    }
    pareto->evaluated = (size_t)(evaluator->evaluations - before);
    qsort(pareto->all, pareto->all_count, sizeof *pareto->all, fastest_first);
    pareto->front = ARENA_ARRAY(arena, struct pareto_point, pareto->all_count + 1);
    if (!pareto->front)
        return diag_error(diag, NOWHERE, "out of memory");
    keep_front(pareto);
    return true;
}
