#include "report/executor.h"

#include "report/human.h"

#include <math.h>
#include <string.h>

static const char *phase_name(bool decode)
{
    return decode ? "decode" : "prefill";
}

/* A model's file without its folders. */
static const char *model_name(const char *model)
{
    const char *slash = strrchr(model, '/');
    return slash ? slash + 1 : model;
}

static void run_columns(struct table *table)
{
    table_column(table, "model", "model", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "weights", "weights", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "kv", "KV", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "batch", "batch", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "prompt", "prompt", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "output", "output", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "chunk", "chunk", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "threads", "threads", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "phase", "phase", SIDE_LEFT, COLUMN_BOTH);
}

static void count_cell(struct table *table, int count, struct arena *arena)
{
    table_number(table, count, count > 0 ? human(arena, HUMAN_NUMBER, count) : "-");
}

static void run_cells(struct table *table, const struct executor_row *row, struct arena *arena)
{
    const struct executor_case *run = row->run;
    table_row(table, row->noisy ? TONE_MUTED : TONE_PLAIN);
    table_text(table, model_name(run->model));
    table_text(table, run->weights);
    table_text(table, run->kv);
    count_cell(table, run->batch, arena);
    count_cell(table, run->prompt, arena);
    count_cell(table, run->output, arena);
    count_cell(table, run->chunk, arena);
    count_cell(table, run->threads, arena);
    table_text(table, phase_name(row->decode));
}

static void time_columns(struct table *table)
{
    table_column(table, "measured_s", "measured", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "predicted_s", "predicted", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "error", "error", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "noisy", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "read_bandwidth", "read", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "fp32_flops", "fp32", SIDE_RIGHT, COLUMN_BOTH);
}

static void time_cells(struct table *table, const struct executor_row *row, double allowed,
                       struct arena *arena)
{
    double error = executor_row_error(row);
    table_number(table, row->measured, human(arena, HUMAN_SECONDS, row->measured));
    table_number(table, row->predicted, human(arena, HUMAN_SECONDS, row->predicted));
    table_number(table, error, arena_printf(arena, "%+.1f%%", 100 * error));
    if (!row->noisy && fabs(error) > allowed)
        table_tone(table, TONE_WARN);
    table_text(table, row->noisy ? "noisy" : "");
    table_number(table, row->pace.bandwidth, human(arena, HUMAN_BYTES_PER_SECOND, row->pace.bandwidth));
    table_number(table, row->pace.flops, human(arena, HUMAN_FLOP_PER_SECOND, row->pace.flops));
}

struct table *executor_runs_table(const struct executor_result *result, struct arena *arena)
{
    struct table *table = table_new(arena);
    run_columns(table);
    time_columns(table);
    for (size_t i = 0; i < result->count; i++) {
        const struct executor_row *row = &result->rows[i];
        if (row->op)
            continue;
        run_cells(table, row, arena);
        time_cells(table, row, result->suite->max_phase_mape, arena);
    }
    return table;
}

struct table *executor_rows_table(const struct executor_result *result, struct arena *arena)
{
    struct table *table = table_new(arena);
    run_columns(table);
    table_column(table, "op", "operator", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "share", "share", SIDE_RIGHT, COLUMN_BOTH);
    time_columns(table);
    for (size_t i = 0; i < result->count; i++) {
        const struct executor_row *row = &result->rows[i];
        run_cells(table, row, arena);
        table_text(table, row->op ? row->op : "");
        table_number(table, row->share, human_percent(arena, row->share));
        time_cells(table, row, row->op ? result->suite->max_op_mape : result->suite->max_phase_mape, arena);
    }
    return table;
}

struct table *executor_errors_table(const struct executor_result *result, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "phase", "phase", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "op", "operator", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "share", "share", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "n", "n", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape", "MAPE", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "median", "median", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "p90", "p90", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "bias", "bias", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "allowed", "allowed", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t g = 0; g < result->group_count; g++) {
        const struct executor_group_error *group = &result->groups[g];
        const struct error_summary *error = &group->error;
        double allowed = executor_allowed(result->suite, group);
        table_row(table, group->op ? TONE_PLAIN : TONE_STRONG);
        table_text(table, phase_name(group->decode));
        table_text(table, group->op ? group->op : "all");
        table_number(table, group->share, human_percent(arena, group->share));
        table_number(table, (double)error->count, human(arena, HUMAN_NUMBER, (double)error->count));
        table_number(table, error->mean_absolute, human_percent(arena, error->mean_absolute));
        table_tone(table, error->mean_absolute <= allowed ? TONE_GOOD : TONE_BAD);
        table_number(table, error->median, human_percent(arena, error->median));
        table_number(table, error->p90, human_percent(arena, error->p90));
        table_number(table, error->bias, arena_printf(arena, "%+.1f%%", 100 * error->bias));
        table_number(table, allowed, human_percent(arena, allowed));
    }
    return table;
}

void executor_summary(const struct executor_result *result, struct arena *arena, struct text *out)
{
    text_printf(out, "%zu runs", result->runs);
    if (result->noisy_runs > 0)
        text_printf(out, ", %zu of them noisy and not judged", result->noisy_runs);
    for (size_t g = 0; g < result->group_count; g++) {
        const struct executor_group_error *group = &result->groups[g];
        if (!group->op)
            text_printf(out, "; %s MAPE %s of %s allowed", phase_name(group->decode),
                        human_percent(arena, group->error.mean_absolute),
                        human_percent(arena, executor_allowed(result->suite, group)));
    }
    text_add(out, result->passed ? ": passed\n" : ": FAILED\n");
}

static json_t *error_json(const struct executor_suite *suite, const struct executor_group_error *group)
{
    json_t *object = json_object();
    json_object_set_new(object, "phase", json_text(phase_name(group->decode)));
    json_object_set_new(object, "op", json_text(group->op));
    json_object_set_new(object, "n", json_count((double)group->error.count));
    json_object_set_new(object, "mape", json_figure(group->error.mean_absolute));
    json_object_set_new(object, "median", json_figure(group->error.median));
    json_object_set_new(object, "p90", json_figure(group->error.p90));
    json_object_set_new(object, "bias", json_figure(group->error.bias));
    json_object_set_new(object, "share", json_figure(group->share));
    json_object_set_new(object, "allowed", json_figure(executor_allowed(suite, group)));
    return object;
}

static json_t *row_json(const struct executor_row *row)
{
    const struct executor_case *run = row->run;
    json_t *object = json_object();
    json_object_set_new(object, "model", json_text(model_name(run->model)));
    json_object_set_new(object, "weights", json_text(run->weights));
    json_object_set_new(object, "kv", json_text(run->kv));
    json_object_set_new(object, "batch", json_count(run->batch));
    json_object_set_new(object, "prompt", json_count(run->prompt));
    json_object_set_new(object, "output", json_count(run->output));
    json_object_set_new(object, "chunk", json_count(run->chunk));
    json_object_set_new(object, "threads", json_count(run->threads));
    json_object_set_new(object, "phase", json_text(phase_name(row->decode)));
    json_object_set_new(object, "op", json_text(row->op));
    json_object_set_new(object, "measured_s", json_figure(row->measured));
    json_object_set_new(object, "predicted_s", json_figure(row->predicted));
    json_object_set_new(object, "error", json_figure(executor_row_error(row)));
    json_object_set_new(object, "share", json_figure(row->share));
    json_object_set_new(object, "noisy", json_boolean(row->noisy));
    json_object_set_new(object, "read_bandwidth", json_figure(row->pace.bandwidth));
    json_object_set_new(object, "fp32_flops", json_figure(row->pace.flops));
    return object;
}

json_t *executor_json(const struct executor_result *result)
{
    json_t *object = json_object(), *errors = json_array(), *rows = json_array();
    for (size_t g = 0; g < result->group_count; g++)
        json_array_append_new(errors, error_json(result->suite, &result->groups[g]));
    for (size_t i = 0; i < result->count; i++)
        json_array_append_new(rows, row_json(&result->rows[i]));
    json_object_set_new(object, "suite", json_text(result->suite->name));
    json_object_set_new(object, "runs", json_count((double)result->runs));
    json_object_set_new(object, "noisy", json_count((double)result->noisy_runs));
    json_object_set_new(object, "passed", json_boolean(result->passed));
    json_object_set_new(object, "errors", errors);
    json_object_set_new(object, "rows", rows);
    return object;
}
