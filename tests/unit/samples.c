/* Measured samples: from rows of CSV files to operators, and what is refused. */
#include "fit/sample_filter.h"
#include "support/measured.h"

#include <criterion/criterion.h>
#include <string.h>

#define GEMM "device,source,dtype,m,n,k,time_us\n"

static struct measured_fixture f;

static void set_up(void)
{
    measured_start(&f, "a100-80gb-sxm");
}

static void tear_down(void)
{
    measured_end(&f);
}

TestSuite(samples, .init = set_up, .fini = tear_down);

static void expect_error(const char *csv, const char *part)
{
    f.diag = (struct diag){.arena = f.arena};
    cr_expect_not(measured_add(&f, csv), "taken: %s", csv);
    cr_expect(strstr(diag_first_error(&f.diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&f.diag), part);
}

Test(samples, rows_become_blocks)
{
    cr_assert(measured_add(&f, GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,2,3,4\n"
                                    "A100-SXM,vllm 0.14.0,bfloat16,8,2,3,5\n"
                                    "a100_sxm,trtllm 1.0.0,int4_wo,8,256,256,5\n"
                                    "h100_sxm,vllm 0.14.0,bfloat16,8,2,3,5\n"),
              "%s", diag_first_error(&f.diag));
    cr_assert_eq(f.set.count, 3);
    cr_assert_eq(f.set.block_count, 2);
    cr_assert_eq(f.set.other_devices, 1);
    cr_assert_str_eq(f.set.others[0].name, "h100_sxm");
    const struct sample_block *vllm = &f.set.blocks[0], *trtllm = &f.set.blocks[1];
    cr_assert_eq(vllm->count, 2);
    cr_assert_str_eq(vllm->software_id, "vllm");
    cr_assert_str_eq(vllm->version, "0.14.0");
    cr_assert_eq(vllm->family, FAMILY_GEMM);
    cr_assert_eq(vllm->format, FORMAT_BF16);
    cr_assert_eq(trtllm->operand, (enum operand)FORMAT_INT4);
    cr_assert_str_eq(trtllm->dtype, "int4_wo");
    cr_assert_float_eq(f.set.samples[0].seconds, 4e-6, 1e-18);
    cr_assert_str_eq(sample_dimensions(&f.set.samples[0], f.arena), "m 1, n 2, k 3");
    cr_assert_eq(f.set.samples[0].where.line, 2);
}

Test(samples, shapes_and_sizes_are_told_apart)
{
    cr_assert(measured_add(&f, GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,64,64,4\n"
                                    "a100_sxm,vllm 0.14.0,bfloat16,8,64,64,4\n"
                                    "a100_sxm,vllm 0.14.0,bfloat16,8,64,64,5\n"
                                    "a100_sxm,vllm 0.14.0,bfloat16,8,64,128,4\n"));
    const struct sample *s = f.set.samples;
    cr_assert_eq(s[0].shape_hash, s[1].shape_hash);
    cr_assert_neq(s[0].work_hash, s[1].work_hash);
    cr_assert_eq(s[1].work_hash, s[2].work_hash);
    cr_assert_neq(s[1].line_hash, s[2].line_hash);
    cr_assert_neq(s[2].shape_hash, s[3].shape_hash);
}

/* The folds are fixed for ever: FNV-1a of the line, mod 5. "a" hashes to 0xaf63dc4c8601ec8c. */
Test(samples, folds_are_fnv1a)
{
    cr_assert_eq(fnv1a(FNV1A_START, "a", 1), 0xaf63dc4c8601ec8cULL);
    struct sample sample = {.line_hash = 0xaf63dc4c8601ec8cULL, .shape_hash = 7};
    cr_assert_eq(sample_fold(&sample, false), 0xaf63dc4c8601ec8cULL % 5);
    cr_assert_eq(sample_fold(&sample, true), 2);
}

Test(samples, types_of_one_kernel_share_its_block)
{
    cr_assert(measured_add(&f, "device,source,mode,op,dtype,num_gpus,bytes,time_us\n"
                               "a100_sxm,nccl 2.27.3,graph,all_gather,half,2,512,9\n"
                               "a100_sxm,nccl 2.27.3,graph,all_gather,int8,8,512,9\n"
                               "a100_sxm,nccl 2.27.3,eager,all_gather,int8,2,512,9\n"
                               "a100_sxm,nccl 2.27.3,graph,broadcast,half,2,512,9\n"),
              "%s", diag_first_error(&f.diag));
    cr_assert_eq(f.set.block_count, 1);
    cr_assert_str_eq(f.set.blocks[0].dtype, "half, int8");
    cr_assert_eq(f.set.member.count, 8);
    cr_assert_eq(f.set.skipped_count, 2);
    cr_assert_eq(f.set.skipped_kinds, 2);
    cr_assert_eq(f.set.skipped[0].family, FAMILY_COLLECTIVE);
    cr_assert(strstr(f.set.skipped[0].reason, "host") != NULL);
    cr_assert_eq(f.set.skipped[1].family, FAMILY_UNKNOWN);
    cr_assert_eq(f.set.skipped[1].first.line, 5);
}

Test(samples, wrong_cells_are_refused_where_they_stand)
{
    expect_error("a,b\n1,2\n", "of no known kind of samples");
    expect_error("device,source,dtype,m,n,time_us\n", "no column \"k\", which samples of gemm have");
    expect_error(GEMM "a100_sxm,vllm 0.14.0,bfloat16,0,2,3,4\n", "test.csv:2:31: error: m: found 0");
    expect_error(GEMM "a100_sxm,vllm 0.14.0,bfloat16,x,2,3,4\n", "expected a number");
    expect_error(GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,2,3,0\n", "time_us: found 0");
    expect_error(GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,2,3,-4\n", "time_us");
    expect_error(GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,2,3,1e300\n", "time_us");
    expect_error(GEMM "a100_sxm,,bfloat16,1,2,3,4\n", "expected a software and its version");
    expect_error(GEMM "a100_sxm,\"v\x1b[31m 1\",bfloat16,1,2,3,4\n", "expected a software and its version");
    expect_error("device,source,mode,op,dtype,num_gpus,bytes,time_us\n"
                 "a100_sxm,nccl 2,graph,all_gather,\x1b[31m,2,512,9\n",
                 "control characters");
}

Test(samples, types_that_nobody_knows_are_skipped)
{
    cr_assert(measured_add(&f, GEMM "a100_sxm,vllm 0.14.0,bf17,1,2,3,4\n"
                                    "a100_sxm,vllm 0.14.0,bfloat16,1,2,3,4\n"
                                    "a100_sxm,vllm 0.14.0,\x1b[31m,1,2,3,4\n"));
    cr_assert_eq(f.set.count, 1);
    cr_assert_eq(f.set.skipped_count, 2);
    cr_assert_str_eq(f.set.skipped[0].reason, "dtype \"bf17\" is no known element type");
    cr_assert(strstr(f.set.skipped[1].reason, "not plain text") != NULL);
}

Test(samples, rows_of_other_devices_are_not_looked_at)
{
    cr_assert(measured_add(&f, GEMM "h100_sxm,,?,0,x,-3,nan\n"));
    cr_assert_eq(f.set.count, 0);
    cr_assert_eq(f.set.other_devices, 1);
}

Test(samples, filters)
{
    cr_assert(measured_add(&f, GEMM "a100_sxm,vllm 0.14.0,bfloat16,1,64,64,4\n"
                                    "a100_sxm,vllm 0.15.0,int8_wo,8,64,64,4\n"
                                    "a100_sxm,trtllm 1.0.0,bfloat16,8,64,64,4\n"));
    static const struct {
        struct sample_filter filter;
        size_t left[3];
    } cases[] = {
        {{NULL, NULL, NULL}, {1, 1, 1}},       {{"gemm", NULL, NULL}, {1, 1, 1}},
        {{NULL, "vllm", NULL}, {1, 1, 0}},     {{NULL, "VLLM 0.15.0", NULL}, {0, 1, 0}},
        {{NULL, NULL, "bfloat16"}, {1, 0, 1}}, {{"gemm", "trtllm", "bfloat16"}, {0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t b = 0; b < 3; b++) {
            size_t *chosen;
            cr_expect_eq(filter_choose(&cases[i].filter, &f.set, b, f.arena, &chosen), cases[i].left[b],
                         "case %zu block %zu", i, b);
        }
    static const struct {
        struct sample_filter filter;
        const char *part;
    } wrong[] = {
        {{"gem", NULL, NULL}, "did you mean gemm?"},
        {{"moe", NULL, NULL}, "no sample has the family moe"},
        {{NULL, "vlm", NULL}, "did you mean vllm?"},
        {{NULL, "vllm", "fp8"}, "there are bfloat16, int8_wo"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        f.diag = (struct diag){.arena = f.arena};
        cr_expect_not(filter_check(&wrong[i].filter, &f.set, &f.diag), "case %zu", i);
        cr_expect(strstr(diag_first_error(&f.diag), wrong[i].part) != NULL, "%s", diag_first_error(&f.diag));
    }
    struct sample_filter attention = {"attention", NULL, NULL};
    cr_assert(filter_takes(&attention, FAMILY_ATTENTION_DECODE, "", ""));
    cr_assert_not(filter_takes(&attention, FAMILY_GEMM, "", ""));
    cr_assert_not(filter_takes(&attention, FAMILY_UNKNOWN, "", ""));
}
