#include "exec/formats/gguf_writer.h"

#include "base/file.h"
#include "base/parallel.h"
#include "exec/kernels/blocks.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, VERSION = 3, PIECE_BYTES = 8 << 20, ROWS_A_CHUNK = 4, VALUES_A_PIECE = 256 };

/* ---- the header ---- */

static void add_number(struct text *out, uint64_t value, size_t width)
{
    char bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (char)(value >> (8 * i) & 0xff);
    text_addn(out, bytes, width);
}

static void add_string(struct text *out, const char *string, size_t length)
{
    add_number(out, length, 8);
    text_addn(out, string, length);
}

static void begin_pair(struct gguf_pairs *pairs, const char *key, enum gguf_type type)
{
    add_string(&pairs->bytes, key, strlen(key));
    add_number(&pairs->bytes, (uint64_t)type, 4);
    pairs->count++;
}

void gguf_add_u32(struct gguf_pairs *pairs, const char *key, uint32_t value)
{
    begin_pair(pairs, key, GGUF_U32);
    add_number(&pairs->bytes, value, 4);
}

void gguf_add_f32(struct gguf_pairs *pairs, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    begin_pair(pairs, key, GGUF_F32);
    add_number(&pairs->bytes, bits, 4);
}

void gguf_add_bool(struct gguf_pairs *pairs, const char *key, bool value)
{
    begin_pair(pairs, key, GGUF_BOOL);
    add_number(&pairs->bytes, value, 1);
}

void gguf_add_text(struct gguf_pairs *pairs, const char *key, const char *value, size_t length)
{
    begin_pair(pairs, key, GGUF_STRING);
    add_string(&pairs->bytes, value, length);
}

void gguf_add_copy(struct gguf_pairs *pairs, const struct gguf_pair *pair, const char *bytes)
{
    begin_pair(pairs, pair->key, pair->type);
    text_addn(&pairs->bytes, bytes + pair->at, pair->end - pair->at);
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t entry_bytes(const struct gguf_entry *entry)
{
    return weight_row_bytes(entry->type, entry->size[0]) * entry->size[1] * entry->size[2] * entry->size[3];
}

static void add_header(struct text *out, const struct gguf_pairs *pairs, const struct gguf_entry *entries,
                       size_t count)
{
    uint64_t offset = 0;
    text_add(out, "GGUF");
    add_number(out, VERSION, 4);
    add_number(out, count, 8);
    add_number(out, pairs->count, 8);
    text_addn(out, pairs->bytes.data, pairs->bytes.length);
    out->failed |= pairs->bytes.failed;
    for (size_t i = 0; i < count; i++) {
        add_string(out, entries[i].name, strlen(entries[i].name));
        add_number(out, (uint64_t)entries[i].dimensions, 4);
        for (int d = 0; d < entries[i].dimensions; d++)
            add_number(out, entries[i].size[d], 8);
        add_number(out, weight_layouts[entries[i].type].ggml_type, 4);
        add_number(out, offset, 8);
        offset += aligned(entry_bytes(&entries[i]));
    }
    while (out->length % ALIGNMENT != 0 && !out->failed)
        add_number(out, 0, 1);
}

/* ---- the data ---- */

/* Rows [first, ...) of a part in the making. */
struct piece {
    const struct gguf_entry *entry;
    const struct tensor *part;
    size_t first;
    size_t row_bytes;
    char *bytes;
};

/* The row of the part that becomes row `to`: halves (i, i + n/2) of a head to neighbours (2i, 2i + 1). */
static size_t source_row(const struct gguf_entry *entry, size_t to)
{
    size_t n = entry->head_rows;
    if (n == 0)
        return to;
    size_t in_head = to % n;
    return to - in_head + in_head / 2 + (in_head % 2) * (n / 2);
}

static void convert(const struct tensor *from, const void *row, enum weight_type type, char *to)
{
    /* a multiple of every block, so that no row needs memory of its own */
    float values[VALUES_A_PIECE];
    for (size_t at = 0; at < from->cols; at += VALUES_A_PIECE) {
        size_t n = from->cols - at < VALUES_A_PIECE ? from->cols - at : VALUES_A_PIECE;
        weights_decode(from->type, (const char *)row + weight_row_bytes(from->type, at), n, values);
        weights_encode(type, values, n, to + weight_row_bytes(type, at));
    }
}

static void make_rows(void *context, size_t from, size_t to)
{
    const struct piece *piece = context;
    for (size_t row = from; row < to; row++) {
        const void *source = tensor_row(piece->part, source_row(piece->entry, piece->first + row));
        char *made = piece->bytes + row * piece->row_bytes;
        if (piece->part->type == piece->entry->type)
            memcpy(made, source, piece->row_bytes);
        else
            convert(piece->part, source, piece->entry->type, made);
    }
}

/* A file being written and where its errors go. */
struct output {
    struct file_writer writer;
    struct diag *diag;
};

static void write_part(struct output *output, const struct gguf_entry *entry, const struct tensor *part,
                       char *bytes)
{
    size_t row_bytes = weight_row_bytes(entry->type, part->cols), rows = PIECE_BYTES / row_bytes;
    for (size_t at = 0; at < part->rows; at += rows) {
        size_t n = part->rows - at < rows ? part->rows - at : rows;
        struct piece piece = {entry, part, at, row_bytes, bytes};
        parallel_for(n, ROWS_A_CHUNK, make_rows, &piece);
        file_writer_add(&output->writer, output->diag, bytes, n * row_bytes);
    }
}

static bool write_data(struct output *output, const struct gguf_entry *entries, size_t count)
{
    static const char zeros[ALIGNMENT];
    char *bytes = malloc(PIECE_BYTES);
    if (bytes == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        for (size_t part = 0; part < entries[i].part_count; part++)
            write_part(output, &entries[i], &entries[i].parts[part], bytes);
        uint64_t size = entry_bytes(&entries[i]);
        file_writer_add(&output->writer, output->diag, zeros, aligned(size) - size);
    }
    free(bytes);
    return true;
}

static bool fits(struct diag *diag, const char *path, const struct gguf_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weight_row_bytes(entries[i].type, entries[i].size[0]) > PIECE_BYTES)
            return diag_error(diag, (struct source_location){path, 0, 0}, "%s: rows longer than 8 MiB",
                              entries[i].name);
    return true;
}

bool gguf_write(struct diag *diag, const char *path, const struct gguf_pairs *pairs,
                const struct gguf_entry *entries, size_t count)
{
    struct output output = {.diag = diag};
    struct text head = {0};
    add_header(&head, pairs, entries, count);
    bool made = !head.failed && fits(diag, path, entries, count), memory = !head.failed;
    if (made && (made = file_writer_open(&output.writer, diag, path))) {
        file_writer_add(&output.writer, diag, head.data, head.length);
        memory = write_data(&output, entries, count);
        made = file_writer_close(&output.writer, diag, memory);
    }
    text_free(&head);
    return memory ? made : diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
}
