#include "report/ops.h"

#include "report/human.h"

#include <math.h>

/* Exposed times are worth a column for people only where something overlaps. */
static bool overlaps(const struct phase_cost *phases, int count)
{
    for (int p = 0; p < count; p++)
        for (int i = 0; i < phases[p].plan->graph.op_count; i++) {
            const struct step_op *op = &phases[p].step.ops[i];
            if (fabs(op->exposed - op->time) > 1e-9 * op->time)
                return true;
        }
    return false;
}

static void ops_columns(struct table *table, bool many_phases, bool overlapping)
{
    table_column(table, "phase", "phase", SIDE_LEFT, many_phases ? COLUMN_BOTH : COLUMN_DATA);
    table_column(table, "name", "operator", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "kind", "kind", SIDE_LEFT, COLUMN_DATA);
    table_column(table, "count", "count", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "flops", "FLOPs", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "bytes", "bytes", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "weight_bytes", "weights", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "activation_bytes", "activations", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "kv_read_bytes", "KV read", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "kv_write_bytes", "KV write", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "wire_bytes", "wire", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "intensity", "FLOP/B", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "attainable_flops_per_s", "attainable", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "time_s", "time", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "exposed_s", "exposed", SIDE_RIGHT, overlapping ? COLUMN_BOTH : COLUMN_DATA);
    table_column(table, "share", "share", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "bound", "bound", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "percent_of_roof", "of roof", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "energy_j", "energy", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "compute_energy_j", "compute energy", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "cache_energy_j", "cache energy", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "memory_energy_j", "memory energy", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "link_energy_j", "link energy", SIDE_RIGHT, COLUMN_DATA);
}

/* Zeros are left out for people: most operators touch two of the five classes. */
static void number_or_blank(struct table *table, struct arena *arena, enum human_kind kind, double value)
{
    table_number(table, value, value == 0.0 || isnan(value) ? "" : human(arena, kind, value));
}

static void ops_row(struct table *table, struct arena *arena, const char *phase, const struct op_row *row)
{
    const enum human_kind kind = HUMAN_BYTES;
    table_row(table, TONE_PLAIN);
    table_text(table, phase);
    table_text(table, row->name);
    table_text(table, row->kind);
    table_number(table, row->count, human(arena, HUMAN_NUMBER, row->count));
    number_or_blank(table, arena, HUMAN_PARTS, row->flops);
    number_or_blank(table, arena, kind, row->moved);
    for (int c = 0; c < BYTE_CLASS_COUNT; c++)
        number_or_blank(table, arena, kind, row->bytes[c]);
    number_or_blank(table, arena, HUMAN_NUMBER, row->intensity);
    number_or_blank(table, arena, HUMAN_FLOP_PER_SECOND, row->attainable);
    table_number(table, row->time, human(arena, HUMAN_SECONDS, row->time));
    table_number(table, row->exposed, human(arena, HUMAN_SECONDS, row->exposed));
    table_number(table, row->share, human_percent(arena, row->share));
    table_text(table, arena_strdup(arena, row->bound));
    table_number(table, 100.0 * row->roof, human_percent(arena, row->roof));
    number_or_blank(table, arena, HUMAN_JOULES, row->energy);
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        number_or_blank(table, arena, HUMAN_JOULES, row->energy_parts[e]);
}

static struct op_row host_row(const struct phase_cost *phase)
{
    double whole = phase_rank_time(phase);
    struct op_row row = {.name = "host gap",
                         .kind = "host",
                         .count = phase->steps,
                         .intensity = (double)NAN,
                         .attainable = (double)NAN,
                         .time = phase->step.host_gap,
                         .exposed = phase->step.host_gap,
                         .share = whole > 0.0 ? phase->step.host_gap / whole : 0.0,
                         .bound = "host"};
    return row;
}

static void phase_rows(struct table *table, struct arena *arena, const struct phase_cost *phase)
{
    struct op_row row;
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        op_row_make(&row, phase, i);
        if (op_row_active(&row))
            ops_row(table, arena, phase->name, &row);
    }
    if (phase->step.host_gap > 0.0) {
        row = host_row(phase);
        ops_row(table, arena, phase->name, &row);
    }
}

struct table *ops_table(const struct phase_cost *phases, int count, struct arena *arena)
{
    struct table *table = table_new(arena);
    ops_columns(table, count > 1, overlaps(phases, count));
    for (int i = 0; i < count; i++)
        phase_rows(table, arena, &phases[i]);
    return table;
}

void phase_heading(const struct phase_cost *phase, bool markdown, bool colour, struct arena *arena,
                   struct text *out)
{
    text_add(out, markdown ? "\n### " : "\n");
    tone_add(out, colour, TONE_STRONG, phase->name);
    text_printf(out, "%s%s in %s %s", markdown ? "\n\n" : "  ", human(arena, HUMAN_SECONDS, phase->time_s),
                human(arena, HUMAN_NUMBER, phase->steps), phase->steps == 1.0 ? "step" : "steps");
    text_printf(out, " · %s · %s moved\n%s", human(arena, HUMAN_FLOP, phase->flops),
                human(arena, HUMAN_BYTES, phase->bytes), markdown ? "\n" : "");
}

json_t *op_json(const struct op_row *row)
{
    json_t *op = json_object();
    json_object_set_new(op, "name", json_text(row->name));
    json_object_set_new(op, "kind", json_text(row->kind));
    json_object_set_new(op, "count", json_count(row->count));
    json_object_set_new(op, "flops", json_figure(row->flops));
    json_object_set_new(op, "bytes", json_figure(row->moved));
    json_t *classes = json_object();
    for (int c = 0; c < BYTE_CLASS_COUNT; c++)
        json_object_set_new(classes, byte_class_name((enum byte_class)c), json_figure(row->bytes[c]));
    json_object_set_new(op, "bytes_by_class", classes);
    json_object_set_new(op, "intensity", json_figure(row->intensity));
    json_object_set_new(op, "attainable_flops_per_s", json_figure(row->attainable));
    json_object_set_new(op, "time_s", json_figure(row->time));
    json_object_set_new(op, "exposed_s", json_figure(row->exposed));
    json_object_set_new(op, "share", json_figure(row->share));
    json_object_set_new(op, "bound", json_text(row->bound));
    json_object_set_new(op, "percent_of_roof", json_figure(100.0 * row->roof));
    json_object_set_new(op, "energy_j", json_figure(row->energy));
    json_t *parts = json_object();
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        json_object_set_new(parts, energy_part_name((enum energy_part)e), json_figure(row->energy_parts[e]));
    json_object_set_new(op, "energy_by_part_j", parts);
    return op;
}

json_t *phase_json(const struct phase_cost *phase)
{
    json_t *object = json_object();
    json_object_set_new(object, "time_s", json_figure(phase->time_s));
    json_object_set_new(object, "flops", json_figure(phase->flops));
    json_object_set_new(object, "bytes", json_figure(phase->bytes));
    json_object_set_new(object, "steps", json_count(phase->steps));
    json_object_set_new(object, "host_gap_s", json_figure(phase->step.host_gap));
    json_t *ops = json_array();
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        struct op_row row;
        op_row_make(&row, phase, i);
        if (op_row_active(&row))
            json_array_append_new(ops, op_json(&row));
    }
    json_object_set_new(object, "ops", ops);
    return object;
}
