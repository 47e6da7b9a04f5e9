/* Plans: model x pool x parallelism x technique stack x software, resolved once. plan_step is the hot path.
 */
#ifndef RAFTER_ESTIMATE_PLAN_H
#define RAFTER_ESTIMATE_PLAN_H

#include "cost/cost.h"
#include "mechanism/mechanism.h"

/* How far an operator's time can be trusted in a regime. */
struct op_trust {
    enum family family; /* errors of one family go together */
    enum provenance provenance;
    double sigma;    /* standard deviation of log(measured / predicted) */
    double residual; /* of it, what the scalars' own uncertainty does not explain */
};

struct plan {
    const struct system *system;
    const struct model *model;
    const struct software *software;
    struct parallelism parallel;
    struct graph graph;
    struct target target;   /* of the first member: targets[0] */
    struct target *targets; /* by member of the system; only those that operators run on are resolved */
    struct prepared_op *prepared;
    bool passes;          /* an encoder beside the model: no cache, no output */
    bool drafts;          /* runs inside the steps of another plan, whose host work covers it */
    int ranks;            /* devices of the deployment: tp * pp * dp (each dp group has its own tp ranks) */
    int *stage_layers;    /* [pp][block_count]: layers of each block in each pipeline stage */
    double *layer_share;  /* [layers]: of the tokens that may be dropped, what a layer still has; NULL: all */
    double revived_share; /* of them, what decode brings back in every layer */
    bool *follows_context;                         /* [op_count]: cost_follows_context */
    struct op_trust *prefill_trust, *decode_trust; /* [op_count] */
};

enum { STAGES_MOST = 64 };

/* What one op does in a step, all its executions on one rank together. */
struct step_op {
    double count; /* executions, all layers */
    struct op_cost each;
    double time;    /* s, alone, all executions */
    double exposed; /* s it adds to the step */
};

/* A step's cost. ops has room for the plan's op_count entries, given by the caller. */
struct step_cost {
    struct step_op *ops;
    double time;        /* s: one rank, all stages passed once; host gaps included */
    double device_time; /* s: exposed times of the ops */
    double host_gap;    /* s the device waits for the host */
    double stage_time;  /* s of the slowest pipeline stage */
    double energy;      /* J above idle, one rank per stage, all stages */
    double flops;       /* one rank (of each stage) */
    double bytes;       /* memory operand bytes, likewise */
    double launches;    /* kernels of one rank, all stages */
    enum regime regime; /* DECODE when all its segments are */
};

/* Resolves everything but what only the deployment knows (request, generation); false with diag. The arena
 * keeps it. role: whose mechanisms of the stack apply. */
struct plan_request {
    const struct system *system;
    const struct model *model;
    const struct software *software;
    struct parallelism parallel;
    const struct stack *stack;
    const char *role;
    struct request *request; /* what mechanisms may look at; NULL: nothing */
    bool no_residency;
    const double *scatter; /* [FAMILY_COUNT]: factors of the families' times; NULL: 1 */
};
bool plan_resolve(struct plan *plan, struct arena *arena, struct diag *diag,
                  const struct plan_request *request);

/* The hot path: no allocation, no string look-up, no file access. only_context: `cost` holds an earlier
 * call's result for the same segments but for their contexts; ops whose cost does not follow the context are
 * kept. */
void plan_step(const struct plan *plan, const struct step *step, bool only_context, struct step_cost *cost);

/* Adds `times` of a step to a sum of steps, whose ops hold the executions of all and the mean of each. */
void step_cost_add(const struct plan *plan, struct step_cost *sum, const struct step_cost *cost,
                   double times);

/* What is planned into a memory other than the first member's main one. */
struct memory_elsewhere {
    int device, tier; /* as a buffer's away_device and away_tier */
    double bytes;     /* on one device of that member, of all ranks that share it */
    double capacity;
};
enum { PLACES_MOST = 8 };

/* Memory of one rank, worst stage, at the deepest point of a request. */
struct memory_plan {
    double weights, kv, activations, reserved, total;
    double capacity; /* bytes the software lets itself take of one device */
    bool fits;       /* here and elsewhere */
    int worst_stage;
    struct memory_elsewhere elsewhere[PLACES_MOST];
    int elsewhere_count;
};

/* Adds up the buffers of the plan's worst stage. Prompts are padded or paged as the software does. */
void plan_memory(const struct plan *plan, const struct request *request, struct memory_plan *memory);

/* Tokens of one step at most, over all attention groups: a chunk in each, or the whole batch's prompts. */
double plan_prefill_tokens(const struct plan *plan, const struct request *request);

/* How often the stage holds the buffer: once a layer, and once what is outside the layers at its end of the
 * model. */
int plan_buffer_count(const struct plan *plan, const struct buffer *buffer, int stage);

/* Layers of `block` in pipeline stage `stage`. */
int plan_stage_layers(const struct plan *plan, int stage, int block);

#endif
