/* Bit-serial products: activations of p bits and weights of q bits are p and q planes of one bit, and
 *   A B^T = sum over i < p, j < q of 2^(i+j) A_i B_j^T,
 * p q products of binary matrices (AND or XOR, then a count of ones) on matrix units for 1-bit operands,
 * whose partial sums are shifted and added on chip (ABQ-LLM arXiv:2408.08554, APT arXiv:2409.17870, FlexQ
 * arXiv:2508.04405). The p planes of a row lie in p rows of a matrix instruction, so that 16 / p rows fill
 * its 16; its depth in bits is 8 times that in bytes (m16n8k256 on Ampere: 32 bytes).
 *
 * The lanes shift and add p q sums for each result, and scale it, for every group of scales along k. Before
 * the product its activations are dealt into planes: a lane's operation for each bit (a warp's ballot
 * collects a plane of 32 values). */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <math.h>

enum { OPERATION_FLOPS = 2, INSTRUCTION_ROWS = 16, BYTE_BITS = 8 };

const char *bit_serial_form(const struct prepared_op *prepared, struct arena *arena,
                            const struct element_type *weights, struct low_bit_form *form)
{
    const struct target *target = prepared->target;
    const struct device *device = target->device;
    const struct element_type *activations = &prepared->op->gemm.a_type;
    double peak = device->matrix[FORMAT_INT1].flops;
    if (!number_format_is_integer(activations->format))
        return arena_printf(arena,
                            "its activations are %s, which have no bit planes; quantise them "
                            "(activation_quantization)",
                            activations->name);
    if (!(peak > 0))
        return arena_printf(arena, "%s has no matrix units for 1-bit operands (matrix.int1)", device->id);
    double p = ceil(activations->value_bits), q = ceil(weights->value_bits), lanes = target->vector_flops;
    *form = (struct low_bit_form){.unit = RESOURCE_COMPUTE,
                                  .value_s = 2 * p * q / peak,
                                  .lanes_apart = true,
                                  .row_step = INSTRUCTION_ROWS / p,
                                  .depth = greater((double)device->matrix_depth_bytes * BYTE_BITS, 1),
                                  .preparation = prepared->op->gemm.low_bit.preparation};
    form->result_lane_s = (p * q + 1) * OPERATION_FLOPS / lanes;
    form->scale_group = weights->grain == GRAIN_GROUP ? weights->group_size : 0;
    form->prepare_lane_s = p * OPERATION_FLOPS / lanes;
    form->prepared_bytes = p / BYTE_BITS;
    return NULL;
}
