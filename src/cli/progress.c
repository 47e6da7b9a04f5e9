#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double seconds_since(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + 1e-9 * (double)(now.tv_nsec - from->tv_nsec);
}

void progress_begin(struct progress *progress)
{
    const char *terminal = getenv("TERM");
    *progress = (struct progress){.shown = isatty(STDERR_FILENO) == 1 &&
                                           (terminal == NULL || strcmp(terminal, "dumb") != 0)};
    clock_gettime(CLOCK_MONOTONIC, &progress->began);
    progress->last = progress->began;
}

static void draw(const struct progress *progress, double share)
{
    enum { WIDTH = 30 };
    char bar[3 * WIDTH + 1] = "";
    int full = (int)(share * WIDTH);
    for (int i = 0; i < WIDTH; i++)
        memcpy(bar + 3 * i, i < full ? "█" : "░", 3);
    bar[3 * WIDTH] = '\0';
    if (share > 0.0)
        fprintf(stderr, "\r%s %3.0f%%  %ld evaluations\x1b[K", bar, 100.0 * share, progress->steps);
    else
        fprintf(stderr, "\r%ld evaluations\x1b[K", progress->steps);
    fflush(stderr);
}

void progress_step(void *context, double share)
{
    static const double patience = 0.5, pause = 0.1; /* s before the first line, and between two */
    struct progress *progress = context;
    progress->steps++;
    if (!progress->shown || seconds_since(&progress->began) < patience ||
        (progress->drawn && seconds_since(&progress->last) < pause))
        return;
    draw(progress, share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share);
    progress->drawn = true;
    clock_gettime(CLOCK_MONOTONIC, &progress->last);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\x1b[K", stderr);
    progress->drawn = false;
}
