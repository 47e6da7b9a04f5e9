#include "exec/formats/gguf_data.h"

#include <stdlib.h>

enum { ALIGNMENT_USUAL = 32, ALIGNMENT_MOST = 65536 };

static bool fail(const struct gguf_header *header, struct diag *diag, const char *tensor, const char *what)
{
    return diag_error(diag, (struct source_location){header->name, 0, 0}, "%s: %s", tensor, what);
}

size_t gguf_alignment(const struct gguf_header *header, struct diag *diag)
{
    const struct gguf_pair *pair = gguf_pair(header, "general.alignment");
    if (pair == NULL)
        return ALIGNMENT_USUAL;
    double number = pair->type == GGUF_STRING || pair->type == GGUF_ARRAY ? 0 : pair->number;
    size_t alignment = number >= 1 && number <= ALIGNMENT_MOST ? (size_t)number : 0;
    if (alignment > 0 && (alignment & (alignment - 1)) == 0 && (double)alignment == number)
        return alignment;
    fail(header, diag, "general.alignment", "expected a power of two from 1 to 65536");
    return 0;
}

/* Its rows' shape and type; *bytes: of all of it. */
static bool shape(const struct gguf_header *header, struct diag *diag, const struct gguf_tensor *entry,
                  struct tensor *tensor, uint64_t *bytes)
{
    enum { TYPES = WEIGHT_TYPE_COUNT };
    int type = 0;
    while (type < TYPES && weight_layouts[type].ggml_type != entry->type)
        type++;
    if (type == TYPES)
        return diag_error(diag, (struct source_location){header->name, 0, 0},
                          "%s: ggml's type %u is not run; expected F32, F16, BF16, Q8_0, Q4_0, "
                          "Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
                          entry->name, entry->type);
    const struct weight_layout *layout = &weight_layouts[type];
    if (entry->size[0] % layout->block_values != 0)
        return diag_error(diag, (struct source_location){header->name, 0, 0},
                          "%s: rows of %llu values are no multiple of the %zu of a block of %s", entry->name,
                          (unsigned long long)entry->size[0], layout->block_values, layout->name);
    /* the header's reader has seen that there are fewer than 2^53 values, of 4 bytes at most */
    uint64_t rows = entry->size[1] * entry->size[2] * entry->size[3];
    *tensor = (struct tensor){
        .name = entry->name, .type = (enum weight_type)type, .rows = rows, .cols = entry->size[0]};
    *bytes = rows * weight_row_bytes(tensor->type, tensor->cols);
    return true;
}

struct extent {
    uint64_t from, to;
    const char *name;
};

static int by_place(const void *a, const void *b)
{
    const struct extent *one = a, *other = b;
    return (one->from > other->from) - (one->from < other->from);
}

static bool apart(const struct gguf_header *header, struct diag *diag, struct extent *extents)
{
    if (header->tensor_count > 0)
        qsort(extents, header->tensor_count, sizeof *extents, by_place);
    for (size_t i = 1; i < header->tensor_count; i++)
        if (extents[i].from < extents[i - 1].to)
            return diag_error(diag, (struct source_location){header->name, 0, 0},
                              "%s: its data lies over that of %s", extents[i].name, extents[i - 1].name);
    return true;
}

struct tensor *gguf_tensors(struct arena *arena, struct diag *diag, const struct gguf_header *header,
                            const char *bytes, size_t length)
{
    size_t count = header->tensor_count, alignment = gguf_alignment(header, diag);
    struct tensor *tensors = ARENA_ARRAY(arena, struct tensor, count + 1);
    struct extent *extents = ARENA_ARRAY(arena, struct extent, count + 1);
    if (alignment == 0)
        return NULL;
    if (tensors == NULL || extents == NULL) {
        fail(header, diag, "tensors", "out of memory");
        return NULL;
    }
    size_t begin = (header->end + alignment - 1) / alignment * alignment;
    uint64_t there = length > begin ? length - begin : 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        const struct gguf_tensor *entry = &header->tensors[i];
        if (!shape(header, diag, entry, &tensors[i], &size))
            return NULL;
        const char *wrong = entry->offset % alignment != 0 ? "its offset is no multiple of the alignment"
                            : entry->offset > there || size > there - entry->offset
                                ? "its data ends behind the file's end"
                                : NULL;
        if (wrong != NULL) {
            fail(header, diag, entry->name, wrong);
            return NULL;
        }
        tensors[i].data = bytes + begin + entry->offset;
        extents[i] = (struct extent){entry->offset, entry->offset + size, entry->name};
    }
    return apart(header, diag, extents) ? tensors : NULL;
}
