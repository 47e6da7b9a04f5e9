#if defined(__x86_64__)
#define LANES_AVX2
#include "exec/kernels/lane_table.h"

const struct lane_kernels lane_kernels_avx2 = LANE_TABLE;

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int no_avx2; /* a file must declare something */
#endif
