#include "analyse/scale.h"

#include <math.h>
#include <string.h>

struct figure_list {
    struct arena *arena;
    const struct device *device;
    struct device_figure *list;
    size_t count;
};

static void add(struct figure_list *figures, struct device_figure figure, const char *name)
{
    figure.name = name;
    if (name && figures->count < FIGURES_MOST && figure_value(figures->device, &figure) > 0)
        figures->list[figures->count++] = figure;
}

static void add_scalars(struct figure_list *figures)
{
    for (int f = 0; f < FAMILY_COUNT; f++)
        for (int s = 0; s < families[f].count; s++)
            add(figures, (struct device_figure){.kind = FIGURE_SCALAR, .family = (enum family)f, .scalar = s},
                arena_printf(figures->arena, "%s.%s", families[f].name, families[f].scalars[s].name));
}

size_t device_figures(struct arena *arena, const struct device *device,
                      struct device_figure figures[FIGURES_MOST])
{
    struct figure_list all = {arena, device, figures, 0};
    add(&all, (struct device_figure){.kind = FIGURE_COMPUTE}, "matrix");
    add(&all, (struct device_figure){.kind = FIGURE_VECTOR}, "vector");
    for (size_t i = 0; i < device->tier_count; i++) {
        const char *tier = device->tiers[i].name;
        add(&all, (struct device_figure){.kind = FIGURE_TIER_BANDWIDTH, .index = i},
            arena_printf(arena, "tiers.%s.bandwidth", tier));
        add(&all, (struct device_figure){.kind = FIGURE_TIER_CAPACITY, .index = i},
            arena_printf(arena, "tiers.%s.capacity", tier));
    }
    for (size_t i = 0; i < device->link_count; i++) {
        const char *link = device->links[i].name;
        add(&all, (struct device_figure){.kind = FIGURE_LINK_BANDWIDTH, .index = i},
            arena_printf(arena, "links.%s.bandwidth", link));
        add(&all, (struct device_figure){.kind = FIGURE_LINK_LATENCY, .index = i},
            arena_printf(arena, "links.%s.latency", link));
    }
    add(&all, (struct device_figure){.kind = FIGURE_LAUNCH_HOST}, "launch_host");
    add(&all, (struct device_figure){.kind = FIGURE_TDP}, "power.tdp");
    add(&all, (struct device_figure){.kind = FIGURE_IDLE}, "power.idle");
    add(&all, (struct device_figure){.kind = FIGURE_PRICE}, "price.usd_per_hour");
    add_scalars(&all);
    return all.count;
}

static double fastest(const struct peak_rate *rates)
{
    double flops = 0;
    for (int f = 0; f < FORMAT_COUNT; f++)
        flops = fmax(flops, rates[f].flops);
    return flops;
}

/* The scalar in the first block that gives it. */
static double scalar_value(const struct device *device, const struct device_figure *figure)
{
    for (size_t i = 0; i < device->calibration_count; i++) {
        const struct calibration *block = &device->calibrations[i];
        if (block->family == (int)figure->family && block->given[figure->scalar])
            return block->values[figure->scalar];
    }
    return 0;
}

double figure_value(const struct device *device, const struct device_figure *figure)
{
    switch (figure->kind) {
    case FIGURE_COMPUTE:
        return fastest(device->matrix);
    case FIGURE_VECTOR:
        return fastest(device->vector);
    case FIGURE_TIER_BANDWIDTH:
        return device->tiers[figure->index].bandwidth;
    case FIGURE_TIER_CAPACITY:
        return device->tiers[figure->index].capacity;
    case FIGURE_LINK_BANDWIDTH:
        return device->links[figure->index].bandwidth;
    case FIGURE_LINK_LATENCY:
        return device->links[figure->index].latency;
    case FIGURE_LAUNCH_HOST:
        return device->launch_host;
    case FIGURE_TDP:
        return device->power.tdp;
    case FIGURE_IDLE:
        return device->power.idle;
    case FIGURE_PRICE:
        return device->price.usd_per_hour;
    case FIGURE_SCALAR:
        return scalar_value(device, figure);
    }
    return 0;
}

static void scale_rates(struct peak_rate *rates, double factor)
{
    for (int f = 0; f < FORMAT_COUNT; f++)
        rates[f].flops *= factor;
}

static void scale_scalar(struct device *device, const struct device_figure *figure, double factor)
{
    const struct scalar_declaration *declared = &families[figure->family].scalars[figure->scalar];
    for (size_t i = 0; i < device->calibration_count; i++) {
        struct calibration *block = &device->calibrations[i];
        if (block->family != (int)figure->family || !block->given[figure->scalar])
            continue;
        double scaled = block->values[figure->scalar] * factor;
        block->values[figure->scalar] = fmin(fmax(scaled, declared->min), declared->max);
    }
}

static void scale_device(struct device *device, const struct device_figure *figure, double factor)
{
    switch (figure->kind) {
    case FIGURE_COMPUTE:
        scale_rates(device->matrix, factor);
        break;
    case FIGURE_VECTOR:
        scale_rates(device->vector, factor);
        break;
    case FIGURE_TIER_BANDWIDTH:
        device->tiers[figure->index].bandwidth *= factor;
        device->tiers[figure->index].write_bandwidth *= factor;
        break;
    case FIGURE_TIER_CAPACITY:
        device->tiers[figure->index].capacity *= factor;
        device->tiers[figure->index].usable *= factor;
        break;
    case FIGURE_LINK_BANDWIDTH:
        device->links[figure->index].bandwidth *= factor;
        break;
    case FIGURE_LINK_LATENCY:
        device->links[figure->index].latency *= factor;
        break;
    case FIGURE_LAUNCH_HOST:
        device->launch_host *= factor;
        break;
    case FIGURE_TDP:
        device->power.tdp *= factor;
        break;
    case FIGURE_IDLE:
        device->power.idle *= factor;
        break;
    case FIGURE_PRICE:
        device->price.usd_per_hour *= factor;
        break;
    case FIGURE_SCALAR:
        scale_scalar(device, figure, factor);
        break;
    }
}

static void *copy(struct arena *arena, const void *items, size_t count, size_t size)
{
    void *to = arena_alloc(arena, count > 0 ? count : 1, size);
    return to && count > 0 ? memcpy(to, items, count * size) : to;
}

static struct device *device_copy(struct arena *arena, const struct device *device)
{
    struct device *own = copy(arena, device, 1, sizeof *device);
    if (!own)
        return NULL;
    own->tiers = copy(arena, device->tiers, device->tier_count, sizeof *device->tiers);
    own->links = copy(arena, device->links, device->link_count, sizeof *device->links);
    own->calibrations =
        copy(arena, device->calibrations, device->calibration_count, sizeof *device->calibrations);
    return own->tiers && own->links && own->calibrations ? own : NULL;
}

/* A system's own links override the device's: they scale with the device's of their kind. */
static bool scale_system_links(struct arena *arena, struct system *system, const struct device_figure *figure,
                               double factor)
{
    system->links = copy(arena, system->links, system->link_count, sizeof *system->links);
    if (!system->links)
        return false;
    bool bandwidth = figure->kind == FIGURE_LINK_BANDWIDTH;
    if (!bandwidth && figure->kind != FIGURE_LINK_LATENCY)
        return true;
    int kind = system->members[0].device->links[figure->index].kind;
    for (size_t i = 0; i < system->link_count; i++) {
        struct link *link = &system->links[i].link;
        if (link->kind == kind)
            *(bandwidth ? &link->bandwidth : &link->latency) *= factor;
    }
    return true;
}

struct system *system_copy(struct arena *arena, const struct system *system, struct device **device)
{
    struct system *own = copy(arena, system, 1, sizeof *system);
    *device = device_copy(arena, system->members[0].device);
    if (!own || !*device)
        return NULL;
    own->members = copy(arena, system->members, system->member_count, sizeof *system->members);
    if (!own->members)
        return NULL;
    own->members[0].device = *device;
    return own;
}

const struct system *system_scaled(struct arena *arena, const struct system *system,
                                   const struct device_figure *figure, double factor)
{
    struct device *device;
    struct system *own = system_copy(arena, system, &device);
    if (!own || !scale_system_links(arena, own, figure, factor))
        return NULL;
    scale_device(device, figure, factor);
    if (figure->kind == FIGURE_PRICE)
        own->usd_per_hour *= factor;
    return own;
}
