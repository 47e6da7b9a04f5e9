/* Estimates made by hand for the tests of plot/, a folder for their charts, and a look at the pixels. */
#ifndef RAFTER_TESTS_PLOT_FIXTURE_H
#define RAFTER_TESTS_PLOT_FIXTURE_H

#include "estimate/estimate.h"
#include "plot/canvas.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a made-up device of 1000 TFLOP/s and 4 TB/s (ridge at 250 FLOP/byte) with a 10 TB/s cache --- */

static struct memory_tier tiers[] = {
    {.name = "l1", .cache = true, .per_unit = true, .capacity = 262144, .bandwidth = 2e11},
    {.name = "l2", .cache = true, .capacity = 5e7, .bandwidth = 10e12},
    {.name = "hbm", .capacity = 8e10, .bandwidth = 4e12},
};

struct row {
    const char *name;
    enum op_kind kind;
    double flops, bytes, time; /* each, time of all */
    double count;
};

enum { ROWS_MOST = 24 };

/* One estimate with two phases, all parts in one place. */
struct fixture {
    struct device device;
    struct model model;
    struct software software;
    struct system_member member;
    struct system system;
    struct plan plan;
    struct op ops[ROWS_MOST];
    struct step_op prefill[ROWS_MOST], decode[ROWS_MOST];
    struct resolved resolved;
    struct breakdown breakdown;
};

static inline void fill(struct fixture *f, struct step_op *ops, struct phase_cost *phase, const char *name,
                        const struct row *rows, int count)
{
    double total = 0;
    for (int i = 0; i < count; i++) {
        f->ops[i].name = rows[i].name;
        f->ops[i].kind = rows[i].kind;
        ops[i].count = rows[i].count;
        ops[i].each.flops = rows[i].flops;
        ops[i].each.bytes[BYTES_WEIGHTS] = rows[i].bytes * 0.75;
        ops[i].each.bytes[BYTES_ACTIVATIONS] = rows[i].bytes * 0.25;
        ops[i].each.bytes[BYTES_WIRE] = 12345; /* must not count */
        ops[i].time = ops[i].exposed = rows[i].time;
        total += isfinite(rows[i].time) ? rows[i].time : 0;
    }
    *phase = (struct phase_cost){.name = name, .time_s = total, .steps = 1, .plan = &f->plan};
    phase->step.ops = ops;
    f->plan.graph.op_count = count;
}

static inline void set_up(struct fixture *f, const struct row *prefill, const struct row *decode, int count)
{
    memset(f, 0, sizeof *f);
    f->device = (struct device){.id = "testbed", .name = "Testbed 1000", .tiers = tiers, .tier_count = 3};
    f->device.matrix[FORMAT_BF16] = (struct peak_rate){FORMAT_BF16, 1000e12};
    f->device.matrix[FORMAT_FP8] = (struct peak_rate){FORMAT_FP8, 2000e12};
    f->device.vector[FORMAT_FP32] = (struct peak_rate){FORMAT_FP32, 60e12};
    f->model.name = "Llama 3.1 8B";
    f->software.name = "vLLM";
    f->software.version = "0.14";
    f->member = (struct system_member){.role = "gpu", .count = 1, .device = &f->device};
    f->system = (struct system){.name = "Testbed 1000", .members = &f->member, .member_count = 1};
    f->plan.model = &f->model;
    f->plan.software = &f->software;
    f->plan.system = &f->system;
    f->plan.ranks = 1;
    f->plan.graph.ops = f->ops;
    f->plan.target.device = &f->device;
    snprintf(f->plan.graph.types.weights.name, sizeof f->plan.graph.types.weights.name, "bf16");
    snprintf(f->plan.graph.types.kv.name, sizeof f->plan.graph.types.kv.name, "bf16");
    f->resolved.system = &f->system;
    f->resolved.deployment.pool_count = 1;
    f->resolved.deployment.pools[0].plans[0] = &f->plan;
    f->resolved.deployment.pools[0].plan_count = 1;
    f->resolved.request = (struct request){.batch = 8, .prompt = {1024}, .strata = 1, .output = 256};
    f->resolved.workload.name = "chat";
    f->breakdown.count = 2;
    fill(f, f->prefill, &f->breakdown.phases[0], "prefill", prefill, count);
    fill(f, f->decode, &f->breakdown.phases[1], "decode", decode, count);
}

static const struct row llama_prefill[] = {
    {"embedding", OP_GATHER, 0, 1.3e8, 5e-5, 1},
    {"attention_norm", OP_NORM, 1.7e8, 1.34e8, 1.5e-3, 32},
    {"qkv_proj", OP_GEMM, 4.12e11, 2.2e8, 1.9e-2, 32},
    {"rope_kv_write", OP_ELEMENTWISE, 1.2e8, 2.0e8, 2.1e-3, 32},
    {"attention", OP_ATTENTION, 6.9e10, 1.7e8, 6.5e-3, 32},
    {"o_proj", OP_GEMM, 2.75e11, 1.7e8, 1.25e-2, 32},
    {"ffn_norm", OP_NORM, 2.7e8, 2.7e8, 2.6e-3, 32},
    {"gate_up_proj", OP_GEMM, 1.92e12, 7.7e8, 8.4e-2, 32},
    {"activation_mul", OP_ELEMENTWISE, 7e8, 7.0e8, 6.6e-3, 32},
    {"down_proj", OP_GEMM, 9.6e11, 4.2e8, 4.4e-2, 32},
    {"final_norm", OP_NORM, 1.7e8, 1.34e8, 4e-5, 1},
    {"lm_head", OP_GEMM, 8.4e9, 1.05e9, 3.1e-4, 1},
    {"sample", OP_SAMPLE, 1.0e6, 4.1e6, 2e-5, 1},
};

static const struct row llama_decode[] = {
    {"embedding", OP_GATHER, 0, 1.3e5, 2.6e-6 * 255, 1 * 255},
    {"attention_norm", OP_NORM, 1.7e5, 1.39e5, 2.2e-6 * 32 * 255, 32 * 255},
    {"qkv_proj", OP_GEMM, 4.0e8, 5.05e7, 1.65e-5 * 32 * 255, 32 * 255},
    {"rope_kv_write", OP_ELEMENTWISE, 1.2e5, 2.0e5, 2.3e-6 * 32 * 255, 32 * 255},
    {"attention", OP_ATTENTION, 1.51e8, 3.8e7, 1.4e-5 * 32 * 255, 32 * 255},
    {"o_proj", OP_GEMM, 2.7e8, 3.37e7, 1.2e-5 * 32 * 255, 32 * 255},
    {"ffn_norm", OP_NORM, 2.7e5, 2.7e5, 2.3e-6 * 32 * 255, 32 * 255},
    {"gate_up_proj", OP_GEMM, 1.88e9, 2.36e8, 6.4e-5 * 32 * 255, 32 * 255},
    {"activation_mul", OP_ELEMENTWISE, 6.9e5, 6.9e5, 2.4e-6 * 32 * 255, 32 * 255},
    {"down_proj", OP_GEMM, 9.4e8, 1.18e8, 3.4e-5 * 32 * 255, 32 * 255},
    {"final_norm", OP_NORM, 1.7e5, 1.39e5, 2.2e-6 * 255, 1 * 255},
    {"lm_head", OP_GEMM, 8.4e9, 1.05e9, 2.8e-4 * 255, 1 * 255},
    {"sample", OP_SAMPLE, 1.0e6, 4.1e6, 9e-6 * 255, 1 * 255},
};
enum { LLAMA_ROWS = sizeof llama_prefill / sizeof *llama_prefill };

/* --- files --- */

static char folder[64];

static inline void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/rafter-plot-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static inline void remove_folder(void)
{
    static const char *const names[] = {"a.svg", "a.png", "a.pdf", "b.PNG", "a.jpeg"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* Pixels of a PNG within `tolerance` of a colour on each channel. */
static inline long pixels_of(const char *path, struct colour colour, int tolerance)
{
    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);
    cr_assert(cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS);
    int width = cairo_image_surface_get_width(surface), height = cairo_image_surface_get_height(surface);
    int stride = cairo_image_surface_get_stride(surface);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    int want[3] = {(int)lround(colour.blue * 255), (int)lround(colour.green * 255),
                   (int)lround(colour.red * 255)};
    long count = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const unsigned char *pixel = data + (long)y * stride + 4L * x; /* little endian BGRx */
            bool same = true;
            for (int c = 0; c < 3; c++)
                same = same && abs(pixel[c] - want[c]) <= tolerance;
            count += same;
        }
    cairo_surface_destroy(surface);
    return count;
}

/* Pixels that are not paper within `margin` points of the picture's edges. */
static inline long pixels_at_edges(const char *path, int margin)
{
    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);
    cr_assert(cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS);
    int width = cairo_image_surface_get_width(surface), height = cairo_image_surface_get_height(surface);
    int stride = cairo_image_surface_get_stride(surface), edge = 2 * margin; /* 2 pixels a point */
    const unsigned char *data = cairo_image_surface_get_data(surface);
    long count = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const unsigned char *pixel = data + (long)y * stride + 4L * x;
            bool inside = x >= edge && y >= edge && x < width - edge && y < height - edge;
            count += !inside && (pixel[0] < 250 || pixel[1] < 250 || pixel[2] < 250);
        }
    cairo_surface_destroy(surface);
    return count;
}

#endif
