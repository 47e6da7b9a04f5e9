/* Attention of one token's few rows, in lanes: keys and values are read once and used as they come, all query
 * heads of the group together; included by lane_*.c only.
 *
 * Scores: a tile of `heads` rows x LANES / heads keys has LANES sums of products, whose lanes are added up
 * together at its end, so that each lane of one vector is a score: scores [key][heads]. Values: strips of
 * vectors of the output stay in registers over all keys of a block. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_STREAM_LANES_H
#define RAFTER_EXEC_KERNELS_ATTENTION_STREAM_LANES_H

#include "exec/kernels/attention_block_lanes.h"
#if defined(LANES_AVX512)
#include "exec/kernels/attention_q8_avx512.h"
#endif

/* Rows that are read next, fetched while others are worked on: a page's rows of one head are too few for the
 * processor to see the pattern by itself. */
struct stream_ahead {
    const struct key_rows *rows;
    size_t bytes; /* of a row; 0: nothing */
};

LANES_INLINE void fetch_ahead(const struct stream_ahead *ahead, int key)
{
    for (size_t at = 0; at < ahead->bytes; at += 64)
        __builtin_prefetch(ahead->rows->rows[key] + at, 0, 2);
}

/* All rows of an item's first block. */
static void fetch_rows(const struct key_rows *rows, size_t bytes)
{
    const struct stream_ahead ahead = {rows, bytes};
    for (int key = 0; key < ATTENTION_KEYS; key++)
        fetch_ahead(&ahead, key);
}

static size_t block_bytes_of(enum kv_type type)
{
    return type == KV_Q8_0 ? sizeof(struct block_q8_0) : sizeof(struct block_q4_0);
}

/* Scales of the blocks of quantised rows as floats: [key][blocks]. */
static void load_scales(const struct kv_pool *pool, const struct key_rows *rows, int count, size_t blocks,
                        float *scales)
{
    uint16_t halves[LANES];
    size_t bytes = block_bytes_of(pool->type), total = (size_t)count * blocks, n = 0;
    for (int i = 0; i < count; i++)
        for (size_t b = 0; b < blocks; b++) {
            memcpy(&halves[n % LANES], rows->rows[i] + b * bytes, sizeof *halves);
            if (++n % LANES == 0)
                lanes_store(scales + n - LANES, lanes_load_half(halves));
        }
    for (size_t i = total / LANES * LANES; i < total; i++)
        scales[i] = lanes_half(&halves[i % LANES]);
}

/* Vector j of a row, values LANES j on; of quantised types without their scale. */
LANES_INLINE lanes stream_load(enum kv_type type, const char *row, size_t j)
{
    size_t block = j * LANES / BLOCK_32, in_block = j * LANES % BLOCK_32;
    if (type == KV_F16)
        return lanes_load_half((const uint16_t *)(const void *)row + j * LANES);
    if (type == KV_Q8_0)
        return lanes_load_int8(((const struct block_q8_0 *)(const void *)row)[block].q + in_block);
    if (type == KV_Q4_0) {
        const uint8_t *q = ((const struct block_q4_0 *)(const void *)row)[block].q;
        return in_block < 16 ? lanes_load_low_nibbles(q + in_block)
                             : lanes_load_high_nibbles(q + in_block - 16);
    }
    return lanes_load((const float *)(const void *)row + j * LANES);
}

/* The sum of each of LANES vectors, in its lane. */
LANES_INLINE lanes lanes_sums(const lanes x[LANES])
{
#if defined(LANES_AVX512)
    lanes a[8], b[4], c[2];
    LANES_UNROLL
    for (int i = 0; i < 8; i++)
        a[i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]) + _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    LANES_UNROLL
    for (int i = 0; i < 4; i++)
        b[i] =
            _mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44) + _mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0xEE);
    LANES_UNROLL
    for (int i = 0; i < 2; i++)
        c[i] = _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0x88) +
               _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0xDD);
    return _mm512_shuffle_f32x4(c[0], c[1], 0x88) + _mm512_shuffle_f32x4(c[0], c[1], 0xDD);
#elif defined(LANES_AVX2)
    lanes a[4], b[2];
    LANES_UNROLL
    for (int i = 0; i < 4; i++)
        a[i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]) + _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    LANES_UNROLL
    for (int i = 0; i < 2; i++)
        b[i] =
            _mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44) + _mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0xEE);
    return _mm256_permute2f128_ps(b[0], b[1], 0x20) + _mm256_permute2f128_ps(b[0], b[1], 0x31);
#else
    return (lanes){lanes_sum(x[0]), lanes_sum(x[1]), lanes_sum(x[2]), lanes_sum(x[3])};
#endif
}

/* Scores of `count` keys: [key][heads], the tile that is begun is filled with the last key's. */
LANES_INLINE void stream_scores(enum kv_type type, int heads, const float *q, size_t dim,
                                const struct key_rows *rows, const float *scales, int count,
                                const struct stream_ahead *ahead, float *scores)
{
    const int keys = LANES / heads;
    for (int key = 0; key < count; key += keys) {
        for (int i = 0; i < keys; i++)
            fetch_ahead(ahead, key + i);
        lanes sums[LANES];
        LANES_UNROLL
        for (int i = 0; i < LANES; i++)
            sums[i] = lanes_set(0.0F);
        for (size_t j = 0; j < dim / LANES; j++) {
            lanes queries[LANES];
            LANES_UNROLL
            for (int h = 0; h < heads; h++)
                queries[h] = lanes_load(q + (size_t)h * dim + j * LANES);
            LANES_UNROLL
            for (int i = 0; i < keys; i++) {
                lanes values = stream_load(type, rows->rows[key + i], j);
                if (type == KV_Q8_0 || type == KV_Q4_0)
                    values = values *
                             lanes_set(scales[(size_t)(key + i) * (dim / BLOCK_32) + j * LANES / BLOCK_32]);
                LANES_UNROLL
                for (int h = 0; h < heads; h++)
                    sums[i * heads + h] = lanes_fma(values, queries[h], sums[i * heads + h]);
            }
        }
        lanes_store(scores + (size_t)key * (size_t)heads, lanes_sums(sums));
    }
}

/* Scores [key][heads], of which `count` keys count, become e^(score - greatest of the head); greatest and
 * sums [LANES] (lane i: of head i % heads) go on. factors: what the heads' earlier results are multiplied by.
 */
static void soften_heads(int heads, int count, float softcap, float *scores, float *greatest, float *sums,
                         float *factors)
{
    int total = count * heads, vectors = (total + LANES - 1) / LANES;
    if (softcap > 0)
        cap_scores(softcap, vectors, scores);
    for (int i = total; i < vectors * LANES; i++)
        scores[i] = -INFINITY;
    float most[LANES], shifts[LANES] = {0}, scale[LANES] = {0};
    lanes running = lanes_set(-INFINITY);
    for (int j = 0; j < vectors; j++)
        running = lanes_max(running, lanes_load(scores + (size_t)j * LANES));
    lanes_store(most, running);
    for (int h = 0; h < heads; h++) {
        float now = greatest[h];
        for (int i = h; i < LANES; i += heads)
            now = most[i] > now ? most[i] : now;
        float shift = now > -INFINITY ? now : 0.0F;
        factors[h] = greatest[h] == now ? 1.0F : expf(greatest[h] - shift);
        greatest[h] = now;
        for (int i = h; i < LANES; i += heads) {
            shifts[i] = shift;
            scale[i] = factors[h];
        }
    }
    lanes subtract = lanes_load(shifts), sum = lanes_load(sums) * lanes_load(scale);
    for (int j = 0; j < vectors; j++) {
        float *at = scores + (size_t)j * LANES;
        lanes p = lanes_exp(lanes_load(at) - subtract);
        lanes_store(at, p);
        sum = sum + p;
    }
    lanes_store(sums, sum);
}

/* Heads taken at once: a power of 2, so that scores of a tile fill a vector. */
enum { STREAM_HEADS = LANES < 8 ? LANES : 8 };

/* Sums of a strip: half of the registers. */
enum { STRIP_SUMS = LANES == 16 ? 16 : 8 };

/* One strip of `vectors` vectors from vector `first` on: out = out * factor + p values. p of (key, head) is
 * at key * key_stride + head * head_stride. */
LANES_INLINE void stream_strip(enum kv_type type, int heads, int vectors, const float *p, size_t key_stride,
                               size_t head_stride, const struct key_rows *rows, const float *scales,
                               size_t blocks, int count, const struct stream_ahead *ahead,
                               const float *factors, size_t first, float *out, size_t out_stride)
{
    lanes sums[STRIP_SUMS];
    LANES_UNROLL
    for (int h = 0; h < heads; h++) {
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            sums[h * vectors + j] = lanes_load(out + (size_t)h * out_stride + (first + (size_t)j) * LANES) *
                                    lanes_set(factors[h]);
    }
    for (int key = 0; key < count; key++) {
        fetch_ahead(ahead, key);
        lanes weights[STREAM_HEADS];
        LANES_UNROLL
        for (int h = 0; h < heads; h++)
            weights[h] = lanes_set(p[(size_t)key * key_stride + (size_t)h * head_stride]);
        LANES_UNROLL
        for (int j = 0; j < vectors; j++) {
            size_t vector = first + (size_t)j;
            lanes values = stream_load(type, rows->rows[key], vector);
            if (type == KV_Q8_0 || type == KV_Q4_0)
                values = values * lanes_set(scales[(size_t)key * blocks + vector * LANES / BLOCK_32]);
            LANES_UNROLL
            for (int h = 0; h < heads; h++)
                sums[h * vectors + j] = lanes_fma(weights[h], values, sums[h * vectors + j]);
        }
    }
    LANES_UNROLL
    for (int h = 0; h < heads; h++) {
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            lanes_store(out + (size_t)h * out_stride + (first + (size_t)j) * LANES, sums[h * vectors + j]);
    }
}

/* What a pass over a block of keys works with. */
struct stream_pass {
    const float *q; /* [heads][dim] scaled */
    size_t dim, v_dim;
    const struct key_rows *keys, *values;
    struct stream_ahead next_values, next_keys; /* fetched while scores, and the first strip, are worked on */
    const float *key_scales, *value_scales;
    int count;
    float softcap;
    float *scores, *greatest, *sums, *out;
#if defined(LANES_AVX512)
    const struct q8_queries *quantised; /* NULL: scores of floats */
#endif
};

LANES_INLINE void stream_pass_as(enum kv_type type, int heads, const struct stream_pass *pass)
{
    float factors[LANES];
    size_t key_stride = (size_t)heads, head_stride = 1, vectors = pass->v_dim / LANES, first = 0;
    const int wide = STRIP_SUMS / heads < 8 ? STRIP_SUMS / heads : 8;
#if defined(LANES_AVX512)
    if (type == KV_Q8_0) {
        key_stride = 1;
        head_stride = ATTENTION_KEYS;
        q8_scores(heads, pass->quantised, pass->dim / BLOCK_32, pass->keys->rows, pass->count, pass->scores);
        for (int key = 0; key < pass->count; key++)
            fetch_ahead(&pass->next_values, key);
        for (int h = 0; h < heads; h++) {
            float *scores = pass->scores + (size_t)h * ATTENTION_KEYS;
            int of_row = (pass->count + LANES - 1) / LANES;
            if (pass->softcap > 0)
                cap_scores(pass->softcap, of_row, scores);
            for (int i = pass->count; i < of_row * LANES; i++)
                scores[i] = -INFINITY;
            factors[h] = soften_row(of_row, scores, &pass->greatest[h], pass->sums + h * ATTENTION_PAD);
        }
    } else
#endif
    {
        stream_scores(type, heads, pass->q, pass->dim, pass->keys, pass->key_scales, pass->count,
                      &pass->next_values, pass->scores);
        soften_heads(heads, pass->count, pass->softcap, pass->scores, pass->greatest, pass->sums, factors);
    }
    size_t blocks = pass->v_dim / BLOCK_32;
    const struct stream_ahead nothing = {NULL, 0};
    for (; first + (size_t)wide <= vectors; first += (size_t)wide)
        stream_strip(type, heads, wide, pass->scores, key_stride, head_stride, pass->values,
                     pass->value_scales, blocks, pass->count, first == 0 ? &pass->next_keys : &nothing,
                     factors, first, pass->out, pass->v_dim);
    for (; first < vectors; first++)
        stream_strip(type, heads, 1, pass->scores, key_stride, head_stride, pass->values, pass->value_scales,
                     blocks, pass->count, &nothing, factors, first, pass->out, pass->v_dim);
}

#define STREAM_PASS(name, type)                                                                              \
    static void name(int heads, const struct stream_pass *pass)                                              \
    {                                                                                                        \
        if (heads == STREAM_HEADS)                                                                           \
            stream_pass_as(type, STREAM_HEADS, pass);                                                        \
        else if (heads == 4)                                                                                 \
            stream_pass_as(type, 4, pass);                                                                   \
        else if (heads == 2)                                                                                 \
            stream_pass_as(type, 2, pass);                                                                   \
        else                                                                                                 \
            stream_pass_as(type, 1, pass);                                                                   \
    }
STREAM_PASS(stream_f32, KV_F32)
STREAM_PASS(stream_f16, KV_F16)
STREAM_PASS(stream_q8, KV_Q8_0)
STREAM_PASS(stream_q4, KV_Q4_0)
#undef STREAM_PASS

static int heads_at_once(int left)
{
    int heads = STREAM_HEADS;
    while (heads > left)
        heads /= 2;
    return heads;
}

/* Sums of lanes of a pass [LANES] become the first one of each row's. */
static void fold_sums(int heads, float *sums)
{
    float folded[LANES] = {0};
    for (int i = 0; i < LANES; i++)
        folded[i % heads] += sums[i];
    for (int h = 0; h < heads; h++) {
        memset(sums + h * ATTENTION_PAD, 0, ATTENTION_PAD * sizeof *sums);
        sums[h * ATTENTION_PAD] = folded[h];
    }
}

static void find_block(const struct attention *attention, const struct attention_item *item, int from,
                       struct key_rows *keys, struct key_rows *values)
{
    const struct kv_sequence *cache = &attention->sequences[item->sequence].cache;
    int count = item->key_to - from < ATTENTION_KEYS ? item->key_to - from : ATTENTION_KEYS;
    find_rows(attention->k, cache, item->head, from, count, keys);
    find_rows(attention->v, cache, item->head, from, count, values);
}

static void attention_stream(const struct attention *attention, const struct attention_item *item,
                             struct attention_room *room)
{
    static void (*const pass_of[KV_TYPE_COUNT])(int, const struct stream_pass *) = {
        [KV_F32] = stream_f32, [KV_F16] = stream_f16, [KV_Q8_0] = stream_q8, [KV_Q4_0] = stream_q4};
    const struct kv_pool *k = attention->k, *v = attention->v;
    size_t dim = (size_t)k->dim, v_dim = (size_t)attention->v_dim;
    int rows = item->row_to - item->row_from;
    bool scaled = k->type == KV_Q8_0 || k->type == KV_Q4_0;
    bool whole = k->type != KV_Q8_0 || LANES < 16; /* scores of floats */
    struct key_rows keys[2], values[2];            /* of this block and of the next one, in turns */
    find_block(attention, item, item->key_from, &keys[0], &values[0]);
    fetch_rows(&keys[0], k->row_bytes);
    start_rows(attention, item, room, rows);
#if defined(LANES_AVX512)
    struct q8_queries *quantised = (struct q8_queries *)(void *)room->turned;
    if (!whole)
        for (int row = 0, heads; row < rows; row += heads) {
            heads = heads_at_once(rows - row);
            q8_quantise(room->q + (size_t)row * dim, heads, dim / BLOCK_32,
                        quantised + (size_t)row * dim / BLOCK_32);
        }
#endif
    for (int from = item->key_from, turn = 0; from < item->key_to; from += ATTENTION_KEYS, turn ^= 1) {
        int count = item->key_to - from < ATTENTION_KEYS ? item->key_to - from : ATTENTION_KEYS;
        bool more = from + ATTENTION_KEYS < item->key_to;
        if (more)
            find_block(attention, item, from + ATTENTION_KEYS, &keys[turn ^ 1], &values[turn ^ 1]);
        if (scaled && whole)
            load_scales(k, &keys[turn], ATTENTION_KEYS, dim / BLOCK_32, room->keys);
        if (scaled)
            load_scales(v, &values[turn], count, v_dim / BLOCK_32, room->values);
        for (int row = 0, heads; row < rows; row += heads) {
            heads = heads_at_once(rows - row);
            struct stream_pass pass = {
                .q = room->q + (size_t)row * dim,
                .dim = dim,
                .v_dim = v_dim,
                .keys = &keys[turn],
                .values = &values[turn],
                .next_values = {&values[turn ^ 1], more && row == 0 ? v->row_bytes : 0},
                .next_keys = {&keys[turn ^ 1], more && row == 0 ? k->row_bytes : 0},
                .key_scales = room->keys,
                .value_scales = room->values,
                .count = count,
                .softcap = attention->softcap,
                .scores = room->scores,
                .greatest = room->greatest + row,
                .sums = room->sums + (size_t)row * ATTENTION_PAD,
                .out = room->out + (size_t)row * v_dim};
#if defined(LANES_AVX512)
            pass.quantised = quantised + (size_t)row * dim / BLOCK_32;
#endif
            pass_of[k->type](heads, &pass);
        }
    }
    for (int row = 0, heads; whole && row < rows; row += heads) {
        heads = heads_at_once(rows - row);
        fold_sums(heads, room->sums + (size_t)row * ATTENTION_PAD);
    }
    finish_rows(attention, item, room);
}

enum { STREAM_ROWS = 8 }; /* more rows repay the conversion of a block to floats */

/* Whether an item can be streamed, and is better so than in blocks: one token, so that all rows see the same
 * keys, few rows, sizes of whole vectors. */
static bool attention_streams(const struct attention *attention, const struct attention_item *item)
{
    int group = attention_group(attention), rows = item->row_to - item->row_from;
    return item->row_from / group == (item->row_to - 1) / group && rows <= STREAM_ROWS &&
           attention->k->dim % ATTENTION_PAD == 0 && attention->v_dim % ATTENTION_PAD == 0 &&
           attention->k->type == attention->v->type;
}

#endif
