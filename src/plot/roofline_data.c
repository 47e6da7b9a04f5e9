#include "plot/roofline_data.h"

#include "plot/axes.h"
#include "plot/titles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool positive(double value)
{
    return isfinite(value) && value > 0;
}

const struct roof *roofline_main_roof(const struct roofline_series *series)
{
    for (int i = 0; i < series->roof_count; i++)
        if (series->roofs[i].kind == ROOF_MEMORY)
            return &series->roofs[i];
    return NULL;
}

double roofline_bound(const struct roofline_series *series, double intensity)
{
    const struct roof *roof = roofline_main_roof(series);
    double bound = roof ? intensity * roof->bandwidth : INFINITY;
    return series->ceiling_count ? fmin(bound, series->ceilings[0].flops) : bound;
}

/* --- roofs: memories of the device, then those of the system's other members, over the links that lead there
 * --- */

struct gathering {
    struct arena *arena;
    struct diag *diag;
    struct roofline_chart *chart;
    size_t point_capacity, omission_capacity;
};

static void add_roof(struct gathering *g, struct roofline_series *series, enum roof_kind kind,
                     const char *name, double bandwidth)
{
    if (!positive(bandwidth) || series->roof_count == ROOFS_MOST)
        return;
    char rate[48];
    const char *label = arena_printf(g->arena, "%s  %s", name, si_label(bandwidth, "B/s", rate, sizeof rate));
    int at = series->roof_count++;
    for (; at > 0 && series->roofs[at - 1].bandwidth < bandwidth; at--)
        series->roofs[at] = series->roofs[at - 1];
    series->roofs[at] = (struct roof){kind, bandwidth, label ? label : ""};
}

/* "hbm" as people write it. */
static const char *tier_title(struct arena *arena, const char *name)
{
    char *title = arena_strdup(arena, name ? name : "memory");
    if (!title)
        return "memory";
    for (char *c = title; strlen(title) <= 5 && *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    return title;
}

static void add_device_roofs(struct gathering *g, struct roofline_series *series)
{
    const struct device *device = series->device;
    const struct memory_tier *cache = device_shared_cache(device), *memory = device_memory(device);
    if (cache)
        add_roof(g, series, ROOF_CACHE, tier_title(g->arena, cache->name), cache->bandwidth);
    for (size_t i = 0; i < device->tier_count; i++) {
        const struct memory_tier *tier = &device->tiers[i];
        double bandwidth = tier->bandwidth * (tier->per_unit ? fmax(1, device->units.count) : 1);
        if (!tier->cache)
            add_roof(g, series, tier == memory ? ROOF_MEMORY : ROOF_REMOTE, tier_title(g->arena, tier->name),
                     bandwidth);
    }
}

static bool link_joins(const struct system_link *link, const char *a, const char *b)
{
    bool has_a = false, has_b = false;
    for (size_t i = 0; i < link->between.count; i++) {
        has_a |= a && !strcmp(link->between.items[i], a);
        has_b |= b && !strcmp(link->between.items[i], b);
    }
    return has_a && has_b;
}

/* The link from the computing member to another: the system's own for the pair, else the device's host link.
 */
static const struct link *link_to(const struct system *system, const struct system_member *member)
{
    for (size_t i = 0; i < system->link_count; i++)
        if (link_joins(&system->links[i], system->members[0].role, member->role))
            return &system->links[i].link;
    return device_link(system->members[0].device, LINK_HOST);
}

static void add_system_roofs(struct gathering *g, struct roofline_series *series, const struct system *system)
{
    if (!system || !device_memory(series->device))
        return;
    for (size_t i = 1; i < system->member_count; i++) {
        const struct system_member *member = &system->members[i];
        const struct memory_tier *memory = member->device ? device_memory(member->device) : NULL;
        const struct link *link = memory ? link_to(system, member) : NULL;
        if (!link)
            continue;
        /* reading from there is bound by the slower of the memory and the way to it; as fast as main memory,
         * it has no roof of its own */
        double bandwidth = fmin(memory->bandwidth, link->bandwidth);
        if (bandwidth > 0.99 * device_memory(series->device)->bandwidth)
            continue;
        const char *tier = tier_title(g->arena, memory->name), *role = member->role ? member->role : "host";
        const char *name =
            arena_printf(g->arena, "%s%s%s over %s", strcasecmp(role, tier) ? role : "",
                         strcasecmp(role, tier) ? " " : "", tier, link->name ? link->name : "its link");
        add_roof(g, series, ROOF_REMOTE, name ? name : "", bandwidth);
    }
}

/* --- ceilings: the formats that operators compute in --- */

struct formats_used {
    bool matrix[FORMAT_COUNT], vector[FORMAT_COUNT];
};

static bool same_rate(double a, double b)
{
    return positive(a) && positive(b) && fabs(a - b) <= 1e-6 * b;
}

static bool on_matrix_units(enum op_kind kind)
{
    return kind == OP_GEMM || kind == OP_ATTENTION;
}

static void note_format(struct formats_used *used, const struct plan *plan, int index)
{
    const struct device *device = plan->target.device;
    if (!plan->prepared || !device)
        return;
    struct op_footing footing = cost_footing(plan->prepared, index, REGIME_PREFILL);
    enum number_format format = footing.format;
    if (format <= FORMAT_NONE || format >= FORMAT_COUNT)
        return;
    bool is_matrix = same_rate(footing.peak_flops, device->matrix[format].flops);
    bool is_vector = same_rate(footing.peak_flops, device->vector[format].flops);
    if (is_matrix && (!is_vector || on_matrix_units(plan->graph.ops[index].kind)))
        used->matrix[format] = true;
    else if (is_vector)
        used->vector[format] = true;
}

/* Without a footing (no operator computed, or an estimate made by hand): the rates a reader looks for. */
static void note_usual_formats(struct formats_used *used, const struct device *device)
{
    static const enum number_format usual[] = {FORMAT_BF16, FORMAT_FP16, FORMAT_FP32};
    bool any = false;
    for (int i = FORMAT_NONE + 1; i < FORMAT_COUNT; i++)
        any |= used->matrix[i];
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !any; i++)
        any = used->matrix[usual[i]] = positive(device->matrix[usual[i]].flops);
    used->vector[FORMAT_FP32] = true; /* norms, softmax and activations run there on every device */
}

static void add_ceiling(struct gathering *g, struct roofline_series *series, bool matrix,
                        enum number_format format, double flops)
{
    if (!positive(flops))
        return;
    const char *name = number_format_name(format);
    char rate[48];
    bool integer =
        format == FORMAT_INT8 || format == FORMAT_INT4 || format == FORMAT_INT2 || format == FORMAT_INT1;
    si_label(flops, integer ? "OP/s" : "FLOP/s", rate, sizeof rate);
    for (int i = 0; i < series->ceiling_count; i++) {
        struct ceiling *same = &series->ceilings[i];
        if (same->matrix != matrix || !same_rate(same->flops, flops))
            continue;
        const char *rest = strstr(same->label, "  ");
        const char *label =
            rest ? arena_printf(g->arena, "%.*s, %s%s", (int)(rest - same->label), same->label, name, rest)
                 : NULL;
        same->label = label ? label : same->label;
        return;
    }
    if (series->ceiling_count == CEILINGS_MOST)
        return;
    int at = series->ceiling_count++;
    for (; at > 0 && series->ceilings[at - 1].flops < flops; at--)
        series->ceilings[at] = series->ceilings[at - 1];
    const char *label = arena_printf(g->arena, "%s %s  %s", matrix ? "matrix" : "vector", name, rate);
    series->ceilings[at] = (struct ceiling){matrix, flops, label ? label : ""};
}

static void add_ceilings(struct gathering *g, struct roofline_series *series, const struct formats_used *used)
{
    for (int i = FORMAT_NONE + 1; i < FORMAT_COUNT; i++) {
        enum number_format format = (enum number_format)i;
        if (used->matrix[i])
            add_ceiling(g, series, true, format, series->device->matrix[i].flops);
        if (used->vector[i])
            add_ceiling(g, series, false, format, series->device->vector[i].flops);
    }
}

/* --- points --- */

static bool add_point(struct gathering *g, const struct roofline_point *point)
{
    struct roofline_chart *chart = g->chart;
    for (size_t i = 0; i < chart->point_count; i++) {
        struct roofline_point *same = &chart->points[i];
        if (same->series != point->series || same->phase != point->phase ||
            strcmp(same->name, point->name) != 0)
            continue;
        same->flops += point->flops;
        same->bytes += point->bytes;
        same->time += point->time;
        same->share += point->share;
        return true;
    }
    if (chart->point_count == g->point_capacity)
        return false;
    chart->points[chart->point_count++] = *point;
    return true;
}

static bool add_omission(struct gathering *g, const char *name, double share)
{
    struct roofline_chart *chart = g->chart;
    for (size_t i = 0; i < chart->omission_count; i++) {
        if (strcmp(chart->omissions[i].name, name) != 0)
            continue;
        chart->omissions[i].share = fmax(chart->omissions[i].share, share);
        return true;
    }
    if (chart->omission_count == g->omission_capacity)
        return false;
    chart->omissions[chart->omission_count++] = (struct roofline_omission){name, share};
    return true;
}

static double memory_operand_bytes(const struct op_cost *cost)
{
    double sum = 0;
    for (int i = 0; i < BYTE_CLASS_COUNT; i++)
        sum += i == BYTES_WIRE ? 0 : cost->bytes[i];
    return sum;
}

/* What shares are of: the phase's time, or the operators' own where that is more (stages of a pipeline). */
static double phase_total(const struct phase_cost *phase)
{
    double sum = 0;
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        sum += positive(phase->step.ops[i].exposed) ? phase->step.ops[i].exposed : 0;
    return positive(phase->time_s) ? fmax(sum, phase->time_s) : sum;
}

/* Time of all executions. Phase times of a pipeline are shorter, since stages work beside each other; a
 * device's rate follows from the time of one execution where it is known. */
static double time_alone(const struct step_op *op)
{
    return positive(op->each.time) ? op->each.time * op->count : op->time;
}

static struct roofline_point point_of(const struct op *op, const struct step_op *cost, double total)
{
    double spent = positive(cost->exposed) ? cost->exposed : 0;
    return (struct roofline_point){.name = op->name ? op->name : "unnamed",
                                   .flops = cost->each.flops * cost->count,
                                   .bytes = memory_operand_bytes(&cost->each) * cost->count,
                                   .time = time_alone(cost),
                                   .share = positive(total) ? spent / total : 0};
}

static bool has_place(const struct op *op, const struct roofline_point *point)
{
    bool local =
        op->kind != OP_COLLECTIVE && op->kind != OP_TRANSFER && op->kind != OP_HOST && op->kind != OP_FETCH;
    return local && positive(point->flops) && positive(point->bytes) && positive(point->time) &&
           positive(point->flops / point->bytes) && positive(point->flops / point->time);
}

static bool add_phase(struct gathering *g, int series, int index, const struct phase_cost *phase,
                      struct formats_used *used)
{
    const struct graph *graph = &phase->plan->graph;
    double total = phase_total(phase);
    for (int i = 0; i < graph->op_count; i++) {
        const struct step_op *cost = &phase->step.ops[i];
        if (cost->count == 0 || (cost->time == 0 && cost->each.flops == 0))
            continue; /* of the other regime */
        struct roofline_point point = point_of(&graph->ops[i], cost, total);
        point.series = series;
        point.phase = index;
        bool shown = has_place(&graph->ops[i], &point);
        if (!(shown ? add_point(g, &point) : add_omission(g, point.name, point.share)))
            return false;
        if (shown)
            note_format(used, phase->plan, i);
    }
    return true;
}

static int by_share(const void *a, const void *b)
{
    const struct roofline_point *p = a, *q = b;
    return p->share < q->share ? 1 : p->share > q->share ? -1 : strcmp(p->name, q->name);
}

static int by_omitted_share(const void *a, const void *b)
{
    const struct roofline_omission *p = a, *q = b;
    return p->share < q->share ? 1 : p->share > q->share ? -1 : strcmp(p->name, q->name);
}

/* --- all together --- */

static bool add_series(struct gathering *g, int index, const struct resolved *resolved,
                       const struct breakdown *breakdown, const struct plan *plan)
{
    struct roofline_series *series = &g->chart->series[index];
    struct formats_used used = {0};
    series->device = plan->target.device;
    for (int i = 0; i < index; i++)
        series->repeats_roofs |= g->chart->series[i].device == series->device ||
                                 (g->chart->series[i].device->id && series->device->id &&
                                  !strcmp(g->chart->series[i].device->id, series->device->id));
    series->phase_count = breakdown->count < PHASES_REPORTED_MOST ? breakdown->count : PHASES_REPORTED_MOST;
    for (int i = 0; i < series->phase_count; i++) {
        const struct phase_cost *phase = &breakdown->phases[i];
        series->phases[i] = phase->name ? phase->name : "phase";
        if (phase->plan && phase->step.ops && !add_phase(g, index, i, phase, &used))
            return diag_error(g->diag, NOWHERE, "out of memory");
    }
    add_device_roofs(g, series);
    add_system_roofs(g, series, resolved->system);
    note_usual_formats(&used, series->device);
    add_ceilings(g, series, &used);
    if (!roofline_main_roof(series) || !series->ceiling_count)
        return diag_error(g->diag, NOWHERE,
                          "no roofline for '%.100s': it has no memory bandwidth or no peak rate",
                          series->device->id ? series->device->id : "?");
    return true;
}

static size_t ops_in_all(const struct breakdown *const *breakdowns, size_t count)
{
    size_t sum = 1;
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < breakdowns[i]->count && j < PHASES_REPORTED_MOST; j++)
            if (breakdowns[i]->phases[j].plan)
                sum += (size_t)breakdowns[i]->phases[j].plan->graph.op_count;
    return sum;
}

/* A single estimate's subtitle also has its phases and what of a pool is drawn. */
static void add_words_of_one(struct roofline_chart *chart, struct arena *arena, const struct plan *plan,
                             const struct breakdown *breakdown)
{
    const char *words = "";
    for (int i = 0; i < breakdown->count && i < PHASES_REPORTED_MOST; i++) {
        const struct phase_cost *phase = &breakdown->phases[i];
        char time[48];
        if (positive(phase->time_s) && phase->name)
            words = titles_join(
                arena, words,
                arena_printf(arena, "%s %s", phase->name, si_label(phase->time_s, "s", time, sizeof time)),
                ", ");
    }
    if (plan->ranks > 1)
        chart->subtitle = titles_join(arena, chart->subtitle,
                                      arena_printf(arena, "one of %d devices shown", plan->ranks), " · ");
    chart->subtitle = titles_join(arena, chart->subtitle, words, " · ");
}

static bool add_titles(struct gathering *g, const struct resolved *const *resolved,
                       const struct breakdown *const *breakdowns, size_t count)
{
    struct titles titles;
    if (!titles_write(&titles, g->arena, g->diag, resolved, NULL, count, 0))
        return false;
    g->chart->title = *titles.title ? titles.title : "Rooflines";
    g->chart->subtitle = titles.subtitle;
    for (size_t i = 0; i < count; i++)
        g->chart->series[i].name = titles.names[i];
    if (count == 1)
        add_words_of_one(g->chart, g->arena, titles_plan(resolved[0]), breakdowns[0]);
    return true;
}

bool roofline_gather(struct roofline_chart *chart, struct arena *arena, struct diag *diag,
                     const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                     size_t count)
{
    const struct plan *plans[SERIES_MOST];
    if (count < 1 || count > SERIES_MOST)
        return diag_error(diag, NOWHERE, "a roofline chart of %zu estimates: expected 1 to %d", count,
                          SERIES_MOST);
    for (size_t i = 0; i < count; i++)
        if (!(plans[i] = titles_plan(resolved[i])))
            return diag_error(diag, NOWHERE, "no roofline: the estimate has no plan or no device");
    size_t most = ops_in_all(breakdowns, count);
    *chart = (struct roofline_chart){.series = ARENA_ARRAY(arena, struct roofline_series, count),
                                     .series_count = (int)count,
                                     .points = ARENA_ARRAY(arena, struct roofline_point, most),
                                     .omissions = ARENA_ARRAY(arena, struct roofline_omission, most)};
    if (!chart->series || !chart->points || !chart->omissions)
        return diag_error(diag, NOWHERE, "out of memory");
    struct gathering g = {arena, diag, chart, most, most};
    for (size_t i = 0; i < count; i++)
        if (!add_series(&g, (int)i, resolved[i], breakdowns[i], plans[i]))
            return false;
    qsort(chart->points, chart->point_count, sizeof *chart->points, by_share);
    qsort(chart->omissions, chart->omission_count, sizeof *chart->omissions, by_omitted_share);
    return add_titles(&g, resolved, breakdowns, count);
}
