/* Published figures of whole runs: CSV rows of a question, a metric and what was measured, and what rafter
 * answers. Columns: model, device, software, devices (cut by tensor parallelism), types (of weights, linear
 * inputs and KV cache alike), batch, prompt, output, metric (ttft_ms, tpot_ms, latency_ms, tokens_per_s,
 * tokens_per_s_per_device), measured. */
#ifndef RAFTER_VALIDATE_ANSWERS_H
#define RAFTER_VALIDATE_ANSWERS_H

#include "analyse/evaluate.h"
#include "base/csv.h"

struct published_row {
    struct question question;
    const char *metric;
    double measured, predicted;
    struct source_location where;
};

struct published_rows {
    struct published_row *rows;
    size_t count;
};

/* Reads a file; false with file:line:column in diag: a missing column, a bad number, an unknown metric. */
bool published_read(struct published_rows *list, struct arena *arena, struct diag *diag, const char *path);

/* Fills `predicted`; false with diag where a question has no answer. */
bool published_predict(struct published_row *row, struct evaluator *evaluator, struct diag *diag);

#endif
