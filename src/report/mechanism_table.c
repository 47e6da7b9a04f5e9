#include "report/description.h"

#include "base/quantity.h"

static const char *kind_text(const struct field *field, struct arena *arena)
{
    switch (field->kind) {
    case FIELD_STRING:
        return "a name";
    case FIELD_STRINGS:
        return "names";
    case FIELD_BOOL:
        return "true or false";
    case FIELD_INT:
        return "a whole number";
    case FIELD_TYPE:
        return "an element type";
    case FIELD_QUANTITY:
        return arena_printf(arena, "such as %s", dimension_example(field->dimension));
    case FIELD_ENUM: {
        const char *text = "";
        for (const struct enum_name *name = field->names; name->name != NULL && text != NULL; name++)
            text = arena_printf(arena, "%s%s%s", text, text[0] != '\0' ? " | " : "", name->name);
        return text;
    }
    case FIELD_OBJECTS:
        return "a list of maps";
    default:
        return "a map";
    }
}

static const char *range_text(const struct field *field, struct arena *arena)
{
    if (field->min == 0.0 && field->max == 0.0)
        return "";
    return arena_printf(arena, "%.6g .. %.6g", field->min, field->max);
}

static const char *default_text(const struct field *field)
{
    return field->required ? "required" : field->fallback != NULL ? field->fallback : "";
}

/* A parameter's row, and behind a list of maps those of the maps' keys: "calls.count". */
static void parameter_rows(struct table *table, const struct mechanism *mechanism, const struct field *field,
                           const char *list, struct arena *arena)
{
    bool empirical = parameter_is_empirical(mechanism, field->key);
    table_row(table, TONE_PLAIN);
    table_text(table, list ? arena_printf(arena, "%s.%s", list, field->key) : field->key);
    table_text(table, kind_text(field, arena));
    table_text(table, range_text(field, arena));
    table_text(table, default_text(field));
    table_text(table, empirical ? "empirical" : "structural");
    table_tone(table, empirical ? TONE_WARN : TONE_PLAIN);
    table_text(table, field->doc);
    for (size_t i = 0; field->kind == FIELD_OBJECTS && list == NULL && i < field->object->count; i++)
        parameter_rows(table, mechanism, &field->object->fields[i], field->key, arena);
}

struct table *parameter_table(const struct mechanism *mechanism, struct arena *arena)
{
    const struct schema *schema = mechanism->parameters.schema;
    struct table *table = table_new(arena);
    table_column(table, "parameter", "parameter", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "value", "value", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "range", "range", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "default", "default", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "role", "role", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "meaning", "meaning", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; schema != NULL && i < schema->count; i++)
        parameter_rows(table, mechanism, &schema->fields[i], NULL, arena);
    return table;
}

static json_t *parameter_json(const struct mechanism *mechanism, const struct field *field)
{
    json_t *object = json_object();
    bool bounded = field->min != 0.0 || field->max != 0.0;
    bool empirical = parameter_is_empirical(mechanism, field->key);
    json_object_set_new(object, "name", json_text(field->key));
    json_object_set_new(object, "unit", json_text(dimension_unit(field->dimension)));
    json_object_set_new(object, "required", json_boolean(field->required));
    json_object_set_new(object, "default", json_text(field->fallback));
    json_object_set_new(object, "min", bounded ? json_figure(field->min) : json_null());
    json_object_set_new(object, "max", bounded ? json_figure(field->max) : json_null());
    json_object_set_new(object, "role", json_text(empirical ? "empirical" : "structural"));
    json_object_set_new(object, "meaning", json_text(field->doc));
    return object;
}

json_t *mechanism_json(const struct mechanism *mechanism)
{
    const struct schema *schema = mechanism->parameters.schema;
    json_t *object = json_object(), *parameters = json_array();
    for (size_t i = 0; schema != NULL && i < schema->count; i++)
        json_array_append_new(parameters, parameter_json(mechanism, &schema->fields[i]));
    json_object_set_new(object, "name", json_text(mechanism->name));
    json_object_set_new(object, "summary", json_text(mechanism->summary));
    json_object_set_new(object, "parameters", parameters);
    return object;
}
