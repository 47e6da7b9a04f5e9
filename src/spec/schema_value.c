#include "spec/schema_value.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"
#include "spec/element_type.h"

enum { SHOWN_MOST = 40, NAMES_MOST = 128, KEYS_LISTED = 16 };

const char *schema_found(const struct yaml_node *node, char buffer[FOUND_MOST])
{
    if (node->kind != YAML_SCALAR)
        return node->kind == YAML_LIST ? "a list" : "a map";
    if (yaml_is_null(node))
        return "nothing";
    const char *more = strnlen(node->scalar, SHOWN_MOST + 1) > SHOWN_MOST ? "..." : "";
    snprintf(buffer, FOUND_MOST, "\"%.*s%s\"", SHOWN_MOST, node->scalar, more);
    return buffer;
}

bool schema_has_bounds(const struct field *field)
{
    return field->min != 0 || field->max != 0;
}

/* A bound without the zeros that four significant digits leave: "1 EB", not "1.000 EB". */
static void add_bound(const struct field *field, double value, struct text *out)
{
    char formatted[64];
    quantity_format(value, field->kind == FIELD_INT ? DIM_COUNT : field->dimension, formatted,
                    sizeof formatted);
    size_t end = strcspn(formatted, " %");
    size_t digits = end;
    if (memchr(formatted, '.', end) != NULL && memchr(formatted, 'e', end) == NULL) {
        while (digits > 0 && formatted[digits - 1] == '0')
            digits--;
        if (digits > 0 && formatted[digits - 1] == '.')
            digits--;
    }
    text_addn(out, formatted, digits);
    text_add(out, formatted + end);
}

void schema_bounds(const struct field *field, struct text *out)
{
    if (field->max < field->min || field->max == INFINITY) {
        text_add(out, "at least ");
        add_bound(field, field->min, out);
        return;
    }
    text_add(out, "from ");
    add_bound(field, field->min, out);
    text_add(out, " to ");
    add_bound(field, field->max, out);
}

static void add_names(const struct enum_name *names, struct text *out)
{
    text_add(out, "one of ");
    for (const struct enum_name *name = names; name->name != NULL; name++)
        text_printf(out, "%s%s", name == names ? "" : ", ", name->name);
}

void schema_keys(const struct schema *schema, struct text *out)
{
    for (size_t i = 0; i < schema->count && i < KEYS_LISTED; i++)
        text_printf(out, "%s%s", i == 0 ? "" : ", ", schema->fields[i].key);
    if (schema->count > KEYS_LISTED)
        text_printf(out, " and %zu more", schema->count - KEYS_LISTED);
}

static void add_maps(const char *what, const struct schema *schema, struct text *out)
{
    text_printf(out, "%s with the keys ", what);
    schema_keys(schema, out);
}

void schema_expected(const struct field *field, struct text *out)
{
    switch (field->kind) {
    case FIELD_STRING:
        text_add(out, "a text");
        break;
    case FIELD_STRINGS:
        text_add(out, "a text or a list of texts");
        break;
    case FIELD_BOOL:
        text_add(out, "true or false");
        break;
    case FIELD_INT:
        text_add(out, dimension_noun(field->dimension == DIM_TOKENS ? DIM_TOKENS : DIM_COUNT));
        break;
    case FIELD_QUANTITY:
        text_printf(out, "%s such as %s", dimension_noun(field->dimension),
                    dimension_example(field->dimension));
        break;
    case FIELD_ENUM:
        add_names(field->names, out);
        break;
    case FIELD_TYPE:
        text_add(out, "an element type such as bf16");
        break;
    case FIELD_OBJECT:
    case FIELD_OBJECT_PTR:
        add_maps("a map", field->object, out);
        break;
    case FIELD_OBJECTS:
        add_maps("a list of maps", field->object, out);
        break;
    case FIELD_NAMED:
        add_maps("a map of names to maps", field->object, out);
        break;
    case FIELD_CUSTOM:
        text_add(out, "a value");
        break;
    }
}

static bool refuse(struct reader *reader, const struct field *field, const struct yaml_node *node,
                   const char *path)
{
    char found[FOUND_MOST];
    struct text expected = {0};
    schema_expected(field, &expected);
    diag_error(reader->diag, node->where, "%s: found %s, expected %s", path, schema_found(node, found),
               expected.data == NULL ? "" : expected.data);
    text_free(&expected);
    return false;
}

static bool within_bounds(struct reader *reader, const struct field *field, const struct yaml_node *node,
                          const char *path, double value)
{
    if (!schema_has_bounds(field))
        return true;
    if (value >= field->min && (value <= field->max || field->max < field->min))
        return true;
    char found[FOUND_MOST];
    struct text bounds = {0};
    schema_bounds(field, &bounds);
    diag_error(reader->diag, node->where, "%s: found %s, expected %s", path, schema_found(node, found),
               bounds.data == NULL ? "" : bounds.data);
    text_free(&bounds);
    return false;
}

static bool read_number(struct reader *reader, const struct yaml_node *node, enum dimension dimension,
                        const char *path, double *value)
{
    char error[256];
    if (quantity_parse(node->scalar, dimension, value, error, sizeof error))
        return true;
    return diag_error(reader->diag, node->where, "%s: %s", path, error);
}

static bool read_int(struct reader *reader, const struct field *field, const struct yaml_node *node,
                     const char *path, int *member)
{
    /* counts are not negative; a field whose bounds say otherwise holds a plain number */
    enum dimension dimension = field->dimension == DIM_TOKENS ? DIM_TOKENS : DIM_COUNT;
    double value;
    if (!read_number(reader, node, field->min < 0 ? DIM_NONE : dimension, path, &value))
        return false;
    if (value != floor(value))
        return refuse(reader, field, node, path);
    if (!within_bounds(reader, field, node, path, value))
        return false;
    if (value < INT_MIN || value > INT_MAX)
        return diag_error(reader->diag, node->where, "%s: found %.0f, expected at most %d", path, value,
                          INT_MAX);
    *member = (int)value;
    return true;
}

static bool read_quantity(struct reader *reader, const struct field *field, const struct yaml_node *node,
                          const char *path, double *member)
{
    double value;
    if (!read_number(reader, node, field->dimension, path, &value) ||
        !within_bounds(reader, field, node, path, value))
        return false;
    *member = value;
    return true;
}

static bool read_bool(struct reader *reader, const struct field *field, const struct yaml_node *node,
                      const char *path, bool *member)
{
    bool yes = strcasecmp(node->scalar, "true") == 0 || strcasecmp(node->scalar, "yes") == 0;
    bool no = strcasecmp(node->scalar, "false") == 0 || strcasecmp(node->scalar, "no") == 0;
    if (!yes && !no)
        return refuse(reader, field, node, path);
    *member = yes;
    return true;
}

static bool read_enum(struct reader *reader, const struct field *field, const struct yaml_node *node,
                      const char *path, int *member)
{
    const char *names[NAMES_MOST];
    size_t count = 0;
    for (const struct enum_name *name = field->names; name->name != NULL; name++) {
        if (strcmp(name->name, node->scalar) == 0) {
            *member = name->value;
            return true;
        }
        if (count < NAMES_MOST)
            names[count++] = name->name;
    }
    const char *nearest = suggest_nearest(node->scalar, names, count);
    if (nearest == NULL)
        return refuse(reader, field, node, path);
    char found[FOUND_MOST];
    struct text expected = {0};
    schema_expected(field, &expected);
    diag_error(reader->diag, node->where, "%s: found %s, expected %s; did you mean %s?", path,
               schema_found(node, found), expected.data == NULL ? "" : expected.data, nearest);
    text_free(&expected);
    return false;
}

static bool read_type(struct reader *reader, const struct yaml_node *node, const char *path,
                      struct element_type *member)
{
    struct element_type type;
    if (element_type_parse(node->scalar, &type)) {
        *member = type;
        return true;
    }
    char found[FOUND_MOST];
    size_t count;
    const char *const *names = element_type_names(&count);
    const char *nearest = suggest_nearest(node->scalar, names, count);
    if (nearest != NULL)
        return diag_error(reader->diag, node->where,
                          "%s: found %s, expected an element type; did you mean %s?", path,
                          schema_found(node, found), nearest);
    struct text all = {0};
    for (size_t i = 0; i < count; i++)
        text_printf(&all, "%s%s", i == 0 ? "" : ", ", names[i]);
    diag_error(reader->diag, node->where, "%s: found %s, expected an element type, one of %s", path,
               schema_found(node, found), all.data == NULL ? "" : all.data);
    text_free(&all);
    return false;
}

bool schema_read_scalar(struct reader *reader, const struct field *field, const struct yaml_node *node,
                        const char *path, void *member)
{
    if (node->kind != YAML_SCALAR || yaml_is_null(node))
        return refuse(reader, field, node, path);
    switch (field->kind) {
    case FIELD_STRING:
        *(const char **)member = node->scalar;
        return true;
    case FIELD_BOOL:
        return read_bool(reader, field, node, path, member);
    case FIELD_INT:
        return read_int(reader, field, node, path, member);
    case FIELD_QUANTITY:
        return read_quantity(reader, field, node, path, member);
    case FIELD_ENUM:
        return read_enum(reader, field, node, path, member);
    case FIELD_TYPE:
        return read_type(reader, node, path, member);
    default:
        return refuse(reader, field, node, path);
    }
}
