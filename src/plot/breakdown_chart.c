#include "plot/breakdown_chart.h"

#include "plot/axes.h"
#include "plot/bars.h"
#include "plot/titles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An operator's name with what it takes, over all phases and estimates. */
struct part {
    const char *name;
    double share; /* the largest in any bar */
};

enum { HUES = SERIES_COLOURS - 1, COLOURED_MOST = 3 * HUES }; /* black is for text */

static const double SHARE_COLOURED = 0.004; /* of a bar; less is not seen */

struct chart {
    struct arena *arena;
    struct diag *diag;
    const struct breakdown *const *breakdowns;
    const struct resolved *const *resolved;
    size_t count;
    struct titles titles;
    struct part *parts; /* largest share first; `coloured` of them have a colour */
    size_t part_count, coloured;
    const char *phases[PHASES_REPORTED_MOST]; /* of the panels */
    struct bar_panel panels[PHASES_REPORTED_MOST];
    size_t panel_count;
    bool gaps, others; /* drawn anywhere */
};

static double sound(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static bool is_prefill(const struct phase_cost *phase)
{
    return phase->name && strstr(phase->name, "prefill") != NULL;
}

static const char *phase_name(const struct phase_cost *phase)
{
    return phase->name && *phase->name ? phase->name : "phase";
}

/* Output tokens of a sequence that the phase's time is divided by: the first comes out of prefill. */
static double tokens_of(const struct resolved *resolved, const struct phase_cost *phase)
{
    return is_prefill(phase) ? 1 : fmax(1, sound(resolved->request.output) - 1);
}

static const char *op_name(const struct phase_cost *phase, int index)
{
    const char *name = phase->plan->graph.ops[index].name;
    return name ? name : "unnamed";
}

/* What the parts sum to: exposed times of all operators and the host's gaps. */
static double phase_sum(const struct phase_cost *phase)
{
    double sum = sound(phase->step.host_gap);
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        sum += sound(phase->step.ops[i].exposed);
    return sum;
}

static bool has_parts(const struct phase_cost *phase)
{
    return phase->plan && phase->step.ops && phase_sum(phase) > 0;
}

static const struct phase_cost *find_phase(const struct breakdown *breakdown, const char *name)
{
    for (int i = 0; i < breakdown->count && i < PHASES_REPORTED_MOST; i++)
        if (has_parts(&breakdown->phases[i]) && !strcmp(phase_name(&breakdown->phases[i]), name))
            return &breakdown->phases[i];
    return NULL;
}

/* --- which operators have a colour --- */

static double time_of(const struct phase_cost *phase, const char *name)
{
    double sum = 0;
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        if (!strcmp(op_name(phase, i), name))
            sum += sound(phase->step.ops[i].exposed);
    return sum;
}

static void note_part(struct chart *chart, const char *name, double share)
{
    for (size_t i = 0; i < chart->part_count; i++)
        if (!strcmp(chart->parts[i].name, name)) {
            chart->parts[i].share = fmax(chart->parts[i].share, share);
            return;
        }
    chart->parts[chart->part_count++] = (struct part){name, share};
}

static int by_share(const void *a, const void *b)
{
    const struct part *p = a, *q = b;
    return p->share < q->share ? 1 : p->share > q->share ? -1 : strcmp(p->name, q->name);
}

static bool gather_parts(struct chart *chart)
{
    size_t most = 1;
    for (size_t v = 0; v < chart->count; v++)
        for (int i = 0; i < chart->breakdowns[v]->count && i < PHASES_REPORTED_MOST; i++)
            if (chart->breakdowns[v]->phases[i].plan)
                most += (size_t)chart->breakdowns[v]->phases[i].plan->graph.op_count;
    chart->parts = ARENA_ARRAY(chart->arena, struct part, most);
    if (!chart->parts)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    for (size_t v = 0; v < chart->count; v++)
        for (int i = 0; i < chart->breakdowns[v]->count && i < PHASES_REPORTED_MOST; i++) {
            const struct phase_cost *phase = &chart->breakdowns[v]->phases[i];
            for (int o = 0; has_parts(phase) && o < phase->plan->graph.op_count; o++)
                if (sound(phase->step.ops[o].exposed) > 0)
                    note_part(chart, op_name(phase, o), time_of(phase, op_name(phase, o)) / phase_sum(phase));
        }
    qsort(chart->parts, chart->part_count, sizeof *chart->parts, by_share);
    while (chart->coloured < chart->part_count && chart->coloured < COLOURED_MOST &&
           chart->parts[chart->coloured].share >= SHARE_COLOURED)
        chart->coloured++;
    return true;
}

/* The palette, then paler, then darker. */
static struct colour part_colour(size_t rank)
{
    static const double keeps[] = {1, 0.42, 0.55};
    struct colour full = colour_series[rank % HUES];
    double keep = keeps[rank / HUES % 3], white = rank / HUES % 3 == 1 ? 1 - keep : 0;
    return (struct colour){white + keep * full.red, white + keep * full.green, white + keep * full.blue};
}

static const struct colour colour_others = {0.72, 0.74, 0.77};

/* --- bars --- */

static void add_segment(struct chart *chart, struct bar_segment *segments, size_t *count, const char *name,
                        double time, double total, struct colour colour, bool hatched)
{
    char text[48];
    if (!(time > 0))
        return;
    segments[(*count)++] = (struct bar_segment){
        .value = time,
        .colour = colour,
        .hatched = hatched,
        .name = name,
        .figure = arena_printf(chart->arena, "%s", si_label(time, "s", text, sizeof text)),
        .share = arena_printf(chart->arena, "%.0f%%", 100 * time / total)};
}

static bool make_bar(struct chart *chart, const struct phase_cost *phase, size_t variant, double first,
                     struct bar *bar)
{
    struct bar_segment *segments = ARENA_ARRAY(chart->arena, struct bar_segment, COLOURED_MOST + 2);
    double tokens = tokens_of(chart->resolved[variant], phase), total = phase_sum(phase) / tokens, named = 0;
    double gap = sound(phase->step.host_gap) / tokens;
    size_t count = 0;
    char time[48];
    if (!segments)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < chart->coloured; i++) {
        double spent = time_of(phase, chart->parts[i].name) / tokens;
        add_segment(chart, segments, &count, chart->parts[i].name, spent, total, part_colour(i), false);
        named += spent;
    }
    double rest = total - named - gap;
    if (chart->part_count > chart->coloured && rest > 1e-9 * total) {
        add_segment(chart, segments, &count, "others", rest, total, colour_others, false);
        chart->others = true;
    }
    add_segment(chart, segments, &count, "host gaps", gap, total, colour_muted, true);
    chart->gaps |= gap > 0;
    si_label(total, "s", time, sizeof time);
    *bar = (struct bar){.label = chart->count > 1 ? chart->titles.names[variant] : "",
                        .segments = segments,
                        .count = count,
                        .limit = NAN,
                        .end = first > 0 ? arena_printf(chart->arena, "%s  (%.3g×)", time, total / first)
                                         : arena_printf(chart->arena, "%s", time),
                        .end_colour = colour_ink};
    return true;
}

static bool make_panel(struct chart *chart, const struct phase_cost *sample)
{
    const char *name = phase_name(sample);
    struct bar *bars = ARENA_ARRAY(chart->arena, struct bar, chart->count);
    char *title = arena_strdup(chart->arena, name);
    double first = 0;
    size_t count = 0;
    if (!bars || !title)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    if (*title >= 'a' && *title <= 'z')
        *title = (char)(*title - 'a' + 'A');
    for (size_t v = 0; v < chart->count; v++) {
        const struct phase_cost *phase = find_phase(chart->breakdowns[v], name);
        if (!phase)
            continue;
        if (!make_bar(chart, phase, v, first, &bars[count++]))
            return false;
        if (first == 0)
            first = phase_sum(phase) / tokens_of(chart->resolved[v], phase);
    }
    chart->phases[chart->panel_count] = name;
    chart->panels[chart->panel_count++] =
        (struct bar_panel){.title = title,
                           .axis = is_prefill(sample) ? "time for all prompts of the batch"
                                                      : "mean time for each output token of a sequence",
                           .unit = "s",
                           .bars = bars,
                           .count = count};
    return true;
}

static bool has_panel(const struct chart *chart, const char *phase)
{
    for (size_t p = 0; p < chart->panel_count; p++)
        if (!strcmp(chart->phases[p], phase))
            return true;
    return false;
}

static bool gather(struct chart *chart)
{
    if (!titles_write(&chart->titles, chart->arena, chart->diag, chart->resolved, NULL, chart->count, 0) ||
        !gather_parts(chart))
        return false;
    for (size_t v = 0; v < chart->count; v++)
        for (int i = 0; i < chart->breakdowns[v]->count && i < PHASES_REPORTED_MOST; i++) {
            const struct phase_cost *phase = &chart->breakdowns[v]->phases[i];
            if (!has_parts(phase) || chart->panel_count == PHASES_REPORTED_MOST ||
                has_panel(chart, phase_name(phase)))
                continue;
            if (!make_panel(chart, phase))
                return false;
        }
    return chart->panel_count > 0 ||
           diag_error(chart->diag, NOWHERE, "no breakdown: no operator of the estimate takes time");
}

/* --- drawing --- */

static size_t legend_of(const struct chart *chart, struct legend_item items[COLOURED_MOST + 2])
{
    size_t count = 0;
    for (; count < chart->coloured; count++)
        items[count] = (struct legend_item){part_colour(count), SWATCH_FILLED, chart->parts[count].name};
    if (chart->others) {
        const char *text = arena_printf(chart->arena, "%zu others", chart->part_count - chart->coloured);
        items[count++] = (struct legend_item){colour_others, SWATCH_FILLED, text ? text : "others"};
    }
    if (chart->gaps)
        items[count++] =
            (struct legend_item){colour_muted, SWATCH_HATCHED, "host gaps (the device waits for the host)"};
    return count;
}

static void draw(struct chart *chart, struct canvas *canvas)
{
    struct legend_item items[COLOURED_MOST + 2];
    const char *notes[] = {
        "Times that operators add to a phase on one device: what overlaps is counted once. "
        "Ratios are to the first bar."};
    if (chart->count == 1)
        notes[0] = "Times that operators add to a phase on one device: what overlaps is counted once.";
    const char *title = *chart->titles.title ? chart->titles.title : "Where the time goes";
    frame_heading(canvas, FRAME_LEFT, title, chart->titles.subtitle);
    double width = FRAME_WIDTH - FRAME_LEFT - FRAME_RIGHT;
    double legend = frame_legend(canvas, FRAME_LEFT, FRAME_TOP, width, items, legend_of(chart, items));
    double top = FRAME_TOP + legend + 14;
    struct box area = {FRAME_LEFT, top, width, canvas->height - top - 36};
    bars_draw(canvas, &area, chart->panels, chart->panel_count);
    frame_notes(canvas, FRAME_LEFT, notes, 1);
}

bool plot_breakdown(const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                    size_t count, const char *path, struct diag *diag)
{
    static const double LEGEND_MOST = 3 * 22; /* rows */
    if (count < 1 || count > BREAKDOWNS_MOST)
        return diag_error(diag, NOWHERE, "a breakdown chart of %zu estimates: expected 1 to %d", count,
                          BREAKDOWNS_MOST);
    struct chart chart = {
        .arena = arena_new(0), .diag = diag, .breakdowns = breakdowns, .resolved = resolved, .count = count};
    struct canvas canvas = {0};
    if (!chart.arena)
        return diag_error(diag, NOWHERE, "out of memory");
    bool drawn = gather(&chart);
    if (drawn) {
        double room = FRAME_TOP + LEGEND_MOST + 50;
        drawn = canvas_open(&canvas, diag, path, FRAME_WIDTH,
                            frame_height(room + bars_height_least(chart.panels, chart.panel_count),
                                         room + bars_height_most(chart.panels, chart.panel_count)));
    }
    if (drawn) {
        draw(&chart, &canvas);
        drawn = canvas_save(&canvas, diag);
    }
    canvas_close(&canvas);
    arena_free(chart.arena);
    return drawn;
}
