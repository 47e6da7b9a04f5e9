#include "report/recommended.h"

#include "report/answer.h"
#include "report/human.h"

#include <math.h>

static const char *stack_name(const struct technique_stack *stack, struct arena *arena)
{
    const char *name = stack->count == 0 ? "(as asked)" : "";
    for (int i = 0; i < stack->count && name != NULL; i++)
        name = arena_printf(arena, "%s%s%s", name, i > 0 ? " + " : "", stack->members[i]->id);
    return name;
}

/* How many times better than the baseline, by the objective. */
static double gain_of(const struct recommendation *recommendation, const struct technique_stack *stack)
{
    double before = recommendation->baseline.score, after = stack->score;
    if (!recommendation->has_baseline || isinf(before) || isinf(after))
        return NAN;
    return before < 0 ? after / before : before / after; /* throughput's scores are below 0 */
}

/* What the paper says of one technique's quality; of several each under its name. */
static const char *note_of(const struct technique *technique, bool alone, struct arena *arena)
{
    const char *note = alone ? "" : arena_printf(arena, "%s: ", technique->id);
    if (technique->quality.count == 0)
        return arena_printf(arena, "%snot stated", note);
    for (size_t q = 0; q < technique->quality.count && note != NULL; q++)
        note = arena_printf(arena, "%s%s%s", note, q > 0 ? ", " : "", technique->quality.items[q]);
    return note;
}

/* Of the members that may change outputs; those that do not need no note. */
static const char *notes_of(const struct technique_stack *stack, struct arena *arena)
{
    const char *notes = stack->count > 0 ? "lossless" : "";
    bool first = true;
    for (int i = 0; i < stack->count && notes != NULL; i++) {
        const struct technique *technique = stack->members[i];
        if (technique_is_lossless(technique))
            continue;
        const char *note = note_of(technique, stack->count == 1, arena);
        notes = first ? note : arena_printf(arena, "%s; %s", notes, note);
        first = false;
    }
    return notes;
}

static void stack_row(struct table *table, const struct recommendation *recommendation,
                      const struct technique_stack *stack, struct arena *arena)
{
    const struct answer *answer = &stack->answer;
    bool kept = stack->strain <= 1.0;
    double gain = gain_of(recommendation, stack);
    table_row(table, kept ? TONE_PLAIN : TONE_MUTED);
    table_text(table, stack_name(stack, arena));
    table_number(table, gain, isnan(gain) ? "-" : human_ratio(arena, gain));
    table_number(table, answer->ttft_s, human(arena, HUMAN_SECONDS, answer->ttft_s));
    table_number(table, answer->tpot_s, human(arena, HUMAN_SECONDS, answer->tpot_s));
    table_number(table, answer->throughput_tokens_per_s,
                 human(arena, HUMAN_NUMBER, answer->throughput_tokens_per_s));
    table_number(table, answer->memory.total, human(arena, HUMAN_BYTES, answer->memory.total));
    table_number(table, answer->energy_j_per_output_token,
                 human(arena, HUMAN_JOULES, answer->energy_j_per_output_token));
    table_number(table, answer->cost_usd_per_million_output_tokens,
                 human(arena, HUMAN_USD, answer->cost_usd_per_million_output_tokens));
    table_text(table, kept ? "kept"
                           : arena_printf(arena, "%s %s", limit_label(stack->tightest),
                                          human_ratio(arena, stack->strain)));
    table_tone(table, kept ? TONE_GOOD : TONE_BAD);
    table_text(table, notes_of(stack, arena));
}

static size_t rows_of(const struct recommendation *recommendation, size_t top)
{
    return recommendation->count < top ? recommendation->count : top;
}

struct table *stacks_table(const struct recommendation *recommendation, enum objective objective, size_t top,
                           struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "techniques", "techniques", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "gain", objective_name(objective), SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "ttft_s", "TTFT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "tpot_s", "TPOT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "throughput_tokens_per_s", "tokens/s", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "memory_total_bytes", "memory", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "energy_j_per_output_token", "energy/token", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "cost_usd_per_million_output_tokens", "$/M tokens", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "limits", "limits", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "quality", "quality, as the paper says", SIDE_LEFT, COLUMN_BOTH);
    if (recommendation->has_baseline)
        stack_row(table, recommendation, &recommendation->baseline, arena);
    for (size_t i = 0; i < rows_of(recommendation, top); i++)
        stack_row(table, recommendation, &recommendation->stacks[i], arena);
    return table;
}

struct table *unfit_table(const struct recommendation *recommendation, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "technique", "technique", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "reason", "why it has no answer here", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < recommendation->unfit_count; i++) {
        table_row(table, TONE_MUTED);
        table_text(table, recommendation->unfit[i].technique->id);
        table_text(table, recommendation->unfit[i].reason ? recommendation->unfit[i].reason : "");
    }
    return table;
}

void recommended_summary(const struct recommendation *recommendation, int depth, size_t shown,
                         struct text *out)
{
    text_printf(out, "%zu questions put: %zu techniques alone, %zu without an answer here",
                recommendation->evaluated, recommendation->techniques, recommendation->unfit_count);
    if (recommendation->left_out > 0)
        text_printf(out, ", %zu left out that change what is asked (--family tries them)",
                    recommendation->left_out);
    if (depth > 1)
        text_printf(out, "; stacks of up to %d of the %zu that help alone, %s", depth,
                    recommendation->helpful,
                    recommendation->exhaustive
                        ? "all whose pairs have an answer (exhaustive)"
                        : "those that grow from the best pairs until the budget ended (not exhaustive)");
    text_printf(out, "; %zu of %zu stacks keep the limits", recommendation->kept, recommendation->count);
    if (shown < recommendation->count)
        text_printf(out, "; %zu shown, --top N shows more", shown);
    text_add(out, "\n");
}

static json_t *stack_json(const struct recommendation *recommendation, const struct technique_stack *stack)
{
    json_t *object = json_object(), *names = json_array();
    bool lossless = true;
    for (int i = 0; i < stack->count; i++) {
        json_array_append_new(names, json_text(stack->members[i]->id));
        lossless = lossless && technique_is_lossless(stack->members[i]);
    }
    json_object_set_new(object, "techniques", names);
    json_object_set_new(object, "lossless", json_boolean(lossless));
    json_object_set_new(object, "gain", json_figure(gain_of(recommendation, stack)));
    json_object_set_new(object, "kept", json_boolean(stack->strain <= 1.0));
    json_object_set_new(object, "strain", json_figure(stack->strain));
    json_object_set_new(object, "tightest", json_text(limit_name(stack->tightest)));
    json_object_set_new(object, "answer", answer_figures_json(&stack->answer));
    return object;
}

json_t *recommended_json(const struct asked *asked, const struct recommendation *recommendation,
                         enum objective objective, size_t top)
{
    json_t *object = asked_json(asked), *stacks = json_array(), *unfit = json_array();
    for (size_t i = 0; i < rows_of(recommendation, top); i++)
        json_array_append_new(stacks, stack_json(recommendation, &recommendation->stacks[i]));
    for (size_t i = 0; i < recommendation->unfit_count; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "technique", json_text(recommendation->unfit[i].technique->id));
        json_object_set_new(one, "reason", json_text(recommendation->unfit[i].reason));
        json_array_append_new(unfit, one);
    }
    json_object_set_new(object, "objective", json_text(objective_name(objective)));
    json_object_set_new(object, "evaluated", json_count((double)recommendation->evaluated));
    json_object_set_new(object, "exhaustive", json_boolean(recommendation->exhaustive));
    json_object_set_new(object, "tried", json_count((double)recommendation->techniques));
    json_object_set_new(object, "left_out", json_count((double)recommendation->left_out));
    json_object_set_new(object, "helpful", json_count((double)recommendation->helpful));
    json_object_set_new(object, "kept", json_count((double)recommendation->kept));
    json_object_set_new(object, "baseline",
                        recommendation->has_baseline ? stack_json(recommendation, &recommendation->baseline)
                                                     : json_null());
    json_object_set_new(object, "stacks", stacks);
    json_object_set_new(object, "unfit", unfit);
    return object;
}
