/* Attention against this machine's roofs: decode by the bytes of the cache that it reads, prefill by the
 * operations of its scores and values. The roofs are measured in the same run. exec_attention [TEXT]: only
 * cases that have this in their names. */
#include "exec/kernels/attention.h"
#include "exec/probe/rates.h"
#include "support/attention_case.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 5, PROBE_BYTES = 256 << 20 };

struct roofs {
    double read, flops; /* byte/s, FLOP/s */
};

/* The best of several: other programs only ever take time away. */
static double best_seconds(struct team *team, const struct attention *call, struct attention_scratch *scratch,
                           struct diag *diag, int rounds)
{
    double best = 1e9;
    for (int i = 0; i <= rounds; i++) {
        double start = clock_seconds();
        if (!attention(team, cpu_isa(), call, scratch, diag))
            return 0;
        double seconds = clock_seconds() - start;
        if (i > 0 && seconds < best)
            best = seconds;
    }
    return best;
}

/* Pairs of a query's token and a key that it sees, all sequences. */
static double seen_pairs(const struct attention_shape *shape)
{
    double pairs = 0;
    for (int s = 0; s < shape->count; s++) {
        double n = shape->fresh[s];
        pairs += n * shape->cached[s] + n * (n + 1) / 2;
    }
    return pairs;
}

static void report(struct team *team, const struct attention_shape *shape, const struct roofs *roofs,
                   const char *name)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct attention_scratch scratch = {0};
    struct attention_case made;
    if (!attention_case_new(&made, arena, &diag, shape, 1)) {
        printf("%s: %s\n", name, diag_first_error(&diag));
        arena_free(arena);
        return;
    }
    double seconds = best_seconds(team, &made.attention, &scratch, &diag, ROUNDS);
    double flops = 2 * seen_pairs(shape) * shape->heads * (shape->dim + shape->v_dim);
    double bytes = (double)(made.k.row_bytes + (shape->latent ? 0 : made.v.row_bytes)) * shape->kv_heads;
    double tokens = 0;
    for (int s = 0; s < shape->count; s++)
        tokens += shape->cached[s] + shape->fresh[s];
    bytes *= tokens;
    double rate = bytes / seconds, work = flops / seconds;
    printf("%-22s %-5s %d thr %9.1f us %6.1f GB/s %3.0f %% of read  %6.1f GFLOP/s %3.0f %% of fp32\n", name,
           kv_type_name(shape->type), team_threads(team), seconds * 1e6, rate * 1e-9,
           100 * rate / roofs->read, work * 1e-9, 100 * work / roofs->flops);
    attention_scratch_free(&scratch);
    attention_case_free(&made);
    arena_free(arena);
}

static void decodes(struct team *team, const struct roofs *roofs, const char *part)
{
    static const struct {
        const char *name;
        int heads, kv_heads, dim, v_dim, sequences, context;
        bool latent;
    } cases[] = {{"decode 32/4x64", 32, 4, 64, 64, 4, 8191, false},
                 {"decode 32/32x128", 32, 32, 128, 128, 1, 8191, false},
                 {"decode 32/8x128", 32, 8, 128, 128, 2, 8191, false},
                 {"decode MLA 16/1x576", 16, 1, 576, 512, 4, 8191, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int type = 0; strstr(cases[i].name, part) && type < KV_TYPE_COUNT; type++) {
            struct attention_shape shape = {.heads = cases[i].heads,
                                            .kv_heads = cases[i].kv_heads,
                                            .dim = cases[i].dim,
                                            .v_dim = cases[i].v_dim,
                                            .latent = cases[i].latent,
                                            .type = (enum kv_type)type,
                                            .page_tokens = 64,
                                            .count = cases[i].sequences};
            for (int s = 0; s < shape.count; s++) {
                shape.cached[s] = cases[i].context;
                shape.fresh[s] = 1;
            }
            report(team, &shape, roofs, cases[i].name);
        }
}

static void prefills(struct team *team, const struct roofs *roofs, const char *part)
{
    static const struct {
        const char *name;
        int heads, kv_heads, dim, v_dim, tokens;
        bool latent;
        enum kv_type type;
    } cases[] = {{"prefill 32/4x64", 32, 4, 64, 64, 2048, false, KV_F16},
                 {"prefill 32/4x64", 32, 4, 64, 64, 2048, false, KV_Q8_0},
                 {"prefill 32/32x128", 32, 32, 128, 128, 2048, false, KV_F16},
                 {"prefill 32/8x128", 32, 8, 128, 128, 2048, false, KV_F16},
                 {"prefill MLA 16/1x576", 16, 1, 576, 512, 1024, true, KV_F16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attention_shape shape = {.heads = cases[i].heads,
                                        .kv_heads = cases[i].kv_heads,
                                        .dim = cases[i].dim,
                                        .v_dim = cases[i].v_dim,
                                        .latent = cases[i].latent,
                                        .type = cases[i].type,
                                        .page_tokens = 64,
                                        .count = 1,
                                        .fresh = {cases[i].tokens}};
        if (strstr(cases[i].name, part))
            report(team, &shape, roofs, cases[i].name);
    }
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    void *probe = buffer_new(&diag, PROBE_BYTES);
    if (!probe)
        return 1;
    memset(probe, 1, PROBE_BYTES);
    struct team *all = team_new(arena, &diag, 0);
    int most = all ? team_threads(all) : 0;
    for (int threads = 1; threads <= most; threads = threads < most ? most : most + 1) {
        struct team *team = threads == most ? all : team_new(arena, &diag, threads);
        if (!team)
            return 1;
        struct roofs roofs = {read_bandwidth(team, probe, PROBE_BYTES, 5),
                              arithmetic_peak(team, cpu_isa(), ARITHMETIC_F32, 5)};
        printf("%d threads: read %.1f GB/s, fp32 %.1f GFLOP/s\n", threads, roofs.read * 1e-9,
               roofs.flops * 1e-9);
        decodes(team, &roofs, part);
        prefills(team, &roofs, part);
    }
    buffer_free(probe, PROBE_BYTES);
    arena_free(arena);
    return 0;
}
