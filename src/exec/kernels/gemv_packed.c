/* Packing. */
#include "exec/kernels/gemv_packed.h"

#include <string.h>

struct packed_layout packed_layout_of(enum weight_type type, size_t cols)
{
    size_t blocks = cols / BLOCK_32;
    switch (type) {
    case WEIGHT_Q8_0:
        return (struct packed_layout){blocks * PACK_ROWS * sizeof(uint16_t), blocks * PACK_ROWS * BLOCK_32};
    case WEIGHT_Q4_0:
        return (struct packed_layout){blocks * PACK_ROWS * sizeof(uint16_t),
                                      blocks * PACK_ROWS * BLOCK_32 / 2};
    case WEIGHT_Q4_K:
        return (struct packed_layout){cols / BLOCK_K * sizeof(struct packed_q4_k),
                                      blocks * PACK_ROWS * BLOCK_32 / 2};
    default:
        return (struct packed_layout){0};
    }
}

/* `bytes` of one row's block, a multiple of 4, to its lane. */
static void put_lane(char *values, size_t row, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i += 4)
        memcpy(values + (i * PACK_ROWS) + row * 4, bytes + i, 4);
}

static void pack_row_q8_0(const struct block_q8_0 *blocks, size_t count, size_t row, char *scales,
                          char *values)
{
    for (size_t b = 0; b < count; b++) {
        struct block_q8_0 block;
        memcpy(&block, (const char *)blocks + b * sizeof block, sizeof block);
        uint8_t bytes[BLOCK_32];
        for (size_t i = 0; i < BLOCK_32; i++)
            bytes[i] = (uint8_t)(block.q[i] ^ 0x80);
        memcpy(scales + (b * PACK_ROWS + row) * sizeof block.d, &block.d, sizeof block.d);
        put_lane(values + b * PACK_ROWS * sizeof bytes, row, bytes, sizeof bytes);
    }
}

static void pack_row_q4_0(const struct block_q4_0 *blocks, size_t count, size_t row, char *scales,
                          char *values)
{
    for (size_t b = 0; b < count; b++) {
        struct block_q4_0 block;
        memcpy(&block, (const char *)blocks + b * sizeof block, sizeof block);
        memcpy(scales + (b * PACK_ROWS + row) * sizeof block.d, &block.d, sizeof block.d);
        put_lane(values + b * PACK_ROWS * sizeof block.q, row, block.q, sizeof block.q);
    }
}

static void pack_row_q4_k(const struct block_q4_k *blocks, size_t count, size_t row, char *scales,
                          char *values)
{
    enum { HALF = BLOCK_32 / 2, GROUPS = BLOCK_K / BLOCK_32 };
    for (size_t b = 0; b < count; b++) {
        struct block_q4_k block;
        memcpy(&block, (const char *)blocks + b * sizeof block, sizeof block);
        struct packed_q4_k *packed = (struct packed_q4_k *)(void *)scales + b;
        packed->d[row] = block.d;
        packed->dmin[row] = block.dmin;
        for (size_t g = 0; g < GROUPS; g++) {
            q4_k_scale_min(block.scales, (int)g, &packed->scales[g][row], &packed->mins[g][row]);
            uint8_t bytes[HALF];
            for (size_t i = 0; i < HALF; i++) { /* stored: blocks of 32 in pairs, low halves and high ones */
                const uint8_t *q = block.q + g / 2 * BLOCK_32;
                int shift = g % 2 == 0 ? 0 : 4;
                bytes[i] = (uint8_t)((q[i] >> shift & 15) | (q[i + HALF] >> shift & 15) << 4);
            }
            put_lane(values + (b * GROUPS + g) * PACK_ROWS * HALF, row, bytes, HALF);
        }
    }
}

size_t matrix_packed_bytes(const struct tensor *stored, enum isa isa)
{
    struct packed_layout layout = packed_layout_of(stored->type, stored->cols);
    size_t panels = (stored->rows + PACK_ROWS - 1) / PACK_ROWS;
    return isa >= ISA_AVX512 ? panels * (layout.scales + layout.values) : 0;
}

void matrix_pack(const struct tensor *stored, enum isa isa, size_t from, size_t to, void *packed)
{
    struct packed_layout layout = packed_layout_of(stored->type, stored->cols);
    size_t panel = layout.scales + layout.values;
    if (matrix_packed_bytes(stored, isa) == 0)
        return;
    if (to == stored->rows && to % PACK_ROWS != 0) /* the last panel's unused rows */
        memset((char *)packed + to / PACK_ROWS * panel, 0, panel);
    for (size_t r = from; r < to; r++) {
        char *scales = (char *)packed + r / PACK_ROWS * panel, *values = scales + layout.scales;
        const void *row = tensor_row(stored, r);
        if (stored->type == WEIGHT_Q8_0)
            pack_row_q8_0(row, stored->cols / BLOCK_32, r % PACK_ROWS, scales, values);
        else if (stored->type == WEIGHT_Q4_0)
            pack_row_q4_0(row, stored->cols / BLOCK_32, r % PACK_ROWS, scales, values);
        else
            pack_row_q4_k(row, stored->cols / BLOCK_K, r % PACK_ROWS, scales, values);
    }
}
