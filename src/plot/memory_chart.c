#include "plot/memory_chart.h"

#include "plot/axes.h"
#include "plot/bars.h"
#include "plot/titles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double GIB = 1024.0 * 1024 * 1024;

enum memory_part { PART_WEIGHTS, PART_KV, PART_ACTIVATIONS, PART_RESERVED, PART_FREE, PART_COUNT };

/* Blue, orange, green, purple as in colour_series. */
static const struct {
    const char *name, *legend;
    int series;
} parts[PART_FREE] = {{"weights", "weights", 0},
                      {"KV cache", "KV cache and states", 4},
                      {"activations", "activations", 2},
                      {"reserved", "reserved by the software", 3}};

struct chart {
    struct arena *arena;
    struct diag *diag;
    struct titles titles;
    struct bar *bars;
    size_t count;
};

/* One estimate in its place among the bars. */
struct entry {
    size_t index;
    size_t group; /* of the first estimate with the same name */
    double batch;
};

static double sound(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static const char *gib(struct arena *arena, double value)
{
    char number[32];
    const char *text = arena_printf(arena, "%s GiB", si_label(value, "", number, sizeof number));
    return text ? text : "";
}

static int by_group_and_batch(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->batch != y->batch)
        return x->batch < y->batch ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static struct bar_segment *make_segments(struct chart *chart, const struct memory_plan *plan, size_t *count)
{
    struct bar_segment *segments = ARENA_ARRAY(chart->arena, struct bar_segment, PART_COUNT);
    const double bytes[PART_FREE] = {plan->weights, plan->kv, plan->activations, plan->reserved};
    double sum = 0;
    *count = 0;
    for (int i = 0; segments && i < PART_FREE; i++) {
        double size = sound(bytes[i]) / GIB;
        sum += size;
        if (size > 0)
            segments[(*count)++] = (struct bar_segment){.value = size,
                                                        .colour = colour_series[parts[i].series],
                                                        .name = parts[i].name,
                                                        .figure = gib(chart->arena, size)};
    }
    double left = sound(plan->capacity) / GIB - sum;
    if (segments && left > 0)
        segments[(*count)++] = (struct bar_segment){.value = left,
                                                    .colour = colour_muted,
                                                    .hatched = true,
                                                    .name = "free",
                                                    .figure = gib(chart->arena, left)};
    return segments;
}

static const struct colour colour_yes = {0.000, 0.420, 0.300}, colour_no = {0.720, 0.250, 0.000};

static const char *verdict(struct arena *arena, const struct memory_plan *plan)
{
    double total = plan->total / GIB, capacity = plan->capacity / GIB;
    const char *text;
    if (!isfinite(total) || !isfinite(capacity))
        text = plan->fits ? "fits" : "does not fit";
    else if (plan->fits)
        text = arena_printf(arena, "fits: %s of %s", gib(arena, total), gib(arena, capacity));
    else
        text = arena_printf(arena, "does not fit: %s over", gib(arena, total - capacity));
    return text ? text : "";
}

static bool make_bars(struct chart *chart, const struct resolved *const *resolved,
                      const struct memory_plan *const *plans, const struct entry *entries, bool batches,
                      bool groups)
{
    for (size_t i = 0; i < chart->count; i++) {
        size_t at = entries[i].index, count = 0;
        const char *name = chart->titles.names[at];
        const char *batch = arena_printf(chart->arena, "batch %.6g", sound(resolved[at]->request.batch));
        struct bar_segment *segments = make_segments(chart, plans[at], &count);
        if (!segments || !batch)
            return diag_error(chart->diag, NOWHERE, "out of memory");
        chart->bars[i] = (struct bar){.group = batches && groups ? name : NULL,
                                      .label = batches            ? batch
                                               : chart->count > 1 ? name
                                                                  : "",
                                      .segments = segments,
                                      .count = count,
                                      .limit = plans[at]->capacity / GIB,
                                      .end = verdict(chart->arena, plans[at]),
                                      .end_colour = plans[at]->fits ? colour_yes : colour_no};
    }
    return true;
}

static bool gather(struct chart *chart, const struct resolved *const *resolved,
                   const struct memory_plan *const *plans)
{
    struct entry *entries = ARENA_ARRAY(chart->arena, struct entry, chart->count);
    chart->bars = ARENA_ARRAY(chart->arena, struct bar, chart->count);
    bool batches = false, groups = false;
    if (!entries || !chart->bars)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < chart->count; i++)
        batches |= resolved[i]->request.batch != resolved[0]->request.batch;
    if (!titles_write(&chart->titles, chart->arena, chart->diag, resolved, NULL, chart->count,
                      batches ? TITLES_NO_BATCH : 0))
        return false;
    for (size_t i = 0; i < chart->count; i++) {
        entries[i] = (struct entry){i, i, sound(resolved[i]->request.batch)};
        for (size_t j = 0; j < i && entries[i].group == i; j++)
            if (!strcmp(chart->titles.names[j], chart->titles.names[i]))
                entries[i].group = j;
        groups |= entries[i].group != 0;
    }
    if (batches)
        qsort(entries, chart->count, sizeof *entries, by_group_and_batch);
    return make_bars(chart, resolved, plans, entries, batches, groups);
}

static void draw(const struct chart *chart, const struct bar_panel *panel, struct canvas *canvas)
{
    struct legend_item items[PART_FREE + 2];
    static const char *const notes[] = {
        "The fullest device, at the end of the requests. Capacity: what the software lets itself take of the "
        "memory that programs may use."};
    for (int i = 0; i < PART_FREE; i++)
        items[i] = (struct legend_item){colour_series[parts[i].series], SWATCH_FILLED, parts[i].legend};
    items[PART_FREE] = (struct legend_item){colour_muted, SWATCH_HATCHED, "free"};
    items[PART_FREE + 1] = (struct legend_item){colour_ink, SWATCH_LINE, "capacity"};
    frame_heading(canvas, FRAME_LEFT, *chart->titles.title ? chart->titles.title : "Memory",
                  chart->titles.subtitle);
    double width = FRAME_WIDTH - FRAME_LEFT - FRAME_RIGHT;
    double legend = frame_legend(canvas, FRAME_LEFT, FRAME_TOP, width, items, PART_FREE + 2);
    double top = FRAME_TOP + legend + 14;
    struct box area = {FRAME_LEFT, top, width, canvas->height - top - 36};
    bars_draw(canvas, &area, panel, 1);
    frame_notes(canvas, FRAME_LEFT, notes, 1);
}

bool plot_memory(const struct resolved *const *resolved, const struct memory_plan *const *plans, size_t count,
                 const char *path, struct diag *diag)
{
    if (count < 1 || count > MEMORIES_MOST)
        return diag_error(diag, NOWHERE, "a memory chart of %zu estimates: expected 1 to %d", count,
                          MEMORIES_MOST);
    struct chart chart = {.arena = arena_new(0), .diag = diag, .count = count};
    struct canvas canvas = {0};
    if (!chart.arena)
        return diag_error(diag, NOWHERE, "out of memory");
    bool drawn = gather(&chart, resolved, plans);
    struct bar_panel panel = {
        .title = "Memory of a device", .axis = "GiB", .unit = "", .bars = chart.bars, .count = count};
    if (drawn) {
        static const double ROOM = FRAME_TOP + 72; /* heading, legend and notes */
        drawn = canvas_open(
            &canvas, diag, path, FRAME_WIDTH,
            frame_height(ROOM + bars_height_least(&panel, 1), ROOM + bars_height_most(&panel, 1)));
    }
    if (drawn) {
        draw(&chart, &panel, &canvas);
        drawn = canvas_save(&canvas, diag);
    }
    canvas_close(&canvas);
    arena_free(chart.arena);
    return drawn;
}
