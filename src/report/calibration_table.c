#include "report/description.h"

#include "base/quantity.h"

static const char *scalars_text(const struct calibration *calibration, struct arena *arena)
{
    const struct family_declaration *family = &families[calibration->family];
    const char *text = "";
    for (int i = 0; i < family->count && text != NULL; i++) {
        char value[64];
        if (!calibration->given[i])
            continue;
        text = arena_printf(
            arena, "%s%s%s %s", text, text[0] != '\0' ? ", " : "", family->scalars[i].name,
            quantity_format(calibration->values[i], family->scalars[i].dimension, value, sizeof value));
    }
    return text;
}

struct table *calibration_table(const struct calibration *calibrations, size_t count, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "family", "family", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "software", "software", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "format", "format", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "operand", "operand", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "provenance", "provenance", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "scalars", "scalars", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "residual", "residual", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "source", "source", SIDE_LEFT, COLUMN_DATA);
    for (size_t i = 0; i < count; i++) {
        const struct calibration *calibration = &calibrations[i];
        enum number_format format = (enum number_format)calibration->format;
        table_row(table, TONE_PLAIN);
        table_text(table, families[calibration->family].name);
        table_text(table, calibration->version == NULL
                              ? calibration->software
                              : arena_printf(arena, "%s %s", calibration->software, calibration->version));
        table_text(table, format == FORMAT_NONE ? "any" : number_format_name(format));
        table_text(table, operand_name((enum operand)calibration->operand));
        table_text(table, provenance_name((enum provenance)calibration->provenance));
        table_text(table, scalars_text(calibration, arena));
        table_number(table, calibration->residual, arena_printf(arena, "%.3g", calibration->residual));
        table_text(table, calibration->source);
    }
    return count > 0 ? table : NULL;
}
