/* The catalogue of techniques by itself, and against the collection of papers that it was made from, where
 * that is at hand: every paper has its technique, with its year and number and all its results. */
#include "spec/claim.h"
#include "spec/catalogue.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;

static void set_up(void)
{
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    catalogue_open(&catalogue, arena);
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(cards, .init = set_up, .fini = tear_down);

static const char *text_at(const struct yaml_node *card, const char *key)
{
    const struct yaml_node *node = yaml_get(card, key);
    return node != NULL && !yaml_is_null(node) ? node->scalar : NULL;
}

/* Whether a claim is the n-th result, or a point of it. */
static bool is_nth(const char *id, const char *card, size_t n)
{
    char wanted[128];
    int length = snprintf(wanted, sizeof wanted, "%s#%zu", card, n);
    return strncmp(id, wanted, (size_t)length) == 0 && (id[length] == '\0' || id[length] == '.');
}

static void expect_claims(const struct yaml_node *card, const char *id, const struct technique *technique)
{
    struct claim_list claims;
    const struct yaml_node *results = yaml_get(card, "claims");
    size_t count = results != NULL && results->kind == YAML_LIST ? results->children : 0, found = 0;
    cr_assert(claims_read(arena, &diag, technique, &claims), "%s", diag_first_error(&diag));
    for (size_t n = 1; n <= count; n++) {
        size_t points = 0;
        for (size_t i = 0; i < claims.count; i++)
            points += is_nth(claims.items[i].id, id, n);
        cr_expect(points > 0, "%s has no claim %s#%zu", technique->id, id, n);
        found += points;
    }
    cr_expect(found == claims.count, "%s has claims beyond its paper's %zu results", id, count);
}

static void expect_technique(const char *path)
{
    const struct yaml_node *card = yaml_parse_file(arena, &diag, path);
    cr_assert(card != NULL, "%s", diag_first_error(&diag));
    const char *id = text_at(card, "id"), *number = text_at(card, "arxiv"), *year = text_at(card, "year");
    const struct technique *technique = catalogue_technique(&catalogue, &diag, id);
    cr_assert(technique != NULL, "%s", diag_first_error(&diag));
    cr_expect(strcmp(technique->id, id) == 0, "%s is an alias", id);
    cr_expect(technique->title != NULL, "%s has no title", id);
    if (number != NULL)
        cr_expect(technique->paper != NULL &&
                      strcmp(technique->paper, arena_printf(arena, "arXiv:%s", number)) == 0,
                  "%s: paper %s", id, technique->paper);
    if (year != NULL)
        cr_expect(technique->year == atoi(year), "%s: %d for %s", id, technique->year, year);
    expect_claims(card, id, technique);
}

/* Whether the claims' numbers, without their points', are 1, 2 ... and none is left out. */
static bool numbered(const struct claim_list *claims, const char *id)
{
    size_t n = 0;
    for (size_t found = 1; found > 0; n += found > 0) {
        found = 0;
        for (size_t i = 0; i < claims->count; i++)
            found += is_nth(claims->items[i].id, id, n + 1);
    }
    for (size_t i = 0; i < claims->count; i++) {
        const char *number = strchr(claims->items[i].id, '#');
        if (number == NULL || strtoul(number + 1, NULL, 10) > n)
            return false;
    }
    return n > 0;
}

Test(cards, results_of_every_paper_are_numbered_without_gaps)
{
    enum { PAPERS = 145 };
    DIR *folder = opendir(SOURCE_DIR "/techniques");
    size_t papers = 0;
    cr_assert(folder != NULL);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        const char *id = arena_printf(arena, "%.*s", (int)length - 5, entry->d_name);
        const struct technique *technique = catalogue_technique(&catalogue, &diag, id);
        struct claim_list claims;
        cr_assert(technique != NULL && claims_read(arena, &diag, technique, &claims), "%s",
                  diag_first_error(&diag));
        papers += technique->title != NULL;
        cr_expect(claims.count == 0 || numbered(&claims, id), "%s", id);
    }
    closedir(folder);
    cr_expect(papers >= PAPERS, "%zu of %d papers", papers, PAPERS);
}

Test(cards, every_paper_has_its_technique_and_results)
{
    enum { PAPERS = 145 };
    DIR *folder = opendir(SOURCE_DIR "/../shared/facts");
    size_t count = 0;
    if (folder == NULL)
        cr_skip_test("the papers' results are not here (../shared/facts)");
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        expect_technique(arena_printf(arena, SOURCE_DIR "/../shared/facts/%s", entry->d_name));
        count++;
    }
    closedir(folder);
    cr_expect(count >= PAPERS, "%zu", count);
}
