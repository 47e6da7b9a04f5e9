#include "attention_case.h"

#include "exec/cpu.h"

float case_uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX */
    return (float)(*seed >> 40) / 0x1p23F - 1.0F;
}

/* A sum of four uniform numbers, of deviation 1. */
float case_normal(uint64_t *seed)
{
    float sum = case_uniform(seed) + case_uniform(seed) + case_uniform(seed) + case_uniform(seed);
    return sum * 0.8660254F;
}

/* Each sequence's pages, numbered in an order that is not theirs. Returns how many there are. */
static int deal_pages(struct attention_case *made, struct arena *arena, const struct attention_shape *shape,
                      uint64_t *seed)
{
    int total = 0, first_row = 0;
    for (int s = 0; s < shape->count; s++) {
        int tokens = shape->cached[s] + shape->fresh[s];
        made->sequences[s] = (struct attention_rows){.new_tokens = shape->fresh[s], .first_row = first_row};
        made->sequences[s].cache.tokens = tokens;
        first_row += shape->fresh[s];
        total += (tokens + shape->page_tokens - 1) / shape->page_tokens;
    }
    made->rows = first_row;
    made->pages = ARENA_ARRAY(arena, int32_t, (size_t)total);
    if (!made->pages)
        return 0;
    for (int i = 0; i < total; i++)
        made->pages[i] = i;
    for (int i = total - 1; i > 0; i--) {
        int j = (int)((case_uniform(seed) + 1.0F) / 2.0F * (float)(i + 1)) % (i + 1);
        int32_t page = made->pages[i];
        made->pages[i] = made->pages[j];
        made->pages[j] = page;
    }
    for (int s = 0, used = 0; s < shape->count; s++) {
        made->sequences[s].cache.pages = made->pages + used;
        used += (made->sequences[s].cache.tokens + shape->page_tokens - 1) / shape->page_tokens;
    }
    return total;
}

static struct kv_pool pool_of(const struct attention_shape *shape, int dim)
{
    struct kv_pool pool = {shape->type, shape->kv_heads, dim, shape->page_tokens, 0, 0, NULL};
    pool.row_bytes = kv_row_bytes(shape->type, (size_t)dim);
    pool.page_stride = pool.row_bytes * (size_t)shape->page_tokens * (size_t)shape->kv_heads;
    return pool;
}

/* All tokens of all sequences; large caches repeat the values of few tokens, which costs no time. */
static void fill(const struct attention_case *made, const struct attention_shape *shape,
                 const struct kv_pool *pool, float *row, uint64_t *seed)
{
    enum { DRAWN = 4096 };
    for (int s = 0; s < shape->count; s++)
        for (int t = 0; t < made->sequences[s].cache.tokens; t++) {
            if (t < DRAWN)
                for (int i = 0; i < pool->heads * pool->dim; i++)
                    row[i] = case_normal(seed);
            kv_write_token(ISA_PORTABLE, pool, &made->sequences[s].cache, t, row);
        }
}

bool attention_case_new(struct attention_case *made, struct arena *arena, struct diag *diag,
                        const struct attention_shape *shape, uint64_t seed)
{
    *made = (struct attention_case){0};
    size_t heads = (size_t)shape->heads, kv_heads = (size_t)shape->kv_heads;
    size_t pages = (size_t)deal_pages(made, arena, shape, &seed);
    made->k = pool_of(shape, shape->dim);
    made->v = shape->latent ? made->k : pool_of(shape, shape->v_dim);
    made->k_bytes = pages * made->k.page_stride;
    made->v_bytes = shape->latent ? 0 : pages * made->v.page_stride;
    made->q_bytes = (size_t)made->rows * heads * (size_t)shape->dim * sizeof(float);
    made->out_bytes = (size_t)made->rows * heads * (size_t)shape->v_dim * sizeof(float);
    made->k_pages = buffer_new(diag, made->k_bytes);
    made->v_pages = made->v_bytes > 0 ? buffer_new(diag, made->v_bytes) : NULL;
    made->q = buffer_new(diag, made->q_bytes);
    made->out = (float *)buffer_new(diag, made->out_bytes);
    made->sinks = ARENA_ARRAY(arena, float, heads);
    float *row = ARENA_ARRAY(arena, float, kv_heads *(size_t)(shape->dim + shape->v_dim));
    if (pages == 0 || !made->k_pages || (!made->v_pages && !shape->latent) || !made->q || !made->out ||
        !made->sinks || !row) {
        attention_case_free(made);
        return false;
    }
    made->k.base = (char *)made->k_pages;
    made->v.base = shape->latent ? made->k.base : (char *)made->v_pages;
    fill(made, shape, &made->k, row, &seed);
    if (!shape->latent)
        fill(made, shape, &made->v, row, &seed);
    float *q = (float *)made->q;
    for (size_t i = 0; i < made->q_bytes / sizeof *q; i++)
        q[i] = case_normal(&seed);
    for (size_t i = 0; i < heads; i++)
        made->sinks[i] = 2.0F * case_normal(&seed);
    made->attention = (struct attention){
        .heads = shape->heads,
        .k = &made->k,
        .v = shape->latent ? &made->k : &made->v,
        .v_dim = shape->v_dim,
        .scale = 1.0F / __builtin_sqrtf((float)shape->dim),
        .window = shape->window,
        .sinks = shape->sinks ? made->sinks : NULL,
        .softcap = shape->softcap,
        .q = q,
        .q_stride = heads * (size_t)shape->dim,
        .out = made->out,
        .out_stride = heads * (size_t)shape->v_dim,
        .sequences = made->sequences,
        .count = shape->count,
    };
    return true;
}

void attention_case_free(struct attention_case *made)
{
    buffer_free(made->k_pages, made->k_bytes);
    buffer_free(made->v_pages, made->v_bytes);
    buffer_free(made->q, made->q_bytes);
    buffer_free(made->out, made->out_bytes);
}
