/* Resolving a device and a software stack into rates, scalars and energies. */
#include "cost/rates.h"

#include <string.h>

/* Energy of moving a byte, where a device description gives none.
 * DRAM: whole-device power per bit of HBM2E 6.0 pJ, GDDR6 7.5 pJ (Micron's table at
 * kylolab.com/ultra-bandwidth-solutions.html): 48 and 60 pJ/byte. DDR, LPDDR and flash have no opened source
 * (unverified): they are given GDDR6's, an interface across a board like theirs.
 * Links: 5.5 pJ/bit for a 112 Gbit/s serial link against 1.3 for NVLink-C2C (besthub.dev, "Why Nvidia's
 * NVLink C2C Is Redefining GPU-CPU Interconnects"): 44 pJ/byte. Shared cache: unverified; a tenth of HBM2E's,
 * wires across a die instead of an interposer and arrays. */
#define HBM_J_PER_BYTE   48e-12
#define BOARD_J_PER_BYTE 60e-12
#define LINK_J_PER_BYTE  44e-12
#define CACHE_J_PER_BYTE 4.8e-12

static double tier_energy(const struct memory_tier *tier)
{
    if (tier->energy > 0)
        return tier->energy;
    if (tier->cache)
        return CACHE_J_PER_BYTE;
    return tier->name && strncmp(tier->name, "hbm", 3) == 0 ? HBM_J_PER_BYTE : BOARD_J_PER_BYTE;
}

/* fp32 lanes. Where none are given: another float's lanes, else a sixteenth of the matrix units' slowest
 * rate, the ratio of fp32 lanes to bf16 matrix units on A100 (19.5 to 312 TFLOP/s). */
static double lane_rate(const struct device *device)
{
    static const enum number_format others[] = {FORMAT_FP32, FORMAT_FP16, FORMAT_BF16, FORMAT_FP64};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (device->vector[others[i]].flops > 0)
            return device->vector[others[i]].flops;
    double slowest = 0;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        double flops = device->matrix[f].flops > 0 ? device->matrix[f].flops : device->vector[f].flops;
        if (flops > 0 && (slowest <= 0 || flops < slowest))
            slowest = flops;
    }
    return slowest / 16;
}

/* Writing a byte fetches its line, at the read bandwidth, and writes it back later: what a measured write
 * bandwidth takes besides the fetch. */
static double write_back_s(const struct memory_tier *tier, double parts)
{
    double written = tier->write_bandwidth * parts, read = tier->bandwidth * parts;
    return written > 0 && written < read ? 1 / written - 1 / read : 0;
}

/* Caches that each unit has for itself, where the software lets it find its rows there again. */
static void set_own_caches(struct target *target)
{
    const struct device *device = target->device;
    const struct memory_tier *shared = device_shared_cache(device);
    if (!target->software->own_rows)
        return;
    target->cache_write_back = shared ? write_back_s(shared, 1) : 0;
    target->memory_write_back = write_back_s(device_memory(device), 1);
    target->cache_admits = shared ? shared->admits : 1;
    target->peer_bandwidth = target->cache_bandwidth;
    for (size_t i = 0; i < device->tier_count && target->own_count < OWN_CACHES_MOST; i++) {
        const struct memory_tier *tier = &device->tiers[i];
        if (!tier->cache || !tier->per_unit || tier->bandwidth * target->units <= target->cache_bandwidth)
            continue;
        target->own[target->own_count++] =
            (struct own_cache){tier->capacity * target->units, tier->bandwidth * target->units,
                               write_back_s(tier, target->units)};
        if (tier->peer_bandwidth > 0)
            target->peer_bandwidth = tier->peer_bandwidth * target->units;
    }
}

static bool set_rates(struct target *target, struct diag *diag)
{
    const struct device *device = target->device;
    const struct memory_tier *memory = device_memory(device), *cache = device_shared_cache(device);
    if (!memory || !(memory->bandwidth > 0))
        return diag_error(diag, device->where, "%s has no memory with a bandwidth", device->id);
    target->memory_bandwidth = memory->bandwidth;
    target->memory_slower = memory->unit_bandwidth > 0 ? memory->bandwidth / memory->unit_bandwidth : 1;
    target->cache_bandwidth = greater(cache ? cache->bandwidth : 0, memory->bandwidth);
    target->cache_capacity = cache ? cache->capacity : 0;
    target->vector_flops = lane_rate(device);
    target->units = device->units.count > 0 ? device->units.count : 1;
    set_own_caches(target);
    if (!(target->vector_flops > 0) && (target->member == 0 || device->class != CLASS_SSD))
        return diag_error(diag, device->where, "%s has no compute rate", device->id);
    return true;
}

/* A device that computes, streams from memory and from the cache all at full rate draws its TDP, so
 *   energy per FLOP = (TDP - idle - BW e_memory - BW_cache e_cache) / peak, at least 0.
 * All stay 0 where the TDP is unknown. */
static void set_energy(struct target *target)
{
    const struct device *device = target->device;
    const struct memory_tier *cache = device_shared_cache(device);
    if (!(device->power.tdp > 0))
        return;
    target->energy_per_byte = tier_energy(device_memory(device));
    target->energy_per_cache_byte = cache ? tier_energy(cache) : 0;
    const struct link *link = target->scale_up ? target->scale_up : target->network;
    target->energy_per_wire_byte = link && link->energy > 0 ? link->energy : LINK_J_PER_BYTE;
    double watts = device->power.tdp - device->power.idle -
                   target->memory_bandwidth * target->energy_per_byte -
                   target->cache_bandwidth * target->energy_per_cache_byte;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        double peak = format_peak(device, (enum number_format)f);
        target->energy_per_flop[f] = peak > 0 && watts > 0 ? watts / peak : 0;
    }
}

static bool set_power_limit(struct target *target, struct diag *diag)
{
    const struct device *device = target->device;
    const struct power *power = &device->power;
    if (!(power->cap > 0) || power->cap >= power->tdp)
        return true;
    if (power->cap <= power->idle)
        return diag_error(diag, device->where,
                          "%s: power.cap: found %g W, expected more than the idle power of %g W", device->id,
                          power->cap, power->idle);
    target->power_limit = power->cap - power->idle;
    return true;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool joins(const struct system_link *link, const char *role)
{
    size_t count = link->between.count;
    return count > 0 && same(link->between.items[0], role) && same(link->between.items[count - 1], role);
}

/* The system's own links come before the device's. */
static const struct link *link_of(const struct system *system, int index, enum link_kind kind)
{
    const struct system_member *member = &system->members[index];
    for (size_t i = 0; i < system->link_count; i++)
        if (system->links[i].link.kind == (int)kind && joins(&system->links[i], member->role))
            return &system->links[i].link;
    return device_link(member->device, kind);
}

static void set_links(struct target *target, const struct system *system)
{
    target->scale_up = link_of(system, target->member, LINK_SCALE_UP);
    if (!target->scale_up) /* peers then meet on the host's bus */
        target->scale_up = link_of(system, target->member, LINK_HOST);
    target->network = link_of(system, target->member, LINK_NETWORK);
    target->ranks_per_node = !target->scale_up             ? 1
                             : target->scale_up->peers > 0 ? target->scale_up->peers + 1
                                                           : 0;
}

bool target_resolve(struct target *target, struct diag *diag, const struct system *system,
                    const struct software *software, const struct graph_types *types)
{
    return target_resolve_member(target, diag, system, 0, software, types);
}

bool target_resolve_member(struct target *target, struct diag *diag, const struct system *system, int member,
                           const struct software *software, const struct graph_types *types)
{
    memset(target, 0, sizeof *target);
    if (system->member_count <= (size_t)member || !system->members[member].device)
        return diag_error(diag, system->where, "a system without devices");
    target->device = system->members[member].device;
    target->system = system;
    target->member = member;
    target->ranks_each = member == 0 || system->members[member].count <= 0
                             ? 1
                             : (double)system->members[0].count / system->members[member].count;
    target->software = software;
    target->residency = true;
    target->ideal = software->ideal;
    target->activation_type = types->activations;
    set_links(target, system);
    if (!set_rates(target, diag))
        return false;
    set_energy(target);
    if (!set_power_limit(target, diag))
        return false;
    return target_order_blocks(target, diag);
}
