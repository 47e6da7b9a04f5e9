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
    const char *name;  /* in breakdowns, where the cycle has several of the plan; NULL: decode, or draft */
    int plan;          /* 0: the deployment's own model; 1: the draft's ... */
    double new_tokens; /* per sequence in one step of the phase */
    double steps;      /* of them in a cycle */
    double context_offset; /* of the phase's first step: context + offset */
    enum mask mask;
    double sampled; /* positions a sequence */
    bool in_place;  /* its steps work on the same tokens again: the context does not grow from one to the next
                     */
    bool alone;     /* it sees what the cycle itself made, no prompt: context_offset is all its context */
    double host;    /* s of host work ahead of each of its steps, for which the device waits */
};

/* What plan 1 is. A draft cut from the model has its blocks, or the first `layers` layers of them. */
struct drafting {
    bool own;            /* cut from the model itself; else rewrite.draft names a model */
    int layers;          /* of the model; 0: all */
    bool shares_weights; /* all layers are the model's own: no memory of their own */
    bool shares_ends;    /* embedding and output head are the model's */
    bool shares_cache;   /* reads and writes the model's KV cache */
    bool beside;         /* runs beside the model's own phases: the longer of the two counts */
    int tp;              /* ranks it is cut over; 0: as the model */
    const char *device;  /* another device of the catalogue; NULL: the model's own devices */
};

/* What a masked-diffusion model caches: nothing, what stands before the block, or all but the block. */
enum block_cache { BLOCK_CACHE_NONE, BLOCK_CACHE_PREFIX, BLOCK_CACHE_DUAL };

struct generation {
    struct phase cycle[PHASES_MOST];
    int phases;
    double tokens_per_cycle;  /* emitted per sequence, expected */
    bool draft_prefills;      /* plan 1 runs the prompt too */
    bool whole_sequence;      /* masked diffusion: each step runs prompt + output, nothing is cached */
    double block_tokens;      /* masked diffusion: tokens denoised at a time */
    int block_cache;          /* masked diffusion: enum block_cache, made anew at each block's first step */
    double context_per_cycle; /* tokens that a cycle leaves in the cache; 0: tokens_per_cycle */
    struct drafting drafting;
};

/* Layers that drop tokens: from `depth` of the layers on, `share` of the tokens that may be dropped are left.
 * Decode may bring dropped tokens back, computing in the upper layers what is missing. */
enum { DROPS_MOST = 16 };
struct token_drops {
    double depth[DROPS_MOST], share[DROPS_MOST];
    int count;      /* 0: none */
    bool gradual;   /* between two depths the share changes in a straight line */
    double fixed;   /* tokens of a prompt that no layer drops */
    double revived; /* share of the others that all layers have seen when the output is out */
};

/* Work beside the model's own before its first token: an encoder over parts of a request. */
enum { PASSES_MOST = 2 };
struct side_pass {
    const char *name;  /* of the phase: "vision tower" */
    const char *model; /* NULL: the served model's vision tower */
    double sequences;  /* a request; 0: nothing runs on the device */
    double tokens;     /* of each */
    double seconds;    /* a request, of something that is no device here: a video decoder */
    double start;      /* seconds of the batch before any of it can begin */
    double pieces;     /* it and the prefill are cut into, run as a pipeline; 1: one after the other */
};

/* A prompt of segments that attend to the shared prefix and to themselves only, and of a tail that attends to
 * all of it. Their KV may be there already. */
struct prompt_segments {
    double tokens; /* of a segment; 0: the prompt is one text */
    double cached; /* share of the segments */
    double
        recomputed;  /* share of the cached segments' tokens that are computed again, in sight of the rest */
    double tail;     /* tokens */
    double moved;    /* times that the cached KV is read or written to be put right */
    double match_s;  /* seconds of a request before its first step: looking segments up */
    double hit_rate; /* share of the requests to which all that applies */
};

/* Continuous batching in its steady state: each prompt passes in parts, one part a step, and the sequences
 * whose prompts are done decode in the same steps. All zero: prompts first, then decodes. */
struct mixing {
    double chunk_tokens; /* parts along the tokens: of so many at most; INFINITY: whole prompts */
    bool within_budget;  /* the decodes' tokens come out of the chunk */
    bool packed;         /* ends and beginnings of several prompts fill a chunk */
    double group_tokens; /* parts along the layers: one group of them for each so many tokens of the prompt */
    int groups_most;
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
    double prefix_groups; /* prefixes, each of an equal part of the batch; 0: one */
    double cached_fraction;
    struct token_drops drops;
    struct prompt_segments segments;
    struct side_pass passes[PASSES_MOST];
    int pass_count;
    double packed; /* share of their rows' tokens that prompts packed behind each other fill; 0: not packed */
    struct mixing mixing;
};

/* Prompts and decodes on pools of devices of their own: what disaggregation asks for. */
struct pool_split {
    bool given;
    const char *decode_device; /* NULL: as those that compute prompts */
    double prefill_pools, decode_pools;
    double bandwidth; /* byte/s of a device's link to the other pool; 0: its network's */
    bool by_layer;    /* a layer's KV cache is sent while the next layer computes */
    double exposed;   /* s of synchronising, a request */
};

/* The plans of a deployment, by the part they play. */
#define ROLE_SERVE "serve"
#define ROLE_DRAFT "draft"
#define ROLE_PASS  "pass" /* of an encoder beside the model; no mechanism is scoped to it */

struct call_graph; /* mechanism/calls.h */

/* What the hooks see and change. Each hook gets the stage it is about, and may look at the earlier ones. */
struct rewrite {
    const char *role; /* only entries scoped to it run */
    struct arena *arena;
    struct diag *diag;
    const struct system *system; /* its members, the first of which computes */
    struct device *device;       /* on_device: a copy to change */
    struct software *software;   /* on_software: a copy to change */
    struct request *request;     /* on_workload; from then on what came of it, NULL for drafts */
    struct model *model;         /* on_model: a copy */
    struct graph_types *types;   /* on_model: element types before the graph is built */
    struct graph
        *graph; /* on_ops; on_placement: tiers of buffers, devices of ops; on_schedule: overlap groups */
    struct generation *generation;  /* on_generation */
    const char *draft;              /* on_generation: name of the auxiliary model, set by the mechanism */
    const struct call_graph *calls; /* on_workload: what the request turns into; NULL: it is one call */
    struct pool_split pools;        /* on_generation */
};

struct mechanism {
    const char *name;    /* canonical */
    const char *summary; /* one line */
    bool lossless;       /* outputs stay the model's own, but for rounding, whatever the parameters */
    bool other_work;     /* other prompts, other outputs or another machine than asked about: no faster way to
                          * the same answer, so that searches leave it out unless they are told otherwise */
    struct mechanism_parameters parameters;
    size_t parameter_size;
    bool of_draft;      /* on_ops also sees the draft that it brings: role tells which plan it is */
    bool of_all_layers; /* about the whole stack of layers: a draft of the model's first few does not take it
                         */
    /* each may be NULL; false: refused, with the reason in diag. parameters: the mechanism's own struct */
    bool (*on_device)(struct rewrite *rewrite, const void *parameters);
    bool (*on_software)(struct rewrite *rewrite, const void *parameters);
    bool (*on_workload)(struct rewrite *rewrite, const void *parameters);
    bool (*on_model)(struct rewrite *rewrite, const void *parameters);
    bool (*on_ops)(struct rewrite *rewrite, const void *parameters);
    bool (*on_placement)(struct rewrite *rewrite, const void *parameters);
    bool (*on_generation)(struct rewrite *rewrite, const void *parameters);
    bool (*on_schedule)(struct rewrite *rewrite, const void *parameters);
};

enum hook {
    HOOK_DEVICE,
    HOOK_SOFTWARE,
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
