#include "validate/executor_rows.h"

#include "base/csv.h"

#include <string.h>

enum column {
    COLUMN_MODEL,
    COLUMN_WEIGHTS,
    COLUMN_KV,
    COLUMN_BATCH,
    COLUMN_PROMPT,
    COLUMN_OUTPUT,
    COLUMN_CHUNK,
    COLUMN_THREADS,
    COLUMN_PHASE,
    COLUMN_OP,
    COLUMN_MEASURED,
    COLUMN_NOISY,
    COLUMN_READ_BANDWIDTH,
    COLUMN_FP32_FLOPS,
    COLUMN_COUNT
};
static const char *const column_names[COLUMN_COUNT] = {
    "model",   "weights", "kv", "batch",      "prompt", "output",         "chunk",
    "threads", "phase",   "op", "measured_s", "noisy",  "read_bandwidth", "fp32_flops"};

struct rows {
    struct csv_table table;
    int columns[COLUMN_COUNT];
    struct arena *arena;
    struct diag *diag;
};

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool open_rows(struct rows *rows, const char *path)
{
    const size_t limit = (size_t)64 << 20;
    if (!csv_read(&rows->table, rows->arena, rows->diag, path, limit))
        return false;
    for (int c = 0; c < COLUMN_COUNT; c++) {
        rows->columns[c] = csv_column(&rows->table, column_names[c]);
        if (rows->columns[c] == CSV_NO_COLUMN)
            return diag_error(rows->diag, (struct source_location){path, rows->table.header_line, 1},
                              "no column %s, which --rows-out of `rafter validate executor` writes",
                              column_names[c]);
    }
    return true;
}

static bool number(struct rows *rows, const struct csv_row *row, enum column column, double *value)
{
    return csv_number(&rows->table, row, rows->columns[column], rows->diag, value);
}

static bool same_text(const struct rows *rows, const struct csv_row *row, enum column column,
                      const char *text)
{
    return strcmp(row->cells[rows->columns[column]], text) == 0;
}

/* Whether the row is of the case; false with *ok false where a number is none. */
static bool is_of(struct rows *rows, const struct csv_row *row, const struct executor_case *run, bool *ok)
{
    const int counts[] = {run->batch, run->prompt, run->output, run->chunk, run->threads};
    if (!same_text(rows, row, COLUMN_MODEL, file_name(run->model)) ||
        !same_text(rows, row, COLUMN_WEIGHTS, run->weights) || !same_text(rows, row, COLUMN_KV, run->kv))
        return false;
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
        double value;
        *ok = *ok && number(rows, row, (enum column)(COLUMN_BATCH + i), &value);
        if (!*ok || (int)value != counts[i])
            return false;
    }
    return true;
}

/* The whole phase, or one operator of it. */
static bool take(struct rows *rows, const struct csv_row *row, struct executor_times *times)
{
    double seconds;
    const char *op = row->cells[rows->columns[COLUMN_OP]];
    struct phase_times *phase =
        same_text(rows, row, COLUMN_PHASE, "decode") ? &times->decode : &times->prefill;
    if (!number(rows, row, COLUMN_MEASURED, &seconds) ||
        !number(rows, row, COLUMN_READ_BANDWIDTH, &times->pace.bandwidth) ||
        !number(rows, row, COLUMN_FP32_FLOPS, &times->pace.flops))
        return false;
    if (op[0] == '\0')
        phase->seconds = seconds;
    else if (seconds > 0 && phase->op_count < OPS_TIMED_MOST)
        phase->ops[phase->op_count++] = (struct op_time){.name = op, .seconds = seconds, .count = 1};
    times->runs = same_text(rows, row, COLUMN_NOISY, "noisy") ? 0 : 1;
    return true;
}

bool executor_rows_read(struct arena *arena, struct diag *diag, const char *path,
                        const struct executor_case *cases, size_t count, struct executor_times *times)
{
    struct rows rows = {.arena = arena, .diag = diag};
    if (!open_rows(&rows, path))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool ok = true, found = false;
        times[i] = (struct executor_times){.runs = 0};
        for (size_t r = 0; ok && r < rows.table.row_count; r++)
            if (is_of(&rows, &rows.table.rows[r], &cases[i], &ok))
                found = ok = take(&rows, &rows.table.rows[r], &times[i]);
        if (!ok)
            return false;
        if (!found)
            return diag_error(diag, cases[i].group->where,
                              "%s has no runs of %s, weights %s, batch %d, prompt %d", path,
                              file_name(cases[i].model), cases[i].weights, cases[i].batch, cases[i].prompt);
    }
    return true;
}
