#include "base/parallel.h"
#include "base/processors.h"

#include <pthread.h>

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

/* Starts a thread that may run wherever the process may: one bound by OpenMP would pass its place on. */
static bool start_thread(pthread_t *thread, struct loop *loop)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    cpu_set_t allowed;
    if (processors_allowed(&allowed))
        pthread_attr_setaffinity_np(&attributes, sizeof allowed, &allowed);
    bool started = pthread_create(thread, &attributes, take_chunks, loop) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

void parallel_for(size_t count, size_t chunk, void (*work)(void *context, size_t from, size_t to),
                  void *context)
{
    struct loop loop = {count, chunk > 0 ? chunk : 1, work, context, 0};
    size_t chunks = count / loop.chunk + (count % loop.chunk > 0), started = 0;
    size_t wanted = (size_t)processors_count();
    pthread_t threads[THREADS_MOST];
    if (wanted > THREADS_MOST)
        wanted = THREADS_MOST;
    while (started + 1 < wanted && started + 1 < chunks && start_thread(&threads[started], &loop))
        started++;
    take_chunks(&loop);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
