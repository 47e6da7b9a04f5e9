/* What the AVX-512 kernels share: loads of stored weights as vectors, and a transposition. */
#ifndef RAFTER_EXEC_KERNELS_GEMM_AVX512_H
#define RAFTER_EXEC_KERNELS_GEMM_AVX512_H

#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm_kernels.h"

#include <immintrin.h>
#include <string.h>

#define AVX512        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/* Rows and columns of 16 x 16 dwords change places. */
AVX512_INLINE void transpose_16(__m512i r[16])
{
    __m512i t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* Transposes a tile of x: `rows` rows of `dwords` contiguous dwords, `stride` apart, to [dword][TILE]. */
AVX512_INLINE void interleave(const uint32_t *x, size_t stride, size_t dwords, uint32_t *out)
{
    size_t i = 0;
    for (; i + 4 <= dwords; i += 4)
        for (size_t r = 0; r < TILE; r += 4) {
            const uint32_t *at = x + r * stride + i;
            __m128i a = _mm_loadu_si128((const void *)at), b = _mm_loadu_si128((const void *)(at + stride));
            __m128i c = _mm_loadu_si128((const void *)(at + 2 * stride));
            __m128i d = _mm_loadu_si128((const void *)(at + 3 * stride));
            __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d);
            __m128i AB = _mm_unpackhi_epi32(a, b), CD = _mm_unpackhi_epi32(c, d);
            _mm_storeu_si128((void *)(out + i * TILE + r), _mm_unpacklo_epi64(ab, cd));
            _mm_storeu_si128((void *)(out + (i + 1) * TILE + r), _mm_unpackhi_epi64(ab, cd));
            _mm_storeu_si128((void *)(out + (i + 2) * TILE + r), _mm_unpacklo_epi64(AB, CD));
            _mm_storeu_si128((void *)(out + (i + 3) * TILE + r), _mm_unpackhi_epi64(AB, CD));
        }
    for (; i < dwords; i++)
        for (size_t r = 0; r < TILE; r++)
            out[i * TILE + r] = x[r * stride + i];
}

#endif
