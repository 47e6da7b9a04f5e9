/* Inquiries: commands that put many questions (solve, sensitivity), with what they share. */
#ifndef RAFTER_CLI_INQUIRY_H
#define RAFTER_CLI_INQUIRY_H

#include "analyse/objective.h"
#include "analyse/evaluate.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "report/asked.h"

struct inquiry {
    struct session *session;
    struct question question; /* as the options put it */
    struct evaluator evaluator;
    struct progress progress;
    struct asked asked; /* for the report */
};

/* Reads question and limits from the options, checks that model and device are there, and makes ready to
 * evaluate. false with errors; inquiry_close is due either way. */
bool inquiry_open(struct inquiry *inquiry, struct session *session);
void inquiry_close(struct inquiry *inquiry);

/* The device by name with its --set, once for all evaluations: what is varied. false with errors. */
bool inquiry_read_system(struct inquiry *inquiry);

/* --objective, or throughput; false with an error. */
bool inquiry_objective(struct session *session, enum objective *objective);

/* How many devices the question means: -n, or the system's own count. */
int inquiry_devices(struct inquiry *inquiry);

/* Title and setting of the report from a question that has an answer, of which there are `replicas`; left as
 * they are when it has none. */
void inquiry_entitle(struct inquiry *inquiry, const struct question *question, int replicas);

/* Writes a document, taking its reference. */
enum exit_status inquiry_put_json(struct inquiry *inquiry, json_t *document);

#define OPTIONS_LIMITS                                                                                       \
    (OPTION_BIT(OPTION_MAX_TTFT) | OPTION_BIT(OPTION_MAX_TPOT) | OPTION_BIT(OPTION_MAX_LATENCY) |            \
     OPTION_BIT(OPTION_MAX_COST) | OPTION_BIT(OPTION_MAX_MEMORY) | OPTION_BIT(OPTION_MIN_THROUGHPUT))

#endif
