#include "report/solution.h"

#include "report/answer.h"
#include "report/figures.h"

#include <math.h>

/* How an unknown is spoken of. */
struct wording {
    const char *question; /* "largest batch" */
    const char *unit;     /* of value in JSON and CSV */
    enum human_kind kind;
    const char *noun; /* behind the value for people */
};

static const struct wording wordings[UNKNOWN_COUNT] = {
    [UNKNOWN_BATCH] = {"largest batch", "sequences", HUMAN_NUMBER, ""},
    [UNKNOWN_PROMPT] = {"longest prompt", "tokens", HUMAN_NUMBER, " tokens"},
    [UNKNOWN_OUTPUT] = {"longest output", "tokens", HUMAN_NUMBER, " tokens"},
    [UNKNOWN_DEVICES] = {"fewest devices", "devices", HUMAN_NUMBER, ""},
    [UNKNOWN_BANDWIDTH] = {"least memory bandwidth of a device", "byte/s", HUMAN_BYTES_PER_SECOND, ""},
    [UNKNOWN_COMPUTE] = {"least matrix peak of a device", "FLOP/s", HUMAN_FLOP_PER_SECOND, ""},
    [UNKNOWN_MEMORY] = {"least memory capacity of a device", "byte", HUMAN_BYTES, ""},
};

static const char *split_words(struct arena *arena, const struct parallelism *parallel, int replicas)
{
    const char *words = arena_printf(arena, "TP %d", parallel->tp);
    const struct {
        const char *name;
        int degree;
    } others[] = {{"PP", parallel->pp}, {"EP", parallel->ep}, {"DP", parallel->dp}, {"replicas", replicas}};
    for (size_t i = 0; i < sizeof others / sizeof others[0] && words != NULL; i++)
        if (others[i].degree > 1)
            words = arena_printf(arena, "%s · %s %d", words, others[i].name, others[i].degree);
    return words != NULL ? words : "";
}

static const char *beside(struct arena *arena, enum unknown unknown, const struct solution *solution)
{
    const struct wording *wording = &wordings[unknown];
    const char *words = "";
    if (unknown == UNKNOWN_DEVICES)
        words = arena_printf(arena, "  as %s", split_words(arena, &solution->parallel, solution->replicas));
    else if (solution->given > 0.0 && unknown >= UNKNOWN_BANDWIDTH)
        words = arena_printf(arena, "  %s of the %s it has%s",
                             human_percent(arena, solution->value / solution->given),
                             human(arena, wording->kind, solution->given),
                             unknown == UNKNOWN_COMPUTE ? " in its fastest format" : "");
    else if (solution->given > 0.0)
        words = arena_printf(arena, "  %s asked", human(arena, wording->kind, solution->given));
    return words != NULL ? words : "";
}

static void limit_line(enum unknown unknown, const struct solution *solution, struct text *out)
{
    if (unknown == UNKNOWN_DEVICES && solution->found) {
        if (solution->binding != LIMIT_NONE)
            text_printf(out, "fewer are stopped by %s\n", limit_label(solution->binding));
        return;
    }
    if (solution->binding == LIMIT_REFUSED)
        text_printf(out, "stopped by: %s\n",
                    solution->reason != NULL ? solution->reason : "a question without answer");
    else if (solution->binding == LIMIT_NONE)
        text_add(out, "no limit stops it\n");
    else
        text_printf(out, "limited by %s\n", limit_label(solution->binding));
}

static void add_figure_row(struct table *table, struct arena *arena, const struct asked *asked,
                           const struct solution *solution, bool fewest, enum limit limit)
{
    double bound = limit_bound(&asked->limits, &solution->answer, limit);
    double found = limit_figure(&solution->answer, limit);
    bool kept = !(bound > 0.0) || (limit == LIMIT_THROUGHPUT ? found >= bound : !(found > bound));
    table_row(table, TONE_PLAIN);
    table_text(table, limit_label(limit));
    table_text(table, limit_human(arena, limit, found));
    if (!(bound > 0.0))
        return;
    table_text(table, arena_printf(arena, "%s %s", limit == LIMIT_THROUGHPUT ? "at least" : "at most",
                                   limit_human(arena, limit, bound)));
    table_tone(table, kept ? TONE_MUTED : TONE_BAD);
    table_text(table, arena_printf(arena, "%s%s", human_percent(arena, found / bound),
                                   limit == solution->binding && !fewest ? "  <- binds" : ""));
    table_tone(table, kept ? TONE_MUTED : TONE_BAD);
}

static void figures_block(const struct asked *asked, enum unknown unknown, const struct solution *solution,
                          struct arena *arena, struct text *out)
{
    struct table *table = table_new(arena);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    static const enum limit order[] = {LIMIT_TTFT,       LIMIT_TPOT, LIMIT_LATENCY,
                                       LIMIT_THROUGHPUT, LIMIT_COST, LIMIT_MEMORY};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        add_figure_row(table, arena, asked, solution, unknown == UNKNOWN_DEVICES, order[i]);
    asked_heading(asked, solution->found ? "There" : "Nearest", out);
    asked_table(asked, table, out);
}

void solution_text(const struct asked *asked, enum unknown unknown, const struct solution *solution,
                   struct arena *arena, struct text *out)
{
    const struct wording *wording = &wordings[unknown];
    asked_text(asked, out);
    text_printf(out, "%s%s\n\n", asked->markdown ? "\n" : "", limits_line(asked, arena));
    if (solution->found) {
        tone_printf(out, asked->colour, TONE_STRONG, "%s: %s%s", wording->question,
                    human(arena, wording->kind, solution->value), wording->noun);
        text_printf(out, "%s\n%s", beside(arena, unknown, solution), asked->markdown ? "\n" : "");
    } else {
        tone_printf(out, asked->colour, TONE_BAD, "%s: none keeps the limits\n", wording->question);
    }
    limit_line(unknown, solution, out);
    if (solution->answer.latency_s > 0.0)
        figures_block(asked, unknown, solution, arena, out);
    text_printf(out, "\n%ld evaluations\n", solution->evaluations);
}

struct table *solution_table(enum unknown unknown, const struct solution *solution, struct arena *arena)
{
    static const char *const keys[] = {"unknown", "found", "value", "unit", "given",   "binding",
                                       "tp",      "pp",    "ep",    "dp",   "replicas"};
    const struct parallelism *parallel = &solution->parallel;
    const double degrees[] = {parallel->tp, parallel->pp, parallel->ep, parallel->dp, solution->replicas};
    struct table *table = table_new(arena);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        table_column(table, keys[i], keys[i], SIDE_LEFT, COLUMN_BOTH);
    for (size_t f = 0; f < figure_count; f++)
        table_column(table, figures[f].key, figures[f].label, SIDE_RIGHT, COLUMN_BOTH);
    table_row(table, TONE_PLAIN);
    table_text(table, unknown_name(unknown));
    table_text(table, solution->found ? "true" : "false");
    table_number(table, solution->found ? solution->value : (double)NAN, NULL);
    table_text(table, wordings[unknown].unit);
    table_number(table, solution->given > 0.0 ? solution->given : (double)NAN, NULL);
    table_text(table, limit_name(solution->binding));
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++)
        table_number(table, degrees[i] > 0.0 ? degrees[i] : 1.0, NULL);
    for (size_t f = 0; f < figure_count && solution->answer.latency_s > 0.0; f++)
        table_number(table, answer_figure(&figures[f], &solution->answer), NULL);
    return table;
}

static json_t *split_json(const struct solution *solution)
{
    json_t *object = parallel_json(&solution->parallel);
    json_object_set_new(object, "replicas", json_integer(solution->replicas));
    return object;
}

json_t *solution_json(const struct asked *asked, enum unknown unknown, const struct solution *solution)
{
    json_t *object = asked_json(asked);
    json_object_set_new(object, "unknown", json_text(unknown_name(unknown)));
    json_object_set_new(object, "found", json_boolean(solution->found));
    json_object_set_new(object, "value", solution->found ? json_count(solution->value) : json_null());
    json_object_set_new(object, "unit", json_text(wordings[unknown].unit));
    json_object_set_new(object, "given", solution->given > 0.0 ? json_count(solution->given) : json_null());
    json_object_set_new(object, "binding", json_text(limit_name(solution->binding)));
    json_object_set_new(object, "reason",
                        solution->binding == LIMIT_REFUSED ? json_text(solution->reason) : json_null());
    if (unknown == UNKNOWN_DEVICES && solution->found)
        json_object_set_new(object, "parallel", split_json(solution));
    json_object_set_new(object, "evaluations", json_integer(solution->evaluations));
    json_object_set_new(object, "answer",
                        solution->answer.latency_s > 0.0 ? answer_figures_json(&solution->answer)
                                                         : json_null());
    return object;
}
