#include "report/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_count(double value)
{
    if (isfinite(value) && value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return json_figure(value);
}

/* Names come from files and the command line, which may hold any bytes. */
static json_t *repaired(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return NULL;
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json_t *string = json_string(copy);
    free(copy);
    return string;
}

json_t *json_text(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *string = json_string(text);
    return string != NULL ? string : repaired(text);
}

json_t *json_texts(const char *const *lines, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_text(lines[i]));
    return array;
}

static int add_piece(const char *buffer, size_t size, void *data)
{
    text_addn(data, buffer, size);
    return 0;
}

bool json_add(struct text *out, json_t *document)
{
    if (document == NULL)
        return false;
    int failed = json_dump_callback(document, add_piece, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(document);
    text_add(out, "\n");
    return failed == 0 && !out->failed;
}
