#include "report/calibrated.h"

#include "report/human.h"
#include "report/sample_counts.h"

#include <math.h>

/* "t0 4.21 ± 0.02 us"; a scalar without an error stands at a bound, or where samples feel it no longer. */
static const char *scalar_words(struct arena *arena, const struct scalar_declaration *scalar, double value,
                                double error)
{
    bool time = scalar->dimension == DIM_SECONDS;
    double unit = time ? 1e-6 : 1;
    const char *tail = time ? " us" : "";
    if (error > 0)
        return arena_printf(arena, "%s %.3g ± %.1g%s", scalar->name, value / unit, error / unit, tail);
    return arena_printf(arena, "%s %.3g%s", scalar->name, value / unit, tail);
}

static const char *scalars_words(struct arena *arena, const struct calibration *calibration)
{
    const struct family_declaration *family = &families[calibration->family];
    const char *words = "";
    for (int i = 0; i < family->count && words; i++)
        if (calibration->given[i])
            words = arena_printf(arena, "%s%s%s", words, words[0] != '\0' ? ", " : "",
                                 scalar_words(arena, &family->scalars[i], calibration->values[i],
                                              calibration->standard_errors[i]));
    return words;
}

struct table *calibrated_table(const struct calibrated *calibrated, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "family", "family", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "source", "source", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "dtype", "types", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "n", "n", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape_before", "MAPE before", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape_after", "after", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "residual", "residual", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "scalars", "scalars ± standard error", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < calibrated->count; i++) {
        const struct calibrated_block *block = &calibrated->blocks[i];
        double after = block->refused ? NAN : block->after.mean_absolute;
        double residual = block->refused ? NAN : block->calibration.residual;
        table_row(table, block->refused ? TONE_MUTED : TONE_PLAIN);
        table_text(table, families[block->of->family].name);
        table_text(table, block->of->source);
        table_text(table, block->of->dtype);
        table_number(table, (double)block->samples, human(arena, HUMAN_NUMBER, (double)block->samples));
        table_number(table, block->before.mean_absolute, human_percent(arena, block->before.mean_absolute));
        table_number(table, after, block->refused ? "-" : human_percent(arena, after));
        table_number(table, residual, block->refused ? "-" : arena_printf(arena, "%.3f", residual));
        table_text(table, block->refused ? "not fitted" : scalars_words(arena, &block->calibration));
    }
    return table;
}

static json_t *scalars_json(const struct calibration *calibration)
{
    const struct family_declaration *family = &families[calibration->family];
    json_t *object = json_object();
    for (int i = 0; i < family->count; i++) {
        if (!calibration->given[i])
            continue;
        double error = calibration->standard_errors[i];
        json_t *scalar = json_object();
        json_object_set_new(scalar, "value", json_figure(calibration->values[i]));
        json_object_set_new(scalar, "standard_error", json_figure(error > 0 ? error : NAN));
        json_object_set_new(object, family->scalars[i].name, scalar);
    }
    return object;
}

static json_t *block_json(const struct calibrated_block *block)
{
    json_t *object = json_object();
    json_object_set_new(object, "family", json_text(families[block->of->family].name));
    json_object_set_new(object, "dtype", json_text(block->of->dtype));
    json_object_set_new(object, "source", json_text(block->of->source));
    json_object_set_new(
        object, "format",
        json_text(block->of->format == FORMAT_NONE ? "any" : number_format_name(block->of->format)));
    json_object_set_new(object, "operand", json_text(operand_name(block->of->operand)));
    json_object_set_new(object, "n", json_count((double)block->samples));
    json_object_set_new(object, "mape_before", json_figure(block->before.mean_absolute));
    if (block->refused) {
        json_object_set_new(object, "reason", json_text(block->refused));
        return object;
    }
    json_object_set_new(object, "mape_after", json_figure(block->after.mean_absolute));
    json_object_set_new(object, "residual", json_figure(block->calibration.residual));
    json_object_set_new(object, "parameters", json_figure(block->calibration.parameters));
    json_object_set_new(object, "scalars", scalars_json(&block->calibration));
    return object;
}

json_t *calibrated_json(const struct sample_set *set, const struct calibrated *calibrated,
                        const char *written)
{
    json_t *object = json_object(), *blocks = json_array(), *refused = json_array();
    sample_counts_json(set, object);
    for (size_t i = 0; i < calibrated->count; i++)
        json_array_append_new(calibrated->blocks[i].refused ? refused : blocks,
                              block_json(&calibrated->blocks[i]));
    json_object_set_new(object, "blocks", blocks);
    json_object_set_new(object, "refused", refused);
    json_object_set_new(object, "written", json_text(written));
    return object;
}
