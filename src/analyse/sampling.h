/* Intervals by sampling: many answers, each with scalars drawn from their calibration's covariance and with a
 * draw of what the calibration leaves unexplained, a factor for each operator family. Exact where the delta
 * method linearises: overlap, host-bound steps, efficiencies near their bounds. */
#ifndef RAFTER_ANALYSE_SAMPLING_H
#define RAFTER_ANALYSE_SAMPLING_H

#include "analyse/evaluate.h"

enum { DRAWS_DEFAULT = 1000, DRAWS_MOST = 1000000 };

/* Families err together in all their operators, so each has one factor: the width of its log, as the plan
 * trusts the family's operators, weighed by their time. */
void family_sigmas(const struct breakdown *breakdown, double sigmas[FAMILY_COUNT]);

/* Puts the 5% and 95% quantiles of TTFT and TPOT over `draws` answers into answer's intervals.
 * question.system must be set. The same seed gives the same numbers (GSL's mt19937). false with diag: memory,
 * or a question without an answer. */
bool sample_intervals(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                      const struct question *question, int draws, unsigned long seed, struct answer *answer);

#endif
