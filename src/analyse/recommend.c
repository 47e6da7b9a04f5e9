#include "analyse/recommend.h"

#include "mechanism/mechanism.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct searching {
    struct evaluator *evaluator;
    struct arena *arena;
    const struct question *question;
    const struct recommend_options *options;
    struct recommendation *found;
    size_t room;
    bool *paired; /* of two helpful techniques, by their places: they have an answer together */
};

/* Of a draft alone: the model verifies what that proposes. */
static bool is_draft_s(const struct mechanism_use *use)
{
    return use->on.count == 1 && strcmp(use->on.items[0], ROLE_DRAFT) == 0;
}

bool technique_is_lossless(const struct technique *technique)
{
    if (technique->lossless != LOSSLESS_BY_MECHANISMS)
        return technique->lossless == LOSSLESS_YES;
    for (size_t i = 0; i < technique->use_count; i++) {
        const struct mechanism *mechanism = mechanism_find(technique->uses[i].name);
        if (mechanism == NULL || (!mechanism->lossless && !is_draft_s(&technique->uses[i])))
            return false;
    }
    return true;
}

/* ---- one stack ---- */

/* false with the reason, or NULL when memory is out. */
static bool try_stack(struct searching *searching, struct technique_stack *stack, const char **reason)
{
    const struct string_list *own = &searching->question->techniques;
    const char *names[OPTIONS_TECHNIQUES_MOST + STACK_TECHNIQUES_MOST];
    struct question question = *searching->question;
    if (own->count > OPTIONS_TECHNIQUES_MOST) {
        *reason = "too many techniques";
        return false;
    }
    for (size_t i = 0; i < own->count; i++)
        names[i] = own->items[i];
    for (int i = 0; i < stack->count; i++)
        names[own->count + (size_t)i] = stack->members[i]->id;
    question.techniques = (struct string_list){names, own->count + (size_t)stack->count};
    searching->found->evaluated++;
    if (!evaluate(searching->evaluator, &question, &stack->answer, NULL, reason))
        return false;
    stack->score = objective_score(&stack->answer, searching->options->objective);
    stack->strain = limits_strain(&searching->options->limits, &stack->answer, &stack->tightest);
    return true;
}

static bool keep(struct searching *searching, const struct technique_stack *stack)
{
    struct recommendation *found = searching->found;
    if (found->count == searching->room) {
        size_t room = 2 * searching->room + 64;
        struct technique_stack *stacks = ARENA_ARRAY(searching->arena, struct technique_stack, room);
        if (stacks == NULL)
            return false;
        if (found->count > 0)
            memcpy(stacks, found->stacks, found->count * sizeof *stacks);
        found->stacks = stacks;
        searching->room = room;
    }
    found->stacks[found->count++] = *stack;
    found->kept += stack->strain <= 1;
    return true;
}

/* Kept limits first, then by the objective; among those that break one, the nearest first. */
static int by_rank(const void *a, const void *b)
{
    const struct technique_stack *x = a, *y = b;
    bool x_kept = x->strain <= 1, y_kept = y->strain <= 1;
    if (x_kept != y_kept)
        return x_kept ? -1 : 1;
    if (!x_kept && x->strain != y->strain)
        return x->strain < y->strain ? -1 : 1;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->count - y->count;
}

/* ---- alone ---- */

/* The technique or a mechanism of it changes the work, and the family asked for is not its own. */
static bool changes_work(const struct technique *technique, const char *family)
{
    if (technique->other_work && (family == NULL || strcmp(family, technique_family(technique)) != 0))
        return true;
    for (size_t i = 0; i < technique->use_count; i++) {
        const struct mechanism *mechanism = mechanism_find(technique->uses[i].name);
        if (mechanism != NULL && mechanism->other_work &&
            (family == NULL || strcmp(family, mechanism->name) != 0))
            return true;
    }
    return false;
}

static bool is_wanted(const struct searching *searching, const struct technique *technique)
{
    const struct recommend_options *options = searching->options;
    return technique->use_count > 0 &&
           (options->family == NULL || strcmp(options->family, technique_family(technique)) == 0) &&
           (!options->lossless || technique_is_lossless(technique));
}

static bool try_alone(struct searching *searching, const struct technique *technique)
{
    struct recommendation *found = searching->found;
    struct technique_stack stack = {.members = {technique}, .count = 1};
    const char *reason;
    if (!searching->options->other_work && changes_work(technique, searching->options->family)) {
        found->left_out++;
        return true;
    }
    found->techniques++;
    if (try_stack(searching, &stack, &reason))
        return keep(searching, &stack);
    found->unfit[found->unfit_count++] =
        (struct unfit_technique){technique, arena_strdup(searching->arena, reason)};
    return true;
}

/* Better by more than rounding: in the objective, or nearer to limits that the baseline breaks. */
static bool helps(const struct searching *searching, const struct technique_stack *stack)
{
    const struct technique_stack *baseline = &searching->found->baseline;
    const double least = 1e-3;
    if (!searching->found->has_baseline)
        return true;
    if (baseline->strain > 1)
        return stack->strain < baseline->strain * (1 - least);
    return baseline->score - stack->score > least * fabs(baseline->score);
}

/* ---- stacks ---- */

static bool shares_role(const struct mechanism_use *a, const struct mechanism_use *b)
{
    if (a->on.count == 0 && b->on.count == 0)
        return true;
    for (size_t i = 0; i < a->on.count || i == 0; i++)
        for (size_t j = 0; j < b->on.count || j == 0; j++)
            if (strcmp(a->on.count > 0 ? a->on.items[i] : ROLE_SERVE,
                       b->on.count > 0 ? b->on.items[j] : ROLE_SERVE) == 0)
                return true;
    return false;
}

/* Both set a mechanism of one role: stack_add_technique would refuse them. */
static bool contradict(const struct technique *a, const struct technique *b)
{
    for (size_t i = 0; i < a->use_count; i++)
        for (size_t j = 0; j < b->use_count; j++)
            if (strcmp(a->uses[i].name, b->uses[j].name) == 0 && shares_role(&a->uses[i], &b->uses[j]))
                return true;
    return false;
}

/* Puts a stack while the budget lasts; false only when memory is out. */
static bool try_within_budget(struct searching *searching, struct technique_stack *stack, bool *answered)
{
    const char *reason;
    *answered = false;
    if (searching->found->evaluated >= RECOMMEND_BUDGET) {
        searching->found->exhaustive = false;
        return true;
    }
    *answered = try_stack(searching, stack, &reason);
    return !*answered || keep(searching, stack);
}

static bool try_pairs(struct searching *searching, const struct technique_stack *singles, size_t count)
{
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count; b++) {
            struct technique_stack pair = {.members = {singles[a].members[0], singles[b].members[0]},
                                           .count = 2};
            if (!contradict(pair.members[0], pair.members[1]) &&
                !try_within_budget(searching, &pair, &searching->paired[a * count + b]))
                return false;
        }
    return true;
}

static size_t place_of(const struct technique_stack *singles, size_t count, const struct technique *technique)
{
    for (size_t i = 0; i < count; i++)
        if (singles[i].members[0] == technique)
            return i;
    return count;
}

/* A third member of each pair, best pairs first; it comes behind the second in the singles' order, so that
 * each three are tried once - unless the budget ends, which then leaves out the worse pairs. */
static bool try_threes(struct searching *searching, const struct technique_stack *singles, size_t count,
                       const struct technique_stack *pairs, size_t pair_count)
{
    bool answered;
    for (size_t p = 0; p < pair_count; p++) {
        size_t a = place_of(singles, count, pairs[p].members[0]);
        size_t b = place_of(singles, count, pairs[p].members[1]);
        for (size_t c = b + 1; c < count; c++) {
            struct technique_stack three = {
                .members = {pairs[p].members[0], pairs[p].members[1], singles[c].members[0]}, .count = 3};
            if (searching->paired[a * count + c] && searching->paired[b * count + c] &&
                !try_within_budget(searching, &three, &answered))
                return false;
        }
    }
    return true;
}

/* A copy of found->stacks [from, found->count), best first. */
static struct technique_stack *ranked(struct searching *searching, size_t from, size_t *count)
{
    *count = searching->found->count - from;
    struct technique_stack *copy = ARENA_ARRAY(searching->arena, struct technique_stack, *count + 1);
    if (copy != NULL && *count > 0) {
        memcpy(copy, searching->found->stacks + from, *count * sizeof *copy);
        qsort(copy, *count, sizeof *copy, by_rank);
    }
    return copy;
}

static bool try_stacks(struct searching *searching)
{
    struct recommendation *found = searching->found;
    size_t alone, pairs, helpful = 0;
    struct technique_stack *singles = ranked(searching, 0, &alone);
    if (singles == NULL)
        return false;
    for (size_t i = 0; i < alone; i++)
        if (helps(searching, &singles[i]))
            singles[helpful++] = singles[i];
    found->helpful = helpful;
    size_t before = found->count;
    if (searching->options->depth < 2)
        return true;
    searching->paired = ARENA_ARRAY(searching->arena, bool, helpful *helpful + 1);
    if (searching->paired == NULL || !try_pairs(searching, singles, helpful))
        return false;
    struct technique_stack *best = ranked(searching, before, &pairs);
    return best != NULL &&
           (searching->options->depth < 3 || try_threes(searching, singles, helpful, best, pairs));
}

bool recommend(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
               const struct question *question, const struct recommend_options *options,
               struct recommendation *recommendation)
{
    struct catalogue_entry *entries;
    size_t count;
    const char *reason;
    struct searching searching = {evaluator, arena, question, options, recommendation, 0, NULL};
    *recommendation = (struct recommendation){.exhaustive = true};
    if (!catalogue_list(evaluator->catalogue, diag, CATALOGUE_TECHNIQUES, &entries, &count))
        return false;
    recommendation->unfit = ARENA_ARRAY(arena, struct unfit_technique, count + 1);
    if (recommendation->unfit == NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    recommendation->has_baseline = try_stack(&searching, &recommendation->baseline, &reason);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        const struct technique *technique = catalogue_technique(evaluator->catalogue, diag, entries[i].id);
        if (technique == NULL)
            return false;
        if (is_wanted(&searching, technique) && !try_alone(&searching, technique))
            return diag_error(diag, NOWHERE, "out of memory");
    }
    if (!try_stacks(&searching))
        return diag_error(diag, NOWHERE, "out of memory");
    if (recommendation->count > 0)
        qsort(recommendation->stacks, recommendation->count, sizeof *recommendation->stacks, by_rank);
    return true;
}
