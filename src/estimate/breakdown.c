/* Where the time goes: each phase with its operators. */
#include "estimate/phases.h"

#include <string.h>

struct step_cost *breakdown_next(struct estimate_scratch *scratch, const struct breakdown *breakdown)
{
    return &scratch->report[breakdown->count < PHASES_REPORTED_MOST ? breakdown->count
                                                                    : PHASES_REPORTED_MOST - 1];
}

/* Scaled so that parts go on to sum to the whole. */
static void scale_step(const struct plan *plan, struct step_cost *cost, double executions, double time)
{
    double scale = cost->time > 0 ? time / cost->time : 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        cost->ops[i].count *= executions;
        cost->ops[i].time *= scale;
        cost->ops[i].exposed *= scale;
    }
    cost->device_time *= scale;
    cost->host_gap *= scale;
    cost->time = time;
}

void breakdown_scale(struct phase_cost *phase, double times, double time)
{
    scale_step(phase->plan, &phase->step, times, time);
    phase->time_s = time;
    phase->flops *= times;
    phase->bytes *= times;
    phase->steps *= times;
}

void breakdown_take(struct breakdown *breakdown, const char *name, const struct plan *plan,
                    struct step_cost *cost, const struct spent *spent, double executions,
                    const struct step *shape)
{
    if (breakdown->count == PHASES_REPORTED_MOST)
        return;
    scale_step(plan, cost, executions, spent->time);
    breakdown->phases[breakdown->count++] = (struct phase_cost){.name = name,
                                                                .time_s = spent->time,
                                                                .flops = spent->flops,
                                                                .bytes = spent->bytes,
                                                                .steps = spent->steps,
                                                                .step = *cost,
                                                                .shape = *shape,
                                                                .plan = plan};
}

struct step_cost *breakdown_sum(struct estimate_scratch *scratch, const struct breakdown *breakdown,
                                const struct plan *plan)
{
    struct step_cost *sum = breakdown_next(scratch, breakdown);
    struct step_op *ops = sum->ops;
    memset(ops, 0, (size_t)plan->graph.op_count * sizeof *ops);
    *sum = (struct step_cost){.ops = ops};
    return sum;
}

static void copy_step(const struct plan *plan, struct step_cost *to, const struct step_cost *from)
{
    struct step_op *ops = to->ops;
    *to = *from;
    to->ops = ops;
    memcpy(ops, from->ops, (size_t)plan->graph.op_count * sizeof *ops);
}

void breakdown_decode(struct breakdown *breakdown, struct decode *decode, const struct spent *spent)
{
    const struct generation *generation = &decode->deployment->generation;
    double cycles = decode_cycles(generation, decode->request->output), mean = (cycles - 1) / 2;
    double all = 0; /* of the phases in turn; those that run beside each other share what the cycle takes */
    cycle_time(decode, mean);
    for (int i = 0; i < generation->phases; i++)
        all +=
            phase_seconds(decode, &generation->cycle[i],
                          phase_plan(decode->deployment, &generation->cycle[i]), &decode->scratch->phases[i]);
    /* the model's own phase first, the draft's after it */
    for (int i = generation->phases - 1; i >= 0; i--) {
        const struct phase *phase = &generation->cycle[i];
        const struct plan *plan = phase_plan(decode->deployment, phase);
        struct step_cost *cost = breakdown_next(decode->scratch, breakdown);
        copy_step(plan, cost, &decode->scratch->phases[i]);
        double share = phase_seconds(decode, phase, plan, cost) / all;
        double steps = phase->steps * cycles, system = steps * decode->micro_batches * ranks_per_stage(plan);
        struct spent part = {.time = spent->time * share,
                             .flops = cost->flops * system,
                             .bytes = cost->bytes * system,
                             .steps = steps};
        struct step shape;
        phase_step(decode, phase, mean, &shape);
        const char *name = phase->name ? phase->name : phase->plan == 0 ? "decode" : "draft";
        breakdown_take(breakdown, name, plan, cost, &part, steps * decode->micro_batches, &shape);
    }
}
