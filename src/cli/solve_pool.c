/* Searches over all ways to use a pool of devices. */
#include "cli/solve.h"

#include "report/candidates.h"
#include "report/front.h"

/* Degrees are what is searched for: one that is given would say nothing. */
static bool refuse_degrees(struct session *session)
{
    static const enum option_id degrees[] = {OPTION_TP, OPTION_PP, OPTION_EP, OPTION_DP};
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++)
        if (option_given(&session->options, degrees[i]))
            return session_refuse(session, "--%s: this is what is searched; leave it out",
                                  option_table[degrees[i]].name) != STATUS_BAD;
    return true;
}

static void entitle(struct inquiry *inquiry, const struct candidate *best)
{
    struct question question = inquiry->question;
    question.parallel = best->parallel;
    question.devices = best->parallel.tp * best->parallel.pp * best->parallel.dp;
    inquiry_entitle(inquiry, &question, best->replicas);
    inquiry->asked.setting = ""; /* of one split and replica */
}

enum exit_status solve_parallelism(struct inquiry *inquiry)
{
    enum { TOP_SHOWN = 10 };
    struct session *session = inquiry->session;
    struct search search;
    enum objective objective;
    size_t top = solve_rows(session, TOP_SHOWN);
    if (!inquiry_objective(session, &objective) || !refuse_degrees(session) ||
        !search_parallelism(&inquiry->evaluator, session->arena, &session->diag, &inquiry->question,
                            inquiry_devices(inquiry), &inquiry->asked.limits, objective, &search))
        return STATUS_BAD;
    progress_end(&inquiry->progress);
    entitle(inquiry, &search.list[0]);
    enum exit_status status = STATUS_YES;
    if (session->format == OUTPUT_JSON)
        status = inquiry_put_json(inquiry, candidates_json(&inquiry->asked, &search, objective, top));
    else if (session->format == OUTPUT_CSV)
        status = session_put(session, candidates_table(&search, top, session->arena));
    else
        candidates_text(&inquiry->asked, &search, objective, top, session->arena, &session->out);
    return status == STATUS_YES && search.kept == 0 ? STATUS_NO : status;
}

enum exit_status solve_pareto(struct inquiry *inquiry)
{
    enum { TOP_SHOWN = 12, BATCH_MOST = 512 };
    struct session *session = inquiry->session;
    struct pareto pareto;
    int devices = inquiry_devices(inquiry);
    double most = inquiry->question.batch > 0.0 ? inquiry->question.batch : BATCH_MOST;
    size_t top = solve_rows(session, TOP_SHOWN);
    if (!refuse_degrees(session) ||
        !pareto_front(&inquiry->evaluator, session->arena, &session->diag, &inquiry->question, devices, most,
                      &inquiry->asked.limits, &pareto))
        return STATUS_BAD;
    progress_end(&inquiry->progress);
    if (pareto.count > 0)
        entitle(inquiry, &pareto.front[0].candidate);
    enum exit_status status = STATUS_YES;
    if (session->format == OUTPUT_JSON)
        status = inquiry_put_json(inquiry, front_json(&inquiry->asked, &pareto, devices, top));
    else if (session->format == OUTPUT_CSV)
        status = session_put(session, front_table(&pareto, top, session->arena));
    else
        front_text(&inquiry->asked, &pareto, devices, top, session->arena, &session->out);
    return status == STATUS_YES && pareto.count == 0 ? STATUS_NO : status;
}
