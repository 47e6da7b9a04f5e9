/* Robust nonlinear least squares within bounds. */
#ifndef RAFTER_FIT_SOLVER_H
#define RAFTER_FIT_SOLVER_H

#include "base/diag.h"

enum { PARAMETERS_MOST = 8 };

/* A parameter between min and max. Logistic ones (efficiencies) move freely on the logit of their place
 * between the bounds; the others (overheads, min 0) on their logarithm. */
struct parameter {
    double min, max, start;
    double unfelt; /* its value when no residual depends on it */
    bool logarithmic;
    bool held; /* at start: not varied */
};

struct solver_problem {
    int parameters;
    struct parameter parameter[PARAMETERS_MOST];
    size_t residuals;
    bool quick; /* one start, few passes: to compare problems */
    /* fills residuals[]; false when they cannot be computed */
    bool (*evaluate)(void *context, const double *values, double *residuals);
    void *context;
};

enum parameter_state {
    PARAMETER_UNFELT,   /* no residual depends on it */
    PARAMETER_HELD,     /* by the problem */
    PARAMETER_AT_LIMIT, /* fitted, and ended at a bound or where residuals feel it no longer: no error known
                         */
    PARAMETER_FITTED
};

struct solution {
    double values[PARAMETERS_MOST];
    enum parameter_state states[PARAMETERS_MOST];
    double covariance[PARAMETERS_MOST][PARAMETERS_MOST]; /* of the values; 0 but for FITTED ones */
    double mean_deviation;                               /* mean |residual| */
    double parameter_sigma; /* root mean square over residuals of sqrt(g' C g), g: their gradients */
};

/* Minimises the residuals' Huber loss (GSL's trust region solver under iterated weights: residuals beyond one
 * median absolute deviation count with their absolute value) from several starts, and keeps the best. false
 * with diag: memory, no residuals, an evaluation that fails. */
bool solver_run(const struct solver_problem *problem, struct arena *arena, struct diag *diag,
                struct solution *solution);

#endif
