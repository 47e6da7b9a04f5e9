#include "cli/page.h"

#include "report/json.h"
#include "spec/element_type.h"

static void type_row(struct table *table, const char *name, double value, const char *shown)
{
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_number(table, value, shown);
}

enum exit_status show_type(struct session *session, const char *name)
{
    static const char *const grains[] = {"none", "a tensor", "a channel", "a group", "a block"};
    struct element_type type;
    struct arena *arena = session->arena;
    if (!element_type_parse(name, &type))
        return session_refuse(session, "there is no element type \"%.80s\"; `rafter list types` tells them",
                              name);
    double each = element_bytes_each(&type);
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out,
                        json_pack("{s:s, s:s, s:f, s:s, s:i, s:f, s:f, s:f}", "name", type.name, "format",
                                  number_format_name(type.format), "value_bits", type.value_bits,
                                  "scales_per", grains[type.grain], "group_size", type.group_size,
                                  "scale_bits", type.scale_bits, "zero_bits", type.zero_bits, "bytes_each",
                                  each))
                   ? STATUS_YES
                   : session_refuse(session, "out of memory");
    struct table *table = table_new(arena);
    table_column(table, "figure", "element type", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "value", type.name, SIDE_RIGHT, COLUMN_BOTH);
    table_row(table, TONE_PLAIN);
    table_text(table, "computes in");
    table_text(table, number_format_name(type.format));
    type_row(table, "bits of a value", type.value_bits, arena_printf(arena, "%g", type.value_bits));
    table_row(table, TONE_PLAIN);
    table_text(table, "one scale for");
    table_text(table, type.group_size > 0
                          ? arena_printf(arena, "%s of %d", grains[type.grain], type.group_size)
                          : grains[type.grain]);
    type_row(table, "bits of a scale", type.scale_bits, arena_printf(arena, "%g", type.scale_bits));
    type_row(table, "bits of a zero point", type.zero_bits, arena_printf(arena, "%g", type.zero_bits));
    type_row(table, "bytes of an element, all in all", each, arena_printf(arena, "%.6g", each));
    return session_put(session, table);
}
