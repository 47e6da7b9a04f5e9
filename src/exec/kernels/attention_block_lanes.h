/* Attention of many rows as products of small matrices, in lanes; included by lane_*.c only.
 *
 * A block of keys and values is converted to fp32 once for all rows of the item. Then for each tile of rows:
 * scores = q keys^T, the running greatest and sum, and out = out * correction + p values, with the sums of
 * the tile in registers. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_BLOCK_LANES_H
#define RAFTER_EXEC_KERNELS_ATTENTION_BLOCK_LANES_H

#include "exec/kernels/attention_item.h"
#include "exec/kernels/kv_lanes.h"

/* Vectors of a tile: with ATTENTION_TILE rows their sums fill most registers (32 or 16). */
#if defined(LANES_AVX512)
enum { TILE_VECTORS = 4 };
#else
enum { TILE_VECTORS = 2 };
#endif

/* LANES x LANES values turned: y[j][i] = x[i][j]. Rows are the strides apart. */
LANES_INLINE void lanes_turn(const float *x, size_t x_stride, float *y, size_t y_stride)
{
#if defined(LANES_AVX512)
    __m512 a[16], b[16];
    LANES_UNROLL
    for (size_t i = 0; i < 16; i++)
        a[i] = lanes_load(x + i * x_stride);
    LANES_UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    LANES_UNROLL
    for (size_t i = 0; i < 16; i += 4)
        for (size_t j = 0; j < 2; j++) { /* columns 4n + (2 j, 2 j + 1) of rows i to i + 3 */
            a[i + 2 * j] = _mm512_shuffle_ps(b[i + j], b[i + 2 + j], 0x44);
            a[i + 2 * j + 1] = _mm512_shuffle_ps(b[i + j], b[i + 2 + j], 0xEE);
        }
    LANES_UNROLL
    for (size_t j = 0; j < 4; j++) {
        b[j] = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88);
        b[4 + j] = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xDD);
        b[8 + j] = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
        b[12 + j] = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xDD);
    }
    LANES_UNROLL
    for (size_t j = 0; j < 4; j++) {
        lanes_store(y + j * y_stride, _mm512_shuffle_f32x4(b[j], b[8 + j], 0x88));
        lanes_store(y + (8 + j) * y_stride, _mm512_shuffle_f32x4(b[j], b[8 + j], 0xDD));
        lanes_store(y + (4 + j) * y_stride, _mm512_shuffle_f32x4(b[4 + j], b[12 + j], 0x88));
        lanes_store(y + (12 + j) * y_stride, _mm512_shuffle_f32x4(b[4 + j], b[12 + j], 0xDD));
    }
#elif defined(LANES_AVX2)
    __m256 a[8], b[8];
    LANES_UNROLL
    for (size_t i = 0; i < 8; i++)
        a[i] = lanes_load(x + i * x_stride);
    LANES_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    LANES_UNROLL
    for (size_t i = 0; i < 8; i += 4)
        for (size_t j = 0; j < 2; j++) {
            a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + 2 + j], 0x44);
            a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + 2 + j], 0xEE);
        }
    LANES_UNROLL
    for (size_t j = 0; j < 4; j++) {
        lanes_store(y + j * y_stride, _mm256_permute2f128_ps(a[j], a[4 + j], 0x20));
        lanes_store(y + (4 + j) * y_stride, _mm256_permute2f128_ps(a[j], a[4 + j], 0x31));
    }
#else
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < LANES; j++)
            y[j * y_stride + i] = x[i * x_stride + j];
#endif
}

/* y[ATTENTION_TILE][vectors] = y * factor[row] + a[ATTENTION_TILE][k] b[k][vectors]; factor NULL: y = a b. */
LANES_INLINE void tile_product(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t k,
                               int vectors, const float *factor, float *y, size_t y_stride)
{
    lanes sums[ATTENTION_TILE][TILE_VECTORS];
    LANES_UNROLL
    for (int i = 0; i < ATTENTION_TILE; i++) {
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            sums[i][j] = factor ? lanes_mul(lanes_load(y + (size_t)i * y_stride + (size_t)j * LANES),
                                            lanes_set(factor[i]))
                                : lanes_set(0.0F);
    }
    for (size_t p = 0; p < k; p++) {
        lanes columns[TILE_VECTORS];
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            columns[j] = lanes_load(b + p * b_stride + (size_t)j * LANES);
        LANES_UNROLL
        for (int i = 0; i < ATTENTION_TILE; i++) {
            lanes row = lanes_set(a[(size_t)i * a_stride + p]);
            LANES_UNROLL
            for (int j = 0; j < vectors; j++)
                sums[i][j] = lanes_fma(row, columns[j], sums[i][j]);
        }
    }
    LANES_UNROLL
    for (int i = 0; i < ATTENTION_TILE; i++) {
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            lanes_store(y + (size_t)i * y_stride + (size_t)j * LANES, sums[i][j]);
    }
}

/* The same of any number of vectors. */
static void tile_products(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t k,
                          size_t vectors, const float *factor, float *y, size_t y_stride)
{
    for (; vectors >= TILE_VECTORS; vectors -= TILE_VECTORS) {
        tile_product(a, a_stride, b, b_stride, k, TILE_VECTORS, factor, y, y_stride);
        b += (size_t)TILE_VECTORS * LANES;
        y += (size_t)TILE_VECTORS * LANES;
    }
#if defined(LANES_AVX512)
    if (vectors == 3)
        tile_product(a, a_stride, b, b_stride, k, 3, factor, y, y_stride);
    else if (vectors == 2)
        tile_product(a, a_stride, b, b_stride, k, 2, factor, y, y_stride);
#endif
    if (vectors == 1)
        tile_product(a, a_stride, b, b_stride, k, 1, factor, y, y_stride);
}

/* A block of keys: where their rows are; behind the last one that one again. */
struct key_rows {
    const char *rows[ATTENTION_KEYS];
};

static void find_rows(const struct kv_pool *pool, const struct kv_sequence *cache, int head, int from,
                      int count, struct key_rows *found)
{
    int slot = from % pool->page_tokens;
    const int32_t *page = cache->pages + from / pool->page_tokens;
    const char *row = kv_row(pool, cache, head, from);
    for (int i = 0; i < ATTENTION_KEYS; i++) {
        found->rows[i] = row;
        if (i + 1 >= count)
            continue;
        row += pool->row_bytes;
        if (++slot == pool->page_tokens) {
            slot = 0;
            row = pool->base + (size_t) * ++page * pool->page_stride +
                  (size_t)head * (size_t)pool->page_tokens * pool->row_bytes;
        }
    }
}

/* Keys [from, from + count) and their values, as floats. Returns the values' stride. */
static size_t load_keys(const struct attention *attention, const struct attention_item *item,
                        struct attention_room *room, int from, int count)
{
    const struct kv_pool *k = attention->k, *v = attention->v;
    const struct kv_sequence *cache = &attention->sequences[item->sequence].cache;
    size_t dim = attention_padded(k->dim), v_dim = attention_padded(attention->v_dim);
    struct key_rows found;
    find_rows(k, cache, item->head, from, count, &found);
    for (int i = 0; i < count; i++)
        lanes_decode_row(k->type, found.rows[i], (size_t)k->dim, room->keys + (size_t)i * dim);
    for (size_t i = 0; i < (size_t)count; i += LANES)
        for (size_t j = 0; j < (size_t)k->dim; j += LANES)
            lanes_turn(room->keys + i * dim + j, dim, room->turned + j * ATTENTION_KEYS + i, ATTENTION_KEYS);
    if (v == k)
        return dim;
    find_rows(v, cache, item->head, from, count, &found);
    for (int i = 0; i < count; i++)
        lanes_decode_row(v->type, found.rows[i], (size_t)attention->v_dim, room->values + (size_t)i * v_dim);
    return v_dim;
}

/* Scores of keys that the row does not see become -inf, those beyond `count` keys too. */
static void mask_row(const struct attention *attention, int position, int from, int vectors, int count,
                     float *scores)
{
    int first = attention_first_key(attention, position) - from, end = position + 1 - from;
    end = end < count ? end : count;
    for (int i = 0; i < first && i < vectors * LANES; i++)
        scores[i] = -INFINITY;
    for (int i = end > 0 ? end : 0; i < vectors * LANES; i++)
        scores[i] = -INFINITY;
}

/* A row's scores become p = e^(score - greatest); greatest and sums go on. Returns what the row's earlier
 * results are to be multiplied by. */
LANES_INLINE float soften_row(int vectors, float *scores, float *greatest, float *sums)
{
    lanes most = lanes_set(*greatest);
    for (int j = 0; j < vectors; j++)
        most = lanes_max(most, lanes_load(scores + (size_t)j * LANES));
    float now = lanes_greatest(most), shift = now > -INFINITY ? now : 0.0F;
    float factor = *greatest == now ? 1.0F : expf(*greatest - shift);
    lanes sum = lanes_load(sums) * lanes_set(factor), subtract = lanes_set(shift);
    for (int j = 0; j < vectors; j++) {
        lanes p = lanes_exp(lanes_load(scores + (size_t)j * LANES) - subtract);
        lanes_store(scores + (size_t)j * LANES, p);
        sum = sum + p;
    }
    lanes_store(sums, sum);
    *greatest = now;
    return factor;
}

static void cap_scores(float softcap, int vectors, float *scores)
{
    lanes cap = lanes_set(softcap), inverse = lanes_set(1.0F / softcap);
    for (int j = 0; j < vectors; j++) {
        float *at = scores + (size_t)j * LANES;
        lanes_store(at, cap * lanes_tanh(lanes_load(at) * inverse));
    }
}

/* One tile of rows with a block of keys. */
static void attention_tile(const struct attention *attention, const struct attention_item *item,
                           struct attention_room *room, int tile, int from, int count, const float *values,
                           size_t v_stride)
{
    size_t dim = attention_padded(attention->k->dim), v_dim = attention_padded(attention->v_dim);
    int last_row = item->row_from + tile + ATTENTION_TILE - 1;
    last_row = last_row < item->row_to ? last_row : item->row_to - 1;
    int first_position = attention_position(attention, item, item->row_from + tile);
    int last_position = attention_position(attention, item, last_row);
    int seen = last_position + 1 - from < count ? last_position + 1 - from : count;
    if (seen <= 0 || from + count <= attention_first_key(attention, first_position))
        return;
    int vectors = (seen + LANES - 1) / LANES;
    bool masked = from + vectors * LANES > first_position + 1 || vectors * LANES > count ||
                  from < attention_first_key(attention, last_position);
    float factors[ATTENTION_TILE];
    tile_products(room->q + (size_t)tile * dim, dim, room->turned, ATTENTION_KEYS, (size_t)attention->k->dim,
                  (size_t)vectors, NULL, room->scores, ATTENTION_KEYS);
    for (int i = 0; i < ATTENTION_TILE; i++) {
        float *scores = room->scores + (size_t)i * ATTENTION_KEYS;
        int row = item->row_from + tile + i < item->row_to ? item->row_from + tile + i : last_row;
        if (attention->softcap > 0)
            cap_scores(attention->softcap, vectors, scores);
        if (masked)
            mask_row(attention, attention_position(attention, item, row), from, vectors, count, scores);
        factors[i] = soften_row(vectors, scores, &room->greatest[tile + i],
                                room->sums + (size_t)(tile + i) * ATTENTION_PAD);
    }
    tile_products(room->scores, ATTENTION_KEYS, values, v_stride, (size_t)seen, v_dim / LANES, factors,
                  room->out + (size_t)tile * v_dim, v_dim);
}

/* Queries times scale, rows of tiles that are not full 0; no key seen yet. */
static void start_rows(const struct attention *attention, const struct attention_item *item,
                       struct attention_room *room, int rows)
{
    size_t dim = attention_padded(attention->k->dim), v_dim = attention_padded(attention->v_dim);
    memset(room->q, 0, (size_t)rows * dim * sizeof *room->q);
    memset(room->out, 0, (size_t)rows * v_dim * sizeof *room->out);
    memset(room->sums, 0, (size_t)rows * ATTENTION_PAD * sizeof *room->sums);
    for (int i = 0; i < rows; i++)
        room->greatest[i] = -INFINITY;
    for (int row = item->row_from; row < item->row_to; row++) {
        const float *q = attention_q(attention, item, row);
        float *to = room->q + (size_t)(row - item->row_from) * dim;
        size_t i = 0, n = (size_t)attention->k->dim;
        for (; i + LANES <= n; i += LANES)
            lanes_store(to + i, lanes_load(q + i) * lanes_set(attention->scale));
        for (; i < n; i++)
            to[i] = q[i] * attention->scale;
    }
}

/* Results of all rows, or their partial ones. */
static void finish_rows(const struct attention *attention, const struct attention_item *item,
                        const struct attention_room *room)
{
    size_t v_dim = attention_padded(attention->v_dim), n = (size_t)attention->v_dim;
    for (int row = item->row_from; row < item->row_to; row++) {
        size_t i = (size_t)(row - item->row_from);
        float sum = lanes_sum(lanes_load(room->sums + i * ATTENTION_PAD));
        const float *values = room->out + i * v_dim;
        if (item->partial) {
            float *to = item->partial + i * (n + ATTENTION_PARTIAL);
            to[0] = room->greatest[i];
            to[1] = sum;
            memcpy(to + ATTENTION_PARTIAL, values, n * sizeof *to);
        } else {
            attention_finish_row(attention, item, row, room->greatest[i], sum, values);
        }
    }
}

static void attention_block(const struct attention *attention, const struct attention_item *item,
                            struct attention_room *room)
{
    int rows = (item->row_to - item->row_from + ATTENTION_TILE - 1) / ATTENTION_TILE * ATTENTION_TILE;
    start_rows(attention, item, room, rows);
    for (int from = item->key_from; from < item->key_to; from += ATTENTION_KEYS) {
        int count = item->key_to - from < ATTENTION_KEYS ? item->key_to - from : ATTENTION_KEYS;
        size_t v_stride = load_keys(attention, item, room, from, count);
        const float *values = attention->v == attention->k ? room->keys : room->values;
        for (int tile = 0; tile < rows; tile += ATTENTION_TILE)
            attention_tile(attention, item, room, tile, from, count, values, v_stride);
    }
    finish_rows(attention, item, room);
}

#endif
