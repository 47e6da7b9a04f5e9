#include "spec/hf_keys.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

enum { KEY_MOST = 64, TEXT_MOST = 200 };

/* One alternative of `keys` in name[KEY_MOST]; the rest of them, NULL when there are no more. */
static const char *next_key(const char *keys, char name[KEY_MOST])
{
    size_t length = strcspn(keys, "|");
    size_t kept = length < KEY_MOST - 1 ? length : KEY_MOST - 1;
    memcpy(name, keys, kept);
    name[kept] = '\0';
    return keys[length] == '|' ? keys + length + 1 : NULL;
}

/* The value and its key's name; NULL and the first alternative when none is there. */
static const json_t *find(const struct hf_object *object, const char *keys, char name[KEY_MOST])
{
    const char *rest = keys;
    do {
        rest = next_key(rest, name);
        const json_t *value = json_object_get(object->object, name);
        if (value != NULL && !json_is_null(value))
            return value;
    } while (rest != NULL);
    next_key(keys, name);
    return NULL;
}

static const char *full_path(const struct hf_object *object, const char *key)
{
    const char *path = arena_printf(object->arena, "%s%s%s", object->path, *object->path ? "." : "", key);
    return path != NULL ? path : key;
}

static const char *message(const char *path, const char *format, va_list arguments, struct text *text)
{
    text_printf(text, "%s: ", path);
    text_vprintf(text, format, arguments);
    return text->data != NULL ? text->data : "out of memory";
}

/* A key that each layer asks for is wrong only once. */
static bool said_already(const struct diag *diag, const char *text)
{
    return diag->last != NULL && diag->last->text != NULL && strcmp(diag->last->text, text) == 0;
}

bool hf_error(const struct hf_object *object, const char *key, const char *format, ...)
{
    struct text text = {0};
    va_list arguments;
    const char *path = full_path(object, key);
    va_start(arguments, format);
    const char *line = message(path, format, arguments, &text);
    va_end(arguments);
    if (!said_already(object->diag, line))
        diag_error(object->diag, json_file_where(object->file, path), "%s", line);
    text_free(&text);
    return false;
}

void hf_warning(const struct hf_object *object, const char *key, const char *format, ...)
{
    struct text text = {0};
    va_list arguments;
    const char *path = full_path(object, key);
    va_start(arguments, format);
    diag_warning(object->diag, json_file_where(object->file, path), "%s",
                 message(path, format, arguments, &text));
    va_end(arguments);
    text_free(&text);
}

static bool expected(const struct hf_object *object, const char *key, const char *what)
{
    return hf_error(object, key, "found %s, expected %s",
                    json_file_found(object->file, object->arena, full_path(object, key)), what);
}

/* A missing key has no place but that of the object it should be in. */
static void missing(const struct hf_object *object, const char *keys, const char *what)
{
    char first[KEY_MOST];
    const char *others = next_key(keys, first);
    struct source_location where = {object->file->name, 0, 0};
    if (*object->path != '\0')
        where = json_file_where(object->file, object->path);
    diag_error(object->diag, where, "%s: missing, expected %s%s%s%s", full_path(object, first), what,
               others != NULL ? " (or as " : "", others != NULL ? others : "", others != NULL ? ")" : "");
}

bool hf_has(const struct hf_object *object, const char *keys)
{
    char name[KEY_MOST];
    return find(object, keys, name) != NULL;
}

static int whole(const struct hf_object *object, const json_t *value, const char *key, int least)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        if (number >= least && number <= HF_COUNT_MOST)
            return (int)number;
    }
    expected(object, key,
             least > 0 ? "a whole number from 1 to 1000000000" : "a whole number from 0 to 1000000000");
    return 1;
}

int hf_need_or(const struct hf_object *object, const char *keys, int usual)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value != NULL)
        return whole(object, value, name, 1);
    if (object->nested && usual > 0)
        return usual;
    missing(object, keys, "a whole number");
    return 1;
}

int hf_need(const struct hf_object *object, const char *keys)
{
    return hf_need_or(object, keys, 0);
}

int hf_int(const struct hf_object *object, const char *keys, int fallback)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    return value == NULL ? fallback : whole(object, value, name, 0);
}

bool hf_bool(const struct hf_object *object, const char *keys, bool fallback)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value == NULL)
        return fallback;
    if (json_is_boolean(value))
        return json_is_true(value);
    expected(object, name, "true or false");
    return fallback;
}

double hf_number(const struct hf_object *object, const char *keys, double fallback)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value == NULL)
        return fallback;
    double number = json_number_value(value);
    if (json_is_number(value) && isfinite(number) && number >= 0)
        return number;
    expected(object, name, "a number from 0");
    return fallback;
}

static bool printable(const char *text, size_t length)
{
    if (length == 0 || length > TEXT_MOST || strlen(text) != length)
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            return false;
    return true;
}

const char *hf_text(const struct hf_object *object, const char *keys, const char *fallback)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value == NULL)
        return fallback;
    if (json_is_string(value) && printable(json_string_value(value), json_string_length(value)))
        return json_string_value(value);
    expected(object, name, "a text of 1 to 200 printable ASCII characters");
    return fallback;
}

const json_t *hf_list(const struct hf_object *object, const char *keys)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value == NULL || (json_is_array(value) && json_array_size(value) <= HF_LIST_MOST))
        return value;
    if (json_is_array(value))
        hf_error(object, name, "found a list of %zu, expected at most %d", json_array_size(value),
                 HF_LIST_MOST);
    else
        expected(object, name, "a list");
    return NULL;
}

bool hf_part(const struct hf_object *object, const char *keys, bool nested, struct hf_object *part)
{
    char name[KEY_MOST];
    const json_t *value = find(object, keys, name);
    if (value == NULL)
        return false;
    if (!json_is_object(value))
        return expected(object, name, "an object {...}");
    *part = *object;
    part->object = value;
    part->path = full_path(object, name);
    part->nested = nested;
    return true;
}
