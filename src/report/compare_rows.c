/* Comparisons of many variants: a row each. */
#include "report/compare.h"

#include "report/human.h"

static void columns(struct table *table)
{
    table_column(table, "label", "variant", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "ttft_s", "TTFT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "tpot_s", "TPOT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "latency_s", "latency", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "throughput_tokens_per_s", "tokens/s", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "ratio", "", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "cost_usd_per_million_output_tokens", "$/M tokens", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "memory_total_bytes", "memory", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "fits", "fits", SIDE_LEFT, COLUMN_BOTH);
}

static void row(struct table *table, struct arena *arena, const char *label, const struct answer *answer,
                const struct answer *first)
{
    double ratio = answer->throughput_tokens_per_s / first->throughput_tokens_per_s;
    bool fits = answer->memory.fits;
    table_row(table, TONE_PLAIN);
    table_text(table, label);
    table_number(table, answer->ttft_s, human(arena, HUMAN_SECONDS, answer->ttft_s));
    table_number(table, answer->tpot_s, human(arena, HUMAN_SECONDS, answer->tpot_s));
    table_number(table, answer->latency_s, human(arena, HUMAN_SECONDS, answer->latency_s));
    table_number(table, answer->throughput_tokens_per_s,
                 human(arena, HUMAN_NUMBER, answer->throughput_tokens_per_s));
    table_number(table, ratio, human_ratio(arena, ratio));
    table_tone(table, TONE_MUTED);
    table_number(table, answer->cost_usd_per_million_output_tokens,
                 human(arena, HUMAN_USD, answer->cost_usd_per_million_output_tokens));
    table_number(table, answer->memory.total, human(arena, HUMAN_BYTES, answer->memory.total));
    table_text(table, fits ? "yes" : "no");
    table_tone(table, fits ? TONE_GOOD : TONE_BAD);
}

struct table *compare_rows_table(const struct comparison *comparison, struct arena *arena)
{
    struct table *table = table_new(arena);
    columns(table);
    for (size_t v = 0; v < comparison->count; v++)
        row(table, arena, comparison->labels[v], &comparison->results[v]->answer,
            &comparison->results[0]->answer);
    return table;
}
