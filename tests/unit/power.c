/* Power: where the energy goes, and what a cap below the TDP costs. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct asked capped(const char *cap, int devices)
{
    const char *settings[] = {cap};
    struct question question = {.model = "llama-3.1-8b",
                                .device = "h100-sxm",
                                .devices = devices,
                                .batch = 64,
                                .prompt = 512,
                                .output = 64,
                                .settings = {settings, cap != NULL}};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

/* Joules above idle of all operators of all phases, summed from their parts. */
static double above_idle(const struct asked *asked, double parts[ENERGY_PART_COUNT])
{
    double sum = 0;
    memset(parts, 0, ENERGY_PART_COUNT * sizeof *parts);
    for (int p = 0; p < asked->breakdown.count; p++) {
        const struct phase_cost *phase = &asked->breakdown.phases[p];
        for (int i = 0; i < phase->plan->graph.op_count; i++) {
            const struct step_op *op = &phase->step.ops[i];
            double own[ENERGY_PART_COUNT], all = 0;
            if (op->count == 0)
                continue;
            cost_energy(phase->plan->prepared, i, &op->each, own);
            for (int e = 0; e < ENERGY_PART_COUNT; e++) {
                all += own[e];
                parts[e] += own[e] * op->count * phase->plan->parallel.tp;
            }
            cr_expect(close_to(all, op->each.energy, 1e-9), "%s: parts %g, whole %g",
                      phase->plan->graph.ops[i].name, all, op->each.energy);
        }
    }
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        sum += parts[e];
    return sum;
}

Test(power, operators_and_idle_sum_to_the_answer)
{
    for (int devices = 1; devices <= 4; devices *= 2) {
        struct asked asked = capped(NULL, devices);
        double parts[ENERGY_PART_COUNT], sum = above_idle(&asked, parts);
        double idle = 70.0 * devices * asked.answer.latency_s;
        cr_expect(close_to(sum + idle, asked.answer.energy_j, 2e-3), "%g + %g against %g", sum, idle,
                  asked.answer.energy_j);
        cr_expect(parts[ENERGY_COMPUTE] > 0 && parts[ENERGY_MEMORY] > 0);
        cr_expect((parts[ENERGY_LINKS] > 0) == (devices > 1));
        asked_free(&asked);
    }
}

Test(power, a_lower_cap_takes_longer_and_draws_less)
{
    static const char *const caps[] = {"hardware.power.cap=700 W", "hardware.power.cap=500 W",
                                       "hardware.power.cap=400 W", "hardware.power.cap=250 W"};
    static const double watts[] = {700, 500, 400, 250};
    struct asked free_running = capped(NULL, 1);
    double ttft = free_running.answer.ttft_s, drawn = INFINITY;
    for (int i = 0; i < 4; i++) {
        struct asked asked = capped(caps[i], 1);
        cr_expect(asked.answer.ttft_s >= ttft, "%s", caps[i]);
        cr_expect(asked.answer.power_w <= drawn && asked.answer.power_w <= watts[i], "%s: %g W", caps[i],
                  asked.answer.power_w);
        ttft = asked.answer.ttft_s;
        drawn = asked.answer.power_w;
        if (i == 0) /* a cap at the TDP is none */
            cr_expect_eq(asked.answer.ttft_s, free_running.answer.ttft_s);
        if (i == 3) {
            const struct step_op *op = phase_op(&asked, "prefill", OP_NAME_GATE_UP_PROJ, NULL);
            cr_assert(op != NULL);
            cr_expect(op->each.bound == BOUND_POWER);
        }
        asked_free(&asked);
    }
    asked_free(&free_running);
}

Test(power, a_cap_below_idle_is_refused)
{
    static const char *settings[] = {"hardware.power.cap=60 W"};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm", .settings = {settings, 1}};
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok);
    cr_expect(strstr(diag_first_error(&asked.diag), "found 60 W, expected more than the idle power of 70 W"),
              "%s", diag_first_error(&asked.diag));
    asked_free(&asked);
}
