#include "exec/kernels/lane_kernels.h"

const struct lane_kernels *lane_kernels(enum isa isa)
{
#if defined(__x86_64__)
    if (isa >= ISA_AVX512)
        return &lane_kernels_avx512;
    if (isa == ISA_AVX2)
        return &lane_kernels_avx2;
#endif
    (void)isa;
    return &lane_kernels_portable;
}
