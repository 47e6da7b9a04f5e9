/* docs/schemas.md and docs/mechanisms.md are written from the schemas themselves: a key that is added without
 * them fails here. RAFTER_UPDATE_GOLDEN=1 rewrites them. */
#include "base/file.h"
#include "base/text.h"
#include "estimate/estimate.h"

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
                     {"The site: `--set site.KEY=VALUE`", &site_schema}};
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

Test(docs, scalars_are_in_the_methodology)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    const char *text = read_file(arena, &diag, SOURCE_DIR "/docs/schemas.md");
    for (int f = 0; f < FAMILY_COUNT; f++)
        cr_expect(strstr(text, families[f].name) != NULL, "%s", families[f].name);
    arena_free(arena);
}
