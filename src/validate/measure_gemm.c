/* Products: types of weights x shapes x rows. Weights come from DRAM, as in a model each layer has its own:
 * copies in `bulk` take turns. Some small ones stay in the cache. Few rows meet packed weights, as `rafter
 * run` has them where memory allows. */
#include "exec/kernels/blocks.h"
#include "validate/measuring.h"

#include <string.h>

enum { CACHE_LINE = 64 };

struct gemm_shape {
    enum weight_type type;
    size_t n, k;
    int m;
    size_t sets; /* copies that take turns */
};

static bool run_gemm(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    const struct gemm_shape *shape = trial->shape;
    struct matrix matrix = {.stored = {.name = "weights",
                                       .type = shape->type,
                                       .rows = shape->n,
                                       .cols = shape->k,
                                       .data = measuring->bulk}};
    size_t packed = shape->m <= GEMV_ROWS_MOST ? matrix_packed_bytes(&matrix.stored, measuring->isa) : 0;
    size_t bytes = packed > 0 ? packed : shape->n * weight_row_bytes(shape->type, shape->k);
    size_t grain = packed > 0 ? CACHE_LINE : WEIGHT_GRAIN * weight_layouts[shape->type].block_bytes;
    const char *data = shape->sets == 1 ? measuring->bulk : measuring_next(measuring, bytes, grain);
    if (packed > 0) /* what it holds is no matter for the time */
        matrix.packed = data;
    else
        matrix.stored.data = data;
    const struct product product = {.w = &matrix,
                                    .x = measuring->x,
                                    .x_stride = shape->k,
                                    .m = shape->m,
                                    .y = measuring->y,
                                    .y_stride = shape->n};
    return gemm(measuring->team, measuring->isa, &product, 1, &measuring->gemm, diag);
}

/* One pattern again and again. */
bool measure_fill_weights(struct measuring *measuring, struct diag *diag, enum weight_type type)
{
    enum { VALUES = 1 << 16 };
    size_t bytes = weight_row_bytes(type, VALUES);
    char *pattern = ARENA_ARRAY(measuring->arena, char, bytes);
    float *values = ARENA_ARRAY(measuring->arena, float, VALUES);
    if (!pattern || !values)
        return diag_error(diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < VALUES; i++)
        values[i] = measuring->x[i] / 16;
    weights_encode(type, values, VALUES, pattern);
    for (size_t at = 0; at + bytes <= measuring->bulk_bytes; at += bytes)
        memcpy(measuring->bulk + at, pattern, bytes);
    return true;
}

static bool add_trial(struct measuring *measuring, struct trial *trial, const struct gemm_shape *shape)
{
    struct gemm_shape *own = ARENA_NEW(measuring->arena, struct gemm_shape);
    if (!own)
        return false;
    *own = *shape;
    *trial = (struct trial){.run = run_gemm,
                            .shape = own,
                            .cells = arena_printf(measuring->arena, "fp32,%s,%d,%zu,%zu,%zu",
                                                  weight_layouts[shape->type].name, shape->m, shape->n,
                                                  shape->k, shape->sets)};
    return trial->cells != NULL;
}

static bool whole_blocks(enum weight_type type, size_t k)
{
    return k % weight_layouts[type].block_values == 0;
}

/* The grid of one type. Rows are no multiples of tiles: prompts are not. */
static size_t add_type(struct measuring *measuring, enum weight_type type, struct trial *trials, size_t most)
{
    static const size_t cold[][2] = {{2048, 2048}, {3072, 1024}, {2048, 5632},
                                     {4096, 4096}, {8192, 2560}, {1024, 3072}};
    /* as routers, gates, Mamba's dt and latent attention's heads have them; the last caches keep all layers'
     */
    static const size_t kept[][2] = {{512, 2048}, {2048, 1024}, {32, 1024}, {80, 1536},
                                     {256, 2048}, {1536, 48},   {8192, 128}};
    static const int rows[] = {1, 2, 4, 8, 20, 100, 330}, few[] = {1, 4, 100};
    bool quick = measuring->options.quick;
    size_t count = 0;
    for (size_t s = 0; s < sizeof cold / sizeof *cold - (quick ? 3 : 0); s++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows - (quick ? 1 : 0); i++) {
            struct gemm_shape shape = {type, cold[s][0], cold[s][1], rows[i], 1};
            shape.sets = measuring->bulk_bytes / (shape.n * weight_row_bytes(type, shape.k));
            /* long products need only be few */
            bool large = rows[i] > 100 ? s > 1 : rows[i] > 20 && (s == 3 || s == 4);
            if (count == most || shape.sets == 0 || large)
                continue;
            count += add_trial(measuring, &trials[count], &shape);
        }
    for (size_t s = 0; s < sizeof kept / sizeof *kept; s++)
        for (size_t i = 0; i < sizeof few / sizeof *few && count < most; i++) {
            struct gemm_shape shape = {type, kept[s][0], kept[s][1], few[i], 1};
            if (whole_blocks(type, shape.k))
                count += add_trial(measuring, &trials[count], &shape);
        }
    return count;
}

bool measure_gemms(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                   struct text *csv)
{
    enum { TRIALS_MOST = 64 };
    struct trial trials[TRIALS_MOST];
    text_add(csv, "device,source,dtype,weight_dtype,m,n,k,weight_sets,time_us\n");
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++) {
        bool common = type == WEIGHT_BF16 || type == WEIGHT_Q8_0 || type == WEIGHT_Q4_K;
        bool own = type <= WEIGHT_Q6_K; /* the others are multiplied as fp32 */
        if (!own || (measuring->options.quick && !common))
            continue;
        size_t count = add_type(measuring, (enum weight_type)type, trials, TRIALS_MOST);
        if (!measure_fill_weights(measuring, diag, (enum weight_type)type) ||
            !measure_trials(measuring, diag, trials, count, device, source, csv))
            return false;
    }
    return true;
}
