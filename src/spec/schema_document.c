#include <string.h>

#include "spec/schema.h"
#include "spec/schema_value.h"

/* Schemas in the order in which they are first met; each is written once, whatever refers to it. */
enum { SCHEMAS_MOST = 64 };

struct queue {
    const struct schema *schemas[SCHEMAS_MOST];
    size_t count;
};

static void enqueue(struct queue *queue, const struct schema *schema)
{
    for (size_t i = 0; i < queue->count; i++)
        if (queue->schemas[i] == schema)
            return;
    if (queue->count < SCHEMAS_MOST)
        queue->schemas[queue->count++] = schema;
}

/* A table's cell: a '|' would end it. */
static void add_cell(struct text *out, const char *cell)
{
    for (; *cell != '\0'; cell++) {
        if (*cell == '|')
            text_add(out, "\\");
        text_addn(out, *cell == '\n' ? " " : cell, 1);
    }
}

/* A link to a schema's section, as Markdown viewers name it: lower case, '-' for spaces. */
static void add_link(struct text *out, const char *name)
{
    text_printf(out, "[%s](#", name);
    for (; *name != '\0'; name++) {
        char c = *name;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        text_addn(out, c == ' ' ? "-" : &c, 1);
    }
    text_add(out, ")");
}

static void add_value(struct text *out, const struct field *field)
{
    struct text value = {0};
    switch (field->kind) {
    case FIELD_OBJECT:
    case FIELD_OBJECT_PTR:
        text_add(out, "map: ");
        add_link(out, field->object->name);
        return;
    case FIELD_OBJECTS:
        text_add(out, "list of ");
        add_link(out, field->object->name);
        return;
    case FIELD_NAMED:
        text_add(out, "map of name to ");
        add_link(out, field->object->name);
        return;
    case FIELD_CUSTOM:
        text_add(out, "see meaning");
        return;
    default:
        schema_expected(field, &value);
        if (schema_has_bounds(field)) {
            text_add(&value, ", ");
            schema_bounds(field, &value);
        }
        add_cell(out, value.data == NULL ? "" : value.data);
        text_free(&value);
    }
}

static void add_field(struct text *out, const struct field *field)
{
    text_printf(out, "| `%s` | ", field->key);
    add_value(out, field);
    text_add(out, " | ");
    if (field->required)
        text_add(out, "required");
    else
        add_cell(out, field->fallback == NULL ? "" : field->fallback);
    text_add(out, " | ");
    add_cell(out, field->doc == NULL ? "" : field->doc);
    text_add(out, " |\n");
}

static void add_schema(struct text *out, const struct schema *schema)
{
    text_printf(out, "## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", schema->name);
    for (size_t i = 0; i < schema->count; i++)
        add_field(out, &schema->fields[i]);
    text_add(out, "\n");
}

void schema_document(const struct schema *schema, struct text *out)
{
    struct queue queue = {.count = 0};
    enqueue(&queue, schema);
    for (size_t i = 0; i < queue.count; i++) {
        const struct schema *current = queue.schemas[i];
        add_schema(out, current);
        for (size_t j = 0; j < current->count; j++)
            if (current->fields[j].object != NULL)
                enqueue(&queue, current->fields[j].object);
    }
}
