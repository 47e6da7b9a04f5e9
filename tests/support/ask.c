#include "support/ask.h"

#include <criterion/criterion.h>
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

struct answer answer_to(const struct question *question)
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

void expect_refusal(struct question question, const char *reason)
{
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", reason);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}

void expect_same_answer(const struct answer *a, const struct answer *b)
{
    cr_expect_float_eq(a->ttft_s, b->ttft_s, 0);
    cr_expect_float_eq(a->tpot_s, b->tpot_s, 0);
    cr_expect_float_eq(a->latency_s, b->latency_s, 0);
    cr_expect_float_eq(a->memory.total, b->memory.total, 0);
    cr_expect_float_eq(a->energy_j, b->energy_j, 0);
}

struct question question_with(struct question question, const char *const *techniques, size_t technique_count,
                              const char *const *settings, size_t setting_count)
{
    question.techniques = (struct string_list){(const char **)techniques, technique_count};
    question.settings = (struct string_list){(const char **)settings, setting_count};
    return question;
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
