#include "cli/inquiry.h"
#include "cli/recommend.h"
#include "cli/variants.h"
#include "report/compare.h"

enum { VARIANTS_MOST = 1024 };

static bool make_room(struct session *session, struct comparison *comparison, size_t count)
{
    comparison->results = ARENA_ARRAY(session->arena, const struct result *, count);
    comparison->labels = ARENA_ARRAY(session->arena, const char *, count);
    comparison->refused_labels = ARENA_ARRAY(session->arena, const char *, count);
    comparison->refused_reasons = ARENA_ARRAY(session->arena, const char *, count);
    return (comparison->results != NULL && comparison->labels != NULL && comparison->refused_labels != NULL &&
            comparison->refused_reasons != NULL) ||
           session_refuse(session, "out of memory") != STATUS_BAD;
}

/* Of few variants all must have an answer; of many, those that do not (a split that does not divide) are
 * listed. */
static bool estimate_all(struct session *session, struct comparison *comparison, size_t count)
{
    struct diag said = session->diag;
    if (!make_room(session, comparison, count))
        return false;
    for (size_t v = 0; v < count; v++) {
        const char *label = variant_label(session, v);
        session->diag = count > COMPARE_COLUMNS_MOST ? (struct diag){.arena = session->arena} : said;
        const struct result *result = variant_estimate(session, v);
        if (result == NULL && count <= COMPARE_COLUMNS_MOST)
            return session_refuse(session, "variant \"%s\" has no answer", label) != STATUS_BAD;
        if (result == NULL) {
            const struct diag_message *first = session->diag.first;
            comparison->refused_labels[comparison->refused_count] = label;
            comparison->refused_reasons[comparison->refused_count++] =
                first != NULL ? first->text : "out of memory";
            continue;
        }
        comparison->labels[comparison->count] = label;
        comparison->results[comparison->count++] = result;
    }
    session->diag = count > COMPARE_COLUMNS_MOST ? said : session->diag;
    return comparison->count > 0 || session_refuse(session, "no variant has an answer; the first: %s",
                                                   comparison->refused_reasons[0]) != STATUS_BAD;
}

static void put_refused(struct session *session, const struct comparison *comparison)
{
    if (comparison->refused_count > 0)
        text_add(&session->out, "\nwithout an answer:\n");
    if (comparison->refused_count > 0 && session->format == OUTPUT_MARKDOWN)
        text_add(&session->out, "\n");
    for (size_t r = 0; r < comparison->refused_count; r++)
        text_printf(&session->out, "%s%s: %s\n", session->format == OUTPUT_MARKDOWN ? "- " : "  ",
                    comparison->refused_labels[r], comparison->refused_reasons[r]);
}

static enum exit_status put_comparison(struct session *session, const struct comparison *comparison)
{
    struct arena *arena = session->arena;
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, compare_json(comparison)) ? STATUS_YES
                                                                 : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return session_put(session,
                           answer_csv(comparison->results, comparison->labels, comparison->count, arena));
    bool markdown = session->format == OUTPUT_MARKDOWN;
    bool rows = comparison->count + comparison->refused_count > COMPARE_COLUMNS_MOST;
    tone_printf(&session->out, session->colour, TONE_STRONG, "%s%s", markdown ? "## " : "",
                answer_title(comparison->results[0], arena));
    text_printf(&session->out, "\n%s%s\nand variants of it, ratios to the first\n\n", markdown ? "\n" : "",
                answer_setting(comparison->results[0], arena));
    if (session_put(session, rows ? compare_rows_table(comparison, arena)
                                  : compare_table(comparison, arena)) == STATUS_BAD)
        return STATUS_BAD;
    put_refused(session, comparison);
    return STATUS_YES;
}

/* The answer is no when no variant is one to run. */
static bool any_accepted(const struct comparison *comparison)
{
    for (size_t v = 0; v < comparison->count; v++)
        if (result_accepted(comparison->results[v]))
            return true;
    return false;
}

/* What of `compare` is about techniques alone. */
static enum exit_status run_techniques(struct session *session)
{
    enum { ALL = 1000 };
    if (variant_count(&session->options) > 1)
        return session_refuse(session,
                              "--techniques compares one question's techniques: give each flag one value");
    return recommend_techniques(session, 1, ALL, true);
}

static enum exit_status run(struct session *session)
{
    if (option_given(&session->options, OPTION_TECHNIQUES))
        return run_techniques(session);
    struct comparison comparison = {0};
    size_t count = variant_count(&session->options);
    if (count < 2)
        return session_refuse(session, "nothing to compare: give a flag several values, such as "
                                       "-d h100-sxm,a100-80gb-sxm");
    if (count > VARIANTS_MOST)
        return session_refuse(session, "%zu variants: at most %d at once", count, VARIANTS_MOST);
    if (!catalogue_remember(&session->catalogue))
        return session_refuse(session, "out of memory");
    bool put =
        estimate_all(session, &comparison, count) && put_comparison(session, &comparison) != STATUS_BAD;
    enum exit_status status = !put ? STATUS_BAD : any_accepted(&comparison) ? STATUS_YES : STATUS_NO;
    catalogue_forget(&session->catalogue);
    return status;
}

const struct command command_compare = {
    .name = "compare",
    .summary = "several devices, models, types ... side by side, with ratios to the first",
    .operands = "",
    .details =
        "Flags with several values, by commas or repeated, make the variants; all their combinations are\n"
        "compared: up to 8 side by side, more (up to 1024) a row each, those without an answer listed "
        "below.\n"
        "With --techniques every technique that has an answer here stands beside the baseline, best first\n"
        "by --objective; of a --family or --lossless only, where asked.\n"
        "A variant with both techniques is --with a+b, one without any is --with none.\n"
        "Exits with 1 when no variant fits and meets the workload's objectives.\n",
    .examples = "  rafter compare -m llama-3.1-8b -d h100-sxm,a100-80gb-sxm,l40s --batch 16\n"
                "  rafter compare -m llama-3-70b -d h100-sxm -n 4,8 --weights bf16,fp8\n"
                "  rafter compare -m llama-3.1-8b -d a100-80gb-sxm --batch 16 --techniques\n"
                "  rafter compare -m llama-3.1-8b -d h100-sxm -w chat -s vllm -s trtllm -s ideal\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT | OPTIONS_LIMITS | OPTION_BIT(OPTION_TECHNIQUES) |
                         OPTION_BIT(OPTION_FAMILY) | OPTION_BIT(OPTION_LOSSLESS) |
                         OPTION_BIT(OPTION_OBJECTIVE) | OPTION_BIT(OPTION_TOP),
              .listed = VARIANT_AXES},
    .run = run,
};
