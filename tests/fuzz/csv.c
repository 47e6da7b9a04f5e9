/* Fuzz target: measured samples. The input is a CSV file; what can be read is predicted. */
#include "fit/sample_filter.h"
#include "spec/catalogue.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The device that rows may name, read once. */
static const struct device *device_of(void)
{
    static const struct device *device;
    static struct catalogue catalogue;
    static struct diag diag;
    if (!device) {
        diag.arena = arena_new(0);
        catalogue_open(&catalogue, diag.arena);
        device = catalogue_device(&catalogue, &diag, "h100-sxm", NULL);
        check(device != NULL);
    }
    return device;
}

/* Every sample has a time, or a reason why not. */
static void predict_all(const struct sample_set *set, struct diag *diag)
{
    enum { PREDICTED_MOST = 32 };
    struct arena *scratch = arena_new(0);
    for (size_t i = 0; i < set->count && i < PREDICTED_MOST; i++) {
        const struct sample *sample = &set->samples[i];
        struct system system;
        struct system_member member;
        struct target target;
        double seconds = 0, sigma = 0;
        check(sample->block < set->block_count && sample->seconds > 0);
        check(samples_target(set, &set->blocks[sample->block], set->device, &system, &member, &target, diag));
        int before = diag->errors;
        bool good = sample_predict(sample, &target, scratch, diag, &seconds, &sigma);
        check(good == (diag->errors == before));
        check(!good || (isfinite(seconds) && seconds > 0 && sigma >= 0));
        check(sample_dimensions(sample, scratch) != NULL);
        check(sample_fold(sample, true) < FOLDS && sample_fold(sample, false) < FOLDS);
    }
    arena_free(scratch);
}

static void check_counts(const struct sample_set *set)
{
    size_t in_blocks = 0, skipped = 0;
    for (size_t i = 0; i < set->block_count; i++)
        in_blocks += set->blocks[i].count;
    for (size_t i = 0; i < set->skipped_kinds; i++)
        skipped += set->skipped[i].count;
    check(in_blocks == set->count && skipped <= set->skipped_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(64 << 20);
    struct diag diag = {.arena = arena};
    struct csv_table table;
    struct sample_set set;
    char *text = arena_strndup(arena, (const char *)data, size);
    samples_start(&set, arena, device_of());
    bool good =
        csv_parse(&table, arena, &diag, "fuzz.csv", text) && samples_add(&set, &diag, &table, NULL, NULL);
    check(good == (diag.errors == 0));
    check_counts(&set);
    if (good)
        predict_all(&set, &diag);
    for (const struct diag_message *message = diag.first; message; message = message->next)
        for (const char *c = diag_line(&diag, message); *c; c++)
            check((unsigned char)*c >= 0x20);
    arena_free(arena);
    return 0;
}
