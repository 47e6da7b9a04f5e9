/* Decode: cycles of steps on a growing context, summed by quadrature. */
#include "estimate/phases.h"

#include <math.h>

const struct plan *decode_plan(const struct deployment *deployment)
{
    return deployment->pools[deployment->split.given ? 1 : 0].plans[0];
}

const struct plan *phase_plan(const struct deployment *deployment, const struct phase *phase)
{
    return phase->plan == 0 ? decode_plan(deployment) : deployment->pools[0].plans[phase->plan];
}

/* What layers dropped of the prompt, and what of it this step computes for them: tokens come back at an even
 * pace until the output is out. */
static void bring_back(const struct decode *decode, const struct plan *plan, int stratum, double cycles,
                       struct segment *segment)
{
    const struct request *request = decode->request;
    double all = decode_cycles(&decode->deployment->generation, request->output);
    segment->droppable_context = droppable_tokens(plan, request, stratum);
    segment->revived_new = segment->droppable_context / fmax(all, 1);
    segment->revived = fmin(cycles / fmax(all, 1), 1);
}

static double cached_per_cycle(const struct generation *generation)
{
    return generation->context_per_cycle > 0 ? generation->context_per_cycle : generation->tokens_per_cycle;
}

/* One step of a phase, after `cycles` cycles: each stratum's sequences at their own context. */
void phase_step(const struct decode *decode, const struct phase *phase, double cycles, struct step *step)
{
    const struct request *request = decode->request;
    const struct generation *generation = &decode->deployment->generation;
    const struct plan *plan = phase_plan(decode->deployment, phase);
    step->count = request->strata; /* by the whole batch */
    for (int i = 0; i < request->strata; i++) {
        int encoder = plan->model->encoder_layers;
        /* steps of a phase that follow each other see one more token each: the mean of them stands for all */
        double context =
            phase->alone ? 0 : start_tokens(plan, request, i) + cycles * cached_per_cycle(generation);
        context += phase->context_offset + (phase->in_place ? 0 : (phase->steps - 1) / 2 * phase->new_tokens);
        if (plan->software->static_cache)
            context = fmax(context, start_tokens(plan, request, i) + request->output - phase->new_tokens);
        step->segments[i] = (struct segment){.sequences = decode->sequences / request->strata,
                                             .new_tokens = phase->new_tokens,
                                             .context = context,
                                             .prefix = phase->alone ? 0 : shared_tokens_of(request),
                                             .source = encoder > 0 ? prompt_tokens(plan, request, i) : 0,
                                             .sampled = phase->sampled,
                                             .mask = phase->mask,
                                             .layer_first = encoder};
        if (plan->layer_share)
            bring_back(decode, plan, i, cycles, &step->segments[i]);
    }
}

/* Seconds of a step of all micro-batches: with several in flight a stage works on one while the next works on
 * another. */
static double step_pace(const struct decode *decode, const struct plan *plan, const struct step_cost *cost)
{
    return plan->parallel.pp > 1 ? fmax(cost->time, decode->micro_batches * cost->stage_time) : cost->time;
}

double phase_seconds(const struct decode *decode, const struct phase *phase, const struct plan *plan,
                     const struct step_cost *cost)
{
    return phase->steps * (step_pace(decode, plan, cost) + phase->host);
}

double cycle_time(void *context, double cycles)
{
    struct decode *decode = context;
    const struct generation *generation = &decode->deployment->generation;
    double times[2] = {0}; /* of the model's phases and of its draft's */
    for (int i = 0; i < generation->phases; i++) {
        const struct phase *phase = &generation->cycle[i];
        const struct plan *plan = phase_plan(decode->deployment, phase);
        struct step_cost *cost = &decode->scratch->phases[i];
        struct step step;
        phase_step(decode, phase, cycles, &step);
        plan_step(plan, &step, decode->started, cost);
        times[phase->plan > 0] += phase_seconds(decode, phase, plan, cost);
    }
    decode->started = true;
    return generation->drafting.beside ? fmax(times[0], times[1]) : times[1] + times[0];
}

/* Cycles after which a stratum's context fills a window or exceeds what an indexer picks: the cost has a kink
 * there. */
static int window_breaks(const struct decode *decode, double breaks[BREAKS_MOST])
{
    const struct request *request = decode->request;
    const struct plan *plan = decode_plan(decode->deployment);
    int count = 0;
    for (int op = 0; op < plan->graph.op_count; op++) {
        const struct op *work = &plan->graph.ops[op];
        const struct kept *kept = &work->attention.kept;
        double limit = work->kind != OP_ATTENTION            ? 0
                       : work->attention.window > 0          ? work->attention.window
                       : kept->tokens > 0 && kept->share < 1 ? kept->tokens / (1 - kept->share) + 1
                                                             : work->attention.selected;
        if (limit <= 0)
            continue;
        for (int i = 0; i < request->strata && count < BREAKS_MOST; i++) {
            double tokens = limit - 1 - start_tokens(plan, request, i);
            breaks[count++] = tokens / cached_per_cycle(&decode->deployment->generation);
        }
    }
    return count;
}

double decode_cycles(const struct generation *generation, double output)
{
    return (output - 1) / generation->tokens_per_cycle; /* the prefill gives the first token */
}

static void sum_energy(const struct decode *decode, struct spent *spent)
{
    const struct generation *generation = &decode->deployment->generation;
    /* energy, FLOPs and bytes are as linear in the context as time is: the mean cycle stands for all */
    for (int i = 0; i < generation->phases; i++) {
        const struct plan *plan = phase_plan(decode->deployment, &generation->cycle[i]);
        const struct step_cost *cost = &decode->scratch->phases[i];
        double times = generation->cycle[i].steps * decode->micro_batches * ranks_per_stage(plan);
        spent->energy += times * cost->energy;
        spent->flops += times * cost->flops;
        spent->bytes += times * cost->bytes;
        spent->steps += generation->cycle[i].steps;
    }
}

struct spent decode_run(struct decode *decode)
{
    struct spent spent = {0}, cycle = {0};
    const struct plan *plan = decode_plan(decode->deployment);
    const struct request *request = decode->request;
    double cycles = decode_cycles(&decode->deployment->generation, request->output), breaks[BREAKS_MOST];
    int micro = plan->parallel.micro_batches > 0 ? plan->parallel.micro_batches : plan->parallel.pp;
    decode->micro_batches = plan->parallel.pp > 1 ? fmin(micro, request->batch) : 1;
    decode->sequences = request->batch / decode->micro_batches;
    if (cycles <= 0)
        return spent;
    sum_over_cycles(cycle_time, decode, cycles, breaks, window_breaks(decode, breaks), decode->scratch->nodes,
                    &spent.time);
    cycle_time(decode, (cycles - 1) / 2);
    sum_energy(decode, &cycle);
    spent.energy = cycle.energy * cycles;
    spent.flops = cycle.flops * cycles;
    spent.bytes = cycle.bytes * cycles;
    spent.steps = cycle.steps * cycles;
    return spent;
}
