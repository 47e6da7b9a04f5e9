/* Cost: operator + device + software -> seconds, bytes, joules. An operator is prepared once (formats chosen,
 * rates looked up, tiles tabulated) and then costed for any step without allocation or look-up. */
#ifndef RAFTER_COST_COST_H
#define RAFTER_COST_COST_H

#include "graph/graph.h"

/* What an operator occupies; design: keyed (device instance, resource), the instance being the op's. */
enum resource {
    RESOURCE_COMPUTE, /* matrix units */
    RESOURCE_VECTOR,  /* ordinary lanes */
    RESOURCE_CACHE,   /* shared cache (L2, L3) */
    RESOURCE_MEMORY,  /* main memory */
    RESOURCE_LINK,    /* scale-up link */
    RESOURCE_NETWORK,
    RESOURCE_COUNT
};

enum byte_class {
    BYTES_WEIGHTS,
    BYTES_ACTIVATIONS,
    BYTES_KV_READ,
    BYTES_KV_WRITE, /* KV and states */
    BYTES_WIRE,     /* sent over links by this rank; not in the memory total */
    BYTE_CLASS_COUNT
};

enum bound {
    BOUND_COMPUTE,
    BOUND_CACHE,
    BOUND_MEMORY,
    BOUND_LINK,
    BOUND_NETWORK,
    BOUND_HOST,
    BOUND_LATENCY,
    BOUND_POWER, /* the device is held below what the op would draw */
    BOUND_COUNT
};

/* One execution of an operator on one rank. */
struct op_cost {
    double flops;                   /* what the operator is: padding not counted */
    double bytes[BYTE_CLASS_COUNT]; /* operand bytes, each read or written once */
    double memory_bytes;            /* of them, those main memory moves (after cache residency) */
    double use[RESOURCE_COUNT];     /* s each resource is busy at the rate this op reaches on it */
    double floor[RESOURCE_COUNT];   /* s at data-sheet rates: executed FLOPs / peak, memory_bytes / bandwidth
                                       ... */
    double time;                    /* s, alone: the longest use + fixed costs */
    double energy;                  /* J above idle */
    double launches;                /* kernels */
    enum bound bound;
};

/* A block that applies to the target, later ones over earlier ones. */
struct applied_block {
    const struct calibration *block;
    int priority;
};

enum { APPLIED_BLOCKS_MOST = 256 };

/* One level of the units' own caches that keep rows between operators; of all units together. */
enum { OWN_CACHES_MOST = 2 };
struct own_cache {
    double capacity;   /* bytes */
    double bandwidth;  /* byte/s read */
    double write_back; /* s a byte written takes besides being fetched first */
};

/* The pool an operator runs on. */
struct target {
    const struct device *device;
    const struct software *software;
    const struct system *system;
    int member;                  /* of the system */
    double ranks_each;           /* ranks of the first member that share one device of this one */
    const struct link *scale_up; /* among the ranks of one node; NULL: none */
    const struct link *network;  /* between nodes; NULL: none */
    int ranks_per_node;
    bool residency; /* caches keep operands between operators; false: everything comes from memory */
    bool ideal;     /* no calibration: data-sheet rates, no overheads */
    bool repeated;  /* each operator runs over and over on the same operands, as benchmarks do: what of them
                       fits the cache stays there */
    bool scattered; /* times of each family are multiplied by scatter[family]: a draw of what calibration
                       leaves unexplained */
    double scatter[FAMILY_COUNT];
    struct applied_block blocks[APPLIED_BLOCKS_MOST]; /* by family, weakest first */
    int block_count;
    int family_first[FAMILY_COUNT + 1];   /* blocks of a family: [first, first of the next) */
    double power_limit;                   /* W above idle that a capped device may draw; 0: no cap */
    double energy_per_flop[FORMAT_COUNT]; /* J, matrix units (or lanes where there are none) */
    double energy_per_byte;               /* J, main memory */
    double energy_per_cache_byte;
    double energy_per_wire_byte;
    /* rates at hand */
    double cache_bandwidth; /* byte/s of the shared cache, memory bandwidth when there is none */
    double cache_capacity;
    double cache_write_back, memory_write_back; /* as of own_cache, where there are some */
    double cache_admits;                        /* share of what those give up that the shared cache keeps */
    struct own_cache own[OWN_CACHES_MOST];      /* nearest first */
    int own_count;
    double peer_bandwidth; /* byte/s at which all units read what others have in their own caches */
    double memory_bandwidth;
    double memory_slower; /* times longer that one unit alone takes */
    double vector_flops;  /* fp32 lanes */
    double units;
    struct element_type activation_type;
};

/* Resolves device + software: rates, links, energies, and the order of the calibration blocks. */
bool target_resolve(struct target *target, struct diag *diag, const struct system *system,
                    const struct software *software, const struct graph_types *types);

/* The same for another member of the system. A drive that computes nothing has no lanes then. */
bool target_resolve_member(struct target *target, struct diag *diag, const struct system *system, int member,
                           const struct software *software, const struct graph_types *types);

/* Scalars of a family for kernels that compute in `format` and read `operand`. Scalar by scalar they come
 * from the best block that has them: this stack on this device, the stack's own file, the profiles in its
 * calibrated_as in order, any software; within each, measured ones before family defaults, then the stack's
 * version, then a block for the format and operand before one for any. Returns the best block of all, NULL
 * where none fits: the scalars then hold ideal values. */
const struct calibration *target_scalars(const struct target *target, enum family family,
                                         enum number_format format, enum operand operand,
                                         double scalars[SCALARS_MOST]);

/* Standard deviation of log(measured / predicted) over devices that nothing was measured on: the residual of
 * the best family-default block, 0 where there is none. */
double target_spread(const struct target *target, enum family family, enum number_format format,
                     enum operand operand);

/* The format an operation on values of the two types runs in on the device: their common format if it has
 * units for it, else the nearest format both convert to exactly enough (int4 weights with bf16 activations:
 * bf16; fp8 on a device without fp8 units: bf16, else fp16, else fp32). matrix false: ordinary lanes.
 * FORMAT_NONE: impossible. */
enum number_format compute_format(const struct device *device, const struct element_type *a,
                                  const struct element_type *b, bool *matrix, double *peak);

/* Everything about an operator that no step changes. */
struct prepared_op;

/* Prepares all ops of a graph, each on the target of its device; array of graph->op_count in the arena, NULL
 * with diag when something cannot run. */
struct prepared_op *cost_prepare(struct arena *arena, struct diag *diag, const struct graph *graph,
                                 const struct target *targets);

/* One execution of op `index` for the active segments of a step (segments[i], i < count: those that pass the
 * layers in question; totals: their sums by regime, indexed by enum regime). Zero work gives zero cost. */
void cost_op(const struct prepared_op *prepared, int index, const struct segment *segments, int count,
             const struct step_totals totals[REGIME_ANY + 1], struct op_cost *cost);

/* Whether the cost changes when only contexts change: attention, cache copies. Others may be reused along a
 * decode. */
bool cost_follows_context(const struct prepared_op *prepared, int index);

/* The family and format whose scalars the op takes in the regime (attention has one family for each), and its
 * peak. */
struct op_footing {
    enum family family;
    enum number_format format;
    enum operand operand;
    double peak_flops;
    const struct calibration *calibration; /* NULL: none */
    double scalars[SCALARS_MOST];
};
struct op_footing cost_footing(const struct prepared_op *prepared, int index, enum regime regime);

/* Energy above idle of one execution by where it goes; the parts sum to cost->energy. */
enum energy_part { ENERGY_COMPUTE, ENERGY_CACHE, ENERGY_MEMORY, ENERGY_LINKS, ENERGY_PART_COUNT };
void cost_energy(const struct prepared_op *prepared, int index, const struct op_cost *cost,
                 double parts[ENERGY_PART_COUNT]);
const char *energy_part_name(enum energy_part part); /* "compute", "memory" ... */

/* The plain roofline's time of one execution: useful FLOPs at the peak of the units the op runs on, memory
 * and wire bytes at data-sheet rates, and for streams (norms, permutations ...) their operands at the shared
 * cache's, whichever is longest. Padding and tiles' cache traffic are not in it: they are what percent of
 * roof is meant to show. */
double cost_roof_time(const struct prepared_op *prepared, int index, const struct op_cost *cost);

const char *bound_name(enum bound bound); /* "compute", "memory", ... */
const char *byte_class_name(enum byte_class class);

/* Adds what is common to all families: bound from the uses, time = max use + fixed, energy. */
void cost_finish(const struct target *target, enum number_format format, double fixed_s,
                 struct op_cost *cost);

#endif
