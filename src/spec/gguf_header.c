#include "spec/gguf_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the cursor ---- */

struct cursor {
    const char *bytes;
    size_t length, at;
    const char *name;
    struct arena *arena;
    struct diag *diag;
};

static bool fail(const struct cursor *cursor, size_t at, const char *what)
{
    return diag_error(cursor->diag, (struct source_location){cursor->name, 0, 0}, "GGUF header, byte %zu: %s",
                      at, what);
}

static bool take(struct cursor *cursor, size_t count, const char **bytes)
{
    if (count > cursor->length - cursor->at)
        return fail(cursor, cursor->at, "the file ends inside the header");
    *bytes = cursor->bytes + cursor->at;
    cursor->at += count;
    return true;
}

static uint64_t little_endian(const char *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return value;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static bool take_unsigned(struct cursor *cursor, size_t width, uint64_t *value)
{
    const char *bytes = NULL;
    if (!take(cursor, width, &bytes))
        return false;
    *value = little_endian(bytes, width);
    return true;
}

static bool take_u32(struct cursor *cursor, uint32_t *value)
{
    uint64_t wide;
    if (!take_unsigned(cursor, 4, &wide))
        return false;
    *value = (uint32_t)wide;
    return true;
}

/* A length and as many bytes. */
static bool take_string(struct cursor *cursor, const char **string, size_t *length)
{
    size_t at = cursor->at;
    uint64_t count;
    if (!take_unsigned(cursor, 8, &count))
        return false;
    if (count > cursor->length - cursor->at)
        return fail(cursor, at, "a string is longer than what is left of the header");
    *length = (size_t)count;
    return take(cursor, *length, string);
}

/* Keys and tensor names: short, printable ASCII, so that messages can hold them. */
static bool take_name(struct cursor *cursor, const char **name)
{
    size_t at = cursor->at, length;
    const char *string;
    if (!take_string(cursor, &string, &length))
        return false;
    if (length == 0 || length > GGUF_KEY_MOST)
        return fail(cursor, at, "a name is empty or longer than 256 bytes");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)string[i] <= 0x20 || (unsigned char)string[i] >= 0x7f)
            return fail(cursor, at, "a name holds bytes that are no printable ASCII");
    *name = arena_strndup(cursor->arena, string, length);
    return *name != NULL || fail(cursor, at, "out of memory");
}

/* ---- values ---- */

static size_t type_width(enum gguf_type type)
{
    static const size_t widths[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return widths[type];
}

static double as_number(enum gguf_type type, uint64_t bits)
{
    uint32_t half = (uint32_t)bits;
    float single;
    double number;
    switch (type) {
    case GGUF_I8:
        return (int8_t)bits;
    case GGUF_I16:
        return (int16_t)bits;
    case GGUF_I32:
        return (int32_t)bits;
    case GGUF_I64:
        return (double)(int64_t)bits;
    case GGUF_F32:
        memcpy(&single, &half, sizeof single);
        return (double)single;
    case GGUF_F64:
        memcpy(&number, &bits, sizeof number);
        return number;
    default:
        return (double)bits;
    }
}

static bool take_type(struct cursor *cursor, enum gguf_type *type)
{
    size_t at = cursor->at;
    uint32_t number;
    if (!take_u32(cursor, &number))
        return false;
    if (number >= GGUF_TYPE_COUNT)
        return fail(cursor, at, "an unknown type of value");
    *type = (enum gguf_type)number;
    return true;
}

static bool skip_elements(struct cursor *cursor, enum gguf_type type, uint64_t count, int depth);

static bool skip_array(struct cursor *cursor, int depth)
{
    enum gguf_type type;
    uint64_t count;
    if (depth > GGUF_NESTING_MOST)
        return fail(cursor, cursor->at, "arrays are nested deeper than 4");
    return take_type(cursor, &type) && take_unsigned(cursor, 8, &count) &&
           skip_elements(cursor, type, count, depth);
}

/* Each element takes a byte at least, so that a count cannot keep us busy beyond the file's length. */
static bool skip_elements(struct cursor *cursor, enum gguf_type type, uint64_t count, int depth)
{
    size_t width = type_width(type),
           least = type == GGUF_STRING  ? 8
                   : type == GGUF_ARRAY ? 12
                                        : width,
           length;
    const char *bytes;
    if (count > (cursor->length - cursor->at) / least)
        return fail(cursor, cursor->at, "an array is longer than what is left of the header");
    if (width > 0)
        return take(cursor, (size_t)count * width, &bytes);
    for (uint64_t i = 0; i < count; i++)
        if (type == GGUF_STRING ? !take_string(cursor, &bytes, &length) : !skip_array(cursor, depth + 1))
            return false;
    return true;
}

static bool take_array(struct cursor *cursor, struct gguf_pair *pair)
{
    uint64_t count;
    if (!take_type(cursor, &pair->of) || !take_unsigned(cursor, 8, &count))
        return false;
    size_t from = cursor->at, width = type_width(pair->of);
    if (!skip_elements(cursor, pair->of, count, 1))
        return false;
    pair->length = (size_t)count;
    if (width == 0 || count > GGUF_NUMBERS_MOST)
        return true;
    double *numbers = ARENA_ARRAY(cursor->arena, double, pair->length + 1);
    if (numbers == NULL)
        return fail(cursor, from, "out of memory");
    struct cursor again = *cursor;
    again.at = from;
    for (size_t i = 0; i < pair->length; i++) {
        uint64_t bits;
        if (!take_unsigned(&again, width, &bits))
            return false;
        numbers[i] = as_number(pair->of, bits);
    }
    pair->numbers = numbers;
    return true;
}

static bool take_value(struct cursor *cursor, struct gguf_pair *pair)
{
    uint64_t bits;
    if (pair->type == GGUF_STRING)
        return take_string(cursor, &pair->string, &pair->length);
    if (pair->type == GGUF_ARRAY)
        return take_array(cursor, pair);
    if (!take_unsigned(cursor, type_width(pair->type), &bits))
        return false;
    pair->number = as_number(pair->type, bits);
    return true;
}

static bool take_pair(struct cursor *cursor, struct gguf_pair *pair)
{
    if (!take_name(cursor, &pair->key) || !take_type(cursor, &pair->type))
        return false;
    pair->at = cursor->at;
    bool taken = take_value(cursor, pair);
    pair->end = cursor->at;
    return taken;
}

/* ---- tensors ---- */

static bool take_tensor(struct cursor *cursor, struct gguf_tensor *tensor)
{
    uint32_t dimensions;
    tensor->at = cursor->at;
    if (!take_name(cursor, &tensor->name) || !take_u32(cursor, &dimensions))
        return false;
    if (dimensions > 4)
        return fail(cursor, tensor->at, "a tensor has more than 4 dimensions");
    tensor->dimensions = (int)dimensions;
    tensor->elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
        tensor->size[i] = 1;
        if (i < dimensions && !take_unsigned(cursor, 8, &tensor->size[i]))
            return false;
        tensor->elements *= (double)tensor->size[i];
    }
    if (!(tensor->elements >= 1 && tensor->elements < 0x1p53))
        return fail(cursor, tensor->at, "a tensor has no elements, or more than 2^53");
    return take_u32(cursor, &tensor->type) && take_unsigned(cursor, 8, &tensor->offset);
}

/* ---- the header ---- */

bool gguf_is(const char *bytes, size_t length)
{
    return length >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static bool take_start(struct cursor *cursor, struct gguf_header *header)
{
    const char *magic;
    uint64_t tensors, pairs;
    if (!gguf_is(cursor->bytes, cursor->length))
        return fail(cursor, 0, "expected the letters GGUF");
    if (!take(cursor, 4, &magic) || !take_u32(cursor, &header->version))
        return false;
    if (header->version == 0x02000000 || header->version == 0x03000000)
        return fail(cursor, 4, "the file is big-endian, expected little-endian");
    if (header->version != 2 && header->version != 3)
        return diag_error(cursor->diag, (struct source_location){cursor->name, 0, 0},
                          "GGUF header, byte 4: found version %u, expected 2 or 3", header->version);
    if (!take_unsigned(cursor, 8, &tensors) || !take_unsigned(cursor, 8, &pairs))
        return false;
    if (tensors > GGUF_TENSORS_MOST)
        return fail(cursor, 8, "more than 100000 tensors");
    if (pairs > GGUF_PAIRS_MOST)
        return fail(cursor, 16, "more than 4096 pairs");
    header->tensor_count = (size_t)tensors;
    header->pair_count = (size_t)pairs;
    return true;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct gguf_pair *)a)->key, ((const struct gguf_pair *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

/* Sorted, so that look-ups are quick and what is there twice is seen. */
static bool sort(struct cursor *cursor, struct gguf_header *header)
{
    if (header->pair_count > 0)
        qsort(header->pairs, header->pair_count, sizeof *header->pairs, by_key);
    if (header->tensor_count > 0)
        qsort(header->tensors, header->tensor_count, sizeof *header->tensors, by_name);
    for (size_t i = 1; i < header->pair_count; i++)
        if (by_key(&header->pairs[i - 1], &header->pairs[i]) == 0)
            return fail(cursor, header->pairs[i].at, "a key is there twice");
    for (size_t i = 1; i < header->tensor_count; i++)
        if (by_name(&header->tensors[i - 1], &header->tensors[i]) == 0)
            return fail(cursor, header->tensors[i].at, "a tensor is there twice");
    return true;
}

bool gguf_header_parse(struct gguf_header *header, struct arena *arena, struct diag *diag, const char *name,
                       const char *bytes, size_t length)
{
    struct cursor cursor = {.bytes = bytes, .length = length, .name = name, .arena = arena, .diag = diag};
    *header = (struct gguf_header){.name = name, .bytes = bytes, .byte_count = length};
    if (!take_start(&cursor, header))
        return false;
    header->pairs = ARENA_ARRAY(arena, struct gguf_pair, header->pair_count + 1);
    header->tensors = ARENA_ARRAY(arena, struct gguf_tensor, header->tensor_count + 1);
    if (header->pairs == NULL || header->tensors == NULL)
        return fail(&cursor, 0, "out of memory");
    for (size_t i = 0; i < header->pair_count; i++)
        if (!take_pair(&cursor, &header->pairs[i]))
            return false;
    for (size_t i = 0; i < header->tensor_count; i++)
        if (!take_tensor(&cursor, &header->tensors[i]))
            return false;
    header->end = cursor.at;
    return sort(&cursor, header);
}

const struct gguf_pair *gguf_pair(const struct gguf_header *header, const char *key)
{
    struct gguf_pair wanted = {.key = key};
    if (header->pair_count == 0)
        return NULL;
    return bsearch(&wanted, header->pairs, header->pair_count, sizeof wanted, by_key);
}

const struct gguf_tensor *gguf_tensor(const struct gguf_header *header, const char *name)
{
    struct gguf_tensor wanted = {.name = name};
    if (header->tensor_count == 0)
        return NULL;
    return bsearch(&wanted, header->tensors, header->tensor_count, sizeof wanted, by_name);
}

/* ---- elements ---- */

/* Parsing has seen every element, so that lengths are checked here only against misuse. */
enum { ARRAY_HEAD = 4 + 8 }; /* bytes of an array's type and count */

struct gguf_elements gguf_elements(const struct gguf_header *header, const struct gguf_pair *pair)
{
    struct gguf_elements elements = {.bytes = header->bytes, .length = header->byte_count};
    if (pair->type != GGUF_ARRAY || pair->at > elements.length || elements.length - pair->at < ARRAY_HEAD)
        return elements;
    elements.at = pair->at + ARRAY_HEAD;
    elements.of = pair->of;
    elements.left = pair->length;
    return elements;
}

bool gguf_next_string(struct gguf_elements *elements, const char **string, size_t *length)
{
    if (elements->left == 0 || elements->of != GGUF_STRING || elements->length - elements->at < 8)
        return false;
    uint64_t count = little_endian(elements->bytes + elements->at, 8);
    if (count > elements->length - elements->at - 8)
        return false;
    *string = elements->bytes + elements->at + 8;
    *length = (size_t)count;
    elements->at += 8 + *length;
    elements->left--;
    return true;
}

bool gguf_next_number(struct gguf_elements *elements, double *number)
{
    size_t width = type_width(elements->of);
    if (elements->left == 0 || width == 0 || elements->length - elements->at < width)
        return false;
    *number = as_number(elements->of, little_endian(elements->bytes + elements->at, width));
    elements->at += width;
    elements->left--;
    return true;
}

/* ---- files ---- */

static char *system_error(struct diag *diag, const char *path, const char *what)
{
    char buffer[128];
    diag_error(diag, (struct source_location){path, 0, 0}, "%s: %s", what,
               strerror_r(errno, buffer, sizeof buffer));
    return NULL;
}

char *gguf_read(struct arena *arena, struct diag *diag, const char *path, size_t *length)
{
    struct stat status;
    *length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return system_error(diag, path, "cannot open");
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        diag_error(diag, (struct source_location){path, 0, 0}, "not a regular file");
        return NULL;
    }
    size_t most = status.st_size < GGUF_BYTES_MOST ? (size_t)status.st_size : GGUF_BYTES_MOST;
    char *bytes = ARENA_ARRAY(arena, char, most + 1);
    while (bytes != NULL && *length < most) {
        ssize_t got = read(fd, bytes + *length, most - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            bytes = system_error(diag, path, "cannot read");
        if (got <= 0)
            break;
        *length += (size_t)got;
    }
    if (bytes == NULL && diag->errors == 0)
        diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
    close(fd);
    return bytes;
}
