#include "report/compare.h"

#include "report/figures.h"

#include <math.h>
#include <string.h>

/* NAN where either is unknown or the first is 0. */
static double ratio_to_first(const struct comparison *comparison, const struct figure *figure, size_t variant)
{
    double first = answer_figure(figure, &comparison->results[0]->answer);
    double value = answer_figure(figure, &comparison->results[variant]->answer);
    return first != 0.0 ? value / first : (double)NAN;
}

static bool anyone_knows(const struct comparison *comparison, const struct figure *figure)
{
    for (size_t v = 0; v < comparison->count; v++)
        if (isfinite(answer_figure(figure, &comparison->results[v]->answer)))
            return true;
    return false;
}

/* More than one device somewhere: only then are figures per device worth their row. */
static bool is_worth_a_row(const struct comparison *comparison, const struct figure *figure)
{
    if (!figure->compared || !anyone_knows(comparison, figure))
        return false;
    if (strstr(figure->key, "_per_device") == NULL)
        return true;
    for (size_t v = 0; v < comparison->count; v++)
        if (comparison->results[v]->answer.devices > 1)
            return true;
    return false;
}

static void figure_row(struct table *table, const struct comparison *comparison, const struct figure *figure,
                       struct arena *arena)
{
    table_row(table, TONE_PLAIN);
    table_text(table, figure->label);
    for (size_t v = 0; v < comparison->count; v++) {
        table_text(table, human(arena, figure->kind, answer_figure(figure, &comparison->results[v]->answer)));
        if (v == 0)
            continue;
        table_text(table, human_ratio(arena, ratio_to_first(comparison, figure, v)));
        table_tone(table, TONE_MUTED);
    }
}

static void devices_row(struct table *table, const struct comparison *comparison, struct arena *arena)
{
    table_row(table, TONE_PLAIN);
    table_text(table, "devices");
    for (size_t v = 0; v < comparison->count; v++) {
        table_text(table, arena_printf(arena, "%d", comparison->results[v]->answer.devices));
        if (v > 0)
            table_text(table, "");
    }
}

static void verdict_row(struct table *table, const struct comparison *comparison)
{
    table_row(table, TONE_PLAIN);
    table_text(table, "fits in memory");
    for (size_t v = 0; v < comparison->count; v++) {
        bool fits = comparison->results[v]->answer.memory.fits;
        table_text(table, fits ? "yes" : "no");
        table_tone(table, fits ? TONE_GOOD : TONE_BAD);
        if (v > 0)
            table_text(table, "");
    }
}

static void calibration_row(struct table *table, const struct comparison *comparison)
{
    table_row(table, TONE_PLAIN);
    table_text(table, "calibration");
    for (size_t v = 0; v < comparison->count; v++) {
        table_text(table, provenance_name(comparison->results[v]->answer.calibration));
        if (v > 0)
            table_text(table, "");
    }
}

struct table *compare_table(const struct comparison *comparison, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "figure", "", SIDE_LEFT, COLUMN_BOTH);
    for (size_t v = 0; v < comparison->count; v++) {
        table_column(table, comparison->labels[v], comparison->labels[v], SIDE_RIGHT, COLUMN_BOTH);
        if (v > 0)
            table_column(table, "ratio", "", SIDE_RIGHT, COLUMN_BOTH);
    }
    devices_row(table, comparison, arena);
    for (size_t f = 0; f < figure_count; f++)
        if (is_worth_a_row(comparison, &figures[f]))
            figure_row(table, comparison, &figures[f], arena);
    verdict_row(table, comparison);
    calibration_row(table, comparison);
    return table;
}

static json_t *ratios_json(const struct comparison *comparison, size_t variant)
{
    json_t *ratios = json_object();
    for (size_t f = 0; f < figure_count; f++)
        if (figures[f].compared)
            json_object_set_new(ratios, figures[f].key,
                                json_figure(ratio_to_first(comparison, &figures[f], variant)));
    return ratios;
}

json_t *compare_json(const struct comparison *comparison)
{
    json_t *object = json_object(), *variants = json_array();
    json_object_set_new(object, "schema_version", json_integer(SCHEMA_VERSION));
    for (size_t v = 0; v < comparison->count; v++) {
        json_t *variant = json_object();
        json_object_set_new(variant, "label", json_text(comparison->labels[v]));
        json_object_set_new(variant, "ratios", ratios_json(comparison, v));
        json_object_set_new(variant, "answer", answer_json(comparison->results[v], NULL));
        json_array_append_new(variants, variant);
    }
    json_t *refused = json_array();
    for (size_t r = 0; r < comparison->refused_count; r++)
        json_array_append_new(refused,
                              json_pack("{s:o, s:o}", "label", json_text(comparison->refused_labels[r]),
                                        "reason", json_text(comparison->refused_reasons[r])));
    json_object_set_new(object, "variants", variants);
    json_object_set_new(object, "refused", refused);
    return object;
}
