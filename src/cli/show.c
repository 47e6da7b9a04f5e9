#include "base/suggest.h"
#include "cli/commands.h"
#include "cli/kinds.h"
#include "cli/page.h"

#include <string.h>

static bool is_alias(const struct catalogue_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->aliases.count; i++)
        if (edit_distance(entry->aliases.items[i], name) == 0)
            return true;
    return false;
}

/* Whether an entry goes by the name: its id or an alias, as the catalogue itself would find it. */
static bool is_called(struct session *session, enum kind kind, const char *name)
{
    struct diag quiet = {.arena = session->arena};
    struct catalogue_entry *entries;
    size_t count;
    const char *path, *id;
    if (kind == KIND_MECHANISMS)
        return mechanism_find(name) != NULL;
    if (kind == KIND_TYPES) {
        struct element_type type;
        return element_type_parse(name, &type);
    }
    if (catalogue_tree(&session->catalogue, &quiet, kind_catalogue(kind), name, &path, &id) != NULL)
        return true;
    /* there, but broken: its errors are the answer */
    quiet = (struct diag){.arena = session->arena};
    if (!catalogue_list(&session->catalogue, &quiet, kind_catalogue(kind), &entries, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (edit_distance(entries[i].id, name) == 0 || is_alias(&entries[i], name))
            return true;
    return false;
}

/* What a file describes, by a key that only its kind has; software, which has none, when nothing tells. */
static enum kind kind_of_file(struct session *session, const char *path)
{
    static const struct {
        const char *key;
        enum kind kind;
    } marks[] = {{"members", KIND_HARDWARE}, {"units", KIND_HARDWARE},  {"tiers", KIND_HARDWARE},
                 {"blocks", KIND_MODELS},    {"layers", KIND_MODELS},   {"mechanisms", KIND_TECHNIQUES},
                 {"prompt", KIND_WORKLOADS}, {"batch", KIND_WORKLOADS}, {"hf_repo", KIND_MODELS}};
    struct diag quiet = {.arena = session->arena};
    const struct yaml_node *tree = yaml_parse_file(session->arena, &quiet, path);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (yaml_get(tree, marks[i].key) != NULL)
            return marks[i].kind;
    return KIND_SOFTWARE;
}

static bool is_path(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

static size_t add_names(struct session *session, enum kind kind, const char **names, size_t most)
{
    struct diag quiet = {.arena = session->arena};
    struct catalogue_entry *entries;
    size_t count, added = 0;
    if (kind == KIND_MECHANISMS) {
        for (size_t i = 0; i < mechanism_count && added < most; i++)
            names[added++] = mechanisms[i]->name;
        return added;
    }
    if (kind == KIND_TYPES ||
        !catalogue_list(&session->catalogue, &quiet, kind_catalogue(kind), &entries, &count))
        return 0;
    for (size_t i = 0; i < count && added < most; i++)
        names[added++] = entries[i].id;
    return added;
}

static enum exit_status nothing_called(struct session *session, const char *name)
{
    enum { NAMES_MOST = 4096 };
    const char **names = ARENA_ARRAY(session->arena, const char *, NAMES_MOST);
    size_t count = 0;
    for (int kind = 0; names != NULL && kind < KIND_COUNT; kind++)
        count += add_names(session, (enum kind)kind, names + count, NAMES_MOST - count);
    const char *nearest = names != NULL ? suggest_nearest(name, names, count) : NULL;
    if (nearest != NULL)
        return session_refuse(session, "nothing is called \"%.80s\"; did you mean %s?", name, nearest);
    return session_refuse(session, "nothing is called \"%.80s\"; `rafter list` tells what there is", name);
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    if (options->operand_count == 0)
        return session_refuse(session, "show what? A name from `rafter list`");
    if (options->operand_count == 2) {
        enum kind kind = kind_parse(&session->diag, options->operands[0]);
        return kind == KIND_COUNT ? STATUS_BAD : show_page(session, kind, options->operands[1]);
    }
    if (is_path(options->operands[0]))
        return show_page(session, kind_of_file(session, options->operands[0]), options->operands[0]);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        if (is_called(session, (enum kind)kind, options->operands[0]))
            return show_page(session, (enum kind)kind, options->operands[0]);
    return nothing_called(session, options->operands[0]);
}

const struct command command_show = {
    .name = "show",
    .summary = "one description: every figure with its SI value and its source",
    .operands = "[KIND] NAME",
    .details =
        "KIND (hardware, models, software, workloads, techniques, mechanisms, types) tells apart things of\n"
        "one name. Figures that nobody has checked against a source are marked unverified.\n",
    .examples = "  rafter show h100-sxm\n  rafter show llama-3.1-8b --json\n  rafter show mechanism "
                "kv_quantization\n",
    .rules = {.allowed = OPTIONS_FORMAT, .operands_most = 2, .operand = "[KIND] NAME"},
    .run = run,
};
