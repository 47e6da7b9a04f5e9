/* Sums of a smooth function over many decode cycles from few evaluations. */
#ifndef RAFTER_ESTIMATE_INTEGRATE_H
#define RAFTER_ESTIMATE_INTEGRATE_H

enum { NODES_MOST = 1024, BREAKS_MOST = 64 };

/* A point of the sum: value(x) counts `weight` times. */
struct node {
    double x;
    double weight;
    double value;
};

/* The sum over i = 0 .. count-1 of value(i), count real: value is a step's cost as a function of how many
 * cycles came before, smooth but for kinks at `breaks` (windows that fill up). Up to EXACT_MOST cycles are
 * summed one by one; more are integrated from -1/2 to count - 1/2 (the midpoint rule backwards: exact for
 * linear functions) by Simpson's rule on pieces, halved where the middle is off the chord by more than
 * tolerance. nodes get the points used. Returns their number. */
typedef double (*integrand)(void *context, double x);
int sum_over_cycles(integrand value, void *context, double count, const double *breaks, int break_count,
                    struct node nodes[NODES_MOST], double *sum);

#endif
