#include "exec/formats/safetensors.h"

#include "spec/json_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, DEPTH_MOST = 8, FILES_MOST = 4096 };

struct reading {
    const char *name; /* of the file */
    struct arena *arena;
    struct diag *diag;
    const char *data;
    size_t length; /* of the data */
};

static bool fail(const struct reading *reading, const char *what, const char *why)
{
    return diag_error(reading->diag, (struct source_location){reading->name, 0, 0}, "%s: %s", what, why);
}

/* Jansson itself recurses to 2048. */
static bool shallow(const char *text, size_t length)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (text[i] == '{' || text[i] == '[') - (text[i] == '}' || text[i] == ']');
        if (depth > DEPTH_MOST)
            return false;
    }
    return true;
}

/* An object; NULL with diag. Freed by json_decref. */
static json_t *parse(const struct reading *reading, const char *text, size_t length)
{
    json_error_t error;
    if (!shallow(text, length)) {
        fail(reading, "header", "nested too deep");
        return NULL;
    }
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fail(reading, "header", error.text);
        return NULL;
    }
    if (json_is_object(root))
        return root;
    json_decref(root);
    fail(reading, "header", "expected an object {...}");
    return NULL;
}

static bool printable(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= 0x20 || (unsigned char)name[i] >= 0x7f)
            return false;
    return length > 0 && length <= SAFETENSORS_NAME_MOST;
}

/* ---- tensors ---- */

static const struct {
    const char *name;
    size_t bytes;
    enum weight_type type;
} dtypes[] = {
    {"F32", 4, WEIGHT_F32},
    {"F16", 2, WEIGHT_F16},
    {"BF16", 2, WEIGHT_BF16},
    {"F64", 8, WEIGHT_TYPE_COUNT},
    {"I64", 8, WEIGHT_TYPE_COUNT},
    {"I32", 4, WEIGHT_TYPE_COUNT},
    {"I16", 2, WEIGHT_TYPE_COUNT},
    {"I8", 1, WEIGHT_TYPE_COUNT},
    {"U8", 1, WEIGHT_TYPE_COUNT},
    {"BOOL", 1, WEIGHT_TYPE_COUNT},
    {"F8_E4M3", 1, WEIGHT_TYPE_COUNT},
    {"F8_E5M2", 1, WEIGHT_TYPE_COUNT},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* A whole number from 0; -1: something else. */
static json_int_t whole(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

/* Rows are all dimensions but the last; *values: of the whole. */
static bool read_shape(const struct reading *reading, const char *name, const json_t *shape,
                       struct safetensor *made, uint64_t *values)
{
    size_t dimensions = json_array_size(shape);
    if (!json_is_array(shape) || dimensions > SAFETENSORS_DIMENSIONS_MOST)
        return fail(reading, name, "shape: expected a list of at most 8 whole numbers");
    made->dimensions = (int)dimensions;
    made->tensor.rows = made->tensor.cols = 1;
    *values = 1;
    for (size_t i = 0; i < dimensions; i++) {
        json_int_t size = whole(json_array_get(shape, i));
        if (size < 0)
            return fail(reading, name, "shape: expected a list of at most 8 whole numbers");
        if (size == 0)
            return fail(reading, name, "shape: a tensor without values");
        if (__builtin_mul_overflow(*values, (uint64_t)size, values) || *values > (uint64_t)1 << 53)
            return fail(reading, name, "shape: more than 2^53 values");
        if (i + 1 < dimensions)
            made->tensor.rows *= (size_t)size;
        else
            made->tensor.cols = (size_t)size;
    }
    return true;
}

static bool read_tensor(const struct reading *reading, const char *name, const json_t *entry,
                        struct safetensor *made)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    json_int_t from = whole(json_array_get(offsets, 0)), to = whole(json_array_get(offsets, 1));
    uint64_t values = 0;
    int type = 0;
    while (type < DTYPES && (dtype == NULL || strcmp(dtypes[type].name, dtype) != 0))
        type++;
    if (type == DTYPES)
        return fail(reading, name, "dtype: expected F32, F16 or BF16");
    if (!read_shape(reading, name, json_object_get(entry, "shape"), made, &values))
        return false;
    if (json_array_size(offsets) != 2 || from < 0 || to < from)
        return fail(reading, name, "data_offsets: expected [from, to]");
    if ((uint64_t)to > reading->length)
        return fail(reading, name, "data_offsets: the data ends behind the file's end");
    if ((uint64_t)(to - from) != values * dtypes[type].bytes)
        return fail(reading, name, "data_offsets: not as many bytes as shape and dtype come to");
    made->dtype = dtypes[type].name;
    made->tensor.type = dtypes[type].type;
    made->tensor.name = arena_strdup(reading->arena, name);
    made->tensor.data = reading->data + from;
    return made->tensor.name != NULL || fail(reading, name, "out of memory");
}

static bool read_tensors(const struct reading *reading, const json_t *root, struct safetensors *file)
{
    const char *name;
    const json_t *entry;
    file->tensors = ARENA_ARRAY(reading->arena, struct safetensor, json_object_size(root) + 1);
    if (file->tensors == NULL)
        return fail(reading, "header", "out of memory");
    json_object_foreach((json_t *)(uintptr_t)root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (!printable(name))
            return fail(reading, "header", "a name is empty, too long, or no printable ASCII");
        if (!read_tensor(reading, name, entry, &file->tensors[file->count++]))
            return false;
    }
    return true;
}

bool safetensors_parse(struct safetensors *file, struct arena *arena, struct diag *diag, const char *name,
                       const char *bytes, size_t length)
{
    struct reading reading = {.name = name, .arena = arena, .diag = diag};
    uint64_t head = 0;
    *file = (struct safetensors){0};
    if (length < LENGTH_BYTES)
        return fail(&reading, "header", "the file ends inside its length");
    for (int i = 0; i < LENGTH_BYTES; i++)
        head |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    if (head > SAFETENSORS_HEADER_MOST)
        return fail(&reading, "header", "longer than 100000000 bytes");
    if (head > length - LENGTH_BYTES)
        return fail(&reading, "header", "the file ends inside it");
    reading.data = bytes + LENGTH_BYTES + head;
    reading.length = length - LENGTH_BYTES - (size_t)head;
    json_t *root = parse(&reading, bytes + LENGTH_BYTES, (size_t)head);
    bool read = root != NULL && read_tensors(&reading, root, file);
    json_decref(root);
    return read;
}

/* ---- the index ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the same folder, and no index again. */
static bool is_shard(const char *name)
{
    size_t length = strlen(name), ending = strlen(".safetensors");
    return printable(name) && strchr(name, '/') == NULL && name[0] != '.' && length > ending &&
           strcmp(name + length - ending, ".safetensors") == 0;
}

static bool read_map(const struct reading *reading, const json_t *map, const char **files, size_t *count)
{
    const char *tensor;
    const json_t *value;
    size_t all = 0;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name == NULL || !is_shard(name))
            return fail(reading, "weight_map", "expected names of .safetensors files in the same folder");
        files[all++] = name;
    }
    qsort(files, all, sizeof *files, by_text);
    for (size_t i = 0; i < all; i++)
        if (*count == 0 || strcmp(files[i], files[*count - 1]) != 0)
            files[(*count)++] = files[i];
    if (*count > FILES_MOST)
        return fail(reading, "weight_map", "more than 4096 files");
    for (size_t i = 0; i < *count; i++)
        if ((files[i] = arena_strdup(reading->arena, files[i])) == NULL)
            return fail(reading, "weight_map", "out of memory");
    return true;
}

bool safetensors_index(struct arena *arena, struct diag *diag, const char *name, const char *text,
                       size_t length, const char ***files, size_t *count)
{
    struct reading reading = {.name = name, .arena = arena, .diag = diag};
    json_t *root = parse(&reading, text, length);
    const json_t *map = json_object_get(root, "weight_map");
    bool read = false;
    *count = 0;
    if (root != NULL && json_object_size(map) == 0)
        fail(&reading, "weight_map", "missing, expected an object of tensors and their files");
    else if (root != NULL) {
        *files = ARENA_ARRAY(arena, const char *, json_object_size(map));
        read = *files != NULL ? read_map(&reading, map, *files, count)
                              : fail(&reading, "weight_map", "out of memory");
    }
    json_decref(root);
    return read;
}
