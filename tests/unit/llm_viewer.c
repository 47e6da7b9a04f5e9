/* LLM-Viewer's published per-operator table for Llama-2-7B on an A6000 (arXiv:2402.16363, table 1: 155
 * TFLOP/s fp16, 768 GB/s, sequence 2048, batch 1), reproduced where its definition is right. Its differences
 * from ours, explained in docs/methodology.md: attention is unfused and not causal, the softmax counts all
 * n^2 scores. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>

static struct asked a6000(void)
{
    /* unfused operators as LLM-Viewer lists them, without anyone's overheads */
    static const char *settings[] = {
        "software.flash_attention=false",   "software.fuse_qkv=false",
        "software.fuse_norm_add=false",     "software.fuse_gate_up=false",
        "hardware.matrix.fp16=155 TFLOP/s", "hardware.tiers.gddr.bandwidth=768 GB/s"};
    struct question question = {.model = "llama-2-7b",
                                .device = "rtx-a6000",
                                .software = "ideal",
                                .batch = 1,
                                .prompt = 2048,
                                .output = 2,
                                .no_residency = true,
                                .settings = {settings, sizeof settings / sizeof *settings}};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

/* A printed figure such as 69G: right to the digits it has. */
static void expect_row(const struct asked *asked, const char *phase, const char *name, double flops,
                       double bytes, double tolerance)
{
    const struct step_op *op = phase_op(asked, phase, name, NULL);
    cr_assert(op != NULL, "%s has no %s", phase, name);
    cr_expect(close_to(op->each.flops, flops, tolerance), "%s %s: %g FLOPs, published %g", phase, name,
              op->each.flops, flops);
    cr_expect(close_to(op_bytes(op), bytes, tolerance), "%s %s: %g bytes, published %g", phase, name,
              op_bytes(op), bytes);
}

Test(llm_viewer, prefill_linear_layers)
{
    struct asked asked = a6000();
    expect_row(&asked, "prefill", OP_NAME_Q_PROJ, 69e9, 67e6, 0.01);
    const struct step_op *q = phase_op(&asked, "prefill", OP_NAME_Q_PROJ, NULL);
    cr_expect(close_to(q->each.flops / op_bytes(q), 1024, 0.001), "intensity");
    cr_expect(q->each.bound == BOUND_COMPUTE);
    asked_free(&asked);
}

Test(llm_viewer, prefill_softmax_norm_and_add)
{
    struct asked asked = a6000();
    expect_row(&asked, "prefill", OP_NAME_ATTENTION_SOFTMAX, 671e6, 537e6, 0.01);
    expect_row(&asked, "prefill", OP_NAME_ATTENTION_NORM, 59e6, 34e6, 0.02);
    /* its add moves one operand and the sum; ours also reads the residual it adds to */
    expect_row(&asked, "prefill", OP_NAME_RESIDUAL_ADD, 8.4e6, 1.5 * 33.5e6, 0.01);
    asked_free(&asked);
}

Test(llm_viewer, decode_rows)
{
    struct asked asked = a6000();
    expect_row(&asked, "decode", OP_NAME_Q_PROJ, 34e6, 34e6, 0.02);
    expect_row(&asked, "decode", OP_NAME_ATTENTION_QK, 17e6, 17e6, 0.03);
    const struct step_op *qk = phase_op(&asked, "decode", OP_NAME_ATTENTION_QK, NULL);
    cr_expect(close_to(qk->each.flops / op_bytes(qk), 0.99, 0.01), "intensity %g",
              qk->each.flops / op_bytes(qk));
    asked_free(&asked);
}
