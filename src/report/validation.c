#include "report/validation.h"

#include "report/human.h"
#include "report/sample_counts.h"

#include <math.h>

static const char *percent_or_dash(struct arena *arena, double fraction)
{
    return isnan(fraction) ? "-" : human_percent(arena, fraction);
}

static const char *signed_percent(struct arena *arena, double fraction)
{
    return isnan(fraction) ? "-" : arena_printf(arena, "%+.1f%%", 100 * fraction);
}

static double mape_of(const struct error_summary *summary)
{
    return summary->count > 0 ? summary->mean_absolute : NAN;
}

/* n, MAPE, median, p90, bias, coverage, bands. */
static void accuracy_cells(struct table *table, const struct accuracy *accuracy, double max_mape,
                           struct arena *arena)
{
    const struct error_summary *all = &accuracy->all;
    bool none = all->count == 0;
    double mape = mape_of(all), median = none ? NAN : all->median, p90 = none ? NAN : all->p90;
    double bias = none ? NAN : all->bias;
    table_number(table, (double)all->count, human(arena, HUMAN_NUMBER, (double)all->count));
    table_number(table, mape, percent_or_dash(arena, mape));
    if (max_mape > 0 && mape > max_mape)
        table_tone(table, TONE_BAD);
    table_number(table, median, percent_or_dash(arena, median));
    table_number(table, p90, percent_or_dash(arena, p90));
    table_number(table, bias, signed_percent(arena, bias));
    table_number(table, accuracy->coverage, percent_or_dash(arena, accuracy->coverage));
    for (int band = 0; band < BAND_COUNT; band++) {
        double of_band = mape_of(&accuracy->bands[band]);
        table_number(table, of_band, percent_or_dash(arena, of_band));
    }
}

static void head_columns(struct table *table)
{
    table_column(table, "family", "family", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "source", "source", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "dtype", "types", SIDE_LEFT, COLUMN_BOTH);
}

static void head_cells(struct table *table, const struct validation_group *group)
{
    table_text(table, families[group->family].name);
    table_text(table, group->source);
    table_text(table, group->dtype);
}

struct table *validation_table(const struct validation *validation, double max_mape, struct arena *arena)
{
    static const char *const band_columns[BAND_COUNT] = {"mape_below_10us", "mape_10_to_100us",
                                                         "mape_above_100us"};
    struct table *table = table_new(arena);
    head_columns(table);
    table_column(table, "variant", "rows", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "calibration", "calibration", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "n", "n", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape", "MAPE", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "median", "median", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "p90", "p90", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "bias", "bias", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "coverage", "in 90%", SIDE_RIGHT, COLUMN_BOTH);
    for (int band = 0; band < BAND_COUNT; band++)
        table_column(table, band_columns[band], band_name((enum band)band), SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "skipped", "skipped", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t g = 0; g < validation->group_count; g++) {
        const struct validation_group *group = &validation->groups[g];
        const char *provenance = group->row_count > 0 ? provenance_name(group->provenance) : "-";
        table_row(table, TONE_PLAIN);
        head_cells(table, group);
        table_text(table, group->variant_count > 1    ? "all"
                          : group->variant_count == 1 ? group->variants[0]
                                                      : "");
        table_text(table, provenance);
        accuracy_cells(table, &group->all, max_mape, arena);
        table_number(table, (double)group->skipped,
                     group->skipped > 0 ? human(arena, HUMAN_NUMBER, (double)group->skipped) : "");
        for (size_t v = 0; v < group->variant_count && group->variant_count > 1; v++) {
            table_row(table, TONE_MUTED);
            head_cells(table, group);
            table_text(table, group->variants[v]);
            table_text(table, provenance);
            accuracy_cells(table, &group->by_variant[v], 0, arena);
        }
    }
    return table;
}

struct table *worst_table(const struct validation *validation, struct arena *arena)
{
    struct table *table = table_new(arena);
    head_columns(table);
    table_column(table, "line", "line", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "measured_s", "measured", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "predicted_s", "predicted", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "ratio", "ratio", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "work", "of", SIDE_LEFT, COLUMN_BOTH);
    for (size_t g = 0; g < validation->group_count; g++) {
        const struct validation_group *group = &validation->groups[g];
        for (size_t i = 0; i < group->worst_count; i++) {
            const struct tested *row = &group->rows[group->worst[i]];
            double ratio = row->predicted / row->sample->seconds;
            table_row(table, TONE_PLAIN);
            head_cells(table, group);
            table_number(table, row->sample->where.line, arena_printf(arena, "%d", row->sample->where.line));
            table_number(table, row->sample->seconds, human(arena, HUMAN_SECONDS, row->sample->seconds));
            table_number(table, row->predicted, human(arena, HUMAN_SECONDS, row->predicted));
            table_number(table, ratio, human_ratio(arena, ratio));
            table_text(table, sample_dimensions(row->sample, arena));
        }
    }
    return table;
}

struct table *validation_rows(const struct validation *validation, struct arena *arena)
{
    static const char *const columns[] = {"line",  "family", "source", "dtype",   "measured_s", "predicted_s",
                                          "ratio", "low",    "high",   "variant", "fold",       "file"};
    struct table *table = table_new(arena);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], columns[i], SIDE_LEFT, COLUMN_BOTH);
    for (size_t g = 0; g < validation->group_count; g++) {
        const struct validation_group *group = &validation->groups[g];
        for (size_t i = 0; i < group->row_count; i++) {
            const struct tested *row = &group->rows[i];
            const struct sample *sample = row->sample;
            table_row(table, TONE_PLAIN);
            table_number(table, sample->where.line, "");
            head_cells(table, group);
            table_number(table, sample->seconds, "");
            table_number(table, row->predicted, "");
            table_number(table, row->predicted / sample->seconds, "");
            table_number(table, tested_low(row), "");
            table_number(table, tested_high(row), "");
            table_text(table, sample->variant);
            table_number(table, row->fold < 0 ? NAN : row->fold, "");
            table_text(table, sample->where.file);
        }
    }
    return table;
}

static const char *mode_name(enum validation_mode mode)
{
    static const char *const names[] = {[MODE_CALIBRATED] = "calibrated",
                                        [MODE_FOLDS] = "folds",
                                        [MODE_SHAPES] = "hold-out shapes",
                                        [MODE_ROWS] = "fit-rows",
                                        [MODE_TRANSFER] = "fit-on"};
    return names[mode];
}

const char *validation_mode_words(const struct validation_plan *plan, struct arena *arena)
{
    switch (plan->mode) {
    case MODE_FOLDS:
        return "five folds: fitted on one fifth of the rows, tested on the rest";
    case MODE_SHAPES:
        return "shapes held out: fitted on four fifths of the shapes, tested on the fifth";
    case MODE_ROWS:
        return arena_printf(arena, "fitted on %zu rows of each source and type, tested on the rest",
                            plan->fit_rows);
    case MODE_TRANSFER:
        return arena_printf(arena, "fitted on the rows of %s", plan->others->device->id);
    case MODE_CALIBRATED:
        break;
    }
    return "";
}

static void summary_json(json_t *object, const struct error_summary *summary)
{
    bool none = summary->count == 0;
    json_object_set_new(object, "n", json_count((double)summary->count));
    json_object_set_new(object, "mape", json_figure(none ? NAN : summary->mean_absolute));
    json_object_set_new(object, "median", json_figure(none ? NAN : summary->median));
    json_object_set_new(object, "p90", json_figure(none ? NAN : summary->p90));
    json_object_set_new(object, "bias", json_figure(none ? NAN : summary->bias));
}

static void accuracy_json(json_t *object, const struct accuracy *accuracy)
{
    json_t *bands = json_object();
    summary_json(object, &accuracy->all);
    json_object_set_new(object, "coverage", json_figure(accuracy->coverage));
    for (int band = 0; band < BAND_COUNT; band++) {
        json_t *of_band = json_object();
        summary_json(of_band, &accuracy->bands[band]);
        json_object_set_new(bands, band_key((enum band)band), of_band);
    }
    json_object_set_new(object, "bands", bands);
}

static json_t *worst_json(const struct validation_group *group)
{
    json_t *list = json_array();
    for (size_t i = 0; i < group->worst_count; i++) {
        const struct tested *row = &group->rows[group->worst[i]];
        json_t *entry = json_object();
        json_object_set_new(entry, "file", json_text(row->sample->where.file));
        json_object_set_new(entry, "line", json_count(row->sample->where.line));
        json_object_set_new(entry, "measured_s", json_figure(row->sample->seconds));
        json_object_set_new(entry, "predicted_s", json_figure(row->predicted));
        json_object_set_new(entry, "ratio", json_figure(row->predicted / row->sample->seconds));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *group_json(const struct validation_group *group)
{
    json_t *object = json_object(), *variants = json_array();
    json_object_set_new(object, "family", json_text(families[group->family].name));
    json_object_set_new(object, "dtype", json_text(group->dtype));
    json_object_set_new(object, "source", json_text(group->source));
    json_object_set_new(object, "calibration",
                        json_text(group->row_count > 0 ? provenance_name(group->provenance) : NULL));
    accuracy_json(object, &group->all);
    json_object_set_new(object, "skipped", json_count((double)group->skipped));
    for (size_t v = 0; v < group->variant_count; v++) {
        if (group->variants[v][0] == '\0')
            continue;
        json_t *variant = json_object();
        json_object_set_new(variant, "variant", json_text(group->variants[v]));
        accuracy_json(variant, &group->by_variant[v]);
        json_array_append_new(variants, variant);
    }
    json_object_set_new(object, "variants", variants);
    json_object_set_new(object, "worst", worst_json(group));
    json_object_set_new(object, "refused", json_text(group->refused));
    return object;
}

json_t *validation_json(const struct validation *validation)
{
    json_t *object = json_object(), *list = json_array();
    sample_counts_json(validation->set, object);
    json_object_set_new(object, "mode", json_text(mode_name(validation->plan->mode)));
    for (size_t g = 0; g < validation->group_count; g++)
        json_array_append_new(list, group_json(&validation->groups[g]));
    json_object_set_new(object, "families", list);
    return object;
}
