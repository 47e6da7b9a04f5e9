/* Operands as the products before an operator leave them: written by all cores, by columns. */
#include "validate/measuring.h"

struct producing {
    size_t rows, width, count;
    float *values; /* [count][rows][width] */
    const char *weights;
    size_t bytes; /* of them a thread */
};

/* Blocks of columns of all rows, as threads take them of a product. */
static void produce_columns(const struct producing *producing, int thread, int threads, float *values)
{
    enum { BLOCK = 128 };
    size_t width = producing->width;
    for (size_t row = 0; row < producing->rows; row++)
        for (size_t c = (size_t)thread * BLOCK; c < width; c += (size_t)threads * BLOCK)
            for (size_t i = c; i < c + BLOCK && i < width; i++)
                values[row * width + i] = 0.25F;
}

/* Half of a core's own caches is taken by a product's weights and inputs; what it wrote last stays in the
 * other.
 */
static void produce_share(void *context, int thread, int threads)
{
    enum { LINE = 64 };
    const struct producing *producing = context;
    const volatile char *weights = producing->weights + (size_t)thread * producing->bytes;
    for (size_t at = 0; at < producing->bytes; at += LINE)
        (void)weights[at];
    for (size_t i = 0; i < producing->count; i++)
        produce_columns(producing, thread, threads,
                        producing->values + i * producing->rows * producing->width);
}

void measure_produce(struct measuring *measuring, size_t rows, size_t width, size_t count)
{
    enum { LINE = 64 };
    const struct machine *machine = &measuring->rates.machine;
    size_t own = (size_t)(machine->caches[2].bytes / 2 / machine->processors) / LINE * LINE;
    const char *weights = measuring_next(measuring, own * (size_t)team_threads(measuring->team), LINE);
    measuring->fresh =
        (float *)(void *)measuring_next(measuring, count * rows * width * sizeof *measuring->fresh, LINE);
    struct producing producing = {rows, width, count, measuring->fresh, weights, own};
    team_run(measuring->team, produce_share, &producing);
}
