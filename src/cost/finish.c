/* What all families share once their uses are known: time, bound, energy. */
#include "cost/rates.h"

#include <math.h>

const char *bound_name(enum bound bound)
{
    static const char *const names[BOUND_COUNT] = {"compute", "cache", "memory",  "link",
                                                   "network", "host",  "latency", "power"};
    return names[bound];
}

const char *byte_class_name(enum byte_class class)
{
    static const char *const names[BYTE_CLASS_COUNT] = {"weights", "activations", "kv_read", "kv_write",
                                                        "wire"};
    return names[class];
}

double efficiency(double scalar)
{
    const double least = 1e-6;
    if (!(scalar > least))
        return least;
    return scalar < 1 ? scalar : 1;
}

double sequence_share(const struct op *op, const struct segment *segments, int count)
{
    if (op->rows_factor >= 1)
        return op->rows_factor;
    double all = 0;
    for (int i = 0; i < count; i++)
        all += segments[i].sequences;
    return all > 0 ? ceil(all * op->rows_factor - 1e-9) / all : 0;
}

double missing_bytes(const struct target *target, double bytes)
{
    if (!target->residency)
        return bytes;
    double missing = greater(bytes - target->cache_capacity / 2, 0);
    if (target->own_count == 0)
        return missing;
    double given_up = greater(bytes - target->own[target->own_count - 1].capacity / 2, 0);
    return greater(missing, (1 - target->cache_admits) * given_up);
}

double unit_clock_s(const struct target *target)
{
    enum { LANES = 128, LANE_FLOPS = 2 };
    double clock = target->device->units.clock;
    return clock > 0 ? 1 / (clock * target->units) : LANES * LANE_FLOPS / target->vector_flops;
}

static enum bound bound_of(enum resource resource)
{
    switch (resource) {
    case RESOURCE_CACHE:
        return BOUND_CACHE;
    case RESOURCE_MEMORY:
        return BOUND_MEMORY;
    case RESOURCE_LINK:
        return BOUND_LINK;
    case RESOURCE_NETWORK:
        return BOUND_NETWORK;
    default:
        return BOUND_COMPUTE;
    }
}

static double format_power(const struct target *target, enum number_format format)
{
    return target->energy_per_flop[format] * format_peak(target->device, format);
}

/* floor * rate is the work sent to a resource, so floor * rate * (J per unit of work) its energy. A device
 * holds itself to its TDP, hence the cap: no op draws more than TDP - idle over its own time. Links are
 * outside the cap: their transceivers are partly the switch's and the board's. */
void energy_parts(const struct target *target, enum number_format format, const struct op_cost *cost,
                  double parts[ENERGY_PART_COUNT])
{
    const struct power *power = &target->device->power;
    for (int i = 0; i < ENERGY_PART_COUNT; i++)
        parts[i] = 0;
    if (!(power->tdp > 0))
        return;
    parts[ENERGY_COMPUTE] = cost->floor[RESOURCE_COMPUTE] * format_power(target, format) +
                            cost->floor[RESOURCE_VECTOR] * format_power(target, FORMAT_FP32);
    parts[ENERGY_CACHE] =
        cost->floor[RESOURCE_CACHE] * target->cache_bandwidth * target->energy_per_cache_byte;
    parts[ENERGY_MEMORY] = cost->memory_bytes * target->energy_per_byte;
    parts[ENERGY_LINKS] = cost->bytes[BYTES_WIRE] * target->energy_per_wire_byte;
    double inside = parts[ENERGY_COMPUTE] + parts[ENERGY_CACHE] + parts[ENERGY_MEMORY];
    double most = greater(power->tdp - power->idle, 0) * cost->time;
    for (int i = 0; i < ENERGY_LINKS && inside > most; i++)
        parts[i] *= most / inside;
}

static double op_energy(const struct target *target, enum number_format format, const struct op_cost *cost)
{
    double parts[ENERGY_PART_COUNT], joules = 0;
    energy_parts(target, format, cost, parts);
    for (int i = 0; i < ENERGY_PART_COUNT; i++)
        joules += parts[i];
    return joules;
}

void keep_power_limit(const struct target *target, struct op_cost *cost)
{
    if (!(target->power_limit > 0))
        return;
    double inside = cost->energy - cost->bytes[BYTES_WIRE] * target->energy_per_wire_byte;
    double seconds = inside / target->power_limit;
    if (seconds <= cost->time)
        return;
    cost->time = seconds;
    cost->bound = BOUND_POWER;
}

const char *energy_part_name(enum energy_part part)
{
    static const char *const names[ENERGY_PART_COUNT] = {"compute", "cache", "memory", "links"};
    return names[part];
}

void finish_with_overhead(const struct target *target, enum number_format format, double fixed_s,
                          double overhead_s, struct op_cost *cost)
{
    enum resource most = RESOURCE_COMPUTE;
    for (int i = 1; i < RESOURCE_COUNT; i++)
        if (cost->use[i] > cost->use[most])
            most = (enum resource)i;
    cost->time = cost->use[most] + fixed_s;
    cost->bound = overhead_s > cost->time / 2 ? BOUND_LATENCY : bound_of(most);
    cost->energy = op_energy(target, format, cost);
}

void cost_finish(const struct target *target, enum number_format format, double fixed_s, struct op_cost *cost)
{
    finish_with_overhead(target, format, fixed_s, fixed_s, cost);
}

void ideal_cost(const struct target *target, enum number_format format, bool matrix, double peak,
                struct op_cost *cost)
{
    double operands = 0;
    for (int i = 0; i < BYTE_CLASS_COUNT; i++)
        operands += i == BYTES_WIRE ? 0 : cost->bytes[i];
    cost->floor[matrix ? RESOURCE_COMPUTE : RESOURCE_VECTOR] = cost->flops > 0 ? cost->flops / peak : 0;
    cost->floor[RESOURCE_CACHE] = operands / target->cache_bandwidth;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    for (int i = 0; i < RESOURCE_COUNT; i++)
        cost->use[i] = cost->floor[i];
    finish_with_overhead(target, format, 0, 0, cost);
}
