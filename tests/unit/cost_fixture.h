/* Hand-made devices, software and graphs for the tests of cost/, so that they need no catalogue. */
#ifndef RAFTER_TESTS_COST_FIXTURE_H
#define RAFTER_TESTS_COST_FIXTURE_H

#include "cost/cost.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { FIXTURE_OPS = 8, FIXTURE_BUFFERS = 8, FIXTURE_CALIBRATIONS = FAMILY_COUNT };

struct fixture {
    struct arena *arena;
    struct diag diag;
    struct memory_tier tiers[3];
    struct link links[2];
    struct calibration calibrations[FIXTURE_CALIBRATIONS];
    struct device device;
    struct system_member member;
    struct system system;
    struct software software;
    struct graph_types types;
    struct op ops[FIXTURE_OPS];
    struct buffer buffers[FIXTURE_BUFFERS];
    struct graph graph;
    struct target target;
    struct prepared_op *prepared;
};

static inline struct element_type type_named(const char *name)
{
    struct element_type type;
    cr_assert(element_type_parse(name, &type), "%s", name);
    return type;
}

/* A GPU of A100's make: 108 units, 312 TFLOP/s bf16, 624 int8, 19.5 fp32 on lanes, 2 TB/s, 40 MB of L2 at 5
 * TB/s. */
static inline void fixture_start(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->arena = arena_new(0);
    f->diag.arena = f->arena;
    f->tiers[0] = (struct memory_tier){.name = "l2", .cache = true, .capacity = 40e6, .bandwidth = 5e12};
    f->tiers[1] = (struct memory_tier){.name = "hbm", .capacity = 80e9, .bandwidth = 2e12, .energy = 40e-12};
    f->links[0] = (struct link){.name = "nvlink",
                                .kind = LINK_SCALE_UP,
                                .topology = TOPOLOGY_SWITCH,
                                .bandwidth = 300e9,
                                .latency = 2e-6,
                                .peers = 7};
    f->links[1] = (struct link){
        .name = "ib", .kind = LINK_NETWORK, .topology = TOPOLOGY_SWITCH, .bandwidth = 25e9, .latency = 5e-6};
    f->device = (struct device){.id = "test-gpu",
                                .units = {.kind = "SM", .count = 108},
                                .tiers = f->tiers,
                                .tier_count = 2,
                                .links = f->links,
                                .link_count = 2,
                                .matrix_depth_bytes = 32,
                                .power = {.tdp = 400, .idle = 60}};
    f->device.matrix[FORMAT_BF16].flops = f->device.matrix[FORMAT_FP16].flops = 312e12;
    f->device.matrix[FORMAT_INT8].flops = 624e12;
    f->device.matrix[FORMAT_TF32].flops = 156e12;
    f->device.vector[FORMAT_FP32].flops = 19.5e12;
    f->device.vector[FORMAT_BF16].flops = f->device.vector[FORMAT_FP16].flops = 39e12;
    f->member = (struct system_member){.role = "gpu", .count = 8, .device = &f->device};
    f->system = (struct system){.id = "test", .members = &f->member, .member_count = 1};
    f->software = (struct software){.id = "test-software"};
    f->types.activations = f->types.weights = f->types.kv = type_named("bf16");
    f->types.state = type_named("fp32");
    f->graph = (struct graph){.software = &f->software,
                              .parallel = {.tp = 1, .pp = 1, .ep = 1, .dp = 1},
                              .types = f->types,
                              .ops = f->ops,
                              .buffers = f->buffers,
                              .arena = f->arena};
}

/* Gives every family plausible scalars: efficiencies of 0.8, a few microseconds of overheads. */
static inline void fixture_calibrate(struct fixture *f)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct calibration *block = &f->calibrations[family];
        *block = (struct calibration){.software = "*", .family = family, .provenance = PROVENANCE_FITTED};
        for (int i = 0; i < families[family].count; i++) {
            bool time = families[family].scalars[i].dimension == DIM_SECONDS;
            block->given[i] = true;
            block->values[i] = time ? 2e-6 : 0.8;
        }
    }
    f->device.calibrations = f->calibrations;
    f->device.calibration_count = FAMILY_COUNT;
}

static inline struct op *fixture_op(struct fixture *f, enum op_kind kind)
{
    struct op *op = &f->ops[f->graph.op_count++];
    *op = (struct op){.name = "op",
                      .kind = kind,
                      .regime = REGIME_ANY,
                      .rows = ROWS_TOKENS,
                      .rows_factor = 1,
                      .per_layer = 1,
                      .weights = BUFFER_NONE,
                      .cache = BUFFER_NONE,
                      .cache_more = BUFFER_NONE,
                      .waits_for = -1};
    return op;
}

static inline int fixture_buffer(struct fixture *f, enum buffer_class class, const char *type)
{
    int index = f->graph.buffer_count++;
    f->buffers[index] = (struct buffer){.name = "buffer",
                                        .class = class,
                                        .type = type_named(type),
                                        .copies = 1,
                                        .touched = 1,
                                        .page_tokens = 1,
                                        .sequence_share = 1,
                                        .tier = -1};
    return index;
}

static inline struct op *fixture_gemm(struct fixture *f, double n, double k, const char *weights)
{
    struct op *op = fixture_op(f, OP_GEMM);
    op->weights = fixture_buffer(f, BUFFER_WEIGHTS, weights);
    op->gemm = (struct gemm_work){
        .n = n, .k = k, .batch = 1, .a_type = f->types.activations, .c_type = f->types.activations};
    return op;
}

static inline struct op *fixture_attention(struct fixture *f, double heads, double kv_heads, double dim,
                                           const char *kv)
{
    struct op *op = fixture_op(f, OP_ATTENTION);
    op->cache = fixture_buffer(f, BUFFER_KV, kv);
    f->buffers[op->cache].elements = 2 * kv_heads * dim;
    op->reads_cache = true;
    op->attention = (struct attention_work){
        .heads = heads, .kv_heads = kv_heads, .qk_dim = dim, .v_dim = dim, .q_type = f->types.activations};
    return op;
}

static inline void fixture_prepare(struct fixture *f)
{
    cr_assert(target_resolve(&f->target, &f->diag, &f->system, &f->software, &f->types), "%s",
              diag_first_error(&f->diag));
    f->prepared = cost_prepare(f->arena, &f->diag, &f->graph, &f->target);
    cr_assert(f->prepared, "%s", diag_first_error(&f->diag));
}

static inline void fixture_end(struct fixture *f)
{
    arena_free(f->arena);
}

static inline struct op_cost cost_of_segments(const struct fixture *f, int index,
                                              const struct segment *segments, int count)
{
    struct step_totals totals[REGIME_ANY + 1];
    memset(totals, 0, sizeof totals);
    for (int i = 0; i < count; i++) {
        step_totals_add(&totals[segment_regime(&segments[i])], &segments[i]);
        step_totals_add(&totals[REGIME_ANY], &segments[i]);
    }
    struct op_cost cost;
    cost_op(f->prepared, index, segments, count, totals, &cost);
    return cost;
}

static inline struct op_cost cost_of_segment(const struct fixture *f, int index, double sequences,
                                             double new_tokens, double context)
{
    struct segment segment = {
        .sequences = sequences, .new_tokens = new_tokens, .context = context, .sampled = 1};
    return cost_of_segments(f, index, &segment, 1);
}

/* One op on m rows. */
static inline struct op_cost cost_of_rows(const struct fixture *f, int index, double rows)
{
    return cost_of_segment(f, index, 1, rows, 0);
}

/* What holds for every cost whatever the op: finite, not negative, no faster than any resource's data sheet.
 */
static inline void check_cost(const struct op_cost *cost, const char *what)
{
    cr_assert(isfinite(cost->time) && cost->time >= 0, "%s: time %g", what, cost->time);
    cr_assert(isfinite(cost->energy) && cost->energy >= 0, "%s: energy %g", what, cost->energy);
    cr_assert(isfinite(cost->flops) && isfinite(cost->memory_bytes), "%s", what);
    for (int i = 0; i < RESOURCE_COUNT; i++) {
        cr_assert(isfinite(cost->use[i]) && isfinite(cost->floor[i]), "%s: resource %d", what, i);
        cr_assert(cost->time >= cost->floor[i] * (1 - 1e-12),
                  "%s: time %.17g below the floor %.17g of resource %d", what, cost->time, cost->floor[i], i);
        cr_assert(cost->time >= cost->use[i] * (1 - 1e-12), "%s: time %g below use %g of resource %d", what,
                  cost->time, cost->use[i], i);
    }
    for (int i = 0; i < BYTE_CLASS_COUNT; i++)
        cr_assert(isfinite(cost->bytes[i]) && cost->bytes[i] >= 0, "%s: bytes %d", what, i);
}

static inline void check_not_faster(double longer_s, double shorter_s, const char *what)
{
    cr_assert(longer_s >= shorter_s * (1 - 1e-12), "%s: %.17g is below %.17g", what, longer_s, shorter_s);
}

static inline void check_close(double a, double b, double tolerance, const char *what)
{
    cr_assert(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b)), "%s: %.17g is not %.17g", what, a, b);
}

/* Seeded numbers: xorshift64*. */
struct dice {
    uint64_t state;
};

static inline double roll(struct dice *dice)
{
    dice->state ^= dice->state >> 12;
    dice->state ^= dice->state << 25;
    dice->state ^= dice->state >> 27;
    return (double)((dice->state * 0x2545F4914F6CDD1DULL) >> 11) * 0x1p-53;
}

/* A whole number from least to most, spread evenly over the orders of magnitude. */
static inline double roll_size(struct dice *dice, double least, double most)
{
    return floor(least * pow((most + 1) / least, roll(dice)));
}

/* Changes the device at random: units, rates, cache, depth; calibrated or not. */
static inline void fixture_shuffle(struct fixture *f, struct dice *dice)
{
    f->device.units.count = (int)roll_size(dice, 1, 300);
    f->tiers[1].bandwidth = 1e11 * roll_size(dice, 1, 80);
    f->tiers[0].bandwidth = f->tiers[1].bandwidth * (1 + 4 * roll(dice));
    f->tiers[0].capacity = 1e6 * roll_size(dice, 1, 200);
    for (int i = 0; i < FORMAT_COUNT; i++)
        f->device.matrix[i].flops *= 0.2 + 5 * roll(dice); /* stays above the lanes */
    if (roll(dice) < 0.3)                                  /* no matrix units, as a CPU */
        memset(f->device.matrix, 0, sizeof f->device.matrix);
    f->device.matrix_depth_bytes = 16 << (int)(3 * roll(dice));
    if (roll(dice) < 0.7)
        fixture_calibrate(f);
    if (roll(dice) < 0.1)
        f->software.ideal = true;
    f->device.units.clock = 1e9 * floor(3 * roll(dice)); /* 0: not known */
    f->device.pipeline_bytes = 128 * (int)(5 * roll(dice));
    f->device.tile_cluster = 1 + (int)(3 * roll(dice));
    f->device.tile_step = roll(dice) < 0.5 ? 32 : 0;
    f->tiers[1].latency = 100e-9 * roll_size(dice, 1, 10);
}

#endif
