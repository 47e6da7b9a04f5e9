#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>

enum { THREADS_MOST = 64 };

struct loop {
    size_t count, chunk;
    void (*work)(void *context, size_t from, size_t to);
    void *context;
    size_t next; /* taken atomically */
};

static void *take_chunks(void *argument)
{
    struct loop *loop = argument;
    for (;;) {
        size_t from = __atomic_fetch_add(&loop->next, loop->chunk, __ATOMIC_RELAXED);
        if (from >= loop->count)
            return NULL;
        loop->work(loop->context, from, loop->count - from < loop->chunk ? loop->count : from + loop->chunk);
    }
}

/* Processors that this process may run on. */
static size_t processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > THREADS_MOST ? THREADS_MOST : (size_t)count;
}

void parallel_for(size_t count, size_t chunk, void (*work)(void *context, size_t from, size_t to),
                  void *context)
{
    struct loop loop = {count, chunk > 0 ? chunk : 1, work, context, 0};
    size_t chunks = count / loop.chunk + (count % loop.chunk > 0), wanted = processors(), started = 0;
    pthread_t threads[THREADS_MOST];
    for (; started + 1 < wanted && started + 1 < chunks; started++)
        if (pthread_create(&threads[started], NULL, take_chunks, &loop) != 0)
            break;
    take_chunks(&loop);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
