#include "report/answer.h"

#include "report/figures.h"

static void identity_columns(struct table *table, bool labelled)
{
    if (labelled)
        table_column(table, "label", "", SIDE_LEFT, COLUMN_BOTH);
    static const char *const names[] = {
        "model", "device", "devices", "software", "workload", "techniques", "weights", "activations",
        "kv",    "tp",     "pp",      "ep",       "dp",       "batch",      "prompt",  "output"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        table_column(table, names[i], names[i], SIDE_LEFT, COLUMN_BOTH);
}

static const char *joined(const struct string_list *list, struct arena *arena)
{
    const char *all = "";
    for (size_t i = 0; i < list->count && all != NULL; i++)
        all = arena_printf(arena, "%s%s%s", all, i > 0 ? "+" : "", list->items[i]);
    return all;
}

static void number(struct table *table, double value)
{
    table_number(table, value, NULL);
}

static void identity_cells(struct table *table, const struct result *result, struct arena *arena)
{
    const struct plan *plan = result_plan(result);
    const struct question *question = &result->resolved->question;
    const struct request *request = &result->resolved->request;
    double prompt = 0.0;
    for (int i = 0; i < request->strata; i++)
        prompt += request->prompt[i] / request->strata;
    table_text(table, plan->model->id);
    table_text(table, result->resolved->system->id);
    number(table, result->answer.devices);
    table_text(table, plan->software->id);
    table_text(table, question->workload);
    table_text(table, joined(&question->techniques, arena));
    table_text(table, plan->graph.types.weights.name);
    table_text(table, plan->graph.types.activations.name);
    table_text(table, plan->graph.types.kv.name);
    number(table, plan->parallel.tp);
    number(table, plan->parallel.pp);
    number(table, plan->parallel.ep);
    number(table, plan->parallel.dp);
    number(table, request->batch);
    number(table, prompt);
    number(table, request->output);
}

struct table *answer_csv(const struct result *const *results, const char *const *labels, size_t count,
                         struct arena *arena)
{
    struct table *table = table_new(arena);
    identity_columns(table, labels != NULL);
    for (size_t f = 0; f < figure_count; f++)
        table_column(table, figures[f].key, figures[f].label, SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "fits", "fits", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "calibration", "calibration", SIDE_LEFT, COLUMN_BOTH);
    for (size_t r = 0; r < count; r++) {
        table_row(table, TONE_PLAIN);
        if (labels != NULL)
            table_text(table, labels[r]);
        identity_cells(table, results[r], arena);
        for (size_t f = 0; f < figure_count; f++)
            number(table, answer_figure(&figures[f], &results[r]->answer));
        table_text(table, results[r]->answer.memory.fits ? "true" : "false");
        table_text(table, provenance_name(results[r]->answer.calibration));
    }
    return table;
}
