#include "cli/intervals.h"

#include "analyse/sampling.h"
#include "cli/progress.h"

#include <string.h>

/* Whether sampling is asked for; false in *ok with an error for any other word than the two methods. */
static bool wants_sampling(struct session *session, bool *ok)
{
    static const char *const methods[] = {"delta", "sampling"};
    const char *method = option_text(&session->options, OPTION_INTERVAL_METHOD);
    *ok = true;
    if (method == NULL || strcmp(method, methods[0]) == 0) {
        if (option_given(&session->options, OPTION_DRAWS) || option_given(&session->options, OPTION_SEED))
            *ok = session_refuse(session, "--draws and --seed need --interval-method sampling") != STATUS_BAD;
        return false;
    }
    if (strcmp(method, methods[1]) == 0)
        return true;
    *ok = session_refuse(session, "--interval-method: found \"%s\", expected delta or sampling", method) !=
          STATUS_BAD;
    return false;
}

bool intervals_as_asked(struct session *session, const struct question *question, struct result *result)
{
    bool ok;
    if (!wants_sampling(session, &ok))
        return ok;
    struct progress progress;
    struct question asked = *question;
    asked.system = result->resolved->system;
    struct evaluator evaluator = {.catalogue = &session->catalogue,
                                  .scratch = arena_new(0),
                                  .watch = progress_step,
                                  .watcher = &progress};
    const struct options *options = &session->options;
    int draws =
        option_given(options, OPTION_DRAWS) ? (int)option_number(options, OPTION_DRAWS) : DRAWS_DEFAULT;
    unsigned long seed =
        option_given(options, OPTION_SEED) ? (unsigned long)option_number(options, OPTION_SEED) : 1;
    progress_begin(&progress);
    ok = evaluator.scratch != NULL && catalogue_remember(&session->catalogue);
    ok = ok ? sample_intervals(&evaluator, session->arena, &session->diag, &asked, draws, seed,
                               &result->answer)
            : session_refuse(session, "out of memory") != STATUS_BAD;
    progress_end(&progress);
    catalogue_forget(&session->catalogue);
    arena_free(evaluator.scratch);
    return ok;
}
