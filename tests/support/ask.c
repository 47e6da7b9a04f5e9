#include "support/ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct asked ask(const struct question *question)
{
    struct asked asked = {.arena = arena_new(0)};
    asked.diag.arena = asked.arena;
    setenv("RAFTER_PATH", SOURCE_DIR, 1); /* the shipped catalogue, wherever the test runs */
    catalogue_open(&asked.catalogue, asked.arena);
    asked.ok = question_resolve(&asked.resolved, asked.arena, &asked.diag, &asked.catalogue, question);
    if (!asked.ok)
        return asked;
    asked.scratch = estimate_scratch_new(asked.arena, &asked.resolved.deployment);
    estimate(&asked.resolved.deployment, &asked.resolved.request, &asked.resolved.workload.slo, asked.scratch,
             &asked.answer, &asked.breakdown);
    return asked;
}

void asked_free(struct asked *asked)
{
    arena_free(asked->arena);
}

const struct phase_cost *phase_of(const struct asked *asked, const char *phase)
{
    for (int i = 0; i < asked->breakdown.count; i++)
        if (strcmp(asked->breakdown.phases[i].name, phase) == 0)
            return &asked->breakdown.phases[i];
    return NULL;
}

const struct step_op *phase_op(const struct asked *asked, const char *phase, const char *name,
                               const struct op **op)
{
    const struct phase_cost *found = phase_of(asked, phase);
    for (int i = 0; found && i < found->plan->graph.op_count; i++) {
        if (strcmp(found->plan->graph.ops[i].name, name) != 0 || found->step.ops[i].count == 0)
            continue;
        if (op)
            *op = &found->plan->graph.ops[i];
        return &found->step.ops[i];
    }
    return NULL;
}

double op_bytes(const struct step_op *op)
{
    double bytes = 0;
    for (int b = 0; b < BYTES_WIRE; b++)
        bytes += op->each.bytes[b];
    return bytes;
}

bool close_to(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b));
}

static unsigned long long dice_next(struct dice *dice)
{
    dice->state ^= dice->state >> 12;
    dice->state ^= dice->state << 25;
    dice->state ^= dice->state >> 27;
    return dice->state * 2685821657736338717ULL;
}

double dice_real(struct dice *dice, double low, double high)
{
    return low + (high - low) * (double)(dice_next(dice) >> 11) * 0x1p-53;
}

int dice_int(struct dice *dice, int low, int high)
{
    return low + (int)(dice_next(dice) % (unsigned long long)(high - low + 1));
}
