/* What inverse questions and searches were asked: the head of their reports. */
#ifndef RAFTER_REPORT_ASKED_H
#define RAFTER_REPORT_ASKED_H

#include "analyse/evaluate.h"
#include "report/json.h"
#include "report/table.h"

struct asked {
    const char *model, *device, *software; /* ids */
    const char *title;                     /* "Llama 3.1 8B · 1 x NVIDIA H100 SXM · vLLM 0.14" */
    const char *setting;                   /* "batch 8 · prompt 1024 ..."; "" when it has no answer */
    struct limits limits;
    bool limits_of_workload; /* the workload's objectives, as no flag gave any */
    bool colour, markdown;
};

/* {schema_version, model, device, software, limits{}}, to which a report adds its own. */
json_t *asked_json(const struct asked *asked);

/* Title and setting. */
void asked_text(const struct asked *asked, struct text *out);
/* "limits: TTFT 500 ms, TPOT 50 ms (objectives of the workload), memory" */
const char *limits_line(const struct asked *asked, struct arena *arena);

/* "TTFT", "memory"; the limit's figures as people read them, "-" where it has none. */
const char *limit_label(enum limit limit);
const char *limit_human(struct arena *arena, enum limit limit, double value);

/* A heading of its own line, and a table below it, as the format has them. */
void asked_heading(const struct asked *asked, const char *heading, struct text *out);
void asked_table(const struct asked *asked, const struct table *table, struct text *out);

#endif
