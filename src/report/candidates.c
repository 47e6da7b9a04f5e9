#include "report/candidates.h"

#include "report/answer.h"
#include "report/human.h"

enum { DEGREES = 5 };

static void degrees_of(const struct candidate *candidate, int degrees[DEGREES])
{
    degrees[0] = candidate->parallel.tp;
    degrees[1] = candidate->parallel.pp;
    degrees[2] = candidate->parallel.ep;
    degrees[3] = candidate->parallel.dp;
    degrees[4] = candidate->replicas;
}

struct split_columns split_columns_add(struct table *table, const void *list, size_t count, candidate_at *get)
{
    static const char *const keys[DEGREES] = {"tp", "pp", "ep", "dp", "replicas"};
    static const char *const headings[DEGREES] = {"TP", "PP", "EP", "DP", "replicas"};
    struct split_columns columns = {{true}};
    for (size_t i = 0; i < count; i++) {
        int degrees[DEGREES];
        degrees_of(get(list, i), degrees);
        for (int d = 1; d < DEGREES; d++)
            columns.shown[d] = columns.shown[d] || degrees[d] > 1;
    }
    for (int d = 0; d < DEGREES; d++)
        table_column(table, keys[d], headings[d], SIDE_RIGHT, columns.shown[d] ? COLUMN_BOTH : COLUMN_DATA);
    return columns;
}

void split_cells_add(struct table *table, struct arena *arena, const struct split_columns *columns,
                     const struct candidate *candidate)
{
    int degrees[DEGREES];
    degrees_of(candidate, degrees);
    for (int d = 0; d < DEGREES; d++)
        table_number(table, degrees[d], columns->shown[d] ? human(arena, HUMAN_NUMBER, degrees[d]) : "");
}

static const struct candidate *of_search(const void *list, size_t i)
{
    return (const struct candidate *)list + i;
}

static size_t rows_of(const struct search *search, size_t top)
{
    return search->count < top ? search->count : top;
}

static void candidate_row(struct table *table, struct arena *arena, const struct split_columns *columns,
                          const struct candidate *candidate)
{
    const struct answer *answer = &candidate->answer;
    bool kept = candidate->strain <= 1.0;
    table_row(table, kept ? TONE_PLAIN : TONE_MUTED);
    split_cells_add(table, arena, columns, candidate);
    table_number(table, answer->ttft_s, human(arena, HUMAN_SECONDS, answer->ttft_s));
    table_number(table, answer->tpot_s, human(arena, HUMAN_SECONDS, answer->tpot_s));
    table_number(table, answer->latency_s, human(arena, HUMAN_SECONDS, answer->latency_s));
    table_number(table, answer->throughput_tokens_per_s,
                 human(arena, HUMAN_NUMBER, answer->throughput_tokens_per_s));
    table_number(table, answer->cost_usd_per_million_output_tokens,
                 human(arena, HUMAN_USD, answer->cost_usd_per_million_output_tokens));
    table_number(table, answer->memory.total, human(arena, HUMAN_BYTES, answer->memory.total));
    table_text(table, kept ? "kept"
                           : arena_printf(arena, "%s %s", limit_label(candidate->tightest),
                                          human_ratio(arena, candidate->strain)));
    table_tone(table, kept ? TONE_GOOD : TONE_BAD);
}

struct table *candidates_table(const struct search *search, size_t top, struct arena *arena)
{
    struct table *table = table_new(arena);
    size_t count = rows_of(search, top);
    struct split_columns columns = split_columns_add(table, search->list, count, of_search);
    table_column(table, "ttft_s", "TTFT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "tpot_s", "TPOT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "latency_s", "latency", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "throughput_tokens_per_s", "tokens/s", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "cost_usd_per_million_output_tokens", "$/M tokens", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "memory_total_bytes", "memory", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "limits", "limits", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < count; i++)
        candidate_row(table, arena, &columns, &search->list[i]);
    return table;
}

void candidates_text(const struct asked *asked, const struct search *search, enum objective objective,
                     size_t top, struct arena *arena, struct text *out)
{
    size_t rows = rows_of(search, top);
    asked_text(asked, out);
    text_printf(out, "%s%s\n", asked->markdown ? "\n" : "", limits_line(asked, arena));
    asked_heading(asked,
                  arena_printf(arena, "%d devices, best by %s", search->devices, objective_name(objective)),
                  out);
    asked_table(asked, candidates_table(search, top, arena), out);
    text_printf(out, "\n%zu splits evaluated, %zu keep the limits, %zu refused", search->count, search->kept,
                search->refused);
    if (rows < search->count)
        text_printf(out, "; %zu shown, --top N shows more", rows);
    text_add(out, "\n");
}

json_t *candidate_json(const struct candidate *candidate)
{
    json_t *object = json_object(), *parallel = parallel_json(&candidate->parallel);
    json_object_set_new(parallel, "replicas", json_integer(candidate->replicas));
    json_object_set_new(object, "parallel", parallel);
    json_object_set_new(object, "kept", json_boolean(candidate->strain <= 1.0));
    json_object_set_new(object, "strain", json_figure(candidate->strain));
    json_object_set_new(object, "tightest", json_text(limit_name(candidate->tightest)));
    json_object_set_new(object, "answer", answer_figures_json(&candidate->answer));
    return object;
}

json_t *candidates_json(const struct asked *asked, const struct search *search, enum objective objective,
                        size_t top)
{
    json_t *object = asked_json(asked), *list = json_array();
    for (size_t i = 0; i < rows_of(search, top); i++)
        json_array_append_new(list, candidate_json(&search->list[i]));
    json_object_set_new(object, "devices", json_integer(search->devices));
    json_object_set_new(object, "objective", json_text(objective_name(objective)));
    json_object_set_new(object, "evaluated", json_count((double)search->count));
    json_object_set_new(object, "kept", json_count((double)search->kept));
    json_object_set_new(object, "refused", json_count((double)search->refused));
    json_object_set_new(object, "candidates", list);
    return object;
}
