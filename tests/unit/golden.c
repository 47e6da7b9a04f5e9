/* Golden answers: every model on four devices and three models on every device, pinned to six digits, so that
 * a change of any number shows in review. RAFTER_UPDATE_GOLDEN=1 rewrites tests/golden. */
#include "base/file.h"
#include "base/text.h"
#include "support/ask.h"
#include "support/shipped.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Large models get as many devices as hold them, within what divides. */
static const struct {
    const char *device;
    const char *software;
} devices[] = {
    {"h100-sxm", "vllm"}, {"a100-80gb-sxm", "trtllm"}, {"mi300x", "vllm"}, {"epyc-9654", "llama-cpp"}};

static void add_row(struct text *out, const char *model, const char *device, const char *software)
{
    struct question question = {
        .model = model, .device = device, .software = software, .batch = 4, .prompt = 512, .output = 64};
    for (int n = 1; n <= 16; n *= 2) {
        question.devices = n;
        struct asked asked = ask(&question);
        if (!asked.ok) { /* does not divide by n: fewer devices it is, or the reason */
            if (n == 1)
                text_printf(out, "%s,%s,%s,%d,%s\n", model, device, software, n, asked.diag.first->text);
            asked_free(&asked);
            if (n == 1)
                return;
            question.devices = n / 2;
            asked = ask(&question);
            n = 16;
        } else if (!asked.answer.memory.fits && n < 16) {
            asked_free(&asked);
            continue;
        }
        const struct answer *a = &asked.answer;
        text_printf(out, "%s,%s,%s,%d,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%s\n", model, device, software,
                    question.devices, a->ttft_s, a->tpot_s, a->latency_s, a->memory.weights, a->memory.kv,
                    a->memory.total, a->energy_j, a->memory.fits ? "fits" : "does not fit");
        asked_free(&asked);
        return;
    }
}

static const char header[] =
    "model,device,software,devices,ttft_s,tpot_s,latency_s,weights_bytes,kv_bytes,total_bytes,"
    "energy_j,verdict\n";

/* A row for each entry of the catalogue that can be asked about. */
static void add_each(struct text *out, enum catalogue_kind kind,
                     void (*add)(struct text *out, const struct catalogue_entry *entry), size_t least)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    struct catalogue_entry *entries;
    size_t count;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    cr_assert(catalogue_list(&catalogue, &diag, kind, &entries, &count), "%s", diag_first_error(&diag));
    count = keep_shipped(entries, count);
    cr_assert(count >= least);
    text_add(out, header);
    for (size_t i = 0; i < count; i++)
        if (!entries[i].abstract)
            add(out, &entries[i]);
    arena_free(arena);
}

static void add_model(struct text *out, const struct catalogue_entry *entry)
{
    for (size_t d = 0; d < sizeof devices / sizeof *devices; d++)
        add_row(out, entry->id, devices[d].device, devices[d].software);
}

static void add_device(struct text *out, const struct catalogue_entry *entry)
{
    static const char *const models[] = {"llama-3.2-1b", "llama-3.1-8b", "mixtral-8x7b"};
    if (entry->is_system)
        return;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        add_row(out, models[m], entry->id, "vllm");
}

/* The first line that differs, for the message. */
static void expect_same(const char *golden, const char *now)
{
    int line = 1;
    while (*golden || *now) {
        size_t a = strcspn(golden, "\n"), b = strcspn(now, "\n");
        cr_expect(a == b && memcmp(golden, now, a) == 0,
                  "line %d was %.*s\n  and is %.*s\n  make golden rewrites it", line, (int)a, golden, (int)b,
                  now);
        golden += a + (golden[a] == '\n');
        now += b + (now[b] == '\n');
        line++;
    }
}

static void expect_golden(const char *path, enum catalogue_kind kind,
                          void (*add)(struct text *out, const struct catalogue_entry *entry), size_t least)
{
    struct text now = {0};
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    add_each(&now, kind, add, least);
    cr_assert_not(now.failed);
    if (getenv("RAFTER_UPDATE_GOLDEN"))
        cr_assert(file_write(&diag, path, now.data, now.length), "%s", diag_first_error(&diag));
    size_t length;
    char *golden = file_read(arena, &diag, path, 1 << 22, &length);
    cr_assert(golden != NULL, "%s", diag_first_error(&diag));
    expect_same(golden, now.data);
    text_free(&now);
    arena_free(arena);
}

Test(golden, every_model_on_four_devices)
{
    expect_golden(SOURCE_DIR "/tests/golden/estimates.csv", CATALOGUE_MODELS, add_model, 20);
}

Test(golden, three_models_on_every_device)
{
    expect_golden(SOURCE_DIR "/tests/golden/devices.csv", CATALOGUE_HARDWARE, add_device, 20);
}
