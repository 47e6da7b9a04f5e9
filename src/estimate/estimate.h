/* Estimates: a question about a deployment -> the answer. */
#ifndef RAFTER_ESTIMATE_ESTIMATE_H
#define RAFTER_ESTIMATE_ESTIMATE_H

#include "estimate/plan.h"
#include "mechanism/calls.h"

enum { POOLS_MOST = 4, PLANS_MOST = 4 };

/* What a site pays and emits. */
struct site {
    double electricity; /* USD/kWh */
    double carbon;      /* kg CO2e/kWh */
    double pue;         /* power usage effectiveness: facility / IT energy */
    double lifetime;    /* s a bought device is written off over */
};
extern const struct site site_default;  /* with sources in site.c */
extern const struct schema site_schema; /* for --set site.electricity=... */

/* A pool: devices that run one plan (or several, such as target and draft, in turn). */
struct pool {
    const char *role;               /* "serve"; "decode" where another pool computes the prompts */
    struct plan *plans[PLANS_MOST]; /* [0]: the model; [1]: its draft ... */
    int plan_count;
};

struct call_set;

struct deployment {
    struct pool pools[POOLS_MOST];
    int pool_count;
    struct call_set *calls;  /* what each request turns into; NULL: it is one call */
    struct pool_split split; /* given: [0] computes prompts, [1] decodes */
    struct generation generation;
    struct stack stack;
    struct site site;
    int pass_plans[PASSES_MOST]; /* of the request's side passes: index into pools[0].plans; 0: none */
};

/* A graph of calls with the deployments that answer them. */
struct call_entry {
    const struct deployment *deployment; /* NULL: the question's own */
    int place;
    const char *prefill_name, *decode_name; /* of its phases: "judge prefill" */
};

struct call_set {
    const struct call_graph *graph;
    struct call_entry entries[CALLS_MOST];
};

/* A DAG of requests to deployments; those of one place run in turn. */
struct workflow_request {
    const struct deployment *deployment;
    struct request request; /* of its first turn */
    double executions;      /* runs expected of it: 1, or the chance that it runs */
    int turns;              /* one behind the other */
    double growth;          /* of a turn's output, what the next one reads on top of its prompt */
    bool keeps_cache;       /* what a turn read and wrote is cached in the next */
    double wait;            /* s before each turn */
    int place;              /* the devices it runs on, below CALLS_MOST */
    int after[CALLS_MOST];  /* indices of requests that must end first, all below its own */
    int after_count;
    const char *prefill_name, *decode_name; /* of its phases in a breakdown; NULL: as of a single request */
};

struct workflow {
    struct workflow_request requests[CALLS_MOST];
    int count;
};

struct interval {
    double low, high;
};

/* When a call of a workflow runs. */
struct call_time {
    double start, end; /* s from the request's start */
    double sequences, executions;
};

/* All figures of the estimate contract (docs/schemas.md). Memory is per device on the worst rank; energy,
 * cost and throughput are of the whole batch and system. NAN: unknown (no price, no power figures). */
struct answer {
    double ttft_s;
    double tpot_s; /* NAN when one token is generated */
    double latency_s;
    double throughput_tokens_per_s;
    double throughput_tokens_per_s_per_device;
    double requests_per_s;
    double bubble_s; /* of the latency that a pipeline's stages wait between mixed steps; else 0 */
    int devices;
    double prompt_tokens, output_tokens, calls; /* of the whole batch: read, written, in so many requests */
    struct call_time call_times[CALLS_MOST];    /* of a workflow's calls, in their order */
    struct memory_plan memory;
    double energy_j;
    double energy_j_per_output_token;
    double power_w; /* mean, of the system */
    double cost_usd;
    double cost_usd_per_million_output_tokens;
    double carbon_kg;
    enum provenance calibration; /* the weakest that matters: of the families with 95% of the time */
    double interval_level;       /* 0.90 */
    int interval_draws;          /* answers that the intervals were sampled from; 0: the delta method */
    struct interval ttft_interval, tpot_interval;
    bool ttft_met, tpot_met, latency_met; /* against the workload's SLO; true where none */
};

/* One phase with its operators, for tables and charts. */
struct phase_cost {
    const char *name;            /* "prefill", "decode" */
    double time_s, flops, bytes; /* FLOPs and bytes: over the system */
    double steps;
    struct step_cost step; /* decode: ops hold sums over all its steps; each: of the mean step */
    struct step shape;     /* the step (decode: at mean context) */
    const struct plan *plan;
};

enum { PHASES_REPORTED_MOST = 2 * CALLS_MOST };

struct breakdown {
    struct phase_cost phases[PHASES_REPORTED_MOST]; /* prefill, decode; draft phases after them */
    int count;
};

/* Scratch for estimates: sized by plans, reused from one to the next, so that estimating does not allocate.
 */
struct estimate_scratch;
struct estimate_scratch *estimate_scratch_new(struct arena *arena, const struct deployment *deployment);

/* Answers for one request class on a deployment. breakdown may be NULL (cheaper). */
void estimate(const struct deployment *deployment, const struct request *request, const struct slo *slo,
              struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown);

/* The whole workflow: requests in order, each after those it waits for. requests_per_s counts its requests.
 */
void estimate_workflow(const struct workflow *workflow, const struct slo *slo,
                       struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown);

/* What would make it fit: the largest batch on these devices (0: not even one), and the least device count
 * (tensor parallel, in powers of two up to what divides) that holds the batch (0: none found up to 64). */
struct fitting {
    int batch;
    int devices;
};
struct question;

/* Everything a command line or caller may ask, by name. Strings NULL and numbers 0: not given. */
struct question {
    const char *model, *device, *software, *workload;
    const struct system *system; /* in place of device and devices, already read; NULL: by name */
    int devices;
    int threads;                  /* units (cores) of each device that work; 0: all */
    struct parallelism parallel;  /* zeros: 1 (tp 0: all devices) */
    double batch, prompt, output; /* override the workload's */
    const char *weights, *activations, *kv;
    struct string_list techniques; /* --with, in order */
    struct string_list settings;   /* --set key=value: hardware.*, software.*, model.*, workload.*, site.*,
                                      MECHANISM.PARAMETER */
    bool no_residency;
    bool one_call;         /* of a workflow: the techniques' own workflow does not begin anew */
    const double *scatter; /* [FAMILY_COUNT]: factors of the operator families' times; NULL: 1 */
};

/* A resolved question. */
struct resolved {
    struct question question;
    struct deployment deployment;
    struct request request;
    struct workload workload;
    const struct system *system;
    struct arena *arena;
};
bool question_resolve(struct resolved *resolved, struct arena *arena, struct diag *diag,
                      struct catalogue *catalogue, const struct question *question);
bool question_fitting(const struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                      struct fitting *fitting);

/* Lines that caution the reader: empirical parameters, uncalibrated families, extrapolations, unverified
 * figures. */
size_t estimate_warnings(const struct resolved *resolved, const struct answer *answer, struct arena *arena,
                         const char ***lines);

/* The trail behind a figure: formula, terms with values and sources, indented one a line. metric: "ttft_s",
 * "tpot_s", "memory.total_bytes", ... false: unknown metric (diag names the nearest). */
struct text;
bool estimate_explain(const struct resolved *resolved, struct arena *arena, struct diag *diag,
                      const char *metric, struct text *out);
const char *const *estimate_metrics(size_t *count);

#endif
