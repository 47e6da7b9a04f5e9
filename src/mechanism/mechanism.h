/* Mechanisms: rewrites of the question, by hook. A technique is a stack of them. */
#ifndef RAFTER_MECHANISM_MECHANISM_H
#define RAFTER_MECHANISM_MECHANISM_H

#include "graph/graph.h"
#include "mechanism/params.h"
#include "spec/catalogue.h"

/* How steps make tokens. A cycle is a list of phases; decoding repeats cycles until `output` tokens are out.
 */
enum { PHASES_MOST = 8 };

struct phase {
    int plan;              /* 0: the deployment's own model; 1: the draft's ... */
    double new_tokens;     /* per sequence in one step of the phase */
    double steps;          /* of them in a cycle */
    double context_offset; /* of the phase's first step: context + offset */
    enum mask mask;
    double sampled; /* positions a sequence */
};

struct generation {
    struct phase cycle[PHASES_MOST];
    int phases;
    double tokens_per_cycle; /* emitted per sequence, expected */
    bool draft_prefills;     /* plan 1 runs the prompt too */
    bool whole_sequence;     /* masked diffusion: each step runs prompt + output, nothing is cached */
    double block_tokens;     /* masked diffusion: tokens denoised at a time */
};

/* The request after on_workload: what the steps will see. */
struct request {
    double batch;
    double prompt[STRATA_MOST]; /* tokens, equally likely */
    int strata;
    double prompt_max;
    double output;
    double shared_prefix; /* tokens common to all prompts */
    bool prefix_reused;   /* computed and stored once */
    bool prefix_cached;   /* already there when the batch arrives */
    double cached_fraction;
};

/* The plans of a deployment, by the part they play. */
#define ROLE_SERVE "serve"
#define ROLE_DRAFT "draft"

/* What the hooks see and change. Each hook gets the stage it is about, and may look at the earlier ones. */
struct rewrite {
    const char *role; /* only entries scoped to it run */
    struct arena *arena;
    struct diag *diag;
    struct device *device;     /* on_device: a copy to change */
    struct request *request;   /* on_workload */
    struct model *model;       /* on_model: a copy */
    struct graph_types *types; /* on_model: element types before the graph is built */
    struct graph
        *graph; /* on_ops; on_placement: tiers of buffers, devices of ops; on_schedule: overlap groups */
    struct generation *generation; /* on_generation */
    const char *draft;             /* on_generation: name of the auxiliary model, set by the mechanism */
};

struct mechanism {
    const char *name;    /* canonical */
    const char *summary; /* one line */
    struct mechanism_parameters parameters;
    size_t parameter_size;
    /* each may be NULL; false: refused, with the reason in diag. parameters: the mechanism's own struct */
    bool (*on_device)(struct rewrite *rewrite, const void *parameters);
    bool (*on_workload)(struct rewrite *rewrite, const void *parameters);
    bool (*on_model)(struct rewrite *rewrite, const void *parameters);
    bool (*on_ops)(struct rewrite *rewrite, const void *parameters);
    bool (*on_placement)(struct rewrite *rewrite, const void *parameters);
    bool (*on_generation)(struct rewrite *rewrite, const void *parameters);
    bool (*on_schedule)(struct rewrite *rewrite, const void *parameters);
};

enum hook {
    HOOK_DEVICE,
    HOOK_WORKLOAD,
    HOOK_MODEL,
    HOOK_OPS,
    HOOK_PLACEMENT,
    HOOK_GENERATION,
    HOOK_SCHEDULE,
    HOOK_COUNT
};

/* All mechanisms, by name. */
extern const struct mechanism *const mechanisms[];
extern const size_t mechanism_count;
const struct mechanism *mechanism_find(const char *name);

/* A stack ready to run: mechanisms with their checked parameters. */
enum { STACK_MOST = 32 };

struct stack_entry {
    const struct mechanism *mechanism;
    const void *parameters;
    const char *technique; /* whose it is; "--weights" and the like for flags */
    const char *role;      /* the plan it is scoped to: ROLE_SERVE or ROLE_DRAFT */
    struct source_location where;
};

struct stack {
    struct stack_entry entries[STACK_MOST];
    int count;
};

/* Adds a technique's mechanisms; false with errors: unknown mechanism or parameter (nearest name), bad value,
 * too many, or a mechanism that the stack has already for the same role. */
bool stack_add_technique(struct stack *stack, struct arena *arena, struct diag *diag,
                         const struct technique *technique);

/* Adds one mechanism from "key=value" texts: what --weights and friends do. */
bool stack_add(struct stack *stack, struct arena *arena, struct diag *diag, const char *mechanism,
               const char *const *settings, size_t count, const char *origin);

/* Runs one hook of all entries in order. */
bool stack_run(const struct stack *stack, enum hook hook, struct rewrite *rewrite);

/* Names of the empirical parameters in the stack, for outputs: "speculative_decoding.acceptance = 0.7". */
size_t stack_empirical(const struct stack *stack, struct arena *arena, const char ***lines);

#endif
