/* The phases of a request, each in a file of its own. Private to estimate/. */
#ifndef RAFTER_ESTIMATE_PHASES_H
#define RAFTER_ESTIMATE_PHASES_H

#include "estimate/estimate.h"
#include "estimate/integrate.h"

struct estimate_scratch {
    struct step_cost prefill;                      /* of its last step */
    struct step_cost phases[PHASES_MOST];          /* of the cycle */
    struct step_cost report[PHASES_REPORTED_MOST]; /* as many as the deployment's breakdown has */
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
/* Rows of the longest prompt's length that the batch's prompts are packed into. */
double packed_rows(const struct request *request);
/* Of a reused prefix the tokens that the mean further sequence has in common with another: of G prefixes in a
 * batch of B, each read once, (B - G) / (B - 1) of its tokens. */
double shared_tokens_of(const struct request *request);
/* Of a stratum's prompts the tokens that layers may drop; 0 where no layer does. */
double droppable_tokens(const struct plan *plan, const struct request *request, int stratum);
/* Sequences that an encoder takes in one step, over all attention groups: as many whole prompts as the
 * software's chunk holds, one at least. */
double encoded_together(const struct plan *plan, const struct request *request);

/* A stratum's prompts without the part of them that is cached: what a prefill works on. */
struct segment prompt_segment(const struct plan *plan, const struct request *request, int stratum,
                              double sequences);

struct prefill {
    const struct plan *plan;
    const struct request *request;
    struct step_cost *cost; /* of the last step */
    struct step_cost *sum;  /* of all steps, zeroed by the caller; NULL: not wanted */
    struct node *nodes;     /* scratch for sums over chunks */
    double weight;          /* share of the requests that are prefilled the way that is being run */
    struct spent spent;     /* of that way */
    struct spent total;     /* of all */
    double waited;          /* s before the first step: cached segments looked up and put right */
    struct step shape;      /* of the longest step */
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
/* The plan of the pool that decodes. */
const struct plan *decode_plan(const struct deployment *deployment);
const struct plan *phase_plan(const struct deployment *deployment, const struct phase *phase);
/* One step of a phase, after `cycles` cycles. */
void phase_step(const struct decode *decode, const struct phase *phase, double cycles, struct step *step);
/* Seconds of all the phase's steps in a cycle, its host work included. */
double phase_seconds(const struct decode *decode, const struct phase *phase, const struct plan *plan,
                     const struct step_cost *cost);
/* Seconds of the cycle after `cycles` of them; fills scratch->phases. context: a struct decode. */
double cycle_time(void *context, double cycles);

/* Prompts' parts beside decodes, in the steady state; mixed.c has the derivation. */
struct mixed {
    struct spent prefill, decode; /* steps with a part of a prompt; steps without: of the whole batch */
    double decode_time;           /* s between a request's first token and its last */
    double waiting;               /* s of all that a pipeline's slowest stage has nothing to do */
    bool decodes;                 /* scratch->phases[0] holds a step without a prompt */
};
struct mixed mixed_run(const struct deployment *deployment, const struct request *request,
                       struct estimate_scratch *scratch, struct breakdown *breakdown);
bool is_mixed(const struct request *request);

/* Prompts on one pool, decodes on another: all of the answer but its verdicts. */
void pools_estimate(const struct deployment *deployment, const struct request *request,
                    struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown);

/* Masked diffusion: `blocks` blocks of denoising steps, each over the whole sequence. */
struct spent diffusion_run(const struct deployment *deployment, const struct request *request,
                           struct step_cost *cost, double blocks, struct step *shape);
/* The same where a block's first step fills a cache that its others read: blocks [first, first + blocks). The
 * sum of all steps in `sum`, zeroed here. */
struct spent diffusion_cached_run(const struct deployment *deployment, const struct request *request,
                                  struct step_cost *cost, double first, double blocks, struct step_cost *sum,
                                  struct step *shape);

/* Relative standard deviation of a step's time: errors of one operator family go together, families apart. */
double relative_sigma(const struct plan *plan, const struct step_cost *cost);
struct interval interval_around(double value, double sigma);

/* Whether plan `index` of the pool runs the served model's own vision tower, whose weights the model has. */
bool pass_is_vision_tower(const struct deployment *deployment, const struct request *request, int index);

/* The model's memory plan with its drafts' weights and KV beside it. */
void deployment_memory(const struct deployment *deployment, const struct request *request,
                       struct memory_plan *memory);

/* The weakest provenance among the operators that make up all but 5% of the step, or so_far if weaker. */
enum provenance weakest_provenance(const struct plan *plan, const struct step_cost *cost,
                                   enum provenance so_far);

/* The same for all calls of a workflow, on the place that needs most. */
void needed_memory(const struct deployment *deployment, const struct request *request,
                   struct memory_plan *memory);

/* One call, added to what the breakdown has. */
void estimate_batch(const struct deployment *deployment, const struct request *request, const struct slo *slo,
                    struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown);

/* Gives the deployment its calls; false with errors: a model or device unknown, a context too long. */
bool calls_resolve(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                   const struct call_graph *graph);
/* The calls that a request of the deployment turns into. */
void calls_workflow(const struct deployment *deployment, const struct request *request,
                    struct workflow *workflow);
/* The request of a turn, from 0: it reads what the turns before wrote. */
struct request turn_request(const struct workflow_request *node, int turn);

bool request_fits_context(struct diag *diag, const struct model *model, const struct request *request);

/* The answer's verdicts against the objectives; slo NULL: all met. */
void judge(const struct slo *slo, struct answer *answer);

/* W that the deployment draws without work. */
double idle_power(const struct deployment *deployment, int devices);

/* Energy, cost and carbon; the answer's latency and devices are set. */
void bill(const struct deployment *deployment, const struct request *request, double dynamic_energy,
          struct answer *answer);

/* The next phase_cost's step, to be filled. */
struct step_cost *breakdown_next(struct estimate_scratch *scratch, const struct breakdown *breakdown);
/* Takes it: scaled from one step to `executions` of it that take spent->time together. */
void breakdown_take(struct breakdown *breakdown, const char *name, const struct plan *plan,
                    struct step_cost *cost, const struct spent *spent, double executions,
                    const struct step *shape);
/* `times` as much work in `time`. */
void breakdown_scale(struct phase_cost *phase, double times, double time);
/* The same, zeroed, for steps to be added to. */
struct step_cost *breakdown_sum(struct estimate_scratch *scratch, const struct breakdown *breakdown,
                                const struct plan *plan);
void breakdown_decode(struct breakdown *breakdown, struct decode *decode, const struct spent *spent);

#endif
