/* Energy, money, carbon. */
#include "estimate/phases.h"

#include <math.h>

double idle_power(const struct deployment *deployment, int devices)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    return plan->target.device->power.idle * devices + plan->system->extra_power;
}

void bill(const struct deployment *deployment, const struct request *request, double dynamic_energy,
          struct answer *answer)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    const struct device *device = plan->target.device;
    const struct site *site = &deployment->site;
    double tokens = request->batch * request->output, devices = answer->devices;
    bool known = device->power.tdp > 0;
    double idle = idle_power(deployment, answer->devices);
    answer->energy_j = known ? dynamic_energy + idle * answer->latency_s : NAN;
    answer->power_w = answer->energy_j / answer->latency_s;
    answer->energy_j_per_output_token = answer->energy_j / tokens;

    const double joules_per_kwh = 3.6e6;
    double facility_kwh = answer->energy_j * site->pue / joules_per_kwh;
    answer->carbon_kg = facility_kwh * site->carbon;

    double rent =
        plan->system->usd_per_hour > 0 ? plan->system->usd_per_hour : device->price.usd_per_hour * devices;
    double bought = device->price.launch_usd * devices / site->lifetime; /* USD/s */
    if (rent > 0)
        answer->cost_usd = rent / 3600 * answer->latency_s; /* electricity is in the rent */
    else if (bought > 0 && known)
        answer->cost_usd = bought * answer->latency_s + facility_kwh * site->electricity;
    else
        answer->cost_usd = NAN;
    answer->cost_usd_per_million_output_tokens = answer->cost_usd / tokens * 1e6;
}
