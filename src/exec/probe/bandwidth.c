/* Bandwidths: each thread goes over its share of the buffer again and again, a cache line an instruction
 * where vectors are that wide. Writes are ordinary stores, as kernels' are: DRAM then also reads each line
 * before it is written, which is not counted. */
#include "base/memory.h"
#include "exec/probe/rates.h"

#include <math.h>
#include <stdint.h>
#include <unistd.h>

enum { LINE = 64, STEP = 8 * LINE };

/* Bytes that one timed pass moves at least, so that starting the team does not show: some 0.3 ms. */
#define PASS_BYTES (64.0 * 1024 * 1024)

/* Passes over `bytes` of a share, a multiple of STEP. */
typedef void pass_function(char *to, const char *from, size_t bytes);

/* A vector of the width that the target attribute of the function using it has instructions for. */
#define PASSES(suffix, vector, attributes)                                                                   \
    attributes static void read_##suffix(char *to, const char *from, size_t bytes)                           \
    {                                                                                                        \
        (void)to;                                                                                            \
        enum { WIDE = STEP / sizeof(vector) };                                                               \
        const vector *line = (const vector *)(const void *)from, *end = line + bytes / sizeof(vector);       \
        vector a = {0}, b = {0}, c = {0}, d = {0};                                                           \
        for (; line < end; line += WIDE)                                                                     \
            for (int i = 0; i < WIDE; i += 4) {                                                              \
                a ^= line[i];                                                                                \
                b ^= line[i + 1];                                                                            \
                c ^= line[i + 2];                                                                            \
                d ^= line[i + 3];                                                                            \
            }                                                                                                \
        a ^= b ^ c ^ d;                                                                                      \
        __asm__ volatile("" ::"m"(a));                                                                       \
    }                                                                                                        \
    attributes static void write_##suffix(char *to, const char *from, size_t bytes)                          \
    {                                                                                                        \
        (void)from;                                                                                          \
        vector *line = (vector *)(void *)to, *end = line + bytes / sizeof(vector), zero = {0};               \
        const vector ones = zero + 1;                                                                        \
        for (; line < end; line += 4) {                                                                      \
            line[0] = line[1] = line[2] = line[3] = ones;                                                    \
            __asm__ volatile("" ::: "memory");                                                               \
        }                                                                                                    \
    }                                                                                                        \
    attributes static void copy_##suffix(char *to, const char *from, size_t bytes)                           \
    {                                                                                                        \
        vector *line = (vector *)(void *)to, *end = line + bytes / sizeof(vector);                           \
        const vector *source = (const vector *)(const void *)from;                                           \
        for (; line < end; line += 4, source += 4) {                                                         \
            vector a = source[0], b = source[1], c = source[2], d = source[3];                               \
            line[0] = a, line[1] = b, line[2] = c, line[3] = d;                                              \
            __asm__ volatile("" ::: "memory");                                                               \
        }                                                                                                    \
    }

typedef int64_t words_128 __attribute__((vector_size(16), may_alias));
PASSES(128, words_128, )

#ifdef __x86_64__
typedef int64_t words_256 __attribute__((vector_size(32), may_alias));
typedef int64_t words_512 __attribute__((vector_size(64), may_alias));
PASSES(256, words_256, __attribute__((target("avx2"))))
PASSES(512, words_512, __attribute__((target("avx512f"))))
#endif

struct pass_kind {
    pass_function *bits_128, *bits_256, *bits_512;
};

#ifdef __x86_64__
#define WIDTHS(kind)                                                                                         \
    {                                                                                                        \
        kind##_128, kind##_256, kind##_512                                                                   \
    }
#else
#define WIDTHS(kind)                                                                                         \
    {                                                                                                        \
        kind##_128, kind##_128, kind##_128                                                                   \
    }
#endif

struct sweep {
    struct team *team;
    pass_function *pass;
    char *to;
    const char *from;
    size_t bytes, repeats;
    int turn; /* a thread goes over the share of the thread that stands so far behind it */
};

static void set_pass(struct sweep *sweep, const struct pass_kind *kind)
{
    enum isa isa = cpu_isa();
    sweep->pass = isa >= ISA_AVX512 ? kind->bits_512 : isa >= ISA_AVX2 ? kind->bits_256 : kind->bits_128;
}

static void work(void *context, int thread, int threads)
{
    const struct sweep *sweep = context;
    size_t from, to;
    team_share(sweep->bytes, STEP, (thread + sweep->turn) % threads, threads, &from, &to);
    size_t share = (to - from) / STEP * STEP;
    for (size_t i = 0; i < sweep->repeats && share > 0; i++)
        sweep->pass(sweep->to ? sweep->to + from : NULL, sweep->from ? sweep->from + from : NULL, share);
}

/* Bytes gone over a second, the best of the rounds. */
static double best(struct sweep *sweep, int rounds)
{
    sweep->bytes = sweep->bytes / STEP * STEP;
    if (sweep->bytes == 0)
        return 0;
    double most = 0, bytes = (double)sweep->bytes;
    sweep->repeats = bytes < PASS_BYTES ? (size_t)(PASS_BYTES / bytes) : 1;
    for (int i = 0; i < rounds; i++) {
        double begin = clock_seconds();
        team_run(sweep->team, work, sweep);
        double seconds = clock_seconds() - begin;
        double rate = seconds > 0 ? bytes * (double)sweep->repeats / seconds : 0;
        most = rate > most ? rate : most;
    }
    return most;
}

size_t probe_bytes(void)
{
    enum { LEAST = 256 << 20, OVER = 4, PART = 8 };
    long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE), l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    double bytes = fmax(LEAST, OVER * (double)(l3 > l2 ? l3 : l2));
    return (size_t)(fmin(bytes, memory_available() / PART) / STEP) * STEP;
}

double read_bandwidth(struct team *team, const void *buffer, size_t bytes, int rounds)
{
    static const struct pass_kind kind = WIDTHS(read);
    struct sweep sweep = {.team = team, .from = buffer, .bytes = bytes};
    set_pass(&sweep, &kind);
    return best(&sweep, rounds);
}

double written_read_bandwidth(struct team *team, void *buffer, size_t bytes, bool of_peer)
{
    static const struct pass_kind writes = WIDTHS(write), reads = WIDTHS(read);
    struct sweep write = {.team = team, .to = buffer, .bytes = bytes, .repeats = 1},
                 read = {.team = team, .from = buffer, .bytes = bytes, .repeats = 1, .turn = of_peer};
    set_pass(&write, &writes);
    set_pass(&read, &reads);
    team_run(team, work, &write);
    double begin = clock_seconds();
    team_run(team, work, &read);
    double seconds = clock_seconds() - begin;
    return seconds > 0 ? (double)bytes / seconds : 0;
}

double write_bandwidth(struct team *team, void *buffer, size_t bytes, int rounds)
{
    static const struct pass_kind kind = WIDTHS(write);
    struct sweep sweep = {.team = team, .to = buffer, .bytes = bytes};
    set_pass(&sweep, &kind);
    return best(&sweep, rounds);
}

double copy_bandwidth(struct team *team, void *to, const void *from, size_t bytes, int rounds)
{
    static const struct pass_kind kind = WIDTHS(copy);
    struct sweep sweep = {.team = team, .to = to, .from = from, .bytes = bytes};
    set_pass(&sweep, &kind);
    return 2 * best(&sweep, rounds);
}
