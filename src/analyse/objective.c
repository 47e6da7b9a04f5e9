#include "analyse/objective.h"

#include <math.h>

const char *objective_name(enum objective objective)
{
    static const char *const names[OBJECTIVE_COUNT] = {"throughput", "latency", "ttft",  "tpot",
                                                       "cost",       "memory",  "energy"};
    return names[objective];
}

static double known(double value)
{
    return isnan(value) ? INFINITY : value;
}

double objective_score(const struct answer *answer, enum objective objective)
{
    switch (objective) {
    case OBJECTIVE_THROUGHPUT:
        return -answer->throughput_tokens_per_s;
    case OBJECTIVE_LATENCY:
        return answer->latency_s;
    case OBJECTIVE_TTFT:
        return answer->ttft_s;
    case OBJECTIVE_TPOT:
        return isnan(answer->tpot_s) ? answer->latency_s : answer->tpot_s;
    case OBJECTIVE_COST:
        return known(answer->cost_usd);
    case OBJECTIVE_MEMORY:
        return answer->memory.total;
    case OBJECTIVE_ENERGY:
        return known(answer->energy_j);
    case OBJECTIVE_COUNT:
        break;
    }
    return INFINITY;
}
