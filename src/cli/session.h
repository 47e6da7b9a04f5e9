/* A session: one run of the program, from its words to its exit status. Commands fill `out` and return a
 * status; what they cannot do they say in `diag`. Only session_finish writes. */
#ifndef RAFTER_CLI_SESSION_H
#define RAFTER_CLI_SESSION_H

#include "cli/options.h"
#include "report/result.h"
#include "report/table.h"
#include "spec/catalogue.h"

enum exit_status {
    STATUS_YES = 0,
    STATUS_NO = 1, /* answered, and the answer is no: it does not fit, an objective is missed */
    STATUS_BAD = 2 /* bad usage or input, or the answer could not be written */
};

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV, OUTPUT_MARKDOWN };

struct session {
    struct arena *arena;
    struct diag diag;
    struct catalogue catalogue;
    struct options options;
    enum output_format format;
    bool colour;      /* of out */
    const char *file; /* where out goes; NULL: standard output */
    struct text out;
};

/* Opens the arena and the catalogue. false when memory is out. */
bool session_open(struct session *session);

/* Chooses format, colour and file by the parsed options. false with an error: two formats at once. */
bool session_choose_format(struct session *session);

/* Writes `out` to standard output or -o FILE unless status is BAD, then the messages to standard error; frees
 * all. Returns the status to exit with: BAD when something could not be written. */
enum exit_status session_finish(struct session *session, enum exit_status status);

/* Writes a table to `out` in the session's format. */
enum exit_status session_put(struct session *session, const struct table *table);

/* The error as a status: STATUS_BAD. */
enum exit_status session_refuse(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The question that the options put. */
bool session_question(struct session *session, struct question *question);

/* Resolves a question and estimates it; both live in the session's arena. NULL with errors. */
struct result *session_estimate(struct session *session, const struct question *question);

/* What would fit when the result does not; NULL when it does or that cannot be said. */
const struct fitting *session_fitting(struct session *session, const struct result *result);

#endif
