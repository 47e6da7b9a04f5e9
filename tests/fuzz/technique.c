/* A technique's file of any bytes: its description, its mechanisms' parameters, its claims and their grids.
 */
#include "analyse/claim_metric.h"
#include "analyse/claim_query.h"
#include "mechanism/mechanism.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 64 << 20, POINTS_TRIED = 16 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Whatever can be asked for is a question, with as many techniques as it says. */
static void put(struct arena *arena, struct diag *diag, const struct claim *claim,
                const struct claim_query *over)
{
    size_t points = query_points(diag, &claim->query);
    check(points <= GRID_MOST);
    for (size_t p = 0; p < points && p < POINTS_TRIED; p++) {
        struct question question;
        const char *solve;
        if (!query_question(arena, diag, &claim->query, over, "itself", p, &question, &solve))
            continue;
        check(solve == NULL || strcmp(solve, "batch") == 0 || strcmp(solve, "prompt") == 0);
        for (size_t t = 0; t < question.techniques.count; t++)
            check(question.techniques.items[t] != NULL);
    }
}

static void read_claims(struct arena *arena, struct diag *diag, const struct technique *technique)
{
    struct claim_list claims;
    int before = diag->errors;
    bool good = claims_read(arena, diag, technique, &claims);
    check(good == (diag->errors == before));
    for (size_t i = 0; good && i < claims.count; i++) {
        const struct claim *claim = &claims.items[i];
        const struct claim_metric *metric = claim_metric_find(diag, claim);
        if (metric != NULL)
            claim_unit_find(diag, claim, metric);
        put(arena, diag, claim, NULL);
        put(arena, diag, claim, &claim->baseline);
    }
}

static void read_technique(struct arena *arena, struct diag *diag, const char *text, size_t size)
{
    struct reader reader = {arena, diag};
    struct technique technique;
    struct stack stack = {.count = 0};
    const struct yaml_node *root = yaml_parse(arena, diag, "input.yaml", text, size);
    if (root == NULL || !technique_read(&reader, root, "input", &technique))
        return;
    stack_add_technique(&stack, arena, diag, &technique);
    check(stack.count <= STACK_MOST && technique_family(&technique) != NULL);
    read_claims(arena, diag, &technique);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    check(arena != NULL);
    read_technique(arena, &diag, (const char *)data, size);
    arena_free(arena);
    return 0;
}
