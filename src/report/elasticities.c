#include "report/elasticities.h"

#include "report/answer.h"
#include "report/human.h"

#include <math.h>
#include <string.h>

static const char *const metric_labels[METRIC_COUNT] = {"TTFT", "TPOT", "throughput", "cost"};

static const char *value_words(struct arena *arena, const struct elasticity *one)
{
    switch (one->figure.kind) {
    case FIGURE_COMPUTE:
    case FIGURE_VECTOR:
        return human(arena, HUMAN_FLOP_PER_SECOND, one->value);
    case FIGURE_TIER_BANDWIDTH:
    case FIGURE_LINK_BANDWIDTH:
        return human(arena, HUMAN_BYTES_PER_SECOND, one->value);
    case FIGURE_TIER_CAPACITY:
        return human(arena, HUMAN_BYTES, one->value);
    case FIGURE_LINK_LATENCY:
    case FIGURE_LAUNCH_HOST:
        return human(arena, HUMAN_SECONDS, one->value);
    case FIGURE_TDP:
    case FIGURE_IDLE:
        return human(arena, HUMAN_WATTS, one->value);
    case FIGURE_PRICE:
        return arena_printf(arena, "%s/h", human(arena, HUMAN_USD, one->value));
    case FIGURE_SCALAR:
        break;
    }
    bool time = families[one->figure.family].scalars[one->figure.scalar].dimension == DIM_SECONDS;
    return human(arena, time ? HUMAN_SECONDS : HUMAN_NUMBER, one->value);
}

/* What a percent more changes, in percent; a hundredth of that is what matters to nobody. */
static const char *signed_words(struct arena *arena, double elasticity)
{
    if (isnan(elasticity))
        return "-";
    if (fabs(elasticity) < 0.0005)
        return "0";
    return arena_printf(arena, "%+.3f", elasticity);
}

/* "memory: 4.1% of prefill, 91.0% of decode" */
static const char *bound_words(struct arena *arena, const struct elasticity *one)
{
    static const double least = 0.0005; /* of a phase: shown as 0.1% */
    bool prefill = one->prefill_bound >= least, decode = one->decode_bound >= least;
    if (one->bound == NULL || (!prefill && !decode))
        return "";
    return arena_printf(arena, "%s: %s%s%s%s%s", one->bound,
                        prefill ? human_percent(arena, one->prefill_bound) : "", prefill ? " of prefill" : "",
                        prefill && decode ? ", " : "", decode ? human_percent(arena, one->decode_bound) : "",
                        decode ? " of decode" : "");
}

static size_t rows_of(const struct sensitivity_report *report, size_t top)
{
    return report->sensitivity->count < top ? report->sensitivity->count : top;
}

struct table *sensitivity_table(const struct sensitivity_report *report, size_t top, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "figure", "figure", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "value", "value", SIDE_RIGHT, COLUMN_BOTH);
    for (int m = 0; m < METRIC_COUNT; m++)
        table_column(table, metric_name((enum metric)m), metric_labels[m], SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "bound", "time bound by it", SIDE_LEFT, COLUMN_SHOWN);
    table_column(table, "bound", "", SIDE_LEFT, COLUMN_DATA);
    table_column(table, "prefill_bound", "", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "decode_bound", "", SIDE_RIGHT, COLUMN_DATA);
    for (size_t i = 0; i < rows_of(report, top); i++) {
        const struct elasticity *one = &report->sensitivity->list[i];
        table_row(table, TONE_PLAIN);
        table_text(table, one->figure.name);
        table_number(table, one->value, value_words(arena, one));
        for (int m = 0; m < METRIC_COUNT; m++)
            table_number(table, one->by_metric[m], signed_words(arena, one->by_metric[m]));
        table_text(table, bound_words(arena, one));
        table_tone(table, TONE_MUTED);
        table_text(table, one->bound != NULL ? one->bound : "");
        table_number(table, one->prefill_bound, "");
        table_number(table, one->decode_bound, "");
    }
    return table;
}

static const char *change_words(struct arena *arena, double ratio)
{
    double percent = 100.0 * (ratio - 1.0);
    if (isnan(ratio))
        return "-";
    return fabs(percent) < 0.05 ? "0" : arena_printf(arena, "%+.1f%%", percent);
}

static void purchase_lines(const struct asked *asked, const struct sensitivity_report *report,
                           struct arena *arena, struct text *out)
{
    struct table *table = table_new(arena);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    for (int m = 0; m < METRIC_COUNT; m++) {
        table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
        table_column(table, "", "", SIDE_RIGHT, COLUMN_BOTH);
    }
    for (size_t i = 0; i < report->purchase_count; i++) {
        const struct purchase *purchase = &report->purchases[i];
        table_row(table, TONE_PLAIN);
        table_text(table, arena_printf(arena, "%s %s buys", purchase->factor > 1.0 ? "+10%" : "-10%",
                                       purchase->of->figure.name));
        for (int m = 0; m < METRIC_COUNT; m++) {
            table_text(table, metric_labels[m]);
            table_text(table, change_words(arena, purchase->ratios[m]));
        }
    }
    if (report->purchase_count > 0) {
        text_add(out, "\n");
        asked_table(asked, table, out);
    }
}

void sensitivity_text(const struct asked *asked, const struct sensitivity_report *report, size_t top,
                      struct arena *arena, struct text *out)
{
    const struct sensitivity *sensitivity = report->sensitivity;
    asked_text(asked, out);
    asked_heading(asked, "Change in percent for one percent more", out);
    asked_table(asked, sensitivity_table(report, top, arena), out);
    purchase_lines(asked, report, arena, out);
    text_printf(out, "\n%s of prefill is bound by %s", human_percent(arena, sensitivity->prefill_share),
                sensitivity->prefill_bound_by);
    if (sensitivity->decode_share > 0.0)
        text_printf(out, ", %s of decode by %s", human_percent(arena, sensitivity->decode_share),
                    sensitivity->decode_bound_by);
    text_printf(out, "; %zu figures have no effect", sensitivity->without_effect);
    if (rows_of(report, top) < sensitivity->count)
        text_printf(out, ", %zu more have little (--top N)", sensitivity->count - rows_of(report, top));
    text_add(out, "\n");
}

static json_t *by_metric(const double values[METRIC_COUNT])
{
    json_t *object = json_object();
    for (int m = 0; m < METRIC_COUNT; m++)
        json_object_set_new(object, metric_name((enum metric)m), json_figure(values[m]));
    return object;
}

static json_t *bound_json(const char *name, double share)
{
    json_t *object = json_object();
    json_object_set_new(object, "bound", json_text(name));
    json_object_set_new(object, "share", json_figure(share));
    return object;
}

json_t *sensitivity_json(const struct asked *asked, const struct sensitivity_report *report, size_t top)
{
    const struct sensitivity *sensitivity = report->sensitivity;
    json_t *object = asked_json(asked), *list = json_array(), *buys = json_array();
    json_object_del(object, "limits");
    for (size_t i = 0; i < rows_of(report, top); i++) {
        const struct elasticity *one = &sensitivity->list[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "figure", json_text(one->figure.name));
        json_object_set_new(entry, "value", json_figure(one->value));
        json_object_set_new(entry, "elasticity", by_metric(one->by_metric));
        json_object_set_new(entry, "bound", json_text(one->bound));
        json_object_set_new(entry, "prefill_bound", json_figure(one->prefill_bound));
        json_object_set_new(entry, "decode_bound", json_figure(one->decode_bound));
        json_array_append_new(list, entry);
    }
    for (size_t i = 0; i < report->purchase_count; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "figure", json_text(report->purchases[i].of->figure.name));
        json_object_set_new(entry, "factor", json_figure(report->purchases[i].factor));
        json_object_set_new(entry, "ratios", by_metric(report->purchases[i].ratios));
        json_array_append_new(buys, entry);
    }
    json_object_set_new(object, "prefill",
                        bound_json(sensitivity->prefill_bound_by, sensitivity->prefill_share));
    json_object_set_new(object, "decode",
                        bound_json(sensitivity->decode_bound_by, sensitivity->decode_share));
    json_object_set_new(object, "figures", list);
    json_object_set_new(object, "without_effect", json_count((double)sensitivity->without_effect));
    json_object_set_new(object, "buys", buys);
    json_object_set_new(object, "answer", answer_figures_json(&sensitivity->answer));
    return object;
}
