/* docs/schemas.md and docs/mechanisms.md are written from the schemas themselves: a key that is added without
 * them fails here. RAFTER_UPDATE_GOLDEN=1 rewrites them. */
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
