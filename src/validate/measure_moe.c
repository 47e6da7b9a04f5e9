/* Experts: tokens are dealt evenly, each to top_k of them; both grouped products, the activation between them
 * and the sum, as the runner runs them. Experts' weights come from DRAM: layers in `bulk` take turns. */
#include "exec/kernels/small.h"
#include "validate/measuring.h"

#include <string.h>

enum { EXPERTS_MOST = 64, TOP_K = 2 };

struct moe_shape {
    enum weight_type type;
    int experts, tokens;
    size_t hidden, inter;
    size_t sets;
    int *rows[EXPERTS_MOST]; /* each expert's tokens */
    int counts[EXPERTS_MOST];
};

static size_t expert_bytes(const struct moe_shape *shape)
{
    return 2 * shape->inter * weight_row_bytes(shape->type, shape->hidden) +
           shape->hidden * weight_row_bytes(shape->type, shape->inter);
}

struct combining {
    const struct moe_shape *shape;
    struct measuring *measuring;
    const float *down, *weight;
};

static void combine_share(void *context, int thread, int threads)
{
    const struct combining *combining = context;
    const struct moe_shape *shape = combining->shape;
    size_t from, to, hidden = shape->hidden, pair = 0;
    team_share(hidden, 64, thread, threads, &from, &to);
    for (int e = 0; e < shape->experts; e++)
        for (int i = 0; i < shape->counts[e]; i++, pair++)
            add_scaled(combining->measuring->isa, combining->down + pair * hidden + from, 0.5F, to - from,
                       combining->measuring->y + (size_t)shape->rows[e][i] * hidden + from);
}

struct activating {
    struct measuring *measuring;
    float *gate;
    const float *up;
    size_t count;
};

static void activate_share(void *context, int thread, int threads)
{
    const struct activating *a = context;
    size_t from, to;
    team_share(a->count, 64, thread, threads, &from, &to);
    activate(a->measuring->isa, ACTIVATION_SILU, a->gate + from, a->up + from, to - from, a->gate + from);
}

static bool run_moe(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    const struct moe_shape *shape = trial->shape;
    struct matrix matrices[3 * EXPERTS_MOST];
    struct product products[2 * EXPERTS_MOST], downs[EXPERTS_MOST];
    size_t hidden = shape->hidden, inter = shape->inter, pairs = (size_t)shape->tokens * TOP_K, pair = 0;
    float *gate = measuring->y + (size_t)shape->tokens * hidden, *up = gate + pairs * inter,
          *down = up + pairs * inter;
    int used = 0;
    char *data = measuring_next(measuring, (size_t)shape->experts * expert_bytes(shape),
                                WEIGHT_GRAIN * weight_layouts[shape->type].block_bytes);
    for (int e = 0; e < shape->experts; e++) {
        char *at = data + (size_t)e * expert_bytes(shape);
        size_t first = inter * weight_row_bytes(shape->type, hidden);
        for (int i = 0; i < 3; i++)
            matrices[3 * e + i] = (struct matrix){.stored = {.name = "expert",
                                                             .type = shape->type,
                                                             .rows = i < 2 ? inter : hidden,
                                                             .cols = i < 2 ? hidden : inter,
                                                             .data = at + (size_t)i * first}};
        if (shape->counts[e] == 0)
            continue;
        for (int i = 0; i < 2; i++)
            products[2 * used + i] = (struct product){.w = &matrices[3 * e + i],
                                                      .x = measuring->x,
                                                      .x_stride = hidden,
                                                      .rows = shape->rows[e],
                                                      .m = shape->counts[e],
                                                      .y = (i == 0 ? gate : up) + pair * inter,
                                                      .y_stride = inter};
        downs[used++] = (struct product){.w = &matrices[3 * e + 2],
                                         .x = gate + pair * inter,
                                         .x_stride = inter,
                                         .m = shape->counts[e],
                                         .y = down + pair * hidden,
                                         .y_stride = hidden};
        pair += (size_t)shape->counts[e];
    }
    struct activating activating = {measuring, gate, up, pair * inter};
    struct combining combining = {shape, measuring, down, NULL};
    if (!gemm(measuring->team, measuring->isa, products, 2 * used, &measuring->gemm, diag))
        return false;
    team_run(measuring->team, activate_share, &activating);
    if (!gemm(measuring->team, measuring->isa, downs, used, &measuring->gemm, diag))
        return false;
    team_run(measuring->team, combine_share, &combining);
    return true;
}

static bool add_trial(struct measuring *measuring, struct trial *trial, const struct moe_shape *shape)
{
    struct moe_shape *own = ARENA_NEW(measuring->arena, struct moe_shape);
    if (!own)
        return false;
    *own = *shape;
    int pairs = shape->tokens * TOP_K, each = pairs / shape->experts + 1;
    for (int e = 0; e < shape->experts; e++)
        if (!(own->rows[e] = ARENA_ARRAY(measuring->arena, int, (size_t)each)))
            return false;
    for (int i = 0; i < pairs; i++) {
        int e = i % shape->experts;
        own->rows[e][own->counts[e]++] = i / TOP_K;
    }
    *trial = (struct trial){.run = run_moe, .shape = own};
    trial->cells = arena_printf(measuring->arena, "fp32,%s,%d,%zu,%zu,%d,%d,1,1,balanced,exec",
                                weight_layouts[shape->type].name, shape->tokens, shape->hidden, shape->inter,
                                TOP_K, shape->experts);
    return trial->cells != NULL;
}

bool measure_moes(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                  struct text *csv)
{
    static const int experts[] = {8, 32}, tokens[] = {1, 4, 16, 64, 128, 512};
    static const size_t sizes[][2] = {{1024, 1792}, {2048, 1024}};
    static const enum weight_type types[] = {WEIGHT_Q8_0, WEIGHT_Q4_K, WEIGHT_BF16};
    enum { TRIALS_MOST = 24 };
    struct trial trials[TRIALS_MOST];
    text_add(
        csv,
        "device,source,moe_dtype,weight_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,"
        "moe_ep_size,distribution,kernel_source,time_us\n");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t count = 0;
        if (measuring->options.quick && t > 0)
            break;
        if (!measure_fill_weights(measuring, diag, types[t]))
            return false;
        for (size_t s = 0; s < 2; s++)
            for (size_t e = 0; e < 2; e++)
                for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
                    struct moe_shape shape = {.type = types[t],
                                              .experts = experts[e],
                                              .tokens = tokens[i],
                                              .hidden = sizes[s][0],
                                              .inter = sizes[s][1]};
                    shape.sets = measuring->bulk_bytes / ((size_t)shape.experts * expert_bytes(&shape));
                    if (shape.sets > 0 && count < TRIALS_MOST)
                        count += add_trial(measuring, &trials[count], &shape);
                }
        if (!measure_trials(measuring, diag, trials, count, device, source, csv))
            return false;
    }
    return true;
}
