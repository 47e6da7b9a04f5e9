/* The YAML reader and the schema reader on any bytes: parse, merge with itself, set, read by a schema. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/machine_schema.h"

enum { ARENA_BYTES = 64 << 20, PATH_MOST = 64 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Every node has a place, and as many children as it says. */
static void check_tree(const struct yaml_node *node, bool entry)
{
    check(node->where.file != NULL && node->where.line >= 1 && node->where.column >= 1);
    check(entry == (node->key != NULL));
    check((node->kind == YAML_SCALAR) == (node->scalar != NULL));
    size_t children = 0;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next, children++)
        check_tree(child, node->kind == YAML_MAP);
    check(children == node->children);
}

/* The input's first line without its spaces is also a path to set. */
static void set_somewhere(struct arena *arena, struct diag *diag, struct yaml_node *root, const uint8_t *data,
                          size_t size)
{
    char path[PATH_MOST];
    size_t length = 0;
    for (size_t i = 0; i < size && data[i] != '\n' && length + 1 < sizeof path; i++)
        if (data[i] > ' ')
            path[length++] = (char)data[i];
    path[length] = '\0';
    struct source_location where = {"--set", 1, 1};
    if (!yaml_set(arena, diag, root, path, "7 GiB", where))
        return;
    const struct yaml_node *set = yaml_path(root, path);
    check(set != NULL && strcmp(set->scalar, "7 GiB") == 0);
}

static void read_machine(struct arena *arena, struct diag *diag, const struct yaml_node *root)
{
    int before = diag->errors;
    struct reader reader = {arena, diag};
    struct machine machine = {0};
    bool good = schema_read(&reader, &machine_schema, root, "", &machine);
    check(good == (diag->errors == before));
    check(!good || (machine.name != NULL && machine.units >= 1 && machine.units <= 1000));
}

static void format_messages(const struct diag *diag)
{
    for (const struct diag_message *message = diag->first; message != NULL; message = message->next)
        for (const char *c = diag_line(diag, message); *c != '\0'; c++)
            check((unsigned char)*c >= 0x20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    struct yaml_node *root = yaml_parse(arena, &diag, "fuzz.yaml", (const char *)data, size);
    check((root == NULL) == (diag.errors > 0));
    if (root != NULL) {
        check_tree(root, false);
        struct yaml_node *merged = yaml_merge(arena, root, root);
        check(merged != NULL);
        check_tree(merged, false);
        read_machine(arena, &diag, root);
        set_somewhere(arena, &diag, merged, data, size);
        check_tree(merged, false);
        read_machine(arena, &diag, merged);
    }
    format_messages(&diag);
    arena_free(arena);
    return 0;
}
