/* Claims: what the shipped ones are, how queries become questions, and that no published value moves a
 * prediction. */
#include "analyse/claim_query.h"
#include "analyse/claims.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;
static struct evaluator evaluator;

static void set_up(void)
{
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    setenv("XDG_CONFIG_HOME", "/no/such/folder", 1);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    catalogue_open(&catalogue, arena);
    cr_assert(catalogue_remember(&catalogue));
    evaluator = (struct evaluator){.catalogue = &catalogue, .scratch = arena_new(0)};
}

static void tear_down(void)
{
    arena_free(evaluator.scratch);
    catalogue_forget(&catalogue);
    arena_free(arena);
}

TestSuite(claims, .init = set_up, .fini = tear_down);

/* ---- made-up techniques ---- */

static const struct technique *technique_of(const char *text)
{
    static int made; /* the catalogue reads a path but once */
    char *path = arena_printf(arena, "/tmp/rafter-claims-test-%d-%d.yaml", (int)getpid(), made++);
    cr_assert(file_write(&diag, path, text, strlen(text)));
    const struct technique *technique = catalogue_technique(&catalogue, &diag, path);
    unlink(path);
    return technique;
}

static struct claim_list claims_of(const char *text)
{
    struct claim_list claims;
    const struct technique *technique = technique_of(text);
    cr_assert(technique != NULL, "%s", diag_first_error(&diag));
    cr_assert(claims_read(arena, &diag, technique, &claims), "%s", diag_first_error(&diag));
    return claims;
}

#define HEAD                                                                                                 \
    "name: made up\nmechanisms: [{name: kv_quantization, parameters: {type: fp8}}]\n"                        \
    "setups:\n  small: {model: llama-3.2-1b, device: a100-80gb-sxm, prompt: 512}\n"                          \
    "  batched: {setup: small, batch: 16}\nclaims:\n"

static struct claim_result try_claim(const struct claim *claim, int draws)
{
    const struct claim_trial trial = {.evaluator = &evaluator, .arena = arena, .name = "kv8", .draws = draws};
    static const struct technique made_up = {.id = "made-up"};
    struct claim_result result;
    cr_assert(claim_try(&trial, &diag, &made_up, claim, &result), "%s", diag_first_error(&diag));
    return result;
}

static struct answer ask(double batch, const char *kv)
{
    const struct question question = {
        .model = "llama-3.2-1b", .device = "a100-80gb-sxm", .prompt = 512, .batch = batch, .kv = kv};
    struct answer answer;
    const char *reason;
    cr_assert(evaluate(&evaluator, &question, &answer, NULL, &reason), "%s", reason);
    return answer;
}

Test(claims, forms_are_of_both_sides)
{
    static const char *const forms[] = {"value", "ratio", "speedup", "reduction", "increase"};
    double t = ask(16, "fp8").tpot_s, b = ask(16, NULL).tpot_s;
    const double wanted[] = {t * 1e3, t / b, b / t, 1 - t / b, t / b - 1};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 HEAD "  - {id: m#1, metric: tpot, form: %s, unit: %s, value: 1, status: computed, query: "
                      "{setup: batched}}\n",
                 forms[i], i == 0 ? "ms" : "x");
        struct claim_list claims = claims_of(text);
        struct claim_result result = try_claim(&claims.items[0], 0);
        cr_expect_float_eq(result.predicted, wanted[i], 1e-12 * fabs(wanted[i]), "%s: %g is not %g", forms[i],
                           result.predicted, wanted[i]);
        cr_expect(isnan(result.low));
    }
}

Test(claims, kinds_are_of_the_grid)
{
    static const char *const kinds[] = {"up_to", "at_least", "average"};
    double at[3] = {ask(1, "fp8").tpot_s, ask(4, "fp8").tpot_s, ask(64, "fp8").tpot_s};
    const double wanted[] = {at[2], at[0], (at[0] + at[1] + at[2]) / 3};
    for (size_t i = 0; i < 3; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 HEAD "  - {id: m#1, metric: tpot, kind: %s, unit: s, value: 1, status: computed, "
                      "query: {setup: small, batch: [1, 4, 64]}}\n",
                 kinds[i]);
        struct claim_list claims = claims_of(text);
        struct claim_result result = try_claim(&claims.items[0], 0);
        cr_expect_float_eq(result.predicted, wanted[i], 1e-12, "%s", kinds[i]);
        cr_expect(result.points == 3);
    }
}

Test(claims, axes_are_walked_each_with_each_or_together)
{
    struct claim_list claims =
        claims_of(HEAD "  - {id: m#1, metric: tpot, kind: up_to, unit: s, value: 1, status: computed, "
                       "query: {setup: small, batch: [1, 4, 64], output: [16, 32]}}\n"
                       "  - {id: m#2, metric: tpot, kind: up_to, unit: s, value: 1, status: computed, "
                       "query: {setup: small, batch: [1, 4, 64], prompt: [100, 200, 300], zip: true},"
                       " baseline: {batch: [2, 8, 128]}}\n");
    const struct claim_query *product = &claims.items[0].query, *zipped = &claims.items[1].query;
    cr_assert(query_points(&diag, product) == 6);
    cr_assert(query_points(&diag, zipped) == 3);
    struct question question;
    const char *solve;
    for (size_t p = 0; p < 6; p++) {
        static const double batches[] = {1, 4, 64}, outputs[] = {16, 32};
        cr_assert(query_question(arena, &diag, product, NULL, "kv8", p, &question, &solve));
        cr_expect(question.batch == batches[p / 2] && question.output == outputs[p % 2]);
        cr_expect(question.techniques.count == 1 && strcmp(question.techniques.items[0], "kv8") == 0);
    }
    for (size_t p = 0; p < 3; p++) {
        static const double batches[] = {2, 8, 128}, prompts[] = {100, 200, 300};
        cr_assert(
            query_question(arena, &diag, zipped, &claims.items[1].baseline, NULL, p, &question, &solve));
        cr_expect(question.batch == batches[p] && question.prompt == prompts[p]);
        cr_expect(question.techniques.count == 0 && solve == NULL);
    }
}

Test(claims, the_most_that_fits_is_found)
{
    struct claim_list claims = claims_of(
        HEAD "  - {id: m#1, metric: batch, form: ratio, unit: x, value: 2, status: computed, "
             "query: {model: llama-2-7b, device: a100-80gb-sxm, batch: max, prompt: 2000, output: 48}}\n");
    struct claim_result result = try_claim(&claims.items[0], 0);
    cr_expect(result.predicted > 1.9 && result.predicted < 2.1, "%g", result.predicted);
    cr_expect(result.verdict == CLAIM_WITHIN_10);
}

Test(claims, verdicts_follow_the_error_and_the_cause)
{
    static const struct {
        double share; /* of the prediction that was published */
        const char *more;
        enum claim_verdict verdict;
    } cases[] = {{1, "", CLAIM_WITHIN_10},     {1.08, "", CLAIM_WITHIN_10},
                 {1.2, "", CLAIM_WITHIN_25},   {1.6, "", CLAIM_WITHIN_50},
                 {3, "", CLAIM_UNEXPLAINED},   {3, "cause: tested, ", CLAIM_OFF},
                 {0.2, "", CLAIM_UNEXPLAINED}, {0.2, "kind: at_least, ", CLAIM_WITHIN_10}};
    double tpot = ask(16, "fp8").tpot_s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 HEAD "  - {id: m#1, metric: tpot, unit: s, value: %.17g, %sstatus: computed, query: {setup: "
                      "batched}}\n",
                 tpot * cases[i].share, cases[i].more);
        struct claim_list claims = claims_of(text);
        struct claim_result result = try_claim(&claims.items[0], 0);
        cr_expect(result.verdict == cases[i].verdict, "%g: %s", cases[i].share,
                  claim_verdict_name(result.verdict));
    }
}

Test(claims, intervals_hold_the_prediction_and_are_the_same_every_time)
{
    struct claim_list claims = claims_of(
        HEAD
        "  - {id: m#1, metric: tpot, unit: ms, value: 1, status: computed, query: {setup: batched}}\n"
        "  - {id: m#2, metric: memory.kv, unit: GB, value: 1, status: computed, query: {setup: batched}}\n");
    struct claim_result time = try_claim(&claims.items[0], 12), again = try_claim(&claims.items[0], 12);
    struct claim_result memory = try_claim(&claims.items[1], 12);
    cr_expect(time.low < time.predicted && time.predicted < time.high);
    cr_expect(time.low == again.low && time.high == again.high);
    cr_expect(memory.low == memory.predicted && memory.high == memory.predicted);
}

Test(claims, questions_without_an_answer_are_unexplained_with_the_reason)
{
    struct claim_list claims = claims_of(
        HEAD
        "  - {id: m#1, metric: tpot, unit: ms, value: 1, status: computed, query: {setup: small, tp: 3, "
        "devices: 3}}\n"
        "  - {id: m#2, metric: tpot, unit: ms, value: 1, status: not-computable, reason: needs-arrivals}\n");
    struct claim_result refused = try_claim(&claims.items[0], 4), other = try_claim(&claims.items[1], 4);
    cr_expect(refused.verdict == CLAIM_UNEXPLAINED && isnan(refused.predicted) && refused.reason != NULL);
    cr_expect(other.verdict == CLAIM_NOT_SCORED && strcmp(other.reason, "needs-arrivals") == 0);
}

static void expect_refused(const char *text, const char *message)
{
    struct arena *own = arena_new(0);
    diag = (struct diag){.arena = own};
    const struct technique *technique = technique_of(text);
    struct claim_list claims;
    bool read = technique != NULL && claims_read(arena, &diag, technique, &claims);
    if (read) {
        const struct claim_trial trial = {.evaluator = &evaluator, .arena = arena};
        struct claim_result result;
        for (size_t i = 0; read && i < claims.count; i++)
            read = claim_try(&trial, &diag, technique, &claims.items[i], &result);
    }
    cr_expect(!read, "accepted, but expected \"%s\"", message);
    if (!read)
        cr_expect(strstr(diag_first_error(&diag), message) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&diag), message);
    arena_free(own);
    diag = (struct diag){.arena = arena};
}

Test(claims, bad_claims_are_refused)
{
#define CLAIM(text) HEAD "  - {id: m#1, " text "}\n"
    expect_refused(CLAIM("metric: tpott, unit: ms, value: 1, status: computed, query: {setup: small}"),
                   "did you mean tpot");
    expect_refused(CLAIM("metric: tpot, unit: GB, value: 1, status: computed, query: {setup: small}"),
                   "expected one of s, ms, us");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: x, status: computed, query: {setup: small}"),
                   "value");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, status: computed"), "needs a query");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, status: computd, query: {setup: small}"),
                   "computed");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, status: not-computable"), "needs a reason");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, status: not-computable, reason: too hard"),
                   "reason");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, status: computed, query: {setup: smal}"),
                   "did you mean small");
    expect_refused(
        CLAIM("metric: tpot, unit: ms, value: 1, status: computed, query: {setup: small, bach: 3}"),
        "did you mean batch");
    expect_refused(
        CLAIM("metric: tpot, unit: ms, value: 1, status: computed, query: {setup: small, batch: [1, 2]}"),
        "an exact claim has a grid of 2 points");
    expect_refused(
        CLAIM("metric: tpot, unit: ms, value: 1, status: computed, query: {setup: small, batch: -1}"),
        "batch");
    expect_refused(CLAIM("metric: tpot, unit: ms, value: 1, kind: up_to, status: computed, "
                         "query: {setup: small, batch: [1, 2], output: [1, 2, 3], zip: true}"),
                   "expected 2 as the zipped axes");
    expect_refused(
        CLAIM(
            "metric: tpot, unit: ms, value: 1, status: computed, query: {setup: small}") "  - {id: m#1, "
                                                                                         "metric: tpot, "
                                                                                         "unit: ms, value: "
                                                                                         "1, status: "
                                                                                         "computed, query: "
                                                                                         "{setup: small}}\n",
        "is there already");
    expect_refused("name: x\nmechanisms: []\n", "no mechanisms");
    expect_refused(
        "name: x\nno_effect: none\nmechanisms: [{name: kv_quantization, parameters: {type: fp8}}]\n",
        "but there are mechanisms");
    expect_refused("name: x\nno_effect: none\nsetups: {a: {setup: b}, b: {setup: a}}\nclaims:\n"
                   "  - {id: m#1, metric: tpot, unit: ms, value: 1, status: computed, query: {setup: a}}\n",
                   "start from each other");
}

/* ---- those that are shipped ---- */

static void each_technique(void (*check)(const struct technique *technique, const struct claim_list *claims))
{
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_TECHNIQUES, &entries, &count));
    for (size_t i = 0; i < count; i++) {
        const struct technique *technique = catalogue_technique(&catalogue, &diag, entries[i].id);
        struct claim_list claims;
        cr_assert(technique != NULL && claims_read(arena, &diag, technique, &claims), "%s",
                  diag_first_error(&diag));
        check(technique, &claims);
    }
}

static void check_ids(const struct technique *technique, const struct claim_list *claims)
{
    size_t length = strlen(technique->id);
    for (size_t i = 0; i < claims->count; i++)
        cr_expect(strncmp(claims->items[i].id, technique->id, length) == 0 &&
                      claims->items[i].id[length] == '#',
                  "%s in %s.yaml", claims->items[i].id, technique->id);
}

Test(claims, ids_are_of_their_technique)
{
    each_technique(check_ids);
}

/* Every claim again with other published values: the question is put alike. */
static void check_honest(const struct technique *technique, const struct claim_list *claims)
{
    const struct claim_trial trial = {
        .evaluator = &evaluator, .arena = arena, .name = technique->use_count > 0 ? technique->id : NULL};
    for (size_t i = 0; i < claims->count; i++) {
        struct claim changed = claims->items[i];
        struct claim_result as_published, as_changed;
        changed.value *= 1.1;
        cr_assert(claim_try(&trial, &diag, technique, &claims->items[i], &as_published), "%s",
                  diag_first_error(&diag));
        cr_assert(claim_try(&trial, &diag, technique, &changed, &as_changed));
        bool none = isnan(as_published.predicted) && isnan(as_changed.predicted);
        cr_expect(none || as_published.predicted == as_changed.predicted, "%s: %g became %g", changed.id,
                  as_published.predicted, as_changed.predicted);
        if (changed.status != CLAIM_COMPUTED)
            cr_expect(as_published.verdict == CLAIM_NOT_SCORED, "%s", changed.id);
    }
}

Test(claims, no_published_value_moves_a_prediction)
{
    each_technique(check_honest);
}
