#include "exec/kernels/attention_plan.h"
#include "exec/kernels/lane_kernels.h"

#include <math.h>

struct attention_job {
    struct team *team;
    const struct attention *attention;
    const struct lane_kernels *kernels;
    const struct attention_plan *plan;
    int next; /* taken by atomic additions */
};

static size_t partial_floats(const struct attention *attention)
{
    return (size_t)attention->v_dim + ATTENTION_PARTIAL;
}

/* Puts a row's partial results together: the sum of each one's values and sum by e^(its greatest - all
 * greatest). The first one's memory takes them. */
static void merge_row(const struct attention *attention, const struct attention_item *items, int count,
                      int row)
{
    size_t at = (size_t)(row - items->row_from) * partial_floats(attention);
    float *merged = items->partial + at, greatest = merged[0];
    for (int i = 1; i < count; i++)
        greatest = items[i].partial[at] > greatest ? items[i].partial[at] : greatest;
    /* No key in any of them is seen where a chunk lies outside the window: exp(-inf) is 0. */
    float own = expf(merged[0] - greatest);
    for (size_t j = 1; j < partial_floats(attention); j++)
        merged[j] *= own;
    for (int i = 1; i < count; i++) {
        const float *other = items[i].partial + at;
        float scale = expf(other[0] - greatest);
        for (size_t j = 1; j < partial_floats(attention); j++)
            merged[j] += other[j] * scale;
    }
    attention_finish_row(attention, items, row, greatest, merged[1], merged + ATTENTION_PARTIAL);
}

static void attention_work(void *context, int thread, int threads)
{
    struct attention_job *job = (struct attention_job *)context;
    const struct attention_plan *plan = job->plan;
    for (int i; (i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)) < plan->item_count;)
        job->kernels->attention_item(job->attention, plan->order[i], &plan->rooms[thread]);
    if (plan->merge_count == 0)
        return;
    team_barrier(job->team);
    int turn = 0;
    for (int m = 0; m < plan->merge_count; m++) {
        const struct attention_item *items = plan->items + plan->merges[m].first;
        for (int row = items->row_from; row < items->row_to; row++)
            if (turn++ % threads == thread)
                merge_row(job->attention, items, plan->merges[m].count, row);
    }
}

bool attention_reserve(const struct team *team, const struct attention *attention,
                       struct attention_scratch *scratch, struct diag *diag)
{
    struct attention_plan plan;
    return attention_plan(attention, team_threads(team), scratch, &plan, diag);
}

bool attention(struct team *team, enum isa isa, const struct attention *attention,
               struct attention_scratch *scratch, struct diag *diag)
{
    struct attention_plan plan;
    if (!attention_plan(attention, team_threads(team), scratch, &plan, diag))
        return false;
    struct attention_job job = {team, attention, lane_kernels(isa), &plan, 0};
    team_run(team, attention_work, &job);
    return true;
}
