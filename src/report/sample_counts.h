/* What became of the rows of sample files: for the reports of fits and validations. */
#ifndef RAFTER_REPORT_SAMPLE_COUNTS_H
#define RAFTER_REPORT_SAMPLE_COUNTS_H

#include "fit/samples.h"
#include "report/json.h"
#include "report/tone.h"

/* "NVIDIA A100 SXM4 80 GB  a100-80gb-sxm" and "12 500 rows of it, 12 500 of other devices, 69 skipped". */
void sample_counts_text(const struct sample_set *set, bool colour, bool markdown, struct arena *arena,
                        struct text *out);
/* A line for each reason for which rows were skipped. */
void skipped_text(const struct sample_set *set, bool colour, bool markdown, struct arena *arena,
                  struct text *out);

/* Adds device, samples, other_devices {count, names} and skipped [{reason, family, dtype, source, count,
 * file, line}] to an object. */
void sample_counts_json(const struct sample_set *set, json_t *object);

/* A heading of its own line. */
void samples_heading(const char *heading, bool colour, bool markdown, struct text *out);

#endif
