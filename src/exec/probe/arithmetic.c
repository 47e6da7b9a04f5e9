/* Peaks: independent multiply-adds on registers, as many at once as hide the instructions' latency (at least
 * latency * instructions a cycle: 4 * 2 for fused multiply-adds, up to 6 * 2 for dot products). */
#include "exec/probe/rates.h"

#include <stdint.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Runs `loops` rounds of the instruction mix; returns its multiply-adds. */
typedef double mix_function(uint64_t loops);

#define TWELVE(step)                                                                                         \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

/* Twelve sums, each updated by UPDATE(sum) in every loop. Their first values pass through an empty
 * instruction, since the optimiser would else keep one sum for all, and their last ones, since it would else
 * keep none. */
#ifdef __x86_64__
#define REGISTER "+x"
#elif defined __aarch64__
#define REGISTER "+w"
#else
#define REGISTER "+m"
#endif
#define SUM_DECLARE(i)                                                                                       \
    sum sum##i = zero;                                                                                       \
    __asm__ volatile("" : REGISTER(sum##i));
#define SUM_UPDATE(i) sum##i = UPDATE(sum##i);
#define SUM_KEEP(i)   __asm__ volatile("" : REGISTER(sum##i));

typedef float floats_128 __attribute__((vector_size(16)));

static double f32_portable(uint64_t loops)
{
    typedef floats_128 sum;
    volatile float factor_source = 0.5F;
    float f = factor_source;
    const sum zero = {0}, factor = {f, f, f, f};
#define UPDATE(x) ((x)*factor + factor)
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
        TWELVE(SUM_UPDATE)
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 4 * (double)loops;
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static double f32_avx2(uint64_t loops)
{
    typedef __m256 sum;
    volatile float factor_source = 0.5F;
    const sum zero = _mm256_setzero_ps(), factor = _mm256_set1_ps(factor_source);
#define UPDATE(x) _mm256_fmadd_ps(x, factor, factor)
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
        TWELVE(SUM_UPDATE)
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 8 * (double)loops;
}

/* Without dot products int8 takes three instructions: pairs to 16 bits, pairs of those to 32, add. */
__attribute__((target("avx2"))) static double int8_avx2(uint64_t loops)
{
    typedef __m256i sum;
    volatile char factor_source = 3;
    const sum zero = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
    sum factor = _mm256_set1_epi8(factor_source);
#define UPDATE(x) _mm256_add_epi32(x, _mm256_madd_epi16(_mm256_maddubs_epi16(factor, factor), ones))
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
#define SUM_UPDATE_FRESH(i)                                                                                  \
    __asm__ volatile("" : "+x"(factor));                                                                     \
    sum##i = UPDATE(sum##i);
        TWELVE(SUM_UPDATE_FRESH)
#undef SUM_UPDATE_FRESH
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 32 * (double)loops;
}

__attribute__((target("avx512f"))) static double f32_avx512(uint64_t loops)
{
    typedef __m512 sum;
    volatile float factor_source = 0.5F;
    const sum zero = _mm512_setzero_ps(), factor = _mm512_set1_ps(factor_source);
#define UPDATE(x) _mm512_fmadd_ps(x, factor, factor)
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
        TWELVE(SUM_UPDATE)
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 16 * (double)loops;
}

__attribute__((target("avx512f,avx512vnni"))) static double int8_avx512(uint64_t loops)
{
    typedef __m512i sum;
    volatile char factor_source = 3;
    const sum zero = _mm512_setzero_si512(), factor = _mm512_set1_epi8(factor_source);
#define UPDATE(x) _mm512_dpbusd_epi32(x, factor, factor)
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
        TWELVE(SUM_UPDATE)
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 64 * (double)loops;
}

__attribute__((target("avx512f,avx512bw,avx512bf16"))) static double bf16_avx512(uint64_t loops)
{
    typedef __m512 sum;
    volatile float factor_source = 0.5F;
    const sum zero = _mm512_setzero_ps(), values = _mm512_set1_ps(factor_source);
    const __m512bh factor = _mm512_cvtne2ps_pbh(values, values);
#define UPDATE(x) _mm512_dpbf16_ps(x, factor, factor)
    TWELVE(SUM_DECLARE)
    for (uint64_t i = 0; i < loops; i++) {
        TWELVE(SUM_UPDATE)
    }
    TWELVE(SUM_KEEP)
#undef UPDATE
    return 12.0 * 32 * (double)loops;
}

static mix_function *const mixes[ISA_COUNT][ARITHMETIC_COUNT] = {
    [ISA_PORTABLE] = {f32_portable, NULL, NULL},
    [ISA_AVX2] = {f32_avx2, NULL, int8_avx2},
    [ISA_AVX512] = {f32_avx512, NULL, int8_avx512},
    [ISA_AVX512_BF16] = {f32_avx512, bf16_avx512, int8_avx512},
};
#else
static mix_function *const mixes[ISA_COUNT][ARITHMETIC_COUNT] = {
    [ISA_PORTABLE] = {f32_portable, NULL, NULL},
};
#endif

struct race {
    mix_function *mix;
    uint64_t loops;
    double multiply_adds; /* of one thread */
};

static void work(void *context, int thread, int threads)
{
    struct race *race = context;
    (void)threads;
    double done = race->mix(race->loops);
    if (thread == 0)
        race->multiply_adds = done;
}

/* FLOP/s of one run on all threads. */
static double run(struct team *team, struct race *race, double *seconds)
{
    double begin = clock_seconds();
    team_run(team, work, race);
    *seconds = clock_seconds() - begin;
    return *seconds > 0 ? 2 * race->multiply_adds * team_threads(team) / *seconds : 0;
}

double arithmetic_peak(struct team *team, enum isa isa, enum arithmetic arithmetic, int rounds)
{
    const double round_s = 0.02;
    enum { FIRST_LOOPS = 1 << 14, LOOPS_MOST = 1 << 30 };
    struct race race = {.mix = mixes[isa < cpu_isa() ? isa : cpu_isa()][arithmetic], .loops = FIRST_LOOPS};
    if (!race.mix)
        return 0;
    double seconds = 0, most = 0;
    while (run(team, &race, &seconds), seconds < round_s / 2 && race.loops < LOOPS_MOST)
        race.loops *= 2;
    for (int i = 0; i < rounds; i++) {
        double rate = run(team, &race, &seconds);
        most = rate > most ? rate : most;
    }
    return most;
}
