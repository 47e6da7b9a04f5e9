/* docs/schemas.md, mechanisms.md, claims.md and techniques.md are written from the schemas and descriptions
 * themselves: what is added without them fails here. RAFTER_UPDATE_GOLDEN=1 rewrites them. */
#include "analyse/claim_metric.h"
#include "base/file.h"
#include "base/text.h"
#include "estimate/estimate.h"
#include "validate/suite.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *read_file(struct arena *arena, struct diag *diag, const char *path)
{
    size_t length;
    const char *text = file_read(arena, diag, path, 1 << 22, &length);
    cr_assert(text != NULL, "%s", diag_first_error(diag));
    return text;
}

static void expect_document(const char *path, const struct text *now)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    cr_assert_not(now->failed);
    if (getenv("RAFTER_UPDATE_GOLDEN"))
        cr_assert(file_write(&diag, path, now->data, now->length), "%s", diag_first_error(&diag));
    cr_expect(strcmp(read_file(arena, &diag, path), now->data) == 0, "%s is stale: make golden rewrites it",
              path);
    arena_free(arena);
}

/* The part that people write stands in docs/schemas.head.md. */
Test(docs, schemas)
{
    static const struct {
        const char *title;
        const struct schema *schema;
    } documents[] = {{"Devices: hardware/", &device_schema},
                     {"Systems: hardware/ files with `members`", &system_schema},
                     {"Software: software/", &software_schema},
                     {"Models: models/", &model_schema},
                     {"Workloads: workloads/", &workload_schema},
                     {"Techniques: techniques/", &technique_schema},
                     {"The site: `--set site.KEY=VALUE`", &site_schema},
                     {"Validation suites: `rafter validate suite`", &suite_schema}};
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct text now = {0};
    text_add(&now, read_file(arena, &diag, SOURCE_DIR "/docs/schemas.head.md"));
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        text_printf(&now, "\n# %s\n\n", documents[i].title);
        schema_document(documents[i].schema, &now);
    }
    expect_document(SOURCE_DIR "/docs/schemas.md", &now);
    text_free(&now);
    arena_free(arena);
}

static void add_scalars(struct text *out, const struct family_declaration *family)
{
    text_printf(out, "\n## %s\n\n| scalar | from | to | ideal | meaning |\n|---|---|---|---|---|\n",
                family->name);
    for (int i = 0; i < family->count; i++) {
        const struct scalar_declaration *scalar = &family->scalars[i];
        double values[] = {scalar->min, scalar->max, scalar->fallback};
        text_printf(out, "| `%s` |", scalar->name);
        for (size_t v = 0; v < 3; v++) {
            bool time = scalar->dimension == DIM_SECONDS;
            text_printf(out, " %g%s |", time ? values[v] * 1e6 : values[v],
                        time && values[v] > 0 ? " us" : "");
        }
        text_printf(out, " %s |\n", scalar->doc);
    }
}

/* The part that people write stands in docs/calibration.head.md. */
Test(docs, calibration)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct text now = {0};
    text_add(&now, read_file(arena, &diag, SOURCE_DIR "/docs/calibration.head.md"));
    for (int f = 0; f < FAMILY_COUNT; f++)
        add_scalars(&now, &families[f]);
    expect_document(SOURCE_DIR "/docs/calibration.md", &now);
    text_free(&now);
    arena_free(arena);
}

Test(docs, mechanisms)
{
    struct text now = {0};
    text_add(
        &now,
        "# Mechanisms\n\nRewrites that techniques are made of (docs/methodology.md says what they change). "
        "Each is one file of src/mechanism/; these tables are written from its declaration.\n");
    for (size_t i = 0; i < mechanism_count; i++) {
        text_add(&now, "\n");
        schema_document(mechanisms[i]->parameters.schema, &now);
        text_printf(&now, "Effect: %s.\n", mechanisms[i]->summary);
        for (const char *const *key = mechanisms[i]->parameters.empirical; key && *key; key++)
            text_printf(&now,
                        "\n`%s` is empirical: it is marked as an input wherever an answer depends on it.\n",
                        *key);
    }
    expect_document(SOURCE_DIR "/docs/mechanisms.md", &now);
    text_free(&now);
}

/* The part that people write stands in docs/claims.head.md. */
Test(docs, claims)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct text now = {0};
    text_add(&now, read_file(arena, &diag, SOURCE_DIR "/docs/claims.head.md"));
    text_add(&now, "\n## Keys of a claim\n\n");
    schema_document(&claim_schema, &now);
    text_add(&now, "\n## Metrics\n\n| metric | in | what it is |\n|---|---|---|\n");
    for (size_t m = 0; m < claim_metric_count; m++) {
        const struct claim_metric *metric = &claim_metrics[m];
        text_printf(&now, "| `%s` |", metric->name);
        const char *separator = " ";
        for (size_t u = 0; u < claim_unit_count; u++)
            if (claim_units[u].dimension == metric->dimension) {
                text_printf(&now, "%s%s", separator, claim_units[u].name);
                separator = ", ";
            }
        text_printf(&now, " | %s |\n", metric->doc);
    }
    text_add(&now, "\nForms other than `value` are in x or %.\n");
    expect_document(SOURCE_DIR "/docs/claims.md", &now);
    text_free(&now);
    arena_free(arena);
}

static int by_family(const void *a, const void *b)
{
    const struct technique *const *left = a, *const *right = b;
    int order = strcmp(technique_family(*left), technique_family(*right));
    return order != 0 ? order : strcmp((*left)->id, (*right)->id);
}

static void add_technique(struct text *out, const struct technique *technique)
{
    text_printf(out, "| [%s](../techniques/%s.yaml) | %s | %s | ", technique->id, technique->id,
                technique->title ? technique->title : technique->name,
                technique->paper ? technique->paper : "");
    if (technique->year > 0)
        text_printf(out, "%d", technique->year);
    text_add(out, " | ");
    for (size_t i = 0; i < technique->use_count; i++) {
        bool before = false;
        for (size_t j = 0; j < i; j++)
            before |= strcmp(technique->uses[j].name, technique->uses[i].name) == 0;
        if (!before)
            text_printf(out, "%s%s", i > 0 ? ", " : "", technique->uses[i].name);
    }
    text_printf(out, "%s |\n", technique->no_effect ? technique->no_effect : "");
}

Test(docs, techniques)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    struct catalogue_entry *entries;
    size_t count, kept = 0;
    struct text now = {0};
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_TECHNIQUES, &entries, &count));
    const struct technique **list = ARENA_ARRAY(arena, const struct technique *, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        list[kept] = catalogue_technique(&catalogue, &diag, entries[i].id);
        cr_assert(list[kept++] != NULL, "%s", diag_first_error(&diag));
    }
    qsort(list, kept, sizeof *list, by_family);
    text_add(&now, "# Techniques\n\nBy family: the mechanism that a technique is about first. `rafter show "
                   "ID` has its parameters, "
                   "`rafter claims ID` its published results beside rafter's.\n");
    for (size_t i = 0; i < kept; i++) {
        const char *family = technique_family(list[i]);
        if (i == 0 || strcmp(family, technique_family(list[i - 1])) != 0)
            text_printf(
                &now, "\n## %s\n\n| technique | title | paper | year | mechanisms |\n|---|---|---|---|---|\n",
                family);
        add_technique(&now, list[i]);
    }
    expect_document(SOURCE_DIR "/docs/techniques.md", &now);
    text_free(&now);
    arena_free(arena);
}
