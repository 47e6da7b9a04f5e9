/* The phases of a request, each in a file of its own. Private to estimate/. */
#ifndef RAFTER_ESTIMATE_PHASES_H
#define RAFTER_ESTIMATE_PHASES_H

#include "estimate/estimate.h"
#include "estimate/integrate.h"

struct estimate_scratch {
    struct step_cost prefill;             /* of its last step */
    struct step_cost phases[PHASES_MOST]; /* of the cycle */
    struct step_cost report[PHASES_REPORTED_MOST];
    struct node nodes[NODES_MOST];
};

/* What a run of steps takes: seconds, and over the system joules above idle, FLOPs and bytes. */
struct spent {
    double time;
    double energy;
    double flops;
    double bytes;
    double steps;
};

/* Ranks that do what one rank is costed for: all of a stage. */
double ranks_per_stage(const struct plan *plan);

/* Adds a step that `count` micro-batches (or chunks) pass one behind the other: the first fills the pipeline,
 * the rest follow at the pace of its slowest stage. */
void spend(struct spent *spent, const struct plan *plan, const struct step_cost *cost, double count);

/* Tokens of a stratum's prompts as the software lays them out. */
double prompt_tokens(const struct plan *plan, const struct request *request, int stratum);
/* Tokens in the cache of the layers that decode when the prefill ends: the prompt, or behind an encoder the
 * one token that the decoder starts with. */
double start_tokens(const struct plan *plan, const struct request *request, int stratum);
/* Sequences that an encoder takes in one step, over all attention groups: as many whole prompts as the
 * software's chunk holds, one at least. */
double encoded_together(const struct plan *plan, const struct request *request);

struct prefill {
    const struct plan *plan;
    const struct request *request;
    struct step_cost *cost; /* of the last step */
    struct step_cost *sum;  /* of all steps, zeroed by the caller; NULL: not wanted */
    struct node *nodes;     /* scratch for sums over chunks */
    struct spent spent;
    struct step shape; /* of the longest step */
    double shape_time;
};

/* Prefills all prompts, in steps of what the software runs at once. */
void prefill_run(struct prefill *prefill);

struct decode {
    const struct deployment *deployment;
    const struct request *request;
    struct estimate_scratch *scratch;
    double micro_batches;
    double sequences; /* of one micro-batch */
    bool started;     /* the context-free operators are costed */
};

/* All cycles until the output is out; scratch->phases hold the mean cycle's steps afterwards. */
struct spent decode_run(struct decode *decode);

double decode_cycles(const struct generation *generation, double output);
const struct plan *phase_plan(const struct deployment *deployment, const struct phase *phase);
/* One step of a phase, after `cycles` cycles. */
void phase_step(const struct decode *decode, const struct phase *phase, double cycles, struct step *step);
/* Seconds of a step of all micro-batches. */
double step_pace(const struct decode *decode, const struct plan *plan, const struct step_cost *cost);
/* Seconds of the cycle after `cycles` of them; fills scratch->phases. context: a struct decode. */
double cycle_time(void *context, double cycles);

/* Masked diffusion: `blocks` blocks of denoising steps, each over the whole sequence. */
struct spent diffusion_run(const struct deployment *deployment, const struct request *request,
                           struct step_cost *cost, double blocks, struct step *shape);

/* Relative standard deviation of a step's time: errors of one operator family go together, families apart. */
double relative_sigma(const struct plan *plan, const struct step_cost *cost);
struct interval interval_around(double value, double sigma);

/* The model's memory plan with its drafts' weights and KV beside it. */
void deployment_memory(const struct deployment *deployment, const struct request *request,
                       struct memory_plan *memory);

/* The weakest provenance among the operators that make up all but 5% of the step, or so_far if weaker. */
enum provenance weakest_provenance(const struct plan *plan, const struct step_cost *cost,
                                   enum provenance so_far);

/* The answer's verdicts against the objectives; slo NULL: all met. */
void judge(const struct slo *slo, struct answer *answer);

/* Energy, cost and carbon; the answer's latency and devices are set. */
void bill(const struct deployment *deployment, const struct request *request, double dynamic_energy,
          struct answer *answer);

/* The next phase_cost's step, to be filled. */
struct step_cost *breakdown_next(struct estimate_scratch *scratch, const struct breakdown *breakdown);
/* Takes it: scaled from one step to `executions` of it that take spent->time together. */
void breakdown_take(struct breakdown *breakdown, const char *name, const struct plan *plan,
                    struct step_cost *cost, const struct spent *spent, double executions,
                    const struct step *shape);
/* The same, zeroed, for steps to be added to. */
struct step_cost *breakdown_sum(struct estimate_scratch *scratch, const struct breakdown *breakdown,
                                const struct plan *plan);
void breakdown_decode(struct breakdown *breakdown, struct decode *decode, const struct spent *spent);

#endif
