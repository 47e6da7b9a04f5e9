#include "analyse/scale.h"
#include "validate/executor_check.h"

#include <string.h>

/* Adds seconds to the phase's operator of that name. */
static void add_time(struct phase_times *phase, const char *name, double seconds, double count)
{
    int i = 0;
    while (i < phase->op_count && strcmp(phase->ops[i].name, name) != 0)
        i++;
    if (i == OPS_TIMED_MOST)
        return;
    if (i == phase->op_count)
        phase->ops[phase->op_count++] = (struct op_time){.name = name};
    phase->ops[i].seconds += seconds;
    phase->ops[i].count += count;
}

static void read_phase(const struct phase_cost *cost, struct phase_times *phase)
{
    phase->seconds = cost->time_s;
    for (int i = 0; i < cost->plan->graph.op_count; i++)
        add_time(phase, cost->plan->graph.ops[i].name, cost->step.ops[i].time, cost->step.ops[i].count);
}

static const struct phase_cost *phase_named(const struct breakdown *breakdown, const char *name)
{
    for (int i = 0; i < breakdown->count; i++)
        if (strcmp(breakdown->phases[i].name, name) == 0)
            return &breakdown->phases[i];
    return NULL;
}

static void scale(double *rate, double factor)
{
    *rate *= factor;
}

/* A device of which `threads` cores do what the probes found. */
static void set_pace(struct device *device, const struct device *narrow, const struct pace *pace)
{
    double memory = pace->bandwidth / device_memory(narrow)->bandwidth;
    double cores = pace->flops / narrow->vector[FORMAT_FP32].flops;
    const struct memory_tier *main_memory = device_memory(device);
    for (int f = 0; f < FORMAT_COUNT; f++) {
        scale(&device->vector[f].flops, cores);
        scale(&device->matrix[f].flops, cores);
    }
    for (size_t i = 0; i < device->tier_count; i++) {
        struct memory_tier *tier = &device->tiers[i];
        double factor = tier == main_memory ? memory : tier->cache && tier->per_unit ? cores : 1;
        scale(&tier->bandwidth, factor);
        scale(&tier->unit_bandwidth, factor);
        scale(&tier->write_bandwidth, factor);
    }
}

static const struct system *paced_system(const struct executor_device *device, struct arena *arena,
                                         struct diag *diag, const struct executor_case *run,
                                         const struct pace *pace)
{
    struct device *own;
    const struct system *system = catalogue_system(device->catalogue, diag, device->name, 1, NULL);
    struct system *copy = system ? system_copy(arena, system, &own) : NULL;
    if (!system)
        return NULL;
    const struct device *narrow = copy ? device_with_units(arena, own, run->threads) : NULL;
    if (!narrow) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    if (run->threads > own->units.count || !(narrow->vector[FORMAT_FP32].flops > 0)) {
        diag_error(diag, run->group->where, "%d threads on %s, which has %d cores%s", run->threads, own->id,
                   own->units.count, narrow->vector[FORMAT_FP32].flops > 0 ? "" : " and no rate of fp32");
        return NULL;
    }
    set_pace(own, narrow, pace);
    return copy;
}

bool executor_predict(const struct executor_device *device, struct arena *arena, struct diag *diag,
                      const struct executor_case *run, const struct pace *pace, struct executor_times *times)
{
    struct question question = {.model = run->model,
                                .software = device->software,
                                .system = paced_system(device, arena, diag, run, pace),
                                .threads = run->threads,
                                .batch = run->batch,
                                .prompt = run->prompt,
                                .output = run->output,
                                .weights = run->weights,
                                .kv = run->kv};
    const char **settings = ARENA_ARRAY(arena, const char *, 1);
    struct answer answer;
    struct breakdown breakdown;
    const char *reason;
    if (!question.system)
        return false;
    if (settings)
        settings[0] = arena_printf(arena, "software.prefill_chunk_tokens=%d", run->chunk);
    if (!settings || !settings[0])
        return diag_error(diag, NOWHERE, "out of memory");
    question.settings = (struct string_list){settings, 1};
    if (!evaluate(device->evaluator, &question, &answer, &breakdown, &reason))
        return diag_error(diag, run->group->where, "%s of %s is not predicted: %s", run->model, device->name,
                          reason);
    *times = (struct executor_times){.pace = *pace};
    const struct phase_cost *prefill = phase_named(&breakdown, "prefill");
    const struct phase_cost *decode = phase_named(&breakdown, "decode");
    if (prefill)
        read_phase(prefill, &times->prefill);
    if (decode && run->output > 1)
        read_phase(decode, &times->decode);
    return true;
}
