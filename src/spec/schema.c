#include "spec/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "spec/schema_value.h"

enum { PATH_MOST = 256, KEYS_MOST = 256 };

/* The dotted path of key below path, cut when it is absurdly long. Returns buffer. */
static const char *path_below(const char *path, const char *key, char buffer[PATH_MOST])
{
    /* by hand: this runs for every key of every file, and formatting would take longer than reading */
    size_t used = strnlen(path, PATH_MOST - 1), length = strnlen(key, 100);
    memcpy(buffer, path, used);
    if (used > 0 && used < PATH_MOST - 1)
        buffer[used++] = '.';
    length = length < PATH_MOST - 1 - used ? length : PATH_MOST - 1 - used;
    memcpy(buffer + used, key, length);
    buffer[used + length] = '\0';
    return buffer;
}

static const char *path_of_item(const char *path, size_t index, char buffer[PATH_MOST])
{
    snprintf(buffer, PATH_MOST, "%s.%zu", path, index);
    return buffer;
}

static bool out_of_memory(struct reader *reader, const struct yaml_node *node)
{
    return diag_error(reader->diag, node->where, "out of memory");
}

const struct field *schema_field(const struct schema *schema, const char *key)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strcmp(schema->fields[i].key, key) == 0)
            return &schema->fields[i];
    return NULL;
}

/* A key that a map inside this one has: people forget the level more often than they misspell. */
static const struct field *find_parent_of(const struct schema *schema, const char *key)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field = &schema->fields[i];
        bool map = field->kind == FIELD_OBJECT || field->kind == FIELD_OBJECT_PTR;
        if (map && schema_field(field->object, key) != NULL)
            return field;
    }
    return NULL;
}

static bool refuse_key(struct reader *reader, const struct schema *schema, const struct yaml_node *entry,
                       const char *path)
{
    const char *keys[KEYS_MOST];
    size_t count = 0;
    for (; count < schema->count && count < KEYS_MOST; count++)
        keys[count] = schema->fields[count].key;
    char buffer[PATH_MOST];
    const char *whole = path_below(path, entry->key, buffer);
    const struct field *parent = find_parent_of(schema, entry->key);
    if (parent != NULL)
        return diag_error(reader->diag, entry->key_where,
                          "unknown key \"%s\"; did you mean \"%s\" inside \"%s\"?", whole, entry->key,
                          parent->key);
    const char *nearest = suggest_nearest(entry->key, keys, count);
    if (nearest != NULL)
        return diag_error(reader->diag, entry->key_where, "unknown key \"%s\"; did you mean \"%s\"?", whole,
                          nearest);
    struct text known = {0};
    schema_keys(schema, &known);
    diag_error(reader->diag, entry->key_where, "unknown key \"%s\", expected a key of a %s: %s", whole,
               schema->name, known.data == NULL ? "" : known.data);
    text_free(&known);
    return false;
}

static bool refuse_missing(struct reader *reader, const struct field *field, const struct yaml_node *map,
                           const char *path)
{
    char buffer[PATH_MOST];
    struct text expected = {0};
    schema_expected(field, &expected);
    const char *doc = field->doc == NULL ? "" : field->doc;
    diag_error(reader->diag, map->where, "missing key \"%s\"%s%s%s, expected %s",
               path_below(path, field->key, buffer), *doc == '\0' ? "" : " (", doc, *doc == '\0' ? "" : ")",
               expected.data == NULL ? "a value" : expected.data);
    text_free(&expected);
    return false;
}

static bool refuse_kind(struct reader *reader, const struct field *field, const struct yaml_node *node,
                        const char *path)
{
    char found[FOUND_MOST];
    struct text expected = {0};
    schema_expected(field, &expected);
    diag_error(reader->diag, node->where, "%s: found %s, expected %s", path, schema_found(node, found),
               expected.data == NULL ? "a value" : expected.data);
    text_free(&expected);
    return false;
}

static bool read_strings(struct reader *reader, const struct field *field, const struct yaml_node *node,
                         const char *path, struct string_list *list)
{
    if (node->kind == YAML_MAP)
        return refuse_kind(reader, field, node, path);
    size_t count = node->kind == YAML_SCALAR ? 1 : node->children;
    const char **items = ARENA_ARRAY(reader->arena, const char *, count);
    if (items == NULL)
        return out_of_memory(reader, node);
    const struct yaml_node *item = node->kind == YAML_SCALAR ? node : node->first;
    bool ok = true;
    for (size_t i = 0; i < count; i++, item = item->next) {
        char buffer[PATH_MOST];
        const char *item_path = node->kind == YAML_SCALAR ? path : path_of_item(path, i, buffer);
        const struct field text = {.kind = FIELD_STRING};
        ok = schema_read_scalar(reader, &text, item, item_path, &items[i]) && ok;
    }
    *list = (struct string_list){items, count};
    return ok;
}

static bool read_object_pointer(struct reader *reader, const struct field *field,
                                const struct yaml_node *node, const char *path, void **member)
{
    void *object = arena_alloc(reader->arena, 1, field->object->size);
    if (object == NULL)
        return out_of_memory(reader, node);
    *member = object;
    return schema_read(reader, field->object, node, path, object);
}

/* OBJECTS and NAMED: a list's or a map's children into an array of the nested schema's structs. */
static bool read_objects(struct reader *reader, const struct field *field, const struct yaml_node *node,
                         const char *path, struct object_list *list)
{
    bool named = field->kind == FIELD_NAMED;
    if (node->kind != (named ? YAML_MAP : YAML_LIST))
        return refuse_kind(reader, field, node, path);
    size_t size = field->object->size;
    unsigned char *items = arena_alloc(reader->arena, node->children, size);
    if (items == NULL)
        return out_of_memory(reader, node);
    bool ok = true;
    size_t index = 0;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next, index++) {
        char buffer[PATH_MOST];
        const char *below = named ? path_below(path, child->key, buffer) : path_of_item(path, index, buffer);
        void *item = items + index * size;
        ok = schema_read(reader, field->object, child, below, item) && ok;
        if (named)
            memcpy(item, &child->key, sizeof child->key);
    }
    *list = (struct object_list){items, node->children};
    return ok;
}

static bool read_field(struct reader *reader, const struct field *field, const struct yaml_node *node,
                       const char *path, void *out)
{
    void *member = (unsigned char *)out + field->offset;
    switch (field->kind) {
    case FIELD_STRINGS:
        return read_strings(reader, field, node, path, member);
    case FIELD_OBJECT:
        return schema_read(reader, field->object, node, path, member);
    case FIELD_OBJECT_PTR:
        return read_object_pointer(reader, field, node, path, member);
    case FIELD_OBJECTS:
    case FIELD_NAMED:
        return read_objects(reader, field, node, path, member);
    case FIELD_CUSTOM:
        return field->custom(reader, node, member);
    default:
        return schema_read_scalar(reader, field, node, path, member);
    }
}

static bool read_defaults(struct reader *reader, const struct schema *schema, struct source_location where,
                          const char *path, void *out);

/* A field that the description leaves out. */
static bool read_default(struct reader *reader, const struct field *field, struct source_location where,
                         const char *path, void *out)
{
    char buffer[PATH_MOST];
    const char *below = path_below(path, field->key, buffer);
    if (field->kind == FIELD_OBJECT)
        return read_defaults(reader, field->object, where, below, (unsigned char *)out + field->offset);
    if (field->fallback == NULL)
        return true;
    /* quoted: a default of "null" would be a text */
    const struct yaml_node node = {
        .kind = YAML_SCALAR, .where = where, .scalar = field->fallback, .quoted = true};
    return read_field(reader, field, &node, below, out);
}

static bool read_defaults(struct reader *reader, const struct schema *schema, struct source_location where,
                          const char *path, void *out)
{
    bool ok = true;
    for (size_t i = 0; i < schema->count; i++)
        ok = read_default(reader, &schema->fields[i], where, path, out) && ok;
    return ok;
}

/* What the map says, in its order, so that errors come in the file's. */
static bool read_entries(struct reader *reader, const struct schema *schema, const struct yaml_node *map,
                         const char *path, void *out)
{
    bool ok = true;
    for (const struct yaml_node *entry = map->first; entry != NULL; entry = entry->next) {
        const struct field *field = schema_field(schema, entry->key);
        char buffer[PATH_MOST];
        if (field == NULL && reader->diag->errors >= DIAG_MOST) /* no more are kept: spare the search */
            return diag_error(reader->diag, entry->key_where, "unknown key");
        if (field == NULL)
            ok = refuse_key(reader, schema, entry, path);
        else if (!yaml_is_null(entry))
            ok = read_field(reader, field, entry, path_below(path, field->key, buffer), out) && ok;
    }
    return ok;
}

static bool read_left_out(struct reader *reader, const struct schema *schema, const struct yaml_node *map,
                          const char *path, void *out)
{
    bool ok = true;
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field = &schema->fields[i];
        const struct yaml_node *entry = yaml_get(map, field->key);
        if (entry != NULL && !yaml_is_null(entry))
            continue;
        ok = (field->required ? refuse_missing(reader, field, map, path)
                              : read_default(reader, field, map->where, path, out)) &&
             ok;
    }
    return ok;
}

static bool refuse_node(struct reader *reader, const struct schema *schema, const struct yaml_node *node,
                        const char *path)
{
    const struct field map = {.kind = FIELD_OBJECT, .object = schema};
    return refuse_kind(reader, &map, node, *path == '\0' ? schema->name : path);
}

bool schema_read(struct reader *reader, const struct schema *schema, const struct yaml_node *node,
                 const char *path, void *out)
{
    if (node->kind != YAML_MAP)
        return refuse_node(reader, schema, node, path);
    if (schema->where_offset != 0)
        memcpy((unsigned char *)out + schema->where_offset, &node->where, sizeof node->where);
    bool given = read_entries(reader, schema, node, path, out);
    return read_left_out(reader, schema, node, path, out) && given;
}

void *schema_read_file(struct arena *arena, struct diag *diag, const char *path, const struct schema *schema)
{
    struct reader reader = {arena, diag};
    const struct yaml_node *root = yaml_parse_file(arena, diag, path);
    if (root == NULL)
        return NULL;
    void *out = arena_alloc(arena, 1, schema->size);
    if (out == NULL)
        diag_error(diag, NOWHERE, "out of memory");
    return out != NULL && schema_read(&reader, schema, root, "", out) ? out : NULL;
}
