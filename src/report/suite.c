#include "report/suite.h"

#include "report/human.h"

#include <math.h>

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {[VERDICT_PASSED] = "passed",
                                        [VERDICT_FAILED] = "FAILED",
                                        [VERDICT_NOT_HERE] = "not here",
                                        [VERDICT_NOTHING] = "no rows"};
    return names[verdict];
}

static enum tone verdict_tone(enum verdict verdict)
{
    return verdict == VERDICT_PASSED ? TONE_GOOD : verdict == VERDICT_FAILED ? TONE_BAD : TONE_WARN;
}

static void fraction_cell(struct table *table, double value, struct arena *arena)
{
    table_number(table, value, isnan(value) ? "-" : human_percent(arena, value));
}

/* "worst of vllm 0.14.0 bfloat16", or what is wrong. */
static const char *note_of(const struct check_result *result, struct arena *arena)
{
    if (result->verdict == VERDICT_NOT_HERE)
        return arena_printf(arena, "%s is not here: skipped", result->note);
    if (result->note[0] != '\0')
        return result->note;
    return arena_printf(arena, "%s %s", result->source, result->dtype);
}

struct table *suite_table(const struct check_result *results, size_t count, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "suite", "suite", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "check", "check", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "n", "n", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape", "MAPE", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "allowed", "allowed", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "mape_above_100us", "> 100 us", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "coverage_low", "in 90%", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "coverage_high", "", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "verdict", "verdict", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "note", "worst of, or why", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < count; i++) {
        const struct check_result *result = &results[i];
        table_row(table, TONE_PLAIN);
        table_text(table, result->suite->name);
        table_text(table, result->check->name);
        table_number(table, (double)result->tested,
                     result->tested > 0 ? human(arena, HUMAN_NUMBER, (double)result->tested) : "-");
        fraction_cell(table, result->mape, arena);
        fraction_cell(table, result->allowed, arena);
        fraction_cell(table, result->mape_above_100us, arena);
        fraction_cell(table, result->coverage_low, arena);
        table_number(table, result->coverage_high, "");
        table_text(table, verdict_name(result->verdict));
        table_tone(table, verdict_tone(result->verdict));
        table_text(table, note_of(result, arena));
    }
    return table;
}

static size_t count_verdicts(const struct check_result *results, size_t count, enum verdict verdict)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += results[i].verdict == verdict;
    return found;
}

void suite_summary(const struct check_result *results, size_t count, struct text *out)
{
    size_t missing = count_verdicts(results, count, VERDICT_NOT_HERE);
    size_t nothing = count_verdicts(results, count, VERDICT_NOTHING);
    text_printf(out, "%zu of %zu checks passed, %zu failed", count_verdicts(results, count, VERDICT_PASSED),
                count, count_verdicts(results, count, VERDICT_FAILED));
    if (missing > 0)
        text_printf(out, ", %zu not here: skipped", missing);
    if (nothing > 0)
        text_printf(out, ", %zu without rows", nothing);
    text_add(out, "\n");
}

static json_t *result_json(const struct check_result *result)
{
    json_t *object = json_object(), *coverage = json_array();
    json_array_append_new(coverage, json_figure(result->coverage_low));
    json_array_append_new(coverage, json_figure(result->coverage_high));
    json_object_set_new(object, "suite", json_text(result->suite->name));
    json_object_set_new(object, "check", json_text(result->check->name));
    json_object_set_new(object, "verdict", json_text(verdict_name(result->verdict)));
    json_object_set_new(object, "n", json_count((double)result->tested));
    json_object_set_new(object, "mape", json_figure(result->mape));
    json_object_set_new(object, "allowed", json_figure(result->allowed));
    json_object_set_new(object, "mape_above_100us", json_figure(result->mape_above_100us));
    json_object_set_new(object, "coverage", coverage);
    json_object_set_new(object, "source", json_text(result->source));
    json_object_set_new(object, "dtype", json_text(result->dtype));
    json_object_set_new(object, "note", json_text(result->note));
    return object;
}

json_t *suite_json(const struct check_result *results, size_t count)
{
    json_t *object = json_object(), *checks = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(checks, result_json(&results[i]));
    json_object_set_new(object, "checks", checks);
    json_object_set_new(object, "passed", json_count((double)count_verdicts(results, count, VERDICT_PASSED)));
    json_object_set_new(object, "failed", json_count((double)count_verdicts(results, count, VERDICT_FAILED)));
    json_object_set_new(object, "not_here",
                        json_count((double)count_verdicts(results, count, VERDICT_NOT_HERE)));
    json_object_set_new(object, "nothing",
                        json_count((double)count_verdicts(results, count, VERDICT_NOTHING)));
    return object;
}
