/* The kernels over lanes as one instruction set has them: a file that says which (LANES_AVX2, LANES_AVX512 or
 * neither, see lanes.h) includes this once and fills its table with LANE_TABLE. */
#include "exec/kernels/lane_kernels.h"

#include "exec/kernels/lanes.h"

#include "exec/kernels/activation_lanes.h"
#include "exec/kernels/attention_lanes.h"
#include "exec/kernels/conv1d_lanes.h"
#include "exec/kernels/norm_lanes.h"
#include "exec/kernels/recurrent_lanes.h"
#include "exec/kernels/rope_lanes.h"
#include "exec/kernels/softmax_lanes.h"

#define LANE_TABLE                                                                                           \
    {                                                                                                        \
        .rms_norm = lanes_rms_norm, .layer_norm = lanes_layer_norm, .rope_heads = lanes_rope_heads,          \
        .activate = lanes_activate, .add_scaled = lanes_add_scaled, .weighted_sum = lanes_weighted_sum,      \
        .softplus = lanes_softplus, .softmax = lanes_softmax, .greatest = lanes_greatest_of,                 \
        .kv_encode_row = lanes_encode_row, .mamba_scan = lanes_mamba_scan, .mamba2_scan = lanes_mamba2_scan, \
        .delta_rule = lanes_delta_rule, .conv1d_silu = lanes_conv1d_silu,                                    \
        .attention_item = lanes_attention_item,                                                              \
    }
