#include "report/claims.h"

#include <math.h>

static const char *figure(struct arena *arena, double value)
{
    return isnan(value) ? "-" : arena_printf(arena, "%.4g", value);
}

static enum tone tone_of(enum claim_verdict verdict)
{
    return verdict == CLAIM_WITHIN_10 || verdict == CLAIM_WITHIN_25 ? TONE_GOOD
           : verdict == CLAIM_UNEXPLAINED                           ? TONE_BAD
                                                                    : TONE_PLAIN;
}

struct table *claims_table(const struct claim_result *results, size_t count, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "id", "claim", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "metric", "metric", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "form", "form", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "kind", "kind", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "status", "status", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "published", "published", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "predicted", "predicted", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "low", "low", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "high", "high", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "unit", "unit", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "ratio", "ratio", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "verdict", "verdict", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "reason", "reason", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < count; i++) {
        const struct claim_result *result = &results[i];
        const struct claim *claim = result->claim;
        table_row(table, TONE_PLAIN);
        table_text(table, claim->id);
        table_text(table, claim->metric);
        table_text(table, claim_form_names[claim->form].name);
        table_text(table, claim_kind_names[claim->kind].name);
        table_text(table, claim_status_names[claim->status].name);
        table_number(table, claim->value, figure(arena, claim->value));
        table_number(table, result->predicted, figure(arena, result->predicted));
        table_number(table, result->low, figure(arena, result->low));
        table_number(table, result->high, figure(arena, result->high));
        table_text(table, claim->unit);
        table_number(table, result->ratio,
                     isnan(result->ratio) ? "-" : arena_printf(arena, "%.2f", result->ratio));
        table_text(table, claim_verdict_name(result->verdict));
        table_tone(table, tone_of(result->verdict));
        table_text(table, result->reason ? result->reason : "");
    }
    return table;
}

static void share_cell(struct table *table, struct arena *arena, int part, int of)
{
    double share = of > 0 ? (double)part / of : NAN;
    table_number(table, share, isnan(share) ? "-" : arena_printf(arena, "%.0f%%", 100 * share));
}

struct table *tally_table(const struct claim_tally *tallies, size_t count, struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "family", "family", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "claims", "claims", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "computed", "computed", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "within_10", "within 10%", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "within_25", "within 25%", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "within_50", "within 50%", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "off", "off", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "unexplained", "unexplained", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "median_error", "median error", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t i = 0; i < count; i++) {
        const struct claim_tally *tally = &tallies[i];
        int scored = tally->status[CLAIM_COMPUTED], within = 0;
        table_row(table, i + 1 == count ? TONE_STRONG : TONE_PLAIN);
        table_text(table, tally->family);
        table_number(table, tally->claims, arena_printf(arena, "%d", tally->claims));
        table_number(table, scored, arena_printf(arena, "%d", scored));
        for (int verdict = CLAIM_WITHIN_10; verdict <= CLAIM_WITHIN_50; verdict++)
            share_cell(table, arena, within += tally->verdicts[verdict], scored);
        share_cell(table, arena, tally->verdicts[CLAIM_OFF], scored);
        share_cell(table, arena, tally->verdicts[CLAIM_UNEXPLAINED], scored);
        table_number(table, tally->median_error,
                     isnan(tally->median_error) ? "-"
                                                : arena_printf(arena, "%.0f%%", 100 * tally->median_error));
    }
    return table;
}

static json_t *interval_json(const struct claim_result *result)
{
    return isnan(result->low) ? json_null()
                              : json_pack("[o, o]", json_figure(result->low), json_figure(result->high));
}

json_t *claims_json(const struct claim_result *results, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct claim_result *result = &results[i];
        const struct claim *claim = result->claim;
        json_t *one = json_object();
        json_object_set_new(one, "id", json_text(claim->id));
        json_object_set_new(one, "technique", json_text(result->technique->id));
        json_object_set_new(one, "family", json_text(technique_family(result->technique)));
        json_object_set_new(one, "says", json_text(claim->says));
        json_object_set_new(one, "metric", json_text(claim->metric));
        json_object_set_new(one, "form", json_text(claim_form_names[claim->form].name));
        json_object_set_new(one, "unit", json_text(claim->unit));
        json_object_set_new(one, "kind", json_text(claim_kind_names[claim->kind].name));
        json_object_set_new(one, "status", json_text(claim_status_names[claim->status].name));
        json_object_set_new(one, "published", json_figure(claim->value));
        json_object_set_new(one, "predicted", json_figure(result->predicted));
        json_object_set_new(one, "interval", interval_json(result));
        json_object_set_new(one, "ratio", json_figure(result->ratio));
        json_object_set_new(one, "verdict", json_text(claim_verdict_name(result->verdict)));
        json_object_set_new(one, "reason", json_text(result->reason));
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
