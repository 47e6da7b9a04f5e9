#include "cli/recommend.h"

#include "cli/inquiry.h"
#include "cli/solve.h"
#include "report/recommended.h"

struct recommending {
    struct inquiry inquiry;
    struct recommend_options options;
    struct recommendation found;
    size_t rows;
    bool unfit;
};

static enum exit_status put(struct recommending *recommending)
{
    struct inquiry *inquiry = &recommending->inquiry;
    struct session *session = inquiry->session;
    const struct recommendation *found = &recommending->found;
    enum objective objective = recommending->options.objective;
    size_t top = solve_rows(session, recommending->rows);
    if (session->format == OUTPUT_JSON)
        return inquiry_put_json(inquiry, recommended_json(&inquiry->asked, found, objective, top));
    struct table *table = stacks_table(found, objective, top, session->arena);
    if (session->format == OUTPUT_CSV)
        return session_put(session, table);
    asked_text(&inquiry->asked, &session->out);
    text_printf(&session->out, "%s%s\n", inquiry->asked.markdown ? "\n" : "",
                limits_line(&inquiry->asked, session->arena));
    asked_heading(&inquiry->asked, arena_printf(session->arena, "best by %s", objective_name(objective)),
                  &session->out);
    asked_table(&inquiry->asked, table, &session->out);
    text_add(&session->out, "\n");
    recommended_summary(found, recommending->options.depth, top, &session->out);
    if (recommending->unfit && found->unfit_count > 0) {
        asked_heading(&inquiry->asked, "not here", &session->out);
        asked_table(&inquiry->asked, unfit_table(found, session->arena), &session->out);
    }
    return STATUS_YES;
}

static enum exit_status answer(struct recommending *recommending)
{
    struct inquiry *inquiry = &recommending->inquiry;
    struct session *session = inquiry->session;
    const struct options *options = &session->options;
    recommending->options.limits = inquiry->asked.limits;
    recommending->options.family = option_text(options, OPTION_FAMILY);
    recommending->options.lossless = option_given(options, OPTION_LOSSLESS);
    if (!inquiry_objective(session, &recommending->options.objective) || !inquiry_read_system(inquiry) ||
        !recommend(&inquiry->evaluator, session->arena, &session->diag, &inquiry->question,
                   &recommending->options, &recommending->found))
        return STATUS_BAD;
    progress_end(&inquiry->progress);
    if (recommending->found.techniques == 0 && recommending->options.family != NULL)
        return session_refuse(session,
                              "--family: no technique of family %.80s; `rafter list techniques` has them",
                              recommending->options.family);
    inquiry_entitle(inquiry, &inquiry->question, 1);
    enum exit_status status = put(recommending);
    bool any = recommending->found.kept > 0 ||
               (recommending->found.has_baseline && recommending->found.baseline.strain <= 1.0);
    return status == STATUS_YES && !any ? STATUS_NO : status;
}

enum exit_status recommend_techniques(struct session *session, int depth, size_t rows, bool all)
{
    struct recommending recommending = {
        .options = {.depth = depth, .other_work = all}, .rows = rows, .unfit = all};
    enum exit_status status =
        inquiry_open(&recommending.inquiry, session) ? answer(&recommending) : STATUS_BAD;
    inquiry_close(&recommending.inquiry);
    return status;
}

static enum exit_status run(struct session *session)
{
    enum { ROWS = 10 };
    int depth = option_given(&session->options, OPTION_DEPTH)
                    ? (int)option_number(&session->options, OPTION_DEPTH)
                    : STACK_TECHNIQUES_MOST;
    return recommend_techniques(session, depth, ROWS, false);
}

const struct command command_recommend = {
    .name = "recommend",
    .summary = "the best stack of techniques under limits on time, memory and cost",
    .operands = "",
    .details =
        "Tries each technique of the catalogue alone, then stacks of two and three of those that help, on\n"
        "top of what the question has already, and lists the best by --objective among those that keep\n"
        "the limits. It says how many questions it put and whether those were all stacks there are. Gains\n"
        "rest on the papers' own acceptance rates, densities and the like, which answers mark as\n"
        "empirical; what a technique costs in quality is its paper's word.\n"
        "Techniques that change what is asked win no search silently: workflows, shorter or no outputs,\n"
        "compressed prompts, images, texts in common that the workload does not state, other or more\n"
        "machines. --family NAME tries those of that mechanism; `compare --techniques` has them all.\n"
        "Exits with 1 when nothing keeps the limits.\n",
    .examples = "  rafter recommend -m llama-3.1-8b -d a100-80gb-sxm --batch 16 --lossless\n"
                "  rafter recommend -m llama-3-70b -d h100-sxm -n 2 -w rag --objective ttft\n"
                "  rafter recommend -m llama-2-13b -d rtx-4090 --objective memory --depth 2 --json\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT | OPTIONS_LIMITS | OPTION_BIT(OPTION_OBJECTIVE) |
                         OPTION_BIT(OPTION_FAMILY) | OPTION_BIT(OPTION_LOSSLESS) | OPTION_BIT(OPTION_DEPTH) |
                         OPTION_BIT(OPTION_TOP)},
    .run = run,
};
