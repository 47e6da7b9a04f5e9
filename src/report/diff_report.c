/* A difference as text, CSV and JSON. */
#include "report/answer.h"
#include "report/diff.h"
#include "report/human.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[] = {"input", "figure", "operator"};

static double ratio_of(const struct change *change)
{
    return change->from != 0.0 ? change->to / change->from : (double)NAN;
}

static const char *ratio_words(struct arena *arena, const struct change *change)
{
    double ratio = ratio_of(change);
    return change->kind == DIFF_INPUT || isnan(ratio) ? "" : human_ratio(arena, ratio);
}

/* "+12.3 ms": an operator's share of what the phase gained or lost. */
static const char *seconds_words(struct arena *arena, const struct change *change)
{
    double seconds = change->to - change->from;
    return arena_printf(arena, "%s%s", seconds > 0.0 ? "+" : "", human(arena, HUMAN_SECONDS, seconds));
}

static struct table *block_table(const struct diff *diff, size_t first, size_t count, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", diff->names[0], SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", diff->names[1], SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t i = first; i < first + count; i++) {
        const struct change *change = &diff->list[i];
        table_row(table, TONE_PLAIN);
        table_text(table, change->name);
        table_text(table, change->before);
        table_text(table, change->after);
        table_text(table, ratio_words(arena, change));
        table_tone(table, TONE_MUTED);
        table_text(table, change->kind == DIFF_OPERATOR ? seconds_words(arena, change) : "");
    }
    return table;
}

static void block(const struct diff *diff, const char *heading, size_t first, size_t count, bool colour,
                  bool markdown, struct arena *arena, struct text *out)
{
    if (count == 0)
        return;
    text_add(out, markdown ? "\n### " : "\n");
    tone_add(out, colour, TONE_STRONG, heading);
    text_add(out, markdown ? "\n\n" : "\n");
    if (!table_write(block_table(diff, first, count, arena), markdown ? TABLE_MARKDOWN : TABLE_TEXT, colour,
                     2, out))
        out->failed = true;
}

static void cause_line(const struct diff *diff, struct text *out)
{
    if (diff->inputs == 0 && diff->figures + diff->operators == 0)
        text_add(out, "the answers are the same\n");
    else if (diff->inputs == 0)
        text_add(out, "no input differs: descriptions or the program changed in between\n");
    else if (diff->inputs == 1)
        text_printf(out, "caused by %s: %s -> %s\n", diff->list[0].name, diff->list[0].before,
                    diff->list[0].after);
    else
        text_printf(out, "caused by %zu inputs together\n", diff->inputs);
}

void diff_text(const struct diff *diff, bool colour, bool markdown, size_t top, struct arena *arena,
               struct text *out)
{
    size_t operators = diff->operators < top ? diff->operators : top;
    tone_printf(out, colour, TONE_STRONG, "%s%s -> %s", markdown ? "## " : "", diff->names[0],
                diff->names[1]);
    text_add(out, markdown ? "\n\n" : "\n");
    cause_line(diff, out);
    block(diff, "Inputs", 0, diff->inputs, colour, markdown, arena, out);
    block(diff, "Figures", diff->inputs, diff->figures, colour, markdown, arena, out);
    block(diff, "Operators, by exposed time", diff->inputs + diff->figures, operators, colour, markdown,
          arena, out);
    if (operators < diff->operators)
        text_printf(out, "\n%zu more operators differ (--top N)\n", diff->operators - operators);
}

struct table *diff_table(const struct diff *diff, struct arena *arena)
{
    static const char *const keys[] = {"kind", "name", "before", "after", "ratio"};
    struct table *table = table_new(arena);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        table_column(table, keys[i], keys[i], SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < diff->count; i++) {
        const struct change *change = &diff->list[i];
        table_row(table, TONE_PLAIN);
        table_text(table, kind_names[change->kind]);
        table_text(table, change->name);
        if (change->kind == DIFF_INPUT) {
            table_text(table, change->before);
            table_text(table, change->after);
            continue;
        }
        table_number(table, change->from, change->before);
        table_number(table, change->to, change->after);
        table_number(table, ratio_of(change), ratio_words(arena, change));
    }
    return table;
}

static json_t *change_json(const struct change *change)
{
    json_t *object = json_object();
    bool input = change->kind == DIFF_INPUT;
    json_object_set_new(object, "name", json_text(change->name));
    json_object_set_new(object, "before", input ? json_text(change->before) : json_figure(change->from));
    json_object_set_new(object, "after", input ? json_text(change->after) : json_figure(change->to));
    if (!input)
        json_object_set_new(object, "ratio", json_figure(ratio_of(change)));
    return object;
}

json_t *diff_json(const struct diff *diff)
{
    json_t *object = json_object();
    json_t *lists[] = {json_array(), json_array(), json_array()};
    for (size_t i = 0; i < diff->count; i++)
        json_array_append_new(lists[diff->list[i].kind], change_json(&diff->list[i]));
    json_object_set_new(object, "schema_version", json_integer(SCHEMA_VERSION));
    json_object_set_new(object, "before", json_text(diff->names[0]));
    json_object_set_new(object, "after", json_text(diff->names[1]));
    json_object_set_new(object, "inputs", lists[DIFF_INPUT]);
    json_object_set_new(object, "figures", lists[DIFF_FIGURE]);
    json_object_set_new(object, "operators", lists[DIFF_OPERATOR]);
    return object;
}
