/* Machines whose cost has another shape than a processor's: a mesh of cores with memories of their own, where
 * what takes long is the way of a sum across it (WaferLLM arXiv:2502.04563), and layers as hardware of their
 * own, with weights that nobody reads, through which tokens stream (arXiv:2508.16151); programmable logic as
 * a few engines. */
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <string.h>

struct custom_hardware_parameters {
    int mesh_side;
    double mesh_hop;
    int stages;
    double stage_time;
    int engines;
};

/* Only side x side of the cores work. */
static bool take_mesh(struct rewrite *rewrite, const struct custom_hardware_parameters *p)
{
    struct device *device = rewrite->device;
    double share = (double)p->mesh_side * p->mesh_side / device->units.count;
    if (share > 1)
        return diag_error(rewrite->diag, NOWHERE, "custom_hardware: %s has %d %ss, not %d x %d", device->id,
                          device->units.count, device->units.kind, p->mesh_side, p->mesh_side);
    struct memory_tier *tiers = ARENA_ARRAY(rewrite->arena, struct memory_tier, device->tier_count);
    if (!tiers)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    memcpy(tiers, device->tiers, device->tier_count * sizeof *tiers);
    for (size_t i = 0; i < device->tier_count; i++)
        if (!tiers[i].per_unit)
            tiers[i].bandwidth *= share;
    device->tiers = tiers;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        device->matrix[f].flops *= share;
        device->vector[f].flops *= share;
    }
    device->units.count = p->mesh_side * p->mesh_side;
    device->mesh_side = p->mesh_side;
    device->mesh_hop = p->mesh_hop;
    return true;
}

static bool on_device(struct rewrite *rewrite, const void *parameters)
{
    const struct custom_hardware_parameters *p = parameters;
    if ((p->mesh_side > 0) + (p->stages > 0) + (p->engines > 0) != 1)
        return diag_error(
            rewrite->diag, NOWHERE,
            "custom_hardware: give one of mesh_side, stages and engines: a machine is a mesh, a "
            "pipeline or logic configured as engines");
    if (p->mesh_side > 0)
        return take_mesh(rewrite, p);
    if (p->engines > 0) { /* all slices work on one tile */
        rewrite->device->units.count = p->engines;
        rewrite->device->wired_weights = true;
        return true;
    }
    if (!(p->stage_time > 0))
        return diag_error(rewrite->diag, NOWHERE, "custom_hardware: stages need a stage_time");
    rewrite->device->stages = p->stages;
    rewrite->device->stage_time = p->stage_time;
    return true;
}

static const struct field fields[] = {
    INT_FIELD(custom_hardware_parameters, mesh_side, 0, 100000, "0",
              "a square mesh of so many cores a side works, the device's others rest; 0: no mesh"),
    QUANTITY_FIELD(custom_hardware_parameters, mesh_hop, DIM_SECONDS, 0, 1e-3, "1 ns",
                   "mesh: from a core to its neighbour"),
    INT_FIELD(custom_hardware_parameters, stages, 0, 1000000, "0",
              "of a pipeline in space, each with a token; 0: no pipeline"),
    QUANTITY_FIELD(custom_hardware_parameters, stage_time, DIM_SECONDS, 0, 1, "0 s",
                   "pipeline: from one token to the next"),
    INT_FIELD(
        custom_hardware_parameters, engines, 0, 100000, "0",
        "that the slices of programmable logic are configured as, each taking tiles; 0: every slice its "
        "own"),
};
static const struct schema schema = {.name = "custom_hardware",
                                     .size = sizeof(struct custom_hardware_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"stage_time", NULL};

extern const struct mechanism custom_hardware;
const struct mechanism custom_hardware = {
    .name = "custom_hardware",
    .summary =
        "a mesh of cores, layers as hardware of their own that tokens stream through, or engines in logic",
    .lossless = true,
    .other_work = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct custom_hardware_parameters),
    .on_device = on_device,
};
