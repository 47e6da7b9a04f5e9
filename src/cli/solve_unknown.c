#include "cli/solve.h"

#include "report/solution.h"

/* The question at the solution, for the head of the report. */
static struct question at_solution(const struct inquiry *inquiry, enum unknown unknown,
                                   const struct solution *solution)
{
    struct question question = inquiry->question;
    if (!solution->found)
        return question;
    switch (unknown) {
    case UNKNOWN_BATCH:
        question.batch = solution->value;
        break;
    case UNKNOWN_PROMPT:
        question.prompt = solution->value;
        break;
    case UNKNOWN_OUTPUT:
        question.output = solution->value;
        break;
    case UNKNOWN_DEVICES:
        question.parallel = solution->parallel;
        question.devices = solution->parallel.tp * solution->parallel.pp * solution->parallel.dp;
        break;
    default:
        break;
    }
    return question;
}

static double given_of(const struct question *question, enum unknown unknown)
{
    switch (unknown) {
    case UNKNOWN_BATCH:
        return question->batch;
    case UNKNOWN_PROMPT:
        return question->prompt;
    case UNKNOWN_OUTPUT:
        return question->output;
    case UNKNOWN_DEVICES:
        return question->devices;
    default:
        return 0.0;
    }
}

static enum exit_status put(struct inquiry *inquiry, enum unknown unknown, const struct solution *solution)
{
    struct session *session = inquiry->session;
    enum exit_status status = STATUS_YES;
    if (session->format == OUTPUT_JSON)
        status = inquiry_put_json(inquiry, solution_json(&inquiry->asked, unknown, solution));
    else if (session->format == OUTPUT_CSV)
        status = session_put(session, solution_table(unknown, solution, session->arena));
    else
        solution_text(&inquiry->asked, unknown, solution, session->arena, &session->out);
    return status == STATUS_YES && !solution->found ? STATUS_NO : status;
}

enum exit_status solve_unknown(struct inquiry *inquiry, enum unknown unknown)
{
    struct session *session = inquiry->session;
    struct solution solution;
    if (unknown >= UNKNOWN_BANDWIDTH && !inquiry_read_system(inquiry))
        return STATUS_BAD;
    if (!solve(&inquiry->evaluator, session->arena, &session->diag, &inquiry->question,
               &inquiry->asked.limits, unknown, &solution))
        return STATUS_BAD;
    progress_end(&inquiry->progress);
    if (!(solution.given > 0.0))
        solution.given = given_of(&inquiry->question, unknown);
    struct question question = at_solution(inquiry, unknown, &solution);
    inquiry_entitle(inquiry, &question, solution.replicas);
    return put(inquiry, unknown, &solution);
}
