/* Workloads: what is asked of a deployment. */
#ifndef RAFTER_SPEC_WORKLOAD_H
#define RAFTER_SPEC_WORKLOAD_H

#include "spec/hardware.h"

enum distribution_kind {
    DISTRIBUTION_FIXED,
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_LOGNORMAL,
    DISTRIBUTION_LIST
};

/* A length in tokens: `512`, or a map {uniform: [a, b]}, {lognormal: {median: m, p95: q}}, {list: [..]}. */
struct length {
    enum distribution_kind kind;
    double value;       /* FIXED */
    double low, high;   /* UNIFORM: inclusive bounds; LOGNORMAL: clipped to them when high > 0 */
    double median, p95; /* LOGNORMAL */
    double *list;       /* LIST: equally likely */
    size_t list_count;
    struct source_location where;
};

struct slo {
    double ttft;    /* s; 0: none */
    double tpot;    /* s */
    double latency; /* s */
};

struct arrivals {      /* held for the simulator; estimates are closed-loop at `batch` */
    double rate;       /* requests/s; 0: closed loop */
    double burstiness; /* coefficient of variation of the gaps; 1: Poisson */
};

struct workload {
    const char *id;
    const char *name;
    const char *extends;
    struct string_list aliases;
    int batch;            /* sequences in flight over the system */
    struct length prompt; /* tokens */
    struct length output; /* tokens */
    int shared_prefix; /* tokens at the head of every prompt that are the same for all; reuse is a technique's
                        */
    double cached_fraction; /* of the prompt already in the KV cache when the request arrives */
    struct slo slo;
    struct arrivals arrivals;
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

extern const struct schema workload_schema;
bool workload_read(struct reader *reader, const struct yaml_node *node, const char *id,
                   struct workload *workload);

enum { STRATA_MOST = 8 };

/* A length as at most STRATA_MOST equally likely values whose mean is the distribution's: the conditional
 * means of equal-probability strata (GSL quantiles and integrals). A fixed length is one stratum. Returns the
 * count. */
int length_strata(const struct length *length, double strata[STRATA_MOST]);
double length_mean(const struct length *length);
double length_max(const struct length *length); /* LOGNORMAL: the clip, else its 99.9% quantile */

#endif
