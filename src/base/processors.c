#include "base/processors.h"

#include <omp.h>
#include <stddef.h>

/* The processors of OpenMP's places; none where it does not bind. */
static void of_places(cpu_set_t *all)
{
    CPU_ZERO(all);
    for (int place = 0; place < omp_get_num_places(); place++) {
        int ids[CPU_SETSIZE], count = omp_get_place_num_procs(place);
        if (count > CPU_SETSIZE)
            continue;
        omp_get_place_proc_ids(place, ids);
        for (int i = 0; i < count; i++)
            if (ids[i] >= 0 && ids[i] < CPU_SETSIZE)
                CPU_SET((size_t)ids[i], all);
    }
}

bool processors_allowed(cpu_set_t *allowed)
{
    of_places(allowed);
    return CPU_COUNT(allowed) > 0 ||
           (sched_getaffinity(0, sizeof *allowed, allowed) == 0 && CPU_COUNT(allowed) > 0);
}

int processors_count(void)
{
    cpu_set_t allowed;
    return processors_allowed(&allowed) ? CPU_COUNT(&allowed) : 1;
}
