/* Quantised weights packed for few rows of x: the same values, PACK_ROWS rows side by side, so that a vector
 * has a dword of each row, the rows' scales are one load, and dot products need no sums across lanes.
 *
 * A panel of PACK_ROWS rows (those past the end are 0):
 *   scales [block of 32][row] fp16; q4_K: [block of 256] of struct packed_q4_k
 *   values [block of 32][dword][row]: 8 dwords of unsigned bytes (q8_0), or 4 of which the low halves of the
 *   bytes are values 0-15 and the high ones 16-31 */
#ifndef RAFTER_EXEC_KERNELS_GEMV_PACKED_H
#define RAFTER_EXEC_KERNELS_GEMV_PACKED_H

#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm_kernels.h"

enum { PACK_ROWS = 16 };

struct packed_q4_k {
    uint16_t d[PACK_ROWS], dmin[PACK_ROWS];
    uint8_t scales[BLOCK_K / BLOCK_32][PACK_ROWS], mins[BLOCK_K / BLOCK_32][PACK_ROWS];
};

/* Bytes of a panel's scales and values; both 0 for types that are not packed. */
struct packed_layout {
    size_t scales, values;
};
struct packed_layout packed_layout_of(enum weight_type type, size_t cols);

#endif
