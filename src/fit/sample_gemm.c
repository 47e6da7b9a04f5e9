/* Rows of gemm.csv: C[m,n] = A[m,k] B[n,k] with the operand types that `dtype` names, or A's alone where
 * there is a column weight_dtype for B's: a float type           both operands fp8_block              B with
 * a scale per 128 x 128, A with one per 128 values int8_wo, int4_wo       B only, converted in the kernel; A
 * and C in bf16 sq                     both in int8, scales per token and channel */
#include "fit/sample_row.h"

#include <string.h>

/* The layers that the benchmarks behind such files build one after the other and time in turn, each with
 * weights of its own (ai-dynamo/aiconfigurator, collector/vllm/collect_gemm.py and collector/trtllm: 6, and 1
 * to 5). */
enum { WEIGHT_SETS = 6 };

static const struct operand_types named[] = {
    {"int8_wo", "bf16", "int8"}, {"int4_wo", "bf16", "int4-g128"}, {"sq", "int8", "int8"}};

static void read_gemm(struct sample_row *row)
{
    static const char *const shape[] = {"n", "k", NULL};
    double m = row_number(row, "m", 1), n = row_number(row, "n", 1), k = row_number(row, "k", 1);
    const char *dtype = row_text(row, "dtype");
    struct element_type a_type, b_type;
    if (!row_operands(row, "dtype", named, sizeof named / sizeof *named, &a_type, &b_type))
        return;
    const char *stored = row_text(row, "weight_dtype");
    if (stored[0] != '\0') {
        b_type = row_type(row, "weight_dtype");
        dtype = arena_printf(row->arena, "%s/%s", dtype, stored);
    }
    double sets = row_text(row, "weight_sets")[0] != '\0' ? row_number(row, "weight_sets", 1) : WEIGHT_SETS;
    struct op *op = graph_add_op(row->graph, OP_NAME_QKV_PROJ, OP_GEMM, OUTSIDE_LAYERS);
    op->weights = row_weights(row, &b_type, n, k);
    op->gemm = (struct gemm_work){
        .n = n, .k = k, .a_type = a_type, .c_type = row->graph->types.activations, .weight_sets = sets};
    if (a_type.format == FORMAT_FP8) /* the layer gets bf16 and quantises it in the time */
        op->gemm.a_from = row->graph->types.activations;
    row->sample->segment = (struct segment){.sequences = 1, .new_tokens = m};
    row->regime = REGIME_PREFILL;
    row->dtype = dtype;
    row->sample->kernel = row_text(row, "kernel");
    row_shape(row, shape);
}

static const char *const columns[] = {"dtype", "m", "n", "k", NULL};
const struct sample_schema gemm_samples = {"gemm", columns, read_gemm};
