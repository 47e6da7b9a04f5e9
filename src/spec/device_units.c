/* Devices of which only some units work: rafter's --threads. */
#include "spec/hardware.h"

#include <string.h>

/* What n units draw: each as much as one alone, all together what the tier has. */
static void narrow_tier(struct memory_tier *tier, double n)
{
    double drawn = n * tier->unit_bandwidth;
    if (tier->per_unit || !(tier->unit_bandwidth > 0) || drawn >= tier->bandwidth)
        return;
    if (tier->write_bandwidth > 0)
        tier->write_bandwidth *= drawn / tier->bandwidth;
    tier->bandwidth = drawn;
}

struct device *device_with_units(struct arena *arena, const struct device *device, int units)
{
    struct device *own = ARENA_NEW(arena, struct device);
    struct memory_tier *tiers = ARENA_ARRAY(arena, struct memory_tier, device->tier_count + 1);
    if (!own || !tiers)
        return NULL;
    *own = *device;
    if (device->tier_count > 0)
        memcpy(tiers, device->tiers, device->tier_count * sizeof *tiers);
    own->tiers = tiers;
    double share = device->units.count > 0 ? (double)units / device->units.count : 1;
    own->units.count = units;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        own->matrix[f].flops *= share;
        own->vector[f].flops *= share;
    }
    for (size_t i = 0; i < own->tier_count; i++)
        narrow_tier(&own->tiers[i], units);
    return own;
}
