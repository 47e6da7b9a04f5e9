/* Sharing products out: which kernel takes which, the conversion of x, and the pieces of each thread.
 *
 * Products of few rows (GEMV) are cut into one contiguous range of weight rows a thread, by bytes. The others
 * are cut into pieces of at most X_ROWS_MOST rows by a few panels, which threads take one after another. A
 * value of y is computed in one piece, in the same order whoever does it: results do not depend on the number
 * of threads. */
#include "exec/kernels/gemm.h"

#include "exec/kernels/gemv_packed.h"

#include <string.h>

enum {
    PANELS_MOST = 4,     /* of a piece, over which that x is used again */
    PIECES_A_THREAD = 6, /* at least, so that all end about together */
    THREAD_BYTES = PANEL_BYTES + PANELS_MOST * PANEL * (X_ROWS_MOST + TILE) * 4, /* scratch: panel, sums */
    LOOK_BACK = 4, /* conversions compared with, for the same x */
    LINE = 64,     /* of a cache; scratch is aligned to it */
};

/* x in the form that a kernel wants. */
struct conversion {
    const struct product *product; /* whose x */
    size_t k, dwords;
    int tile_rows; /* <= TILE, even over the tiles */
    size_t tiles, first_tile;
    convert_function *convert;
    quantise_function *quantise; /* GEMV's rows; NULL: tiles */
    struct x_form form;
    uint32_t *values;
    float *scales;
    uint32_t *sums;
};

struct share {
    const struct product *product;
    const struct gemm_kernel *gemm; /* NULL: GEMV */
    const struct gemv_kernel *gemv;
    bool packed;       /* GEMV by the packed weights */
    size_t conversion; /* none: SIZE_MAX */
    size_t panels;     /* of a piece */
    size_t rows;       /* of a piece */
    size_t groups;     /* of columns */
    size_t first;      /* pieces (GEMV: bytes of weights) of the products before */
};

struct job {
    struct share *shares;
    size_t count;
    struct conversion *conversions;
    size_t conversion_count, tiles;
    size_t pieces, next_piece; /* taken atomically */
    size_t gemv_bytes;
    char *panels; /* [thread][THREAD_BYTES] */
};

/* ---- choice of kernels ---- */

/* Whether bf16 dot products do more than fp32 ones. Intel's cores, which have AMX for them, start one in two
 * cycles where they start four fp32 vectors (102 and 200 GFLOP/s measured on a Sapphire Rapids core); AMD's
 * start as many of either (564 and 283 GFLOP/s measured on a Zen 5 core). */
static bool bf16_is_faster(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    return !__builtin_cpu_is("intel");
#else
    return false;
#endif
}

/* Tables, the least one first; a later one that the processor can run and that has the type is better. */
static const struct gemm_kernel *gemm_kernel_of(enum isa isa, enum weight_type type)
{
    static const struct {
        enum isa least;
        const struct gemm_kernel *kernels;
    } tables[] = {
        {ISA_PORTABLE, gemm_portable},
#ifdef __x86_64__
        {ISA_AVX2, gemm_avx2},          {ISA_AVX512, gemm_f32_avx512},
        {ISA_AVX512, gemm_int8_avx512}, {ISA_AVX512_BF16, gemm_bf16_avx512},
#endif
    };
    const struct gemm_kernel *best = &gemm_portable[type];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (isa >= tables[i].least && tables[i].kernels[type].multiply != NULL &&
            (tables[i].kernels[type].form.operand != GEMM_BF16 || bf16_is_faster()))
            best = &tables[i].kernels[type];
    return best;
}

static const struct gemv_kernel *gemv_kernel_of(enum isa isa, const struct matrix *w)
{
    enum weight_type type = w->stored.type;
#ifdef __x86_64__
    if (w->packed != NULL && isa >= ISA_AVX512 && gemv_packed_avx512[type].run != NULL)
        return &gemv_packed_avx512[type];
#endif
    static const struct {
        enum isa least;
        const struct gemv_kernel *kernels;
    } tables[] = {
        {ISA_PORTABLE, gemv_portable},
#ifdef __x86_64__
        {ISA_AVX2, gemv_avx2},
        {ISA_AVX512, gemv_avx512},
#endif
    };
    const struct gemv_kernel *best = &gemv_portable[type];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (isa >= tables[i].least && tables[i].kernels[type].run != NULL)
            best = &tables[i].kernels[type];
    return best;
}

static bool is_packed(const struct gemv_kernel *kernel, enum weight_type type)
{
#ifdef __x86_64__
    return kernel == &gemv_packed_avx512[type];
#else
    return false;
#endif
}

static bool same_x(const struct conversion *a, const struct conversion *b)
{
    const struct product *p = a->product, *q = b->product;
    return p->x == q->x && p->x_stride == q->x_stride && p->rows == q->rows && p->m == q->m && a->k == b->k &&
           a->convert == b->convert && a->quantise == b->quantise && a->form.operand == b->form.operand &&
           a->form.form == b->form.form && a->form.offset == b->form.offset;
}

/* The conversion of the share's x, one made before where it is the same. */
static size_t add_conversion(struct job *job, const struct share *share)
{
    const struct product *product = share->product;
    size_t m = (size_t)product->m, k = product->w->stored.cols;
    struct conversion made = {.product = product, .k = k, .first_tile = job->tiles};
    if (share->gemm != NULL) {
        made.convert = share->gemm->convert;
        made.form = share->gemm->form;
        made.dwords = operand_dwords(made.form.operand, k);
        made.tiles = (m + TILE - 1) / TILE;
        made.tile_rows = (int)((m + made.tiles - 1) / made.tiles);
        made.tiles = (m + (size_t)made.tile_rows - 1) / (size_t)made.tile_rows;
    } else {
        made.quantise = share->gemv->quantise;
        made.dwords = (operand_dwords(GEMM_INT8, k) + LINE - 1) / LINE * LINE; /* whole groups of 256 */
        made.tiles = m;
        made.tile_rows = 1;
    }
    size_t count = job->conversion_count;
    for (size_t back = 1; back <= LOOK_BACK && back <= count; back++)
        if (same_x(&made, &job->conversions[count - back]))
            return count - back;
    job->conversions[job->conversion_count++] = made;
    job->tiles += made.tiles;
    return count;
}

static size_t values_of(enum gemm_operand operand) /* of a dword */
{
    return operand == GEMM_F32 ? 1 : operand == GEMM_BF16 ? 2 : 4;
}

static size_t rounded(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static size_t blocks_of(const struct conversion *conversion)
{
    return conversion->dwords / BLOCK_DWORDS;
}

/* Places a conversion's arrays at `base`; returns their bytes. GEMV: a row takes dwords, then blocks. */
static size_t place_conversion(struct conversion *conversion, char *base)
{
    size_t width = conversion->quantise != NULL ? 1 : TILE,
           dwords = conversion->tiles * width * sizeof(uint32_t);
    size_t values = rounded(conversion->dwords * dwords), scales = 0, sums = 0;
    if (conversion->quantise != NULL || conversion->form.operand == GEMM_INT8) {
        scales = rounded(blocks_of(conversion) * dwords);
        sums = 3 * scales; /* of 32, and of 16 */
    }
    conversion->values = (uint32_t *)(void *)base;
    conversion->scales = (float *)(void *)(base + values);
    conversion->sums = (uint32_t *)(void *)(base + values + scales);
    return values + scales + sums;
}

/* ---- pieces ---- */

/* Fewer columns, then fewer rows a piece, where there would be too few for the threads. */
static void cut(struct share *share, int threads)
{
    size_t m = (size_t)share->product->m, n = share->product->w->stored.rows;
    size_t columns = (n + PANEL - 1) / PANEL, wanted = (size_t)threads * PIECES_A_THREAD;
    size_t row_blocks = (m + X_ROWS_MOST - 1) / X_ROWS_MOST, panels = PANELS_MOST;
    while (panels > 1 && (columns + panels - 1) / panels * row_blocks < wanted)
        panels /= 2;
    if (columns * row_blocks < (size_t)threads)
        row_blocks = ((size_t)threads + columns - 1) / columns;
    share->panels = panels;
    share->groups = (columns + panels - 1) / panels;
    share->rows = (m + row_blocks - 1) / row_blocks;
}

static void plan(struct job *job, enum isa isa, const struct product *products, size_t count, int threads)
{
    for (size_t i = 0; i < count; i++) {
        const struct product *product = &products[i];
        const struct tensor *w = &product->w->stored;
        if (product->m <= 0 || w->rows == 0)
            continue;
        struct share *share = &job->shares[job->count++];
        *share = (struct share){
            .product = product, .gemv = gemv_kernel_of(isa, product->w), .conversion = SIZE_MAX};
        if (product->m > share->gemv->rows_most || w->cols == 0)
            share->gemm = gemm_kernel_of(isa, w->type);
        share->packed = share->gemm == NULL && is_packed(share->gemv, w->type);
        if (share->gemm != NULL || share->gemv->quantise != NULL)
            share->conversion = add_conversion(job, share);
        if (share->gemm == NULL) {
            share->first = job->gemv_bytes;
            job->gemv_bytes += w->rows * weight_row_bytes(w->type, w->cols);
            continue;
        }
        cut(share, threads);
        size_t tile = (size_t)job->conversions[share->conversion].tile_rows;
        share->rows = (share->rows + tile - 1) / tile * tile;
        share->first = job->pieces;
        job->pieces += share->groups * (((size_t)product->m + share->rows - 1) / share->rows);
    }
}

/* ---- conversion of x ---- */

static const float *x_row(const struct product *product, size_t i)
{
    return product->x + (product->rows != NULL ? (size_t)product->rows[i] : i) * product->x_stride;
}

/* A tile's part of a slice. Slices are the outer dimension, so that all tiles of one lie together. */
static struct x_tile tile_of(const struct conversion *conversion, size_t tile, size_t slice, size_t dwords)
{
    size_t at = (slice * conversion->tiles + tile * dwords) * TILE;
    size_t per_sum = conversion->form.form == INT8_GROUPS ? GROUP_DWORDS : BLOCK_DWORDS;
    return (struct x_tile){conversion->values + at, conversion->scales + at / BLOCK_DWORDS,
                           conversion->sums + at / per_sum};
}

static size_t slice_dwords(const struct conversion *conversion, size_t slice)
{
    return conversion->dwords - slice < SLICE ? conversion->dwords - slice : SLICE;
}

static struct gemv_x gemv_rows(const struct conversion *conversion, const struct product *product)
{
    struct gemv_x x = {0};
    for (size_t i = 0; i < (size_t)product->m; i++) {
        x.values[i] = x_row(product, i);
        if (conversion == NULL)
            continue;
        x.q[i] = (const int8_t *)(conversion->values + i * conversion->dwords);
        x.scales[i] = conversion->scales + i * blocks_of(conversion);
        x.sums[i] = (const float *)conversion->sums + i * 3 * blocks_of(conversion);
        x.halves[i] = x.sums[i] + blocks_of(conversion);
    }
    return x;
}

static void convert_tile(const struct conversion *conversion, size_t tile)
{
    const struct product *product = conversion->product;
    if (conversion->quantise != NULL) {
        struct gemv_x x = gemv_rows(conversion, product);
        conversion->quantise(x.values[tile], conversion->k, (int8_t *)x.q[tile], (float *)x.scales[tile],
                             (float *)x.sums[tile], (float *)x.halves[tile]);
        return;
    }
    const float *rows[TILE];
    size_t first = tile * (size_t)conversion->tile_rows, count = (size_t)product->m - first;
    if (count > (size_t)conversion->tile_rows)
        count = (size_t)conversion->tile_rows;
    for (size_t i = 0; i < count; i++)
        rows[i] = x_row(product, first + i);
    for (size_t slice = 0; slice < conversion->dwords; slice += SLICE) {
        size_t dwords = slice_dwords(conversion, slice),
               values = dwords * values_of(conversion->form.operand);
        size_t done = slice * values_of(conversion->form.operand), left = conversion->k - done;
        struct x_tile out = tile_of(conversion, tile, slice, dwords);
        conversion->convert(rows, (int)count, left < values ? left : values, dwords, conversion->form, &out);
        for (size_t i = 0; i < count; i++)
            rows[i] += values;
    }
}

static void convert_share(const struct job *job, int thread, int threads)
{
    size_t from, to;
    team_share(job->tiles, 1, thread, threads, &from, &to);
    for (size_t i = 0; i < job->conversion_count; i++) {
        const struct conversion *conversion = &job->conversions[i];
        size_t first = conversion->first_tile, last = first + conversion->tiles;
        for (size_t t = from > first ? from : first; t < to && t < last; t++)
            convert_tile(conversion, t - first);
    }
}

/* ---- products ---- */

/* Rows of the share's weights that lie in [from, to) of all GEMV bytes; a row, or a panel of packed ones,
 * belongs to where it begins. */
static void gemv_share(const struct job *job, const struct share *share, size_t from, size_t to)
{
    const struct product *product = share->product;
    struct tensor w = product->w->stored;
    size_t rows = share->packed ? PACK_ROWS : 1, bytes = rows * weight_row_bytes(w.type, w.cols);
    size_t end = share->first + w.rows * weight_row_bytes(w.type, w.cols);
    if (to <= share->first || from >= end)
        return;
    size_t begin = from <= share->first ? 0 : (from - share->first + bytes - 1) / bytes * rows;
    size_t stop = to >= end ? w.rows : (to - share->first + bytes - 1) / bytes * rows;
    stop = stop < w.rows ? stop : w.rows;
    if (share->packed)
        w.data = product->w->packed;
    struct gemv_x x =
        gemv_rows(share->conversion == SIZE_MAX ? NULL : &job->conversions[share->conversion], product);
    float *y[DIRECT_ROWS_MOST];
    for (size_t i = 0; i < (size_t)product->m; i++)
        y[i] = product->y + i * product->y_stride;
    if (begin < stop)
        share->gemv->run(&w, product->w->bias, &x, product->m, begin, stop, y);
}

/* What a thread works on: some rows of x by some panels. */
struct piece {
    const struct share *share;
    const struct conversion *conversion;
    size_t row, row_end, column, column_end;
    const struct panel *panel;
    float *sums; /* [panel][row][PANEL] between slices */
};

/* The last slice of a panel that stands over the edge of y ends in a tile of its own. */
static void multiply_edge(const struct piece *piece, const struct x_tile *x, size_t dwords, int rows,
                          struct sums sums, size_t columns)
{
    float tile[TILE * PANEL], *y = sums.to;
    size_t stride = sums.to_stride;
    sums.to = tile;
    sums.to_stride = PANEL;
    piece->share->gemm->multiply(piece->panel, x, dwords, rows, &sums);
    for (size_t r = 0; r < (size_t)rows; r++)
        memcpy(y + r * stride, tile + r * PANEL, columns * sizeof *y);
}

/* One slice of one panel by the piece's rows. */
static void multiply_panel(const struct piece *piece, size_t column, size_t slice)
{
    const struct product *product = piece->share->product;
    const struct conversion *conversion = piece->conversion;
    size_t n = product->w->stored.rows, columns = n - column < PANEL ? n - column : PANEL;
    size_t step = (size_t)conversion->tile_rows, rows = piece->row_end - piece->row;
    size_t dwords = slice_dwords(conversion, slice);
    bool first = slice == 0, last = slice + SLICE >= conversion->dwords;
    float *between = piece->sums + (column - piece->column) * rows, bias[PANEL] = {0};
    if (product->w->bias != NULL)
        memcpy(bias, product->w->bias + column, columns * sizeof *bias);
    for (size_t r = 0; r < rows; r += step) {
        int count = (int)(rows - r < step ? rows - r : step);
        struct x_tile x = tile_of(conversion, (piece->row + r) / step, slice, dwords);
        struct sums sums = {first ? bias : between + r * PANEL, first ? 0 : PANEL, between + r * PANEL,
                            PANEL};
        if (last) {
            sums.to = product->y + (piece->row + r) * product->y_stride + column;
            sums.to_stride = product->y_stride;
        }
        if (last && columns < PANEL)
            multiply_edge(piece, &x, dwords, count, sums, columns);
        else
            piece->share->gemm->multiply(piece->panel, &x, dwords, count, &sums);
    }
}

static void run_piece(const struct piece *piece)
{
    const struct tensor *w = &piece->share->product->w->stored;
    const struct conversion *conversion = piece->conversion;
    for (size_t slice = 0; slice < conversion->dwords || slice == 0; slice += SLICE)
        for (size_t c = piece->column; c < piece->column_end; c += PANEL) {
            size_t columns = w->rows - c < PANEL ? w->rows - c : PANEL;
            piece->share->gemm->pack(w, c, columns, slice, slice_dwords(conversion, slice), piece->panel);
            multiply_panel(piece, c, slice);
        }
}

static struct piece piece_of(const struct job *job, const struct share *share, size_t number)
{
    size_t n = share->product->w->stored.rows, m = (size_t)share->product->m;
    size_t row = number / share->groups * share->rows,
           column = number % share->groups * share->panels * PANEL;
    size_t columns = share->panels * PANEL;
    return (struct piece){.share = share,
                          .conversion = &job->conversions[share->conversion],
                          .row = row,
                          .row_end = m - row < share->rows ? m : row + share->rows,
                          .column = column,
                          .column_end = n - column < columns ? n : column + columns};
}

static void run_pieces(struct job *job, int thread)
{
    char *base = job->panels + (size_t)thread * THREAD_BYTES;
    struct panel panel = {(uint32_t *)(void *)base, (float *)(void *)(base + PANEL_VALUES_BYTES),
                          (float *)(void *)(base + PANEL_VALUES_BYTES + PANEL_SCALES_BYTES)};
    size_t current = 0;
    for (;;) {
        size_t number = __atomic_fetch_add(&job->next_piece, 1, __ATOMIC_RELAXED);
        if (number >= job->pieces)
            return;
        /* The last share with pieces that begins at or before it. */
        for (size_t i = current + 1; i < job->count; i++) {
            if (job->shares[i].gemm == NULL)
                continue;
            if (job->shares[i].first > number)
                break;
            current = i;
        }
        struct piece taken = piece_of(job, &job->shares[current], number - job->shares[current].first);
        taken.panel = &panel;
        taken.sums = (float *)(void *)(base + PANEL_BYTES);
        run_piece(&taken);
    }
}

struct call {
    struct job job;
    struct team *team;
};

static void work(void *context, int thread, int threads)
{
    struct call *call = context;
    struct job *job = &call->job;
    if (job->tiles > 0) {
        convert_share(job, thread, threads);
        team_barrier(call->team);
    }
    if (job->gemv_bytes > 0) {
        size_t from, to;
        team_share(job->gemv_bytes, 1, thread, threads, &from, &to);
        for (size_t i = 0; i < job->count; i++)
            if (job->shares[i].gemm == NULL)
                gemv_share(job, &job->shares[i], from, to);
    }
    if (job->pieces > 0)
        run_pieces(job, thread);
}

/* ---- scratch ---- */

static bool reserve(struct gemm_scratch *scratch, size_t bytes, struct diag *diag)
{
    if (bytes <= scratch->capacity)
        return true;
    gemm_scratch_free(scratch);
    scratch->bytes = buffer_new(diag, bytes);
    scratch->capacity = scratch->bytes != NULL ? bytes : 0;
    return scratch->bytes != NULL;
}

void gemm_scratch_free(struct gemm_scratch *scratch)
{
    buffer_free(scratch->bytes, scratch->capacity);
    *scratch = (struct gemm_scratch){0};
}

/* Plans the call into the front of the scratch; returns the bytes that all of it takes. */
static size_t plan_into(struct job *job, struct gemm_scratch *scratch, enum isa isa,
                        const struct product *products, size_t count, int threads)
{
    size_t shares = rounded(count * sizeof(struct share));
    size_t conversions = rounded(count * sizeof(struct conversion));
    char *base = scratch->bytes;
    *job = (struct job){.shares = scratch->bytes,
                        .conversions = (struct conversion *)(void *)(base + shares),
                        .panels = base + shares + conversions};
    plan(job, isa, products, count, threads);
    size_t bytes = shares + conversions + (size_t)threads * THREAD_BYTES;
    for (size_t i = 0; i < job->conversion_count; i++)
        bytes += place_conversion(&job->conversions[i], base + bytes);
    return bytes;
}

static bool plan_job(struct job *job, int threads, enum isa isa, const struct product *products, int count,
                     struct gemm_scratch *scratch, struct diag *diag)
{
    size_t n = count > 0 ? (size_t)count : 0;
    size_t bytes = rounded(n * sizeof(struct share)) + rounded(n * sizeof(struct conversion)) +
                   (size_t)threads * THREAD_BYTES;
    do { /* a second time where the plan asks for more scratch */
        if (!reserve(scratch, bytes, diag))
            return false;
        bytes = plan_into(job, scratch, isa, products, n, threads);
    } while (bytes > scratch->capacity);
    return true;
}

bool gemm_reserve(const struct team *team, enum isa isa, const struct product *products, int count,
                  struct gemm_scratch *scratch, struct diag *diag)
{
    struct job job;
    return plan_job(&job, team_threads(team), isa, products, count, scratch, diag);
}

bool gemm(struct team *team, enum isa isa, const struct product *products, int count,
          struct gemm_scratch *scratch, struct diag *diag)
{
    struct call call = {.team = team};
    if (!plan_job(&call.job, team_threads(team), isa, products, count, scratch, diag))
        return false;
    if (call.job.count > 0)
        team_run(team, work, &call);
    return true;
}
