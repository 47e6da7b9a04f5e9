#include "cli/solve.h"

#include "base/suggest.h"

#include <string.h>

enum { SOLVE_PARALLELISM = UNKNOWN_COUNT, SOLVE_PARETO };

static const struct {
    const char *name;
    int what; /* enum unknown, or one of the above */
} words[] = {
    {"batch", UNKNOWN_BATCH},           {"concurrency", UNKNOWN_BATCH}, {"prompt", UNKNOWN_PROMPT},
    {"context", UNKNOWN_PROMPT},        {"output", UNKNOWN_OUTPUT},     {"devices", UNKNOWN_DEVICES},
    {"bandwidth", UNKNOWN_BANDWIDTH},   {"compute", UNKNOWN_COMPUTE},   {"memory", UNKNOWN_MEMORY},
    {"parallelism", SOLVE_PARALLELISM}, {"pareto", SOLVE_PARETO},
};
enum { WORD_COUNT = sizeof words / sizeof words[0] };

size_t solve_rows(const struct session *session, size_t usual)
{
    if (option_given(&session->options, OPTION_TOP))
        return (size_t)option_number(&session->options, OPTION_TOP);
    return session->format == OUTPUT_TEXT || session->format == OUTPUT_MARKDOWN ? usual : SIZE_MAX;
}

static int word_find(struct session *session, const char *word)
{
    const char *names[WORD_COUNT];
    for (size_t i = 0; i < WORD_COUNT; i++) {
        names[i] = words[i].name;
        if (strcmp(word, words[i].name) == 0)
            return words[i].what;
    }
    const char *nearest = suggest_nearest(word, names, WORD_COUNT);
    if (nearest != NULL)
        session_refuse(session, "cannot solve for \"%.80s\"; did you mean %s?", word, nearest);
    else
        session_refuse(session, "cannot solve for \"%.80s\"; `rafter solve --help` lists the unknowns", word);
    return -1;
}

static enum exit_status answer(struct inquiry *inquiry, int what)
{
    if (what == SOLVE_PARALLELISM)
        return solve_parallelism(inquiry);
    return what == SOLVE_PARETO ? solve_pareto(inquiry) : solve_unknown(inquiry, (enum unknown)what);
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    struct inquiry inquiry;
    if (options->operand_count == 0)
        return session_refuse(session,
                              "solve for what? batch, prompt, output, devices, bandwidth, compute, memory, "
                              "parallelism or pareto");
    int what = word_find(session, options->operands[0]);
    if (what < 0)
        return STATUS_BAD;
    if (option_given(options, OPTION_OBJECTIVE) && what != SOLVE_PARALLELISM)
        return session_refuse(session, "--objective is for `rafter solve parallelism`");
    enum exit_status status = inquiry_open(&inquiry, session) ? answer(&inquiry, what) : STATUS_BAD;
    inquiry_close(&inquiry);
    return status;
}

const struct command command_solve = {
    .name = "solve",
    .summary = "the largest batch, fewest devices, least bandwidth ... that keeps limits; the best split",
    .operands = "UNKNOWN",
    .details =
        "UNKNOWN is what to find:\n"
        "  batch (concurrency)          the most sequences at once\n"
        "  prompt (context), output     the most tokens\n"
        "  devices                      the fewest, up to 128, each count with its best split\n"
        "  bandwidth, compute, memory   the least a device needs, all else as it is (a thousandth to a\n"
        "                               thousandfold of what it has)\n"
        "  parallelism                  the best splits TP x PP x EP x DP x replicas that use all devices\n"
        "  pareto                       throughput per device against speed per user, over all splits and\n"
        "                               batches 1, 2, 4 ... --batch (default: 512)\n"
        "A replica is a deployment of its own that takes its share of the batch. Exits with 1 when nothing\n"
        "keeps the limits.\n",
    .examples = "  rafter solve batch -m llama-3.1-8b -d h100-sxm --max-ttft 1s --max-tpot 20ms\n"
                "  rafter solve devices -m llama-3-70b -d h100-sxm --batch 64 --max-tpot 40ms\n"
                "  rafter solve bandwidth -m llama-3.1-8b -d l40s --max-tpot 10ms\n"
                "  rafter solve parallelism -m mixtral-8x7b -d h100-sxm -n 8 --batch 64 --objective cost\n"
                "  rafter solve pareto -m llama-3-70b -d h100-sxm -n 8 --prompt 2048 --output 256\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_LIMITS | OPTIONS_FORMAT | OPTION_BIT(OPTION_OBJECTIVE) |
                         OPTION_BIT(OPTION_TOP),
              .operands_most = 1,
              .operand = "what to solve for"},
    .run = run,
};
