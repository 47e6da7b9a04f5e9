#include "spec/technique.h"

#include "spec/source_notes.h"

COUNT_FOLLOWS(struct technique, uses, use_count);
COUNT_FOLLOWS(struct technique, sources, source_count);
COUNT_FOLLOWS(struct mechanism_use, parameters, parameter_count);

/* Parameters as they stand: the mechanism's own schema checks them. */
static bool read_parameters(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAP)
        return diag_error(reader->diag, node->where, "parameters: expected a map such as {type: int4-g128}");
    struct setting *settings = ARENA_ARRAY(reader->arena, struct setting, node->children + 1);
    if (settings == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    size_t count = 0;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next)
        settings[count++] = (struct setting){entry->key, entry};
    struct setting **items = member;
    *items = settings;
    *(size_t *)(void *)(items + 1) = count;
    return true;
}

/* Kept as it stands, for later. */
static bool keep_node(struct reader *reader, const struct yaml_node *node, void *member)
{
    (void)reader;
    *(const struct yaml_node **)member = yaml_is_null(node) ? NULL : node;
    return true;
}

static const struct field use_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct mechanism_use, name),
     .required = true,
     .doc = "a mechanism: `rafter list mechanisms`"},
    {.key = "on",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct mechanism_use, on),
     .doc = "pools or roles it applies to; left out: all"},
    {.key = "parameters",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct mechanism_use, parameters),
     .custom = read_parameters,
     .doc = "the mechanism's parameters: `rafter show mechanism NAME`"},
};
static const struct schema use_schema = {"mechanism", sizeof(struct mechanism_use), use_fields,
                                         sizeof use_fields / sizeof use_fields[0],
                                         offsetof(struct mechanism_use, where)};

static const struct enum_name lossless_names[] = {
    {"by mechanisms", LOSSLESS_BY_MECHANISMS}, {"true", LOSSLESS_YES}, {"false", LOSSLESS_NO}, {NULL, 0}};

static const struct field technique_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, name),
     .required = true,
     .doc = "as its paper calls it"},
    {.key = "extends",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, extends),
     .doc = "the description that this one changes"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct technique, aliases),
     .doc = "other names"},
    {.key = "paper",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, paper),
     .doc = "arXiv:2405.04532"},
    {.key = "title",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, title),
     .doc = "the paper's title"},
    {.key = "year",
     .kind = FIELD_INT,
     .offset = offsetof(struct technique, year),
     .min = 1990,
     .max = 2100,
     .doc = "of the paper"},
    {.key = "summary",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, summary),
     .doc = "one line"},
    {.key = "family",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, family),
     .doc = "where lists put it: a mechanism's name; left out: the first of its own"},
    {.key = "no_effect",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, no_effect),
     .doc = "why it changes nothing that costs; then there are no mechanisms"},
    {.key = "lossless",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct technique, lossless),
     .names = lossless_names,
     .fallback = "by mechanisms",
     .doc = "whether outputs stay the model's own; left out: when they do with all its mechanisms"},
    {.key = "other_work",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct technique, other_work),
     .fallback = "false",
     .doc =
         "it rests on other prompts or another kind of model than asked about, so that `recommend` leaves it "
         "out unless --family names it; it is so too when one of its mechanisms changes the work"},
    {.key = "applies",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct technique, applies),
     .doc = "hardware, models, workloads it is for, in words"},
    {.key = "quality",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct technique, quality),
     .doc = "what its paper says it costs in quality"},
    {.key = "software",
     .kind = FIELD_STRING,
     .offset = offsetof(struct technique, software),
     .doc = "profile of its baseline"},
    {.key = "mechanisms",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct technique, uses),
     .object = &use_schema,
     .doc = "what it is made of, in the order in which it applies"},
    {.key = "setups",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct technique, setups),
     .custom = keep_node,
     .doc = "named queries that the claims' queries start from"},
    {.key = "claims",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct technique, claims),
     .custom = keep_node,
     .doc = "what its paper measured: see claim"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct technique, sources),
     .custom = source_notes_read,
     .doc = "where figures come from"},
};

const struct schema technique_schema = {
    .name = "technique",
    .size = sizeof(struct technique),
    .fields = technique_fields,
    .count = sizeof technique_fields / sizeof technique_fields[0],
    .where_offset = offsetof(struct technique, where),
};

bool technique_read(struct reader *reader, const struct yaml_node *node, const char *id,
                    struct technique *technique)
{
    *technique = (struct technique){0};
    if (!schema_read(reader, &technique_schema, node, "", technique))
        return false;
    technique->id = id;
    if (technique->use_count == 0 && technique->no_effect == NULL)
        return diag_error(reader->diag, technique->where,
                          "no mechanisms: list them, or say in no_effect why it costs nothing");
    if (technique->use_count > 0 && technique->no_effect != NULL)
        return diag_error(reader->diag, technique->where, "no_effect: but there are mechanisms");
    return true;
}

const char *technique_family(const struct technique *technique)
{
    if (technique->family != NULL)
        return technique->family;
    return technique->use_count > 0 ? technique->uses[0].name : "none";
}
