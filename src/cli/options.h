/* Options: the command line's flags as one table, and the parser over it. */
#ifndef RAFTER_CLI_OPTIONS_H
#define RAFTER_CLI_OPTIONS_H

#include "base/diag.h"
#include "base/quantity.h"
#include "base/text.h"

#include <stdint.h>

enum option_id {
    OPTION_MODEL,
    OPTION_DEVICE,
    OPTION_DEVICES,
    OPTION_THREADS,
    OPTION_SOFTWARE,
    OPTION_TP,
    OPTION_PP,
    OPTION_EP,
    OPTION_DP,
    OPTION_SP,
    OPTION_MICRO_BATCHES,
    OPTION_EXPERT_SKEW,
    OPTION_WORKLOAD,
    OPTION_BATCH,
    OPTION_PROMPT,
    OPTION_OUTPUT,
    OPTION_WEIGHTS,
    OPTION_ACTIVATIONS,
    OPTION_KV,
    OPTION_WITH,
    OPTION_SET,
    OPTION_NO_RESIDENCY,
    OPTION_MAX_TTFT,
    OPTION_MAX_TPOT,
    OPTION_MAX_LATENCY,
    OPTION_MAX_COST,
    OPTION_MAX_MEMORY,
    OPTION_MIN_THROUGHPUT,
    OPTION_OBJECTIVE,
    OPTION_FAMILY,
    OPTION_SOURCE,
    OPTION_DTYPE,
    OPTION_FOLDS,
    OPTION_HOLD_OUT,
    OPTION_FIT_ROWS,
    OPTION_FIT_ON,
    OPTION_MAX_MAPE,
    OPTION_ROWS_OUT,
    OPTION_ROWS_IN,
    OPTION_QUICK,
    OPTION_SAMPLES,
    OPTION_TOP,
    OPTION_PHASE,
    OPTION_EXPLAIN,
    OPTION_INTERVAL_METHOD,
    OPTION_DRAWS,
    OPTION_SEED,
    OPTION_RANDOM_SEED,
    OPTION_TOKENIZER,
    OPTION_PROMPT_TEXT,
    OPTION_TEXT_FILE,
    OPTION_SPECIAL,
    OPTION_TOKEN_IDS,
    OPTION_CHUNK,
    OPTION_TEMPERATURE,
    OPTION_TOP_K,
    OPTION_TOP_P,
    OPTION_LOGITS,
    OPTION_TRACE,
    OPTION_NAME,
    OPTION_STATUS,
    OPTION_TECHNIQUES,
    OPTION_LOSSLESS,
    OPTION_DEPTH,
    OPTION_CLAIMS_FILE,
    OPTION_JSON,
    OPTION_CSV,
    OPTION_MARKDOWN,
    OPTION_FILE,
    OPTION_HELP,
    OPTION_COUNT
};

enum value_kind {
    VALUE_NONE,    /* a switch */
    VALUE_TEXT,    /* any text that is not empty */
    VALUE_SETTING, /* key=value */
    VALUE_NUMBER   /* a quantity within [min, max] */
};

/* Groups of the help page, in its order. */
enum option_group {
    GROUP_QUESTION,
    GROUP_PARALLEL,
    GROUP_TECHNIQUE,
    GROUP_LIMIT,
    GROUP_SAMPLES,
    GROUP_REPORT,
    GROUP_COUNT
};

struct option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum value_kind kind;
    bool repeats;             /* may be given several times by any command */
    enum dimension dimension; /* NUMBER */
    double min, max;
    enum option_group group;
    const char *value; /* placeholder in help: "NAME" */
    const char *help;  /* one line */
};

extern const struct option option_table[OPTION_COUNT];

/* A set of options, of which there are more than 64. */
__extension__ typedef unsigned __int128 option_set;
#define OPTION_BIT(id) ((option_set)1 << (id))
_Static_assert(OPTION_COUNT <= 8 * sizeof(option_set), "more options than a set holds");

/* What a command takes. */
struct option_rules {
    option_set allowed;
    option_set
        listed; /* of them, those whose values may also be comma lists and repeated: axes of `compare` */
    int operands_most;   /* words that are no options */
    const char *operand; /* what they are: "a name"; NULL when there are none */
};

struct option_value {
    const char *text;
    double number; /* NUMBER */
};

enum { VALUES_MOST = 64, OPERANDS_MOST = 64 };

struct options {
    struct option_value *values[OPTION_COUNT]; /* NULL for switches */
    size_t counts[OPTION_COUNT];
    const char *operands[OPERANDS_MOST];
    size_t operand_count;
};

/* Parses argv[0..argc) (no program or command name). "--name value", "--name=value", "-l value"; "-n8" where
 * the value is a number; "--" ends options. false with errors in diag: unknown flags (with the nearest),
 * missing or unwanted values, numbers out of range, flags given twice that take one value. --help alone makes
 * it true whatever else is there. Texts point into argv. */
bool options_parse(struct options *options, struct arena *arena, struct diag *diag,
                   const struct option_rules *rules, int argc, const char *const *argv);

bool option_given(const struct options *options, enum option_id id);
/* The only (or last) value; NULL or 0 when not given. */
const char *option_text(const struct options *options, enum option_id id);
double option_number(const struct options *options, enum option_id id);

/* Adds the allowed options by group, as a help page has them. */
void options_help(option_set allowed, struct text *out);

/* The names of the allowed options with their dashes, for did-you-mean; at most OPTION_COUNT. */
size_t option_names(option_set allowed, struct arena *arena, const char *names[OPTION_COUNT]);

#endif
