#include "support/measured.h"

#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

void measured_start(struct measured_fixture *f, const char *device)
{
    *f = (struct measured_fixture){.arena = arena_new(0)};
    f->diag.arena = f->arena;
    setenv("RAFTER_PATH", SOURCE_DIR, 1); /* the shipped catalogue, wherever the test runs */
    catalogue_open(&f->catalogue, f->arena);
    f->device = catalogue_device(&f->catalogue, &f->diag, device, NULL);
    cr_assert(f->device, "%s", diag_first_error(&f->diag));
    samples_start(&f->set, f->arena, f->device);
}

void measured_end(struct measured_fixture *f)
{
    arena_free(f->arena);
}

bool measured_add(struct measured_fixture *f, const char *csv)
{
    struct csv_table *table = ARENA_NEW(f->arena, struct csv_table);
    return csv_parse(table, f->arena, &f->diag, "test.csv", arena_strdup(f->arena, csv)) &&
           samples_add(&f->set, &f->diag, table, NULL, NULL);
}

const char *measured_gemms(struct arena *arena, const char *device, const char *source)
{
    static const int sizes[] = {256, 1024, 4096, 8192};
    struct text out = {0};
    text_add(&out, "device,source,dtype,m,n,k,time_us\n");
    for (int m = 1, i = 0; i < 8; m *= 5, i++)
        for (int n = 0; n < 4; n++)
            for (int k = 0; k < 4; k++)
                if (i > 0 || k > 1) /* 120 */
                    text_printf(&out, "%s,%s,bfloat16,%d,%d,%d,1\n", device, source, m, sizes[n], sizes[k]);
    const char *kept = arena_strdup(arena, out.data);
    text_free(&out);
    return kept;
}

static double normal(struct dice *dice)
{
    double radius = sqrt(-2 * log(dice_real(dice, 1e-12, 1)));
    return radius * cos(2 * 3.14159265358979 * dice_real(dice, 0, 1));
}

void measured_time(struct measured_fixture *f, const struct calibration *block, double noise)
{
    struct dice dice = {20261121};
    const struct device *device = device_with_blocks(f->arena, f->device, block, 1);
    for (size_t b = 0; b < f->set.block_count; b++) {
        size_t *chosen, count = choose_samples(&f->set, b, f->arena, NULL, NULL, &chosen);
        double *seconds = ARENA_ARRAY(f->arena, double, count + 1);
        cr_assert(predict_samples(&f->set, b, device, chosen, count, &f->diag, seconds, NULL), "%s",
                  diag_first_error(&f->diag));
        for (size_t i = 0; i < count; i++)
            f->set.samples[chosen[i]].seconds = seconds[i] * exp(noise * normal(&dice));
    }
}
