/* The same work by other kernels: what attention passes through memory, which small operators are one kernel,
 * to how many rows products fill their tiles up, up to how many rows ordinary lanes multiply instead of
 * matrix units, and what decode attention saves by not letting its partial results wait for each other
 * (FlashDecoding++ arXiv:2311.01282: one fixed scale for the softmax of all splits). */
#include "mechanism/linear.h"

#include <stddef.h>

enum choice { CHOICE_KEEP, CHOICE_ON, CHOICE_OFF };

struct kernel_variant_parameters {
    int flash, fusion; /* enum choice */
    int least_rows, gemv_rows;
    double attention_saving;
};

static void choose(int choice, bool *what)
{
    if (choice != CHOICE_KEEP)
        *what = choice == CHOICE_ON;
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct kernel_variant_parameters *p = parameters;
    struct software *software = rewrite->software;
    bool *const fused[] = {&software->fuse_qkv, &software->fuse_gate_up, &software->fuse_norm_add,
                           &software->fuse_rope_cache, &software->fuse_activation};
    choose(p->flash, &software->flash_attention);
    for (size_t i = 0; i < sizeof fused / sizeof *fused; i++)
        choose(p->fusion, fused[i]);
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kernel_variant_parameters *p = parameters;
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        struct op *op = &rewrite->graph->ops[i];
        if (op->kind == OP_GEMM && !(op->gemm.experts > 0) && p->least_rows > 0)
            op->gemm.path.least_rows = p->least_rows;
        if (op->kind == OP_GEMM && !(op->gemm.experts > 0) && p->gemv_rows > 0)
            op->gemm.path.lane_rows = p->gemv_rows;
        if (is_cached_attention(op))
            op->attention.saving = p->attention_saving;
    }
    return true;
}

static const struct enum_name choice_names[] = {
    {"keep", CHOICE_KEEP}, {"on", CHOICE_ON}, {"off", CHOICE_OFF}, {NULL, 0}};

static const struct field fields[] = {
    ENUM_FIELD(kernel_variant_parameters, flash, choice_names, "keep",
               "attention as one kernel whose scores stay on chip; off: three through memory; keep: as the "
               "software"),
    ENUM_FIELD(
        kernel_variant_parameters, fusion, choice_names, "keep",
        "q, k, v and gate, up as one product, small operators with their neighbours; keep: as the software"),
    INT_FIELD(kernel_variant_parameters, least_rows, 0, 256, "0",
              "rows that products on matrix units fill up to, lanes left out; 0: as is fastest"),
    INT_FIELD(kernel_variant_parameters, gemv_rows, 0, 64, "0",
              "with least_rows: up to so many rows ordinary lanes may multiply after all"),
    QUANTITY_FIELD(kernel_variant_parameters, attention_saving, DIM_FRACTION, 0, 0.9, "0",
                   "share of attention's time over a cache that its partial results spend on each other"),
};
static const struct schema schema = {.name = "kernel_variant",
                                     .size = sizeof(struct kernel_variant_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"attention_saving", NULL};

extern const struct mechanism kernel_variant;
const struct mechanism kernel_variant = {
    .name = "kernel_variant",
    .summary = "the same work by other kernels: fused, filled up to fewer rows, on lanes",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct kernel_variant_parameters),
    .on_software = on_software,
    .on_ops = on_ops,
};
