#include "exec/cpu.h"

#include "base/processors.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

enum { THREADS_MOST = 1024, HUGE_PAGE = 2 << 20, CACHE_LINE = 64 };

/* ---- instruction sets ---- */

#ifdef __x86_64__
/* The compiler's library asks the processor, and the system whether it saves the registers (XGETBV). */
enum isa cpu_isa(void)
{
    unsigned eax, ebx, ecx, edx;
    bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
    __builtin_cpu_init();
    if (!f16c || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return ISA_PORTABLE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512vnni"))
        return ISA_AVX2;
    return __builtin_cpu_supports("avx512bf16") ? ISA_AVX512_BF16 : ISA_AVX512;
}
#else
enum isa cpu_isa(void)
{
    return ISA_PORTABLE;
}
#endif

const char *isa_name(enum isa isa)
{
    static const char *const names[ISA_COUNT] = {"portable", "avx2", "avx512", "avx512-bf16"};
    return names[isa];
}

/* ---- threads ---- */

struct team {
    int threads;
    int *processors; /* [threads] */
    cpu_set_t allowed;
};

static void nothing(void *context, int thread, int threads)
{
    (void)context, (void)thread, (void)threads;
}

/* The processors that this process may run on, dealt to the team's threads in turn. */
static bool deal_processors(struct team *team)
{
    if (!processors_allowed(&team->allowed))
        return false;
    int processor = -1;
    for (int i = 0; i < team->threads; i++) {
        do
            processor = (processor + 1) % CPU_SETSIZE;
        while (!CPU_ISSET(processor, &team->allowed));
        team->processors[i] = processor;
    }
    return true;
}

struct team *team_new(struct arena *arena, struct diag *diag, int threads)
{
    if (threads <= 0)
        threads = processors_count();
    if (threads > THREADS_MOST) {
        diag_error(diag, NOWHERE, "%d threads asked for, at most %d are possible", threads, THREADS_MOST);
        return NULL;
    }
    struct team *team = ARENA_NEW(arena, struct team);
    int *processors = ARENA_ARRAY(arena, int, (size_t)threads);
    if (team == NULL || processors == NULL) {
        diag_error(diag, NOWHERE, "out of memory for %d threads", threads);
        return NULL;
    }
    *team = (struct team){.threads = threads, .processors = processors};
    if (!deal_processors(team)) /* more processors than a cpu_set_t holds: threads go where they like */
        team->processors = NULL;
    team_run(team, nothing, NULL); /* starts them */
    return team;
}

int team_threads(const struct team *team)
{
    return team->threads;
}

/* Pins the calling thread to its processor, where it is not there already; true: it did. Where that is
 * refused the thread stays where it is. */
static bool pin_thread(const struct team *team, int thread)
{
    if (team->processors == NULL || sched_getcpu() == team->processors[thread])
        return false;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(team->processors[thread], &one);
    return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
}

/* The caller is thread 0: it goes to its processor for the run and may then go anywhere again, so that
 * threads which it starts are not all bound there. The others stay bound. */
void team_run(struct team *team, void (*work)(void *context, int thread, int threads), void *context)
{
    bool bound = pin_thread(team, 0);
#pragma omp parallel num_threads(team->threads)
    {
        int thread = omp_get_thread_num();
        if (thread > 0)
            pin_thread(team, thread);
        work(context, thread, omp_get_num_threads());
    }
    if (bound)
        pthread_setaffinity_np(pthread_self(), sizeof team->allowed, &team->allowed);
}

void team_barrier(struct team *team)
{
    (void)team;
#pragma omp barrier
}

void team_share(size_t count, size_t grain, int thread, int threads, size_t *from, size_t *to)
{
    size_t grains = grain > 0 ? count / grain + (count % grain > 0) : count, step = grain > 0 ? grain : 1;
    size_t each = grains / (size_t)threads, rest = grains % (size_t)threads, t = (size_t)thread;
    size_t first = t * each + (t < rest ? t : rest), last = first + each + (t < rest);
    *from = first * step < count ? first * step : count;
    *to = last * step < count ? last * step : count;
}

/* ---- memory ---- */

/* An area of whole huge pages: mapped larger, the ends given back. */
static void *map_huge(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE)
        return NULL;
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, mapped = whole + HUGE_PAGE;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        munmap(start, before);
    if (before < HUGE_PAGE)
        munmap(start + before + whole, HUGE_PAGE - before);
    madvise(start + before, whole, MADV_HUGEPAGE); /* a wish: small pages work too */
    return start + before;
}

void *buffer_new(struct diag *diag, size_t bytes)
{
    void *buffer = NULL;
    if (bytes >= HUGE_PAGE) {
        buffer = map_huge(bytes);
    } else {
        size_t whole = (bytes / CACHE_LINE + 1) * CACHE_LINE;
        buffer = aligned_alloc(CACHE_LINE, whole);
        if (buffer != NULL)
            memset(buffer, 0, whole);
    }
    if (buffer == NULL)
        diag_error(diag, NOWHERE, "out of memory for a buffer of %zu bytes", bytes);
    return buffer;
}

void buffer_free(void *buffer, size_t bytes)
{
    if (buffer == NULL)
        return;
    if (bytes >= HUGE_PAGE)
        munmap(buffer, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    else
        free(buffer);
}

double clock_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
