#include "analyse/pareto.h"
#include "cli/claims.h"
#include "cli/variants.h"
#include "plot/breakdown_chart.h"
#include "plot/canvas.h"
#include "plot/claims_chart.h"
#include "plot/memory_chart.h"
#include "plot/pareto_chart.h"
#include "plot/roofline.h"

#include <string.h>

enum {
    ROOFLINES_MOST = SERIES_COLOURS, /* more colours cannot be told apart */
    BATCH_MOST = 1024                /* of a Pareto front, when no batch is given */
};

/* What the estimates of all variants give charts. */
struct drawn {
    const struct resolved **resolved;
    const struct breakdown **breakdowns;
    const struct memory_plan **memories;
    size_t count;
};

static bool estimate_all(struct session *session, struct drawn *drawn)
{
    drawn->resolved = ARENA_ARRAY(session->arena, const struct resolved *, drawn->count);
    drawn->breakdowns = ARENA_ARRAY(session->arena, const struct breakdown *, drawn->count);
    drawn->memories = ARENA_ARRAY(session->arena, const struct memory_plan *, drawn->count);
    if (!drawn->resolved || !drawn->breakdowns || !drawn->memories)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    for (size_t v = 0; v < drawn->count; v++) {
        const struct result *result = variant_estimate(session, v);
        if (result == NULL && drawn->count > 1)
            return diag_error(&session->diag, NOWHERE, "variant \"%s\" has no answer",
                              variant_label(session, v));
        if (result == NULL)
            return false;
        drawn->resolved[v] = result->resolved;
        drawn->breakdowns[v] = &result->breakdown;
        drawn->memories[v] = &result->answer.memory;
    }
    return true;
}

static bool draw_roofline(struct session *session, size_t count, const char *path)
{
    struct drawn d = {.count = count};
    return estimate_all(session, &d) && plot_roofline(d.resolved, d.breakdowns, count, path, &session->diag);
}

static bool draw_breakdown(struct session *session, size_t count, const char *path)
{
    struct drawn d = {.count = count};
    return estimate_all(session, &d) && plot_breakdown(d.resolved, d.breakdowns, count, path, &session->diag);
}

static bool draw_memory(struct session *session, size_t count, const char *path)
{
    struct drawn d = {.count = count};
    return estimate_all(session, &d) && plot_memory(d.resolved, d.memories, count, path, &session->diag);
}

/* --- fronts --- */

static int devices_of(struct session *session, const struct question *question)
{
    const struct parallelism *parallel = &question->parallel;
    if (question->devices > 0 || question->device == NULL)
        return question->devices;
    const struct system *system =
        catalogue_system(&session->catalogue, &session->diag, question->device, 0, NULL);
    bool degrees = parallel->tp > 0 || parallel->pp > 0 || parallel->dp > 0;
    if (degrees && system != NULL)
        diag_error(&session->diag, NOWHERE,
                   "a Pareto front is over all splits: give -n, not --tp, --pp or --dp");
    return system != NULL && !degrees ? system->members[0].count : 0;
}

/* Resolved as the first point on the front is, one replica of it. */
static const struct resolved *resolve_point(struct session *session, const struct question *asked,
                                            const struct pareto_point *point)
{
    struct resolved *resolved = ARENA_NEW(session->arena, struct resolved);
    const struct parallelism *parallel = &point->candidate.parallel;
    struct question question = *asked;
    question.parallel = *parallel;
    question.devices = parallel->tp * parallel->pp * parallel->dp;
    question.batch = point->batch;
    bool good = resolved != NULL &&
                question_resolve(resolved, session->arena, &session->diag, &session->catalogue, &question);
    return good ? resolved : NULL;
}

static bool find_front(struct session *session, struct evaluator *evaluator, size_t variant,
                       struct pareto_series *series)
{
    struct question question;
    struct pareto *pareto = ARENA_NEW(session->arena, struct pareto);
    const struct limits none = {0};
    if (pareto == NULL || !variant_question(session, variant, &question))
        return false;
    double most = question.batch > 0 ? question.batch : BATCH_MOST;
    series->devices = devices_of(session, &question);
    if (session->diag.errors > 0 ||
        !pareto_front(evaluator, session->arena, &session->diag, &question,
                      series->devices > 0 ? series->devices : 1, most, &none, pareto))
        return false;
    if (pareto->count == 0)
        return diag_error(&session->diag, NOWHERE, "no split of %d devices fits the model, at any batch",
                          series->devices);
    series->pareto = pareto;
    series->resolved = resolve_point(session, &question, &pareto->front[0]);
    return series->resolved != NULL;
}

static bool draw_pareto(struct session *session, size_t count, const char *path)
{
    struct pareto_series series[FRONTS_MOST];
    struct evaluator evaluator = {.catalogue = &session->catalogue, .scratch = arena_new(0)};
    bool found = evaluator.scratch != NULL || diag_error(&session->diag, NOWHERE, "out of memory");
    for (size_t v = 0; v < count && found; v++)
        found = find_front(session, &evaluator, v, &series[v]);
    found = found && plot_pareto(series, count, path, &session->diag);
    arena_free(evaluator.scratch);
    return found;
}

/* --- claims --- */

static bool draw_claims(struct session *session, size_t count, const char *path)
{
    struct claim_result *results;
    size_t claims;
    (void)count;
    bool drawn =
        claims_run(session, 1, 0, &results, &claims) && plot_claims(results, claims, path, &session->diag);
    catalogue_forget(&session->catalogue);
    return drawn;
}

/* --- the command --- */

static const struct chart {
    const char *name;
    size_t variants_most;
    bool (*draw)(struct session *session, size_t variants, const char *path);
    option_set options; /* besides -o and --help */
    size_t operands;    /* at most, the chart's name included */
} charts[] = {
    {"roofline", ROOFLINES_MOST, draw_roofline, OPTIONS_QUESTION, 1},
    {"breakdown", BREAKDOWNS_MOST, draw_breakdown, OPTIONS_QUESTION, 1},
    {"memory", MEMORIES_MOST, draw_memory, OPTIONS_QUESTION, 1},
    {"pareto", FRONTS_MOST, draw_pareto, OPTIONS_QUESTION, 1},
    {"claims", 1, draw_claims, OPTIONS_CLAIMS, OPERANDS_MOST},
};

/* Options that the chart has no use for are refused, rather than passed over. */
static bool check_options(struct session *session, const struct chart *chart)
{
    option_set other = (OPTIONS_QUESTION | OPTIONS_CLAIMS) & ~chart->options;
    for (int id = 0; id < OPTION_COUNT; id++)
        if ((other & OPTION_BIT(id)) != 0 && option_given(&session->options, (enum option_id)id))
            return session_refuse(session, "--%s: a %s chart does not take it", option_table[id].name,
                                  chart->name) != STATUS_BAD;
    return session->options.operand_count <= chart->operands ||
           session_refuse(session, "which one? a %s chart takes no more names", chart->name) != STATUS_BAD;
}

static const struct chart *chart_named(const char *name)
{
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        if (strcmp(charts[i].name, name) == 0)
            return &charts[i];
    return NULL;
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    const char *path = option_text(options, OPTION_FILE);
    const struct chart *chart = options->operand_count > 0 ? chart_named(options->operands[0]) : NULL;
    size_t count = variant_count(options);
    if (chart == NULL)
        return session_refuse(session,
                              "which chart? `rafter plot roofline`, `breakdown`, `memory`, `pareto` or "
                              "`claims`");
    if (!check_options(session, chart))
        return STATUS_BAD;
    if (path == NULL)
        return session_refuse(session,
                              "-o FILE is missing: its extension, .svg, .png or .pdf, sets the format");
    if (canvas_format_of(path) == CANVAS_FORMAT_COUNT)
        return session_refuse(session,
                              "cannot tell a chart's format from '%.200s': expected a name ending in "
                              ".svg, .png or .pdf",
                              path);
    if (count > chart->variants_most)
        return session_refuse(session, "%zu variants: at most %zu fit into a %s chart", count,
                              chart->variants_most, chart->name);
    if (!chart->draw(session, count, path))
        return STATUS_BAD;
    session->file = NULL; /* it holds the chart */
    text_printf(&session->out, "wrote %s\n", path);
    return STATUS_YES;
}

const struct command command_plot = {
    .name = "plot",
    .summary = "charts: roofline, breakdown of the time, memory plan, Pareto front, claims",
    .operands = "CHART [CLAIM...]",
    .details =
        "Charts:\n"
        "  roofline   operators over the roofs of devices: prefill filled, decode hollow, areas by time\n"
        "  breakdown  a stacked bar per variant and phase: operators and host gaps\n"
        "  memory     a stacked bar per variant: weights, KV cache, activations, reserved, against capacity\n"
        "  pareto     throughput of a device against speed for a user, over all splits of the devices and\n"
        "             batches 1, 2, 4 ... to --batch (default: 1024)\n"
        "  claims     predicted against published, a point for each claim of `rafter claims`: all, or those\n"
        "             that names, --family, --status or --file choose\n"
        "\n"
        "The file's extension (.svg, .png, .pdf) sets the format. Flags with several values, by commas or\n"
        "repeated, make variants, as in `rafter compare`: --with a+b is one with both techniques, --with "
        "none\n"
        "one without.\n",
    .examples =
        "  rafter plot roofline -m llama-3.1-8b -d h100-sxm,a100-80gb-sxm -w chat -o roofline.svg\n"
        "  rafter plot breakdown -m mixtral-8x7b -d a100-80gb-sxm -n 2 --batch 1,64 -o breakdown.png\n"
        "  rafter plot memory -m llama-3-70b -d h100-sxm -n 2,4 --batch 1,16,64 -o memory.svg\n"
        "  rafter plot pareto -m llama-3-70b -d h100-sxm,h200-sxm -n 8 --prompt 1024 -o pareto.pdf\n",
    .rules = {.allowed =
                  OPTIONS_QUESTION | OPTIONS_CLAIMS | OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_HELP),
              .listed = VARIANT_AXES,
              .operands_most = OPERANDS_MOST,
              .operand = "a chart's name"},
    .run = run,
};
