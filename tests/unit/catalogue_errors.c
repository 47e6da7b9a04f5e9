/* An error in any catalogue file names the file, the line, and the nearest key that there is. */
#include "base/file.h"
#include "base/text.h"
#include "spec/catalogue.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* Reads the description and returns the first error, "" when there was none. */
static const char *error_of(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                            const struct catalogue_entry *entry)
{
    switch (kind) {
    case CATALOGUE_HARDWARE:
        catalogue_system(catalogue, diag, entry->path, 0, NULL);
        break;
    case CATALOGUE_SOFTWARE:
        catalogue_software(catalogue, diag, entry->path, NULL);
        break;
    case CATALOGUE_MODELS:
        catalogue_model(catalogue, diag, entry->path, NULL);
        break;
    case CATALOGUE_TECHNIQUES:
        catalogue_technique(catalogue, diag, entry->path);
        break;
    case CATALOGUE_WORKLOADS:
        catalogue_workload(catalogue, diag, entry->path, NULL);
        break;
    case CATALOGUE_KIND_COUNT:
        break;
    }
    return diag_first_error(diag);
}

/* A copy of the file beside the others' copies, with a key that no description has on its last line. */
static void expect_line(const char *folder, enum catalogue_kind kind, const struct catalogue_entry *entry)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    struct text changed = {0};
    size_t length;
    const char *text = file_read(arena, &diag, entry->path, 1 << 22, &length);
    cr_assert(text != NULL);
    const char *path = arena_printf(arena, "%s/%s.yaml", folder, entry->id);
    text_printf(&changed, "%s%sno_such_key: 1\n", text, text[length - 1] == '\n' ? "" : "\n");
    cr_assert(file_write(&diag, path, changed.data, changed.length), "%s", diag_first_error(&diag));
    const char *expected =
        arena_printf(arena, "%s:%d:1: error: unknown key \"no_such_key\"", path, lines_of(changed.data));
    struct catalogue_entry copy = *entry;
    copy.path = path;
    catalogue_open(&catalogue, arena);
    const char *found = error_of(&catalogue, &diag, kind, &copy);
    cr_expect(strncmp(found, expected, strlen(expected)) == 0, "found:    %s\nexpected: %s", found, expected);
    unlink(path);
    text_free(&changed);
    arena_free(arena);
}

Test(catalogue_errors, name_file_and_line)
{
    char folder[] = "/tmp/rafter-errors-XXXXXX";
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    size_t checked = 0;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    cr_assert(mkdtemp(folder) != NULL);
    catalogue_open(&catalogue, arena);
    for (int kind = 0; kind < CATALOGUE_KIND_COUNT; kind++) {
        struct catalogue_entry *entries;
        size_t count;
        cr_assert(catalogue_list(&catalogue, &diag, (enum catalogue_kind)kind, &entries, &count));
        for (size_t i = 0; i < count; i++) {
            if (entries[i].abstract)
                continue;
            expect_line(folder, (enum catalogue_kind)kind, &entries[i]);
            checked++;
        }
    }
    cr_expect(checked > 300, "%zu files", checked);
    rmdir(folder);
    arena_free(arena);
}
