/* Reports of one estimate. */
#ifndef RAFTER_REPORT_ANSWER_H
#define RAFTER_REPORT_ANSWER_H

#include "report/json.h"
#include "report/result.h"
#include "report/table.h"

enum { SCHEMA_VERSION = 1 }; /* of the JSON documents: raised when a key changes its meaning or goes */

/* "Llama 3.1 8B · 8 x NVIDIA H100 SXM · vLLM 0.14": the first line of every report, and "batch 8 · prompt
 * 1024 · output 128 tokens · TP 8 · weights bf16 ...": the second. In the arena. */
const char *answer_title(const struct result *result, struct arena *arena);
const char *answer_setting(const struct result *result, struct arena *arena);

/* For people: latency, throughput, memory, energy and money, the operators that take the time, cautions.
 * fitting: what would fit, NULL when it does or is not known. */
void answer_text(const struct result *result, const struct fitting *fitting, bool colour, struct arena *arena,
                 struct text *out);
void answer_markdown(const struct result *result, const struct fitting *fitting, struct arena *arena,
                     struct text *out);
/* A header line and a line of all figures. */
struct table *answer_csv(const struct result *const *results, const char *const *labels, size_t count,
                         struct arena *arena);

/* The contract of docs/schemas.md. */
json_t *answer_json(const struct result *result, const struct fitting *fitting);
/* Of it, the figures alone, and the degrees. */
json_t *answer_figures_json(const struct answer *answer);
json_t *parallel_json(const struct parallelism *parallel);

/* "it would fit: batch 12 on 1 device; batch 64 on 4 devices (tensor parallel)". "" when neither is known. */
const char *fitting_line(const struct result *result, const struct fitting *fitting, struct arena *arena);

#endif
