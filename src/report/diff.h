/* What changed between two answers of `rafter estimate --json`: inputs, figures, operators. */
#ifndef RAFTER_REPORT_DIFF_H
#define RAFTER_REPORT_DIFF_H

#include "report/json.h"
#include "report/table.h"

enum diff_kind { DIFF_INPUT, DIFF_FIGURE, DIFF_OPERATOR };

/* One thing that differs. Inputs have texts; figures and operators' times numbers, NAN where one side has
 * none. */
struct change {
    enum diff_kind kind;
    const char *name;           /* "parallel.tp", "ttft_s", "memory.kv_bytes", "decode.gate_up_proj" */
    const char *before, *after; /* for people */
    double from, to;
};

enum { CHANGES_MOST = 1024 };
struct diff {
    const char *names[2]; /* of the documents */
    struct change *list;  /* inputs, figures, then operators by how much they change, most first */
    size_t count, inputs, figures, operators;
    size_t same; /* figures that do not differ */
};

/* Compares two documents that diff_check has accepted. Texts live in the arena. false when its memory is out.
 */
bool diff_make(struct diff *diff, struct arena *arena, const json_t *before, const json_t *after);

/* NULL, or the key that is missing or of the wrong kind for an answer of `rafter estimate --json`. */
const char *diff_check(const json_t *document);

void diff_text(const struct diff *diff, bool colour, bool markdown, size_t top, struct arena *arena,
               struct text *out);
struct table *diff_table(const struct diff *diff, struct arena *arena);
json_t *diff_json(const struct diff *diff);

#endif
