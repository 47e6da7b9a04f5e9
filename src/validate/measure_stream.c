/* The operators between the products, on rows of fp32 values: as the runner runs them, small ones on one core
 * without starting the others. */
#include "exec/kernels/small.h"
#include "validate/measuring.h"

struct stream_shape;
typedef void stream_rows(const struct measuring *measuring, const struct stream_shape *shape, size_t from,
                         size_t to);

struct stream_kernel {
    const char *name;
    stream_rows *work;
    bool by_value; /* threads share values, not rows */
    /* of one row: values read and written and FLOPs, as graph/ counts them */
    double read, written, flops, exponentials, in_place; /* for each value of the row's width */
    size_t operands;                                     /* of [rows][width], fresh */
};

struct stream_shape {
    const struct stream_kernel *kernel;
    size_t rows, width;
};

/* An operand's rows. What operators write apart from what they read goes to y, the same each time. */
static float *operand(const struct measuring *measuring, const struct stream_shape *shape, size_t index)
{
    return measuring->fresh + index * shape->rows * shape->width;
}

static void norm_rows(const struct measuring *measuring, const struct stream_shape *shape, size_t from,
                      size_t to)
{
    size_t width = shape->width;
    for (size_t i = from; i < to; i++)
        rms_norm(measuring->isa, operand(measuring, shape, 0) + i * width, measuring->x, 1e-5F, width,
                 measuring->y + i * width);
}

static void add_values(const struct measuring *measuring, const struct stream_shape *shape, size_t from,
                       size_t to)
{
    add_scaled(measuring->isa, operand(measuring, shape, 1) + from, 1e-6F, to - from,
               operand(measuring, shape, 0) + from);
}

/* In place, as the runner does. */
static void activate_values(const struct measuring *measuring, const struct stream_shape *shape, size_t from,
                            size_t to)
{
    float *gate = operand(measuring, shape, 0) + from;
    activate(measuring->isa, ACTIVATION_SILU, gate, operand(measuring, shape, 1) + from, to - from, gate);
}

enum { ROPE_DIM = 64 };
#define EIGHT(x) x, x, x, x, x, x, x, x
/* One position's cosines and sines; lengths stay, however often it turns. */
static const float rope_turn[ROPE_DIM] = {EIGHT(0.6F), EIGHT(0.6F), EIGHT(0.6F), EIGHT(0.6F),
                                          EIGHT(0.8F), EIGHT(0.8F), EIGHT(0.8F), EIGHT(0.8F)};

static void rope_rows(const struct measuring *measuring, const struct stream_shape *shape, size_t from,
                      size_t to)
{
    const struct rope rope = {.n = ROPE_DIM, .frequencies = measuring->x, .magnitude = 1};
    for (size_t i = from; i < to; i++)
        rope_heads(measuring->isa, &rope, rope_turn, operand(measuring, shape, 0) + i * shape->width,
                   (int)(shape->width / ROPE_DIM), ROPE_DIM);
}

static const struct stream_kernel kernels[] = {
    {"norm", norm_rows, false, 1, 1, 7, 0, 0, 1},
    {"residual_add", add_values, true, 2, 1, 1, 0, 1, 2},
    {"activation", activate_values, true, 2, 1, 5, 1, 1, 2},
    {"rope", rope_rows, false, 1, 1, 3, 0, 1, 1},
};

static void produce(struct measuring *measuring, const struct trial *trial)
{
    const struct stream_shape *shape = trial->shape;
    measure_produce(measuring, shape->rows, shape->width, shape->kernel->operands);
}

/* ---- runs ---- */

struct sharing {
    const struct measuring *measuring;
    const struct stream_shape *shape;
    size_t count, grain;
};

static void run_share(void *context, int thread, int threads)
{
    const struct sharing *sharing = context;
    size_t from, to;
    team_share(sharing->count, sharing->grain, thread, threads, &from, &to);
    if (from < to)
        sharing->shape->kernel->work(sharing->measuring, sharing->shape, from, to);
}

static bool run_stream(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    enum { VALUES_ALONE = 8192, GRAIN = 64 }; /* the runner's */
    const struct stream_shape *shape = trial->shape;
    bool by_value = shape->kernel->by_value;
    size_t values = shape->rows * shape->width;
    (void)diag;
    struct sharing sharing = {measuring, shape, by_value ? values : shape->rows, by_value ? GRAIN : 1};
    if (sharing.count <= sharing.grain || values <= VALUES_ALONE)
        shape->kernel->work(measuring, shape, 0, sharing.count);
    else
        team_run(measuring->team, run_share, &sharing);
    return true;
}

bool measure_streams(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                     struct text *csv)
{
    static const size_t widths[] = {2048, 5632}, rows[] = {1, 4, 16, 64, 256, 512};
    enum {
        KERNELS = sizeof kernels / sizeof *kernels,
        WIDTHS = 2,
        ROWS = 6,
        TRIALS = KERNELS * WIDTHS * ROWS
    };
    struct trial trials[TRIALS];
    struct stream_shape shapes[TRIALS];
    size_t count = 0;
    text_add(csv,
             "device,source,operator,dtype,rows,read,written,flops,exponentials,in_place,produced,time_us\n");
    for (size_t k = 0; k < KERNELS; k++)
        for (size_t w = 0; w < WIDTHS; w++)
            for (size_t r = 0; r < ROWS; r++) {
                const struct stream_kernel *kernel = &kernels[k];
                double width = (double)widths[w];
                shapes[count] = (struct stream_shape){kernel, rows[r], widths[w]};
                trials[count] =
                    (struct trial){.run = run_stream, .produce = produce, .shape = &shapes[count]};
                trials[count].cells =
                    arena_printf(measuring->arena, "%s,fp32,%zu,%g,%g,%g,%g,%g,1", kernel->name, rows[r],
                                 kernel->read * width, kernel->written * width, kernel->flops * width,
                                 kernel->exponentials * width, kernel->in_place * width);
                if (!trials[count++].cells)
                    return diag_error(diag, NOWHERE, "out of memory");
            }
    return measure_trials(measuring, diag, trials, count, device, source, csv);
}
