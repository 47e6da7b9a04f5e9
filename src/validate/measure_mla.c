/* Multi-head latent attention with DeepSeek's sizes, as the runner runs it: prompts on expanded fp32 keys and
 * values of all heads; decode on paged latents in `bulk`, copies of which take turns as layers do. */
#include "exec/kernels/blocks.h"
#include "validate/measuring.h"

#include <string.h>

enum { NOPE = 128, ROPE = 64, VALUE = 128, LATENT = 512, PAGE_TOKENS = 64 };

struct mla_shape {
    int heads, sequences, tokens; /* tokens: of a sequence, the new one included */
    bool decode;
    size_t sets;
    int32_t *pages;
    struct attention_rows *rows;
};

static size_t pages_each(const struct mla_shape *shape)
{
    return shape->decode ? ((size_t)shape->tokens + PAGE_TOKENS - 1) / PAGE_TOKENS : (size_t)shape->tokens;
}

static size_t latent_bytes(const struct mla_shape *shape)
{
    return (size_t)shape->sequences * pages_each(shape) * PAGE_TOKENS * kv_row_bytes(KV_F16, LATENT + ROPE);
}

/* Expanded keys or values: a page a token, as the runner lays them out. */
static struct kv_pool expanded(const struct mla_shape *shape, int dim, char *base)
{
    size_t row = (size_t)dim * sizeof(float);
    return (struct kv_pool){KV_F32, shape->heads, dim, 1, row, row * (size_t)shape->heads, base};
}

static bool run_decode(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    const struct mla_shape *shape = trial->shape;
    size_t row = kv_row_bytes(KV_F16, LATENT + ROPE), heads = (size_t)shape->heads;
    char *base = measuring_next(measuring, latent_bytes(shape), row);
    const struct kv_pool latents = {KV_F16, 1, LATENT + ROPE, PAGE_TOKENS, row, row * PAGE_TOKENS, base};
    const struct attention attention_ = {.heads = shape->heads,
                                         .k = &latents,
                                         .v = &latents,
                                         .v_dim = LATENT,
                                         .scale = 0.07F,
                                         .q = measuring->x,
                                         .q_stride = heads * (LATENT + ROPE),
                                         .out = measuring->y,
                                         .out_stride = heads * LATENT,
                                         .sequences = shape->rows,
                                         .count = shape->sequences};
    return attention(measuring->team, measuring->isa, &attention_, &measuring->attention, diag);
}

/* One prompt after the other. */
static bool run_prefill(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    const struct mla_shape *shape = trial->shape;
    size_t heads = (size_t)shape->heads, rows = (size_t)shape->tokens, half = measuring->x_floats / 2;
    const struct kv_pool k = expanded(shape, NOPE + ROPE, (char *)(measuring->x + half)),
                         v = expanded(shape, VALUE, (char *)(measuring->x + half));
    for (size_t s = 0; s < (size_t)shape->sequences; s++) {
        const struct attention attention_ = {.heads = shape->heads,
                                             .k = &k,
                                             .v = &v,
                                             .v_dim = VALUE,
                                             .scale = 0.07F,
                                             .q = measuring->x + s * rows * heads * (NOPE + ROPE),
                                             .q_stride = heads * (NOPE + ROPE),
                                             .out = measuring->y + s * rows * heads * VALUE,
                                             .out_stride = heads * VALUE,
                                             .sequences = shape->rows,
                                             .count = 1};
        if (!attention(measuring->team, measuring->isa, &attention_, &measuring->attention, diag))
            return false;
    }
    return true;
}

static bool add_trial(struct measuring *measuring, struct trial *trial, const struct mla_shape *shape)
{
    struct mla_shape *own = ARENA_NEW(measuring->arena, struct mla_shape);
    size_t pages = pages_each(shape), sequences = (size_t)shape->sequences;
    if (!own)
        return false;
    *own = *shape;
    own->sets = shape->decode ? measuring->bulk_bytes / latent_bytes(shape) : 1;
    own->pages = ARENA_ARRAY(measuring->arena, int32_t, pages * sequences);
    own->rows = ARENA_ARRAY(measuring->arena, struct attention_rows, sequences);
    *trial = (struct trial){.run = shape->decode ? run_decode : run_prefill, .shape = own};
    trial->cells =
        arena_printf(measuring->arena, "%s,fp32,fp16,%d,%d,%d,%d,%zu,0", shape->decode ? "decode" : "prefill",
                     shape->heads, shape->sequences, shape->tokens - shape->decode, shape->decode, own->sets);
    if (!own->pages || !own->rows || !trial->cells)
        return false;
    for (size_t i = 0; i < pages * sequences; i++)
        own->pages[i] = (int32_t)i;
    for (size_t s = 0; s < sequences; s++)
        own->rows[s] = (struct attention_rows){
            {own->pages + s * pages, shape->tokens}, shape->decode ? 1 : shape->tokens, (int)s};
    return true;
}

/* Rows of latents all over bulk. */
static void fill_latents(struct measuring *measuring)
{
    char row[(LATENT + ROPE) * sizeof(float)];
    size_t bytes = kv_row_bytes(KV_F16, LATENT + ROPE);
    kv_encode_row_plain(KV_F16, measuring->x, LATENT + ROPE, row);
    for (size_t at = 0; at + bytes <= measuring->bulk_bytes; at += bytes)
        memcpy(measuring->bulk + at, row, bytes);
}

bool measure_mlas(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                  struct text *csv)
{
    static const int heads[] = {8, 16};
    static const int decodes[][2] = {{1, 100}, {1, 500}, {1, 2000}, {4, 100}, {4, 1000}, {16, 250}};
    static const int prefills[][2] = {{1, 60}, {1, 100}, {1, 150}, {1, 300}, {4, 100}};
    enum {
        DECODES = sizeof decodes / sizeof *decodes,
        PREFILLS = sizeof prefills / sizeof *prefills,
        LOADS = DECODES + PREFILLS,
        TRIALS = 2 * LOADS
    };
    struct trial trials[TRIALS];
    size_t count = 0;
    text_add(csv, "device,source,phase,mla_dtype,kv_cache_dtype,num_heads,batch_size,isl,step,kv_sets,"
                  "kv_written,time_us\n");
    fill_latents(measuring);
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < LOADS; l++) {
            const int *load = l < DECODES ? decodes[l] : prefills[l - DECODES];
            struct mla_shape shape = {heads[h], load[0], load[1], l < DECODES, 1, NULL, NULL};
            if (!add_trial(measuring, &trials[count++], &shape))
                return diag_error(diag, NOWHERE, "out of memory");
        }
    return measure_trials(measuring, diag, trials, count, device, source, csv);
}
