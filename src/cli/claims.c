#include "cli/claims.h"

#include "cli/progress.h"
#include "report/claims.h"

#include <math.h>
#include <string.h>

enum { DRAWS = 16 };

/* What is run: whole techniques, or single claims of them by id. */
struct running {
    struct session *session;
    struct evaluator evaluator;
    struct progress progress;
    size_t first; /* of the operands that name claims */
    int draws;
    struct claim_result *results;
    size_t count, room;
    bool *matched; /* [operands]: something was found by the name */
};

static bool make_room(struct running *running, size_t more)
{
    if (running->count + more <= running->room)
        return true;
    size_t room = 2 * (running->count + more);
    struct claim_result *results = ARENA_ARRAY(running->session->arena, struct claim_result, room);
    if (results == NULL)
        return session_refuse(running->session, "out of memory") != STATUS_BAD;
    if (running->count > 0)
        memcpy(results, running->results, running->count * sizeof *results);
    running->results = results;
    running->room = room;
    return true;
}

/* Whether the operands name the claim: none, its technique, or its id with or without the point. */
static bool is_asked(struct running *running, const struct technique *technique, const struct claim *claim)
{
    const struct options *options = &running->session->options;
    bool asked = options->operand_count <= running->first;
    for (size_t i = running->first; i < options->operand_count; i++) {
        size_t length = strlen(options->operands[i]);
        bool is_part = strncmp(claim->id, options->operands[i], length) == 0 &&
                       (claim->id[length] == '\0' || claim->id[length] == '.');
        if (strcmp(options->operands[i], technique->id) == 0 || is_part)
            asked = running->matched[i] = true;
    }
    return asked;
}

static bool has_status(const struct session *session, const struct claim *claim)
{
    const char *status = option_text(&session->options, OPTION_STATUS);
    return status == NULL || strcmp(status, claim_status_names[claim->status].name) == 0;
}

/* name: what the technique is called in `with`. */
static bool run_technique(struct running *running, const struct technique *technique, const char *name)
{
    struct session *session = running->session;
    const char *family = option_text(&session->options, OPTION_FAMILY);
    const struct claim_trial trial = {.evaluator = &running->evaluator,
                                      .arena = session->arena,
                                      .name = technique->use_count > 0 ? name : NULL,
                                      .draws = running->draws};
    struct claim_list claims;
    if (!claims_read(session->arena, &session->diag, technique, &claims) || !make_room(running, claims.count))
        return false;
    for (size_t i = 0; i < claims.count; i++) {
        const struct claim *claim = &claims.items[i];
        if (!is_asked(running, technique, claim) || !has_status(session, claim) ||
            (family != NULL && strcmp(family, technique_family(technique)) != 0))
            continue;
        if (!claim_try(&trial, &session->diag, technique, claim, &running->results[running->count]))
            return false;
        running->count++;
    }
    return true;
}

static bool run_catalogue(struct running *running)
{
    struct session *session = running->session;
    struct catalogue_entry *entries;
    size_t count;
    if (!catalogue_list(&session->catalogue, &session->diag, CATALOGUE_TECHNIQUES, &entries, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        const struct technique *technique =
            catalogue_technique(&session->catalogue, &session->diag, entries[i].id);
        running->evaluator.share = (double)i / (double)count;
        if (technique == NULL || !run_technique(running, technique, entries[i].id))
            return false;
        for (size_t o = running->first; o < session->options.operand_count; o++) /* it may have no claims */
            running->matched[o] |= strcmp(session->options.operands[o], entries[i].id) == 0;
    }
    for (size_t o = running->first; o < session->options.operand_count; o++)
        if (!running->matched[o]) {
            const char *operand = session->options.operands[o];
            if (strchr(operand, '#') != NULL)
                return session_refuse(session, "no claim %.80s", operand) != STATUS_BAD;
            return catalogue_technique(&session->catalogue, &session->diag, operand) != NULL &&
                   session_refuse(session, "%.80s: claims go by the technique's id, not an alias", operand) !=
                       STATUS_BAD;
        }
    return true;
}

static bool run_file(struct running *running, const char *path)
{
    struct session *session = running->session;
    const char *name = strchr(path, '/') ? path : arena_printf(session->arena, "./%s", path);
    const struct technique *technique =
        name ? catalogue_technique(&session->catalogue, &session->diag, name) : NULL;
    return technique != NULL && run_technique(running, technique, name);
}

static bool check_status(struct session *session)
{
    const char *status = option_text(&session->options, OPTION_STATUS);
    for (const struct enum_name *name = claim_status_names; name->name; name++)
        if (status == NULL || strcmp(status, name->name) == 0)
            return true;
    return session_refuse(session,
                          "--status: found %.80s, expected computed, input, baseline or not-computable",
                          status) != STATUS_BAD;
}

static bool run_asked(struct running *running)
{
    struct session *session = running->session;
    const char *file = option_text(&session->options, OPTION_CLAIMS_FILE);
    running->matched = ARENA_ARRAY(session->arena, bool, session->options.operand_count + 1);
    if (running->matched == NULL)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    return check_status(session) && (file ? run_file(running, file) : run_catalogue(running));
}

bool claims_run(struct session *session, size_t first, int draws, struct claim_result **results,
                size_t *count)
{
    struct running running = {.session = session,
                              .first = first,
                              .draws = draws,
                              .evaluator = {.catalogue = &session->catalogue,
                                            .scratch = arena_new(0),
                                            .watch = progress_step,
                                            .watcher = &running.progress}};
    if (running.evaluator.scratch == NULL || !catalogue_remember(&session->catalogue)) {
        arena_free(running.evaluator.scratch);
        return session_refuse(session, "out of memory") != STATUS_BAD;
    }
    progress_begin(&running.progress);
    bool ran = run_asked(&running);
    progress_end(&running.progress);
    arena_free(running.evaluator.scratch);
    *results = running.results;
    *count = running.count;
    return ran;
}

static enum exit_status put(struct session *session, const struct claim_result *results, size_t count)
{
    struct arena *arena = session->arena;
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, claims_json(results, count))
                   ? STATUS_YES
                   : session_refuse(session, "out of memory");
    enum exit_status status = session_put(session, claims_table(results, count, arena));
    if (status != STATUS_YES || session->format == OUTPUT_CSV || count == 0)
        return status;
    size_t tallies;
    struct claim_tally *tally = claims_tally(arena, results, count, &tallies);
    if (tally == NULL)
        return session_refuse(session, "out of memory");
    text_add(&session->out, "\n");
    return session_put(session, tally_table(tally, tallies, arena));
}

static enum exit_status run(struct session *session)
{
    struct claim_result *results;
    size_t count;
    bool drawn = option_given(&session->options, OPTION_DRAWS);
    int draws = drawn ? (int)option_number(&session->options, OPTION_DRAWS) : DRAWS;
    enum exit_status status =
        claims_run(session, 0, draws, &results, &count) ? put(session, results, count) : STATUS_BAD;
    catalogue_forget(&session->catalogue);
    return status;
}

const struct command command_claims = {
    .name = "claims",
    .summary = "published results of techniques, computed again and compared",
    .operands = "[TECHNIQUE | CLAIM]...",
    .details =
        "Each technique's file states what its paper measured, as a question with the technique and one\n"
        "without. Both are answered here and the result stands beside the published one: within 10%, 25%,\n"
        "50%; off, for a cause that was tested; or unexplained. Inputs (values that are parameters of the\n"
        "technique) and baselines (values that calibrate a software profile) are shown, never scored.\n"
        "docs/claims.md says how claims are written.\n",
    .examples = "  rafter claims\n"
                "  rafter claims duoattention hydragen#3\n"
                "  rafter claims --family kv_eviction --status computed\n"
                "  rafter claims --file my-claims.yaml --json\n",
    .rules = {.allowed = OPTIONS_CLAIMS | OPTION_BIT(OPTION_DRAWS) | OPTIONS_FORMAT,
              .operands_most = OPERANDS_MOST,
              .operand = "a technique or a claim"},
    .run = run,
};
