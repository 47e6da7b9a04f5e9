/* How sure an estimate is. */
#include "estimate/phases.h"

#include <math.h>

static const struct op_trust *trust_of(const struct plan *plan, const struct step_cost *cost)
{
    return cost->regime == REGIME_DECODE ? plan->decode_trust : plan->prefill_trust;
}

double relative_sigma(const struct plan *plan, const struct step_cost *cost)
{
    const struct op_trust *trust = trust_of(plan, cost);
    double by_family[FAMILY_COUNT] = {0}, variance = 0;
    for (int i = 0; i < plan->graph.op_count; i++)
        by_family[trust[i].family] += cost->ops[i].exposed * trust[i].sigma;
    for (int f = 0; f < FAMILY_COUNT; f++)
        variance += by_family[f] * by_family[f];
    return cost->time > 0 ? sqrt(variance) / cost->time : 0;
}

struct interval interval_around(double value, double sigma)
{
    return (struct interval){value * exp(-SIGMAS_90 * sigma), value * exp(SIGMAS_90 * sigma)};
}

enum provenance weakest_provenance(const struct plan *plan, const struct step_cost *cost,
                                   enum provenance so_far)
{
    const struct op_trust *trust = trust_of(plan, cost);
    double by_provenance[PROVENANCE_FITTED + 1] = {0}, total = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        by_provenance[trust[i].provenance] += cost->ops[i].exposed;
        total += cost->ops[i].exposed;
    }
    double sum = 0;
    for (int p = PROVENANCE_NONE; p <= PROVENANCE_FITTED; p++) {
        sum += by_provenance[p];
        if (sum > 0.05 * total)
            return p < (int)so_far ? (enum provenance)p : so_far;
    }
    return so_far;
}
