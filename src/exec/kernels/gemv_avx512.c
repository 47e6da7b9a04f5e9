/* Few rows of x by weights as they are stored: each row of weights is read once, some at a time, all rows'
 * sums kept in registers. */
#ifdef __x86_64__
#include "exec/kernels/int8_avx512.h"

enum { VECTOR = 16, CHUNK = 64, PAIR = 2 * CHUNK, ROWS = 4 };

/* Bytes that rows are fetched ahead: into the L2 cache to where later ones stand, which prefetchers of the
 * processor do not know, and from there into the L1 cache; one of the two alone reads a tenth less. Near is
 * some lines on in the same rows, or, of short ones, in rows that are taken up soon. */
struct ahead {
    size_t far, near;
};

/* `from` bytes, rounded up to where other rows begin. */
static size_t whole_rows(size_t from, size_t bytes)
{
    return (from + bytes - 1) / bytes * bytes;
}

static struct ahead ahead_of(size_t bytes)
{
    enum { SHORT = 8 << 10, NEAR = 512, NEAR_ROWS = 4 << 10, FAR_LEAST = 16 << 10, FAR_MOST = 64 << 10 };
    return (struct ahead){.far = bytes > FAR_MOST ? FAR_MOST : whole_rows(FAR_LEAST, bytes),
                          .near = bytes > SHORT ? NEAR : whole_rows(NEAR_ROWS, bytes)};
}

AVX512_INLINE void fetch_ahead(const char *at, struct ahead ahead)
{
    _mm_prefetch(at + ahead.far, _MM_HINT_T1);
    _mm_prefetch(at + ahead.near, _MM_HINT_T0);
}

/* ---- fp32, fp16 and bf16 ---- */

AVX512_INLINE __m512 load_w(enum weight_type type, const char *row, size_t at, __mmask16 lanes)
{
    if (type == WEIGHT_F32)
        return _mm512_maskz_loadu_ps(lanes, row + at * sizeof(float));
    __m256i stored = _mm256_maskz_loadu_epi16(lanes, row + at * sizeof(uint16_t));
    if (type == WEIGHT_F16)
        return _mm512_cvtph_ps(stored);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(stored), 16));
}

AVX512_INLINE void add_products(enum weight_type type, int M, int R, const char *const rows[ROWS],
                                const struct gemv_x *x, size_t at, __mmask16 lanes,
                                __m512 sums[DIRECT_ROWS_MOST][ROWS])
{
    __m512 w[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
        w[r] = load_w(type, rows[r], at, lanes);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
        __m512 xi = _mm512_maskz_loadu_ps(lanes, x->values[i] + at);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            sums[i][r] = _mm512_fmadd_ps(w[r], xi, sums[i][r]);
    }
}

/* The type, M rows of x and R of w are constants where this is inlined, here and below. */
AVX512_INLINE void float_rows(enum weight_type type, int M, int R, const struct tensor *w, size_t row,
                              struct ahead ahead, const struct gemv_x *x, size_t k, size_t end,
                              __m512 sums[DIRECT_ROWS_MOST][ROWS])
{
    size_t size = type == WEIGHT_F32 ? sizeof(float) : sizeof(uint16_t), step = CHUNK / size;
    const char *rows[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
        rows[r] = tensor_row(w, row + (size_t)r);
    for (; k + step <= end; k += step) { /* a cache line of each */
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            fetch_ahead(rows[r] + k * size, ahead);
#pragma GCC unroll 2
        for (size_t i = 0; i < step; i += VECTOR)
            add_products(type, M, R, rows, x, k + i, 0xffff, sums);
    }
    for (; k < end; k += VECTOR) {
        size_t left = end - k;
        add_products(type, M, R, rows, x, k, left >= VECTOR ? 0xffff : (__mmask16)((1U << left) - 1), sums);
    }
}

/* ---- quantised weights ---- */

/* Four fp16 scales `size` bytes apart, by loads that bring every other one to its place. */
AVX512_INLINE uint64_t four_scales(const char *block, size_t size)
{
    uint16_t a, c;
    uint32_t b, d; /* behind two bytes of the block before */
    memcpy(&a, block, sizeof a);
    memcpy(&b, block + size - 2, sizeof b);
    memcpy(&c, block + 2 * size, sizeof c);
    memcpy(&d, block + 3 * size - 2, sizeof d);
    return (uint64_t)(c | (d & 0xffff0000)) << 32 | (a | (b & 0xffff0000));
}

/* 8 blocks of 32, fewer at the end of a row, with an fp16 scale each; x's sums have the offset in them. */
AVX512_INLINE __m512 scales_of_blocks(const char *block, size_t size, size_t blocks)
{
    __m128i halves;
    if (blocks >= 8) {
        halves = _mm_set_epi64x((long long)four_scales(block + 4 * size, size),
                                (long long)four_scales(block, size));
    } else {
        uint16_t d[8] = {0};
        for (size_t i = 0; i < blocks; i++)
            memcpy(&d[i], block + i * size, sizeof d[i]);
        halves = _mm_loadu_si128((const void *)d);
    }
    return _mm512_zextps256_ps512(_mm256_cvtph_ps(halves));
}

/* 6 bits each of 8 scales and 8 mins: the first four of each in the low bits of bytes 0-3 and 4-7, the
 * others' low halves in bytes 8-11, their high bits in the first ones' high bits. Here: scales, then mins. */
AVX512_INLINE __m512 scales_and_mins(const char *block)
{
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x30303030;
    uint32_t d, packed[3];
    memcpy(&d, block, sizeof d); /* d and dmin */
    memcpy(packed, block + offsetof(struct block_q4_k, scales), sizeof packed);
    uint64_t scales = (packed[0] & six) | (uint64_t)((packed[2] & four) | (packed[0] >> 2 & two)) << 32;
    uint64_t mins = (packed[1] & six) | (uint64_t)((packed[2] >> 4 & four) | (packed[1] >> 2 & two)) << 32;
    __m512i bytes = _mm512_cvtepu8_epi32(_mm_set_epi64x((long long)mins, (long long)scales));
    __m512 factors = _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
                                           _mm512_castps128_ps512(_mm_cvtph_ps(_mm_cvtsi32_si128((int)d))));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(bytes), factors);
}

AVX512_INLINE __m512 scales_q6_k(const char *block)
{
    uint16_t d;
    memcpy(&d, block + offsetof(struct block_q6_k, d), sizeof d);
    __m128i packed = _mm_loadu_si128((const void *)(block + offsetof(struct block_q6_k, scales)));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed)), _mm512_set1_ps(_cvtsh_ss(d)));
}

/* Scales of a group of BLOCK_K values, one a block of 32, or of 16. */
AVX512_INLINE __m512 group_scales(enum weight_type type, const char *row, size_t group, size_t blocks)
{
    enum { BLOCKS = BLOCK_K / BLOCK_32 };
    switch (type) {
    case WEIGHT_Q8_0:
        return scales_of_blocks(row + group * BLOCKS * sizeof(struct block_q8_0), sizeof(struct block_q8_0),
                                blocks);
    case WEIGHT_Q4_0:
        return scales_of_blocks(row + group * BLOCKS * sizeof(struct block_q4_0), sizeof(struct block_q4_0),
                                blocks);
    case WEIGHT_Q4_K:
        return scales_and_mins(row + group * sizeof(struct block_q4_k));
    default:
        return scales_q6_k(row + group * sizeof(struct block_q6_k));
    }
}

/* The scales, and the sums, of x for a group's blocks; those past the end are 0. */
AVX512_INLINE __m512 x_scales(enum weight_type type, const float *scales, size_t group, size_t blocks)
{
    __m512 x = _mm512_zextps256_ps512(
        blocks >= 8 ? _mm256_loadu_ps(scales + group * 8)
                    : _mm256_maskz_loadu_ps((__mmask8)((1U << blocks) - 1), scales + group * 8));
    if (type == WEIGHT_Q6_K) /* one for two groups of 16 */
        x = _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), x);
    return x;
}

AVX512_INLINE __m512 x_sums(enum weight_type type, const struct gemv_x *x, int i, size_t group, size_t blocks)
{
    if (type == WEIGHT_Q6_K)
        return _mm512_loadu_ps(x->halves[i] + group * 16);
    return x_scales(type, x->sums[i], group, blocks);
}

/* 128 values of a row as two vectors, and the order that x has to have for them: by which of the group's
 * scales each dword takes. */
struct pair {
    __m512i a, b;
};

AVX512_INLINE struct pair load_pair(enum weight_type type, const char *row, size_t pair, size_t blocks)
{
    const __m512i low = _mm512_set1_epi8(15);
    if (type == WEIGHT_Q8_0) {
        __m512i a = load_q8_0(row, 2 * pair, blocks > 1), b = _mm512_setzero_si512();
        if (blocks > 2)
            b = load_q8_0(row, 2 * pair + 1, blocks > 3);
        return (struct pair){a, b};
    }
    if (type == WEIGHT_Q4_0) { /* low halves of four blocks, high ones */
        const char *q = row + 4 * pair * sizeof(struct block_q4_0) + offsetof(struct block_q4_0, q);
        __m512i bytes = _mm512_zextsi128_si512(_mm_loadu_si128((const void *)q));
        if (blocks > 1)
            bytes =
                _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(q + sizeof(struct block_q4_0))), 1);
        if (blocks > 2)
            bytes = _mm512_inserti32x4(bytes,
                                       _mm_loadu_si128((const void *)(q + 2 * sizeof(struct block_q4_0))), 2);
        if (blocks > 3)
            bytes = _mm512_inserti32x4(bytes,
                                       _mm_loadu_si128((const void *)(q + 3 * sizeof(struct block_q4_0))), 3);
        return (struct pair){_mm512_and_si512(bytes, low),
                             _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low)};
    }
    if (type == WEIGHT_Q4_K) { /* blocks 0 and 2, 1 and 3 */
        const char *block = row + pair / 2 * sizeof(struct block_q4_k);
        __m512i bytes = _mm512_loadu_si512(block + offsetof(struct block_q4_k, q) + pair % 2 * CHUNK);
        return (struct pair){_mm512_and_si512(bytes, low),
                             _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low)};
    }
    const char *block = row + pair / 2 * sizeof(struct block_q6_k);
    __m512i bytes = _mm512_loadu_si512(block + offsetof(struct block_q6_k, low) + pair % 2 * CHUNK);
    __m512i bits = _mm512_broadcast_i64x4(
        _mm256_loadu_si256((const void *)(block + offsetof(struct block_q6_k, high) + pair % 2 * BLOCK_32)));
    const __m512i high = _mm512_set1_epi8(0x30), twos = _mm512_set1_epi16(2);
    __m512i left = _mm512_sllv_epi16(bits, _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1));
    __m512i right =
        _mm512_srlv_epi16(bits, _mm512_inserti64x4(_mm512_setzero_si512(), _mm512_castsi512_si256(twos), 1));
    /* bits of `high` from the one, others from the four low bits */
    enum { CHOOSE = 0xca };
    __m512i a = _mm512_ternarylogic_epi32(high, left, _mm512_and_si512(bytes, low), CHOOSE);
    __m512i b =
        _mm512_ternarylogic_epi32(high, right, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low), CHOOSE);
    return (struct pair){a, b};
}

AVX512_INLINE __m512i scale_index(enum weight_type type, int pair, int second)
{
    const __m512i fours = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i eights = _mm512_srli_epi32(fours, 1);
    switch (type) {
    case WEIGHT_Q8_0:
        return _mm512_add_epi32(_mm512_set1_epi32(4 * pair + 2 * second), eights);
    case WEIGHT_Q4_0:
        return _mm512_add_epi32(_mm512_set1_epi32(4 * pair), fours);
    case WEIGHT_Q4_K:
        return _mm512_add_epi32(_mm512_set1_epi32(4 * pair + second), _mm512_slli_epi32(eights, 1));
    default:
        return _mm512_add_epi32(_mm512_set1_epi32(8 * pair + 4 * second), fours);
    }
}

/* Where quantise puts piece `i` of 16 bytes of each 128 values. */
AVX512_INLINE size_t x_place(enum weight_type type, size_t i)
{
    if (type == WEIGHT_Q4_0)
        return i % 2 * 4 + i / 2;
    if (type == WEIGHT_Q4_K)
        return (i / 2 % 2 * 4) + i / 4 * 2 + i % 2;
    return i;
}

AVX512_INLINE __m512 add_dots(__m512i w, const int8_t *x, __m512i index, __m512 scales, __m512 sum)
{
    __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, _mm512_loadu_si512(x));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), _mm512_permutexvar_ps(index, scales), sum);
}

/* Blocks of 32: 8, or fewer at the end of a row. */
AVX512_INLINE void int8_group(enum weight_type type, int M, int R, const char *const rows[ROWS],
                              struct ahead ahead, const struct gemv_x *x, size_t group, size_t blocks,
                              __m512 sums[DIRECT_ROWS_MOST][ROWS])
{
    const struct weight_layout *layout = &weight_layouts[type];
    size_t bytes = BLOCK_K / layout->block_values * layout->block_bytes, at = group * BLOCK_K;
    __m512 scales[DIRECT_ROWS_MOST][ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 5
        for (size_t line = 0; line < bytes; line += CHUNK) /* each line that the group touches */
            fetch_ahead(rows[r] + group * bytes + line, ahead);
        __m512 w = group_scales(type, rows[r], group, blocks);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            if (type == WEIGHT_Q4_K) { /* x has its scales, then its sums */
                const __mmask16 mins = 0xff00;
                scales[i][r] = _mm512_mul_ps(w, _mm512_loadu_ps(x->halves[i] + group * 16));
                sums[i][r] = _mm512_mask_sub_ps(sums[i][r], mins, sums[i][r], scales[i][r]);
                continue;
            }
            scales[i][r] = _mm512_mul_ps(w, x_scales(type, x->scales[i], group, blocks));
            sums[i][r] = _mm512_fnmadd_ps(w, x_sums(type, x, i, group, blocks), sums[i][r]);
        }
    }
#pragma GCC unroll 2
    for (int p = 0; p < 2; p++) {
        if (blocks <= (size_t)p * 4)
            return;
        size_t pair = group * 2 + (size_t)p;
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            struct pair w = load_pair(type, rows[r], pair, blocks - (size_t)p * 4);
#pragma GCC unroll 8
            for (int i = 0; i < M; i++) {
                const int8_t *xi = x->q[i] + at + (size_t)p * PAIR;
                if (type == WEIGHT_Q4_0) { /* both halves of a block have one scale */
                    __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w.a, _mm512_loadu_si512(xi));
                    dots = _mm512_dpbusd_epi32(dots, w.b, _mm512_loadu_si512(xi + CHUNK));
                    sums[i][r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots),
                                                 _mm512_permutexvar_ps(scale_index(type, p, 0), scales[i][r]),
                                                 sums[i][r]);
                    continue;
                }
                sums[i][r] = add_dots(w.a, xi, scale_index(type, p, 0), scales[i][r], sums[i][r]);
                sums[i][r] = add_dots(w.b, xi + CHUNK, scale_index(type, p, 1), scales[i][r], sums[i][r]);
            }
        }
    }
}

AVX512_INLINE void int8_rows(enum weight_type type, int M, int R, const struct tensor *w, size_t row,
                             struct ahead ahead, const struct gemv_x *x, __m512 sums[DIRECT_ROWS_MOST][ROWS])
{
    const char *rows[ROWS];
    size_t groups = w->cols / BLOCK_K, left = w->cols % BLOCK_K / BLOCK_32;
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
        rows[r] = tensor_row(w, row + (size_t)r);
    for (size_t group = 0; group < groups; group++)
        int8_group(type, M, R, rows, ahead, x, group, BLOCK_K / BLOCK_32, sums);
    if (left > 0 && weight_layouts[type].block_values == BLOCK_32) /* larger blocks leave nothing */
        int8_group(type, M, R, rows, ahead, x, groups, left, sums);
}

AVX512_INLINE void quantise(enum weight_type type, float offset, const float *x, size_t k, int8_t *q,
                            float *scales, float *sums, float *halves)
{
    enum { PIECE = 16, PIECES = PAIR / PIECE };
    for (size_t b = 0; b < k / X_BLOCK; b++) {
        struct quantised block = quantise_block(x + b * X_BLOCK, X_BLOCK);
        for (size_t half = 0; half < 2; half++) {
            size_t piece = 2 * b + half, place = piece / PIECES * PIECES + x_place(type, piece % PIECES);
            memcpy(q + place * PIECE, block.q + half * PIECE, PIECE);
            if (type != WEIGHT_Q4_K)
                halves[piece] = offset * block.scale * (float)block.sums[half];
        }
        if (type == WEIGHT_Q4_K) { /* scales, then sums, of each 8 blocks */
            halves[b / 8 * 16 + b % 8] = block.scale;
            halves[b / 8 * 16 + 8 + b % 8] = block.scale * (float)(block.sums[0] + block.sums[1]);
        }
        scales[b] = block.scale;
        sums[b] = offset * block.scale * (float)(block.sums[0] + block.sums[1]);
    }
}

#define QUANTISE(type, offset, name)                                                                         \
    AVX512 static void name(const float *x, size_t k, int8_t *q, float *scales, float *sums, float *halves)  \
    {                                                                                                        \
        quantise(type, offset, x, k, q, scales, sums, halves);                                               \
    }

QUANTISE(WEIGHT_Q8_0, 128, quantise_q8_0)
QUANTISE(WEIGHT_Q4_0, 8, quantise_q4_0)
QUANTISE(WEIGHT_Q4_K, 1, quantise_q4_k)
QUANTISE(WEIGHT_Q6_K, 32, quantise_q6_k)

/* ---- rows ---- */

AVX512_INLINE __m128 fold(__m512 x)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

AVX512_INLINE __m512 add_unpacked(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}

/* The lanes of one, in the order in which store_sums adds those of four: a row's bits do not depend on its
 * place. */
AVX512_INLINE float sum_of(__m512 x)
{
    __m512 twos = _mm512_add_ps(x, _mm512_permute_ps(x, 0x4E));
    return _mm_cvtss_f32(fold(_mm512_add_ps(twos, _mm512_permute_ps(twos, 0xB1))));
}

/* Lanes of R sums added up, four or two together: of short rows that is as much work as the products. */
AVX512_INLINE void store_sums(int R, const __m512 *sums, const float *bias, float *y)
{
    if (R == 4) {
        __m512 a = add_unpacked(sums[0], sums[1]), b = add_unpacked(sums[2], sums[3]);
        __m128 all = fold(_mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE)));
        _mm_storeu_ps(y, bias != NULL ? _mm_add_ps(all, _mm_loadu_ps(bias)) : all);
        return;
    }
    if (R == 2) {
        __m512 a = add_unpacked(sums[0], sums[1]);
        __m128 all = fold(_mm512_add_ps(a, _mm512_permute_ps(a, 0x4E)));
        y[0] = _mm_cvtss_f32(all) + (bias != NULL ? bias[0] : 0);
        y[1] = _mm_cvtss_f32(_mm_movehdup_ps(all)) + (bias != NULL ? bias[1] : 0);
        return;
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
        y[r] = sum_of(sums[r]) + (bias != NULL ? bias[r] : 0);
}

AVX512_INLINE void some_rows(enum weight_type type, int M, int R, const struct tensor *w, const float *bias,
                             const struct gemv_x *x, size_t row, struct ahead ahead, float *const *y)
{
    __m512 sums[DIRECT_ROWS_MOST][ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            sums[i][r] = _mm512_setzero_ps();
    if (type == WEIGHT_F32 || type == WEIGHT_F16 || type == WEIGHT_BF16)
        float_rows(type, M, R, w, row, ahead, x, 0, w->cols, sums);
    else
        int8_rows(type, M, R, w, row, ahead, x, sums);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
        store_sums(R, sums[i], bias != NULL ? bias + row : NULL, y[i] + row);
}

AVX512_INLINE void all_rows(enum weight_type type, int M, int R, const struct tensor *w, const float *bias,
                            const struct gemv_x *x, size_t from, size_t to, float *const *y)
{
    struct ahead ahead = ahead_of((size_t)R * weight_row_bytes(w->type, w->cols));
    size_t row = from;
    for (; row + (size_t)R <= to; row += (size_t)R)
        some_rows(type, M, R, w, bias, x, row, ahead, y);
    if (R > 1)
        for (; row < to; row++)
            some_rows(type, M, 1, w, bias, x, row, ahead, y);
}

/* Many rows of x in fp32 are more than the L1 cache holds: SPAN values of them at a time by BLOCK rows of w,
 * whose sums wait in memory. */
AVX512_INLINE void blocks_of_rows(enum weight_type type, int M, const struct tensor *w, const float *bias,
                                  const struct gemv_x *x, size_t from, size_t to, float *const *y)
{
    enum {
        R = 3,
        GROUPS = 8,
        BLOCK = R * GROUPS,
        SPAN = 512,
        FAR_MOST = 256 << 10,
        FAR = 16 << 10,
        NEAR = 512
    };
    __m512 sums[GROUPS][DIRECT_ROWS_MOST][ROWS];
    size_t row = from, block_bytes = BLOCK * weight_row_bytes(type, w->cols);
    struct ahead ahead = {block_bytes <= FAR_MOST ? block_bytes : FAR, NEAR};
    for (; row + BLOCK <= to; row += BLOCK) {
        for (size_t k = 0; k < w->cols; k += SPAN)
            for (size_t g = 0; g < GROUPS; g++) {
                __m512 part[DIRECT_ROWS_MOST][ROWS];
#pragma GCC unroll 8
                for (int i = 0; i < M; i++)
#pragma GCC unroll 4
                    for (int r = 0; r < R; r++)
                        part[i][r] = k > 0 ? sums[g][i][r] : _mm512_setzero_ps();
                float_rows(type, M, R, w, row + g * R, ahead, x, k, w->cols - k < SPAN ? w->cols : k + SPAN,
                           part);
#pragma GCC unroll 8
                for (int i = 0; i < M; i++)
#pragma GCC unroll 4
                    for (int r = 0; r < R; r++)
                        sums[g][i][r] = part[i][r];
            }
        for (size_t j = 0; j < BLOCK; j++)
            for (int i = 0; i < M; i++)
                y[i][row + j] = sum_of(sums[j / R][i][j % R]) + (bias != NULL ? bias[row + j] : 0);
    }
    all_rows(type, M, R, w, bias, x, row, to, y);
}

/* Rows of weights at a time, so that the sums fit the registers. */
AVX512_INLINE void rows_of_x(enum weight_type type, int M, const struct tensor *w, const float *bias,
                             const struct gemv_x *x, size_t from, size_t to, float *const *y)
{
    bool int8 = type != WEIGHT_F32 && type != WEIGHT_F16 && type != WEIGHT_BF16;
    if (!int8 && M > 4)
        blocks_of_rows(type, M, w, bias, x, from, to, y);
    else
        all_rows(type, M, M <= 2 ? ROWS : M <= 4 ? 2 : 1, w, bias, x, from, to, y);
}

#define GEMV(type, name)                                                                                     \
    AVX512 static void name(const struct tensor *w, const float *bias, const struct gemv_x *x, int m,        \
                            size_t from, size_t to, float *const *y)                                         \
    {                                                                                                        \
        switch (m) {                                                                                         \
        case 1:                                                                                              \
            rows_of_x(type, 1, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 2:                                                                                              \
            rows_of_x(type, 2, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 3:                                                                                              \
            rows_of_x(type, 3, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 4:                                                                                              \
            rows_of_x(type, 4, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 5:                                                                                              \
            rows_of_x(type, 5, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 6:                                                                                              \
            rows_of_x(type, 6, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        case 7:                                                                                              \
            rows_of_x(type, 7, w, bias, x, from, to, y);                                                     \
            return;                                                                                          \
        default:                                                                                             \
            rows_of_x(type, 8, w, bias, x, from, to, y);                                                     \
        }                                                                                                    \
    }

GEMV(WEIGHT_F32, gemv_f32)
GEMV(WEIGHT_F16, gemv_f16)
GEMV(WEIGHT_BF16, gemv_bf16)
GEMV(WEIGHT_Q8_0, gemv_q8_0)
GEMV(WEIGHT_Q4_0, gemv_q4_0)
GEMV(WEIGHT_Q4_K, gemv_q4_k)
GEMV(WEIGHT_Q6_K, gemv_q6_k)

const struct gemv_kernel gemv_avx512[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F32] = {gemv_f32, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_F16] = {gemv_f16, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_BF16] = {gemv_bf16, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_Q8_0] = {gemv_q8_0, quantise_q8_0, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_0] = {gemv_q4_0, quantise_q4_0, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_K] = {gemv_q4_k, quantise_q4_k, DIRECT_ROWS_MOST},
    [WEIGHT_Q6_K] = {gemv_q6_k, quantise_q6_k, DIRECT_ROWS_MOST},
};
#else
typedef int no_avx512; /* a file must declare something */
#endif
