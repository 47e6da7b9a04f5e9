/* What would make a question fit: a smaller batch, or more devices. */
#include "estimate/phases.h"

#include <math.h>
#include <string.h>

static bool fits(const struct deployment *deployment, struct request request, double batch)
{
    struct memory_plan memory;
    request.batch = batch;
    needed_memory(deployment, &request, &memory);
    return memory.fits;
}

static int largest_batch(const struct resolved *resolved)
{
    double good = 0, bad = resolved->request.batch; /* memory grows with the batch */
    if (fits(&resolved->deployment, resolved->request, bad))
        return (int)bad;
    while (bad - good > 1) {
        double middle = floor((good + bad) / 2);
        if (fits(&resolved->deployment, resolved->request, middle))
            good = middle;
        else
            bad = middle;
    }
    return (int)good;
}

/* A system given as a struct, with another count of its first member; NULL: out of memory. */
static const struct system *system_of(struct arena *arena, const struct system *system, int devices)
{
    struct system *copy = ARENA_NEW(arena, struct system);
    struct system_member *members = ARENA_ARRAY(arena, struct system_member, system->member_count);
    if (!copy || !members)
        return NULL;
    memcpy(members, system->members, system->member_count * sizeof *members);
    members[0].count = devices;
    *copy = *system;
    copy->members = members;
    return copy;
}

static bool fits_on(const struct resolved *resolved, struct catalogue *catalogue, int devices)
{
    const struct plan *plan = resolved->deployment.pools[0].plans[0];
    struct question question = resolved->question;
    struct diag quiet = {.arena = resolved->arena}; /* counts that do not divide are no answers, not errors */
    struct resolved larger;
    question.devices = devices;
    question.parallel = plan->parallel;
    question.parallel.tp = plan->parallel.tp * devices / plan->ranks;
    if (question.system && !(question.system = system_of(resolved->arena, question.system, devices)))
        return false;
    return question_resolve(&larger, resolved->arena, &quiet, catalogue, &question) &&
           fits(&larger.deployment, larger.request, larger.request.batch);
}

bool question_fitting(const struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                      struct fitting *fitting)
{
    enum { DEVICES_MOST = 64 };
    *fitting = (struct fitting){.batch = largest_batch(resolved)};
    int ranks = resolved->deployment.pools[0].plans[0]->ranks;
    for (int devices = ranks * 2; devices <= DEVICES_MOST && fitting->devices == 0; devices *= 2)
        if (fits_on(resolved, catalogue, devices))
            fitting->devices = devices;
    return diag->errors == 0;
}
