#include "exec/probe/rates.h"

#include <gsl/gsl_statistics_double.h>

static void nothing(void *context, int thread, int threads)
{
    (void)context;
    (void)thread;
    (void)threads;
}

double team_start_seconds(struct team *team)
{
    enum { STARTS = 501 };
    double seconds[STARTS];
    team_run(team, nothing, NULL);
    for (int i = 0; i < STARTS; i++) {
        double begin = clock_seconds();
        team_run(team, nothing, NULL);
        seconds[i] = clock_seconds() - begin;
    }
    return gsl_stats_median(seconds, 1, STARTS);
}
