#include "validate/answers.h"

#include <string.h>

enum { FILE_MOST = 16 << 20 };

static const char *const metrics[] = {"ttft_ms", "tpot_ms", "latency_ms", "tokens_per_s",
                                      "tokens_per_s_per_device"};

static const char *const columns[] = {"model", "device", "software", "devices", "types",
                                      "batch", "prompt", "output",   "metric",  "measured"};
enum column {
    COLUMN_MODEL,
    COLUMN_DEVICE,
    COLUMN_SOFTWARE,
    COLUMN_DEVICES,
    COLUMN_TYPES,
    COLUMN_BATCH,
    COLUMN_PROMPT,
    COLUMN_OUTPUT,
    COLUMN_METRIC,
    COLUMN_MEASURED,
    COLUMN_COUNT
};

static bool find_columns(const struct csv_table *table, struct diag *diag, int at[COLUMN_COUNT])
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        at[i] = csv_column(table, columns[i]);
        if (at[i] == CSV_NO_COLUMN)
            return diag_error(diag, (struct source_location){table->path, 1, 1}, "no column \"%s\"",
                              columns[i]);
    }
    return true;
}

static bool positive(const struct csv_table *table, const struct csv_row *row, int column, struct diag *diag,
                     double *value)
{
    if (!csv_number(table, row, column, diag, value))
        return false;
    const double most = 1e12;
    return (*value > 0 && *value <= most) ||
           diag_error(diag, csv_where(table, row, column), "%s: found %g, expected more than 0",
                      table->columns[column], *value);
}

static bool known_metric(const char *name)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i], name) == 0)
            return true;
    return false;
}

/* Benchmarks ran past the contexts that some models were trained for. */
static bool set_context(struct arena *arena, struct question *question)
{
    const char **items = ARENA_ARRAY(arena, const char *, 1);
    if (items)
        items[0] = arena_printf(arena, "model.max_context=%.0f", question->prompt + question->output);
    question->settings = (struct string_list){items, 1};
    return items && items[0];
}

static bool read_row(struct arena *arena, struct diag *diag, const struct csv_table *table,
                     const struct csv_row *row, const int at[COLUMN_COUNT], struct published_row *read)
{
    struct question *question = &read->question;
    double devices;
    const char *types = row->cells[at[COLUMN_TYPES]];
    *read =
        (struct published_row){.metric = row->cells[at[COLUMN_METRIC]], .where = {table->path, row->line, 1}};
    *question = (struct question){.model = row->cells[at[COLUMN_MODEL]],
                                  .device = row->cells[at[COLUMN_DEVICE]],
                                  .software = row->cells[at[COLUMN_SOFTWARE]],
                                  .weights = types,
                                  .activations = types,
                                  .kv = types};
    if (!positive(table, row, at[COLUMN_DEVICES], diag, &devices) ||
        !positive(table, row, at[COLUMN_BATCH], diag, &question->batch) ||
        !positive(table, row, at[COLUMN_PROMPT], diag, &question->prompt) ||
        !positive(table, row, at[COLUMN_OUTPUT], diag, &question->output) ||
        !positive(table, row, at[COLUMN_MEASURED], diag, &read->measured))
        return false;
    if (!known_metric(read->metric))
        return diag_error(diag, csv_where(table, row, at[COLUMN_METRIC]),
                          "metric: found \"%s\", expected ttft_ms, tpot_ms, latency_ms, tokens_per_s or "
                          "tokens_per_s_per_device",
                          read->metric);
    const double devices_most = 4096;
    question->devices = (int)(devices < devices_most ? devices : devices_most);
    question->parallel.tp = question->devices;
    return set_context(arena, question) || diag_error(diag, NOWHERE, "out of memory");
}

bool published_read(struct published_rows *list, struct arena *arena, struct diag *diag, const char *path)
{
    struct csv_table table;
    int at[COLUMN_COUNT];
    if (!csv_read(&table, arena, diag, path, FILE_MOST) || !find_columns(&table, diag, at))
        return false;
    *list = (struct published_rows){ARENA_ARRAY(arena, struct published_row, table.row_count + 1), 0};
    if (!list->rows)
        return diag_error(diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < table.row_count; i++)
        if (!read_row(arena, diag, &table, &table.rows[i], at, &list->rows[list->count++]))
            return false;
    return true;
}

static double figure_of(const struct answer *answer, const char *metric)
{
    const double ms = 1e3;
    if (strcmp(metric, "ttft_ms") == 0)
        return answer->ttft_s * ms;
    if (strcmp(metric, "tpot_ms") == 0)
        return answer->tpot_s * ms;
    if (strcmp(metric, "latency_ms") == 0)
        return answer->latency_s * ms;
    if (strcmp(metric, "tokens_per_s") == 0)
        return answer->throughput_tokens_per_s;
    return answer->throughput_tokens_per_s_per_device;
}

bool published_predict(struct published_row *row, struct evaluator *evaluator, struct diag *diag)
{
    struct answer answer;
    const char *reason;
    if (!evaluate(evaluator, &row->question, &answer, NULL, &reason))
        return diag_error(diag, row->where, "%s", reason);
    row->predicted = figure_of(&answer, row->metric);
    return true;
}
