#include "report/front.h"

#include "report/candidates.h"
#include "report/human.h"

static const struct candidate *of_front(const void *list, size_t i)
{
    return &((const struct pareto_point *)list)[i].candidate;
}

static size_t rows_of(const struct pareto *pareto, size_t top)
{
    return pareto->count < top ? pareto->count : top;
}

/* Row i of `rows` that stand for the whole front: both ends, and evenly between. */
static size_t picked(const struct pareto *pareto, size_t rows, size_t i)
{
    return rows < 2 ? 0 : (i * (pareto->count - 1) + (rows - 1) / 2) / (rows - 1);
}

struct table *front_table(const struct pareto *pareto, size_t top, struct arena *arena)
{
    struct table *table = table_new(arena);
    size_t rows = rows_of(pareto, top);
    table_column(table, "tokens_per_s_per_user", "tokens/s/user", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "tokens_per_s_per_device", "tokens/s/device", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "batch", "batch", SIDE_RIGHT, COLUMN_BOTH);
    struct split_columns columns = split_columns_add(table, pareto->front, pareto->count, of_front);
    table_column(table, "ttft_s", "TTFT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "tpot_s", "TPOT", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "cost_usd_per_million_output_tokens", "$/M tokens", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t i = 0; i < rows; i++) {
        const struct pareto_point *point = &pareto->front[picked(pareto, rows, i)];
        const struct answer *answer = &point->candidate.answer;
        table_row(table, TONE_PLAIN);
        table_number(table, point->tokens_per_s_per_user,
                     human(arena, HUMAN_NUMBER, point->tokens_per_s_per_user));
        table_number(table, point->tokens_per_s_per_device,
                     human(arena, HUMAN_NUMBER, point->tokens_per_s_per_device));
        table_number(table, point->batch, human(arena, HUMAN_NUMBER, point->batch));
        split_cells_add(table, arena, &columns, &point->candidate);
        table_number(table, answer->ttft_s, human(arena, HUMAN_SECONDS, answer->ttft_s));
        table_number(table, answer->tpot_s, human(arena, HUMAN_SECONDS, answer->tpot_s));
        table_number(table, answer->cost_usd_per_million_output_tokens,
                     human(arena, HUMAN_USD, answer->cost_usd_per_million_output_tokens));
    }
    return table;
}

void front_text(const struct asked *asked, const struct pareto *pareto, int devices, size_t top,
                struct arena *arena, struct text *out)
{
    size_t rows = rows_of(pareto, top);
    asked_text(asked, out);
    text_printf(out, "%s%s\n", asked->markdown ? "\n" : "", limits_line(asked, arena));
    asked_heading(asked,
                  arena_printf(arena, "Pareto front of %d %s", devices, devices == 1 ? "device" : "devices"),
                  out);
    if (pareto->count > 0) {
        asked_table(asked, front_table(pareto, top, arena), out);
        text_add(out, asked->markdown ? "\n```text\n" : "\n");
        front_chart(pareto, arena, out);
        text_add(out, asked->markdown ? "```\n" : "");
    }
    text_printf(out, "\n%zu on the front of %zu that keep the limits, of %zu evaluated", pareto->count,
                pareto->all_count, pareto->evaluated);
    if (rows < pareto->count)
        text_printf(out, "; %zu shown, --top N shows more", rows);
    text_add(out, "\n");
}

json_t *front_json(const struct asked *asked, const struct pareto *pareto, int devices, size_t top)
{
    json_t *object = asked_json(asked), *list = json_array();
    size_t rows = rows_of(pareto, top);
    for (size_t i = 0; i < rows; i++) {
        const struct pareto_point *point = &pareto->front[picked(pareto, rows, i)];
        json_t *entry = candidate_json(&point->candidate);
        json_object_set_new(entry, "batch", json_count(point->batch));
        json_object_set_new(entry, "tokens_per_s_per_user", json_figure(point->tokens_per_s_per_user));
        json_object_set_new(entry, "tokens_per_s_per_device", json_figure(point->tokens_per_s_per_device));
        json_array_append_new(list, entry);
    }
    json_object_set_new(object, "devices", json_integer(devices));
    json_object_set_new(object, "evaluated", json_count((double)pareto->evaluated));
    json_object_set_new(object, "kept", json_count((double)pareto->all_count));
    json_object_set_new(object, "front", list);
    return object;
}
