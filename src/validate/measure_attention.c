/* Attention over a paged cache: types of KV x heads x sequences x tokens. Pages lie one behind the other in
 * `bulk`; in decode, copies of the caches take turns as layers do, so that KV comes from DRAM. */
#include "exec/kernels/blocks.h"
#include "validate/measuring.h"

#include <string.h>

enum { PAGE_TOKENS = 64, SEQUENCES_MOST = 16 };

struct attention_shape {
    enum kv_type kv;
    int heads, kv_heads, dim;
    int sequences, new_tokens, tokens; /* tokens: of a sequence, the new ones included */
    size_t sets;                       /* copies that take turns */
    int32_t *pages;                    /* [sequences][pages of one] */
    struct attention_rows *rows;
};

static size_t sequence_pages(const struct attention_shape *shape)
{
    return ((size_t)shape->tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

static struct kv_pool pool_of(const struct attention_shape *shape, char *base)
{
    size_t row = kv_row_bytes(shape->kv, (size_t)shape->dim);
    return (struct kv_pool){.type = shape->kv,
                            .heads = shape->kv_heads,
                            .dim = shape->dim,
                            .page_tokens = PAGE_TOKENS,
                            .row_bytes = row,
                            .page_stride = row * PAGE_TOKENS * (size_t)shape->kv_heads,
                            .base = base};
}

/* Of K alone, one copy. */
static size_t pool_bytes(const struct attention_shape *shape)
{
    return (size_t)shape->sequences * sequence_pages(shape) * PAGE_TOKENS * (size_t)shape->kv_heads *
           kv_row_bytes(shape->kv, (size_t)shape->dim);
}

static bool run_attention(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    const struct attention_shape *shape = trial->shape;
    size_t bytes = pool_bytes(shape);
    char *base = shape->sets == 1 ? measuring->bulk
                                  : measuring_next(measuring, 2 * bytes, kv_row_bytes(shape->kv, 128) * 32);
    const struct kv_pool k = pool_of(shape, base), v = pool_of(shape, base + bytes);
    size_t stride = (size_t)shape->heads * (size_t)shape->dim;
    const struct attention attention_ = {.heads = shape->heads,
                                         .k = &k,
                                         .v = &v,
                                         .v_dim = shape->dim,
                                         .scale = 0.125F,
                                         .q = measuring->x,
                                         .q_stride = stride,
                                         .out = measuring->y,
                                         .out_stride = stride,
                                         .sequences = shape->rows,
                                         .count = shape->sequences};
    return attention(measuring->team, measuring->isa, &attention_, &measuring->attention, diag);
}

/* Rows of KV of the type all over bulk. */
static void fill_cache(struct measuring *measuring, enum kv_type kv)
{
    enum { VALUES = 4096, TOKENS = VALUES / 128 };
    int32_t page = 0;
    char pattern[VALUES * sizeof(float)];
    size_t row = kv_row_bytes(kv, 128), bytes = row * TOKENS;
    struct kv_pool pool = {kv, 1, 128, TOKENS, row, bytes, pattern};
    struct kv_sequence sequence = {&page, TOKENS};
    for (int t = 0; t < TOKENS; t++)
        kv_write_token(measuring->isa, &pool, &sequence, t, measuring->x + (size_t)t * 128);
    for (size_t at = 0; at + bytes <= measuring->bulk_bytes; at += bytes)
        memcpy(measuring->bulk + at, pattern, bytes);
}

static bool add_trial(struct measuring *measuring, struct trial *trial, const struct attention_shape *shape)
{
    struct attention_shape *own = ARENA_NEW(measuring->arena, struct attention_shape);
    size_t pages = sequence_pages(shape), sequences = (size_t)shape->sequences;
    if (!own)
        return false;
    *own = *shape;
    own->pages = ARENA_ARRAY(measuring->arena, int32_t, pages * sequences);
    own->rows = ARENA_ARRAY(measuring->arena, struct attention_rows, sequences);
    const char *name = kv_type_name(shape->kv);
    *trial = (struct trial){.run = run_attention, .shape = own};
    trial->cells =
        arena_printf(measuring->arena, "%s,fp32,%s,%d,%d,%d,%d,%d,%d,0,%zu,0",
                     shape->new_tokens > 1 ? "prefill" : "decode", name, shape->sequences, shape->new_tokens,
                     shape->tokens, shape->heads, shape->kv_heads, shape->dim, shape->sets);
    if (!own->pages || !own->rows || !trial->cells)
        return false;
    for (size_t i = 0; i < pages * sequences; i++)
        own->pages[i] = (int32_t)i;
    for (size_t s = 0; s < sequences; s++)
        own->rows[s] = (struct attention_rows){.cache = {own->pages + s * pages, shape->tokens},
                                               .new_tokens = shape->new_tokens,
                                               .first_row = (int)s * shape->new_tokens};
    return true;
}

static bool fits(const struct measuring *measuring, const struct attention_shape *shape)
{
    size_t rows = (size_t)shape->sequences * (size_t)shape->new_tokens;
    return 2 * pool_bytes(shape) <= measuring->bulk_bytes &&
           rows * (size_t)shape->heads * (size_t)shape->dim <= measuring->x_floats;
}

static size_t add_type(struct measuring *measuring, enum kv_type kv, struct trial *trials, size_t most)
{
    static const int heads[][3] = {{32, 4, 64}, {16, 8, 128}, {16, 16, 64}};
    static const int decodes[][2] = {{1, 256},  {1, 1024}, {1, 4096}, {4, 512},
                                     {4, 2048}, {16, 256}, {16, 1024}};
    static const int prefills[][2] = {{1, 64}, {1, 100}, {1, 150}, {1, 256}, {1, 512}, {4, 128}, {5, 150}};
    size_t count = 0;
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
        struct attention_shape shape = {kv, heads[h][0], heads[h][1], heads[h][2], 0, 0, 0, 1, NULL, NULL};
        for (size_t i = 0; i < sizeof decodes / sizeof *decodes; i++) {
            shape.sequences = decodes[i][0];
            shape.new_tokens = 1;
            shape.tokens = decodes[i][1];
            shape.sets = measuring->bulk_bytes / (2 * pool_bytes(&shape));
            if (count < most && fits(measuring, &shape))
                count += add_trial(measuring, &trials[count], &shape);
        }
        shape.sets = 1;
        for (size_t i = 0; i < sizeof prefills / sizeof *prefills; i++) {
            shape.sequences = prefills[i][0];
            shape.new_tokens = shape.tokens = prefills[i][1];
            if (count < most && fits(measuring, &shape))
                count += add_trial(measuring, &trials[count], &shape);
        }
    }
    return count;
}

bool measure_attentions(struct measuring *measuring, struct diag *diag, const char *device,
                        const char *source, struct text *csv)
{
    enum { TRIALS_MOST = 64 };
    struct trial trials[TRIALS_MOST];
    text_add(csv,
             "device,source,phase,dtype,kv_dtype,batch,new_tokens,context,heads,kv_heads,head_dim,window,"
             "kv_sets,kv_written,time_us\n");
    for (int kv = 0; kv < KV_TYPE_COUNT; kv++) {
        if (measuring->options.quick && kv != KV_F16 && kv != KV_Q8_0)
            continue;
        size_t count = add_type(measuring, (enum kv_type)kv, trials, TRIALS_MOST);
        fill_cache(measuring, (enum kv_type)kv);
        if (!measure_trials(measuring, diag, trials, count, device, source, csv))
            return false;
    }
    return true;
}
