/* Hardware: devices and the systems they form. SI units. */
#ifndef RAFTER_SPEC_HARDWARE_H
#define RAFTER_SPEC_HARDWARE_H

#include "spec/calibration.h"

/* A dense peak rate. Matrix units (tensor cores, AMX, systolic arrays) and ordinary lanes are apart, since a
 * norm never runs on a tensor core. */
struct peak_rate {
    enum number_format format;
    double flops; /* FLOP/s or OP/s, 2 per multiply-add, whole device */
};

/* A cache or memory, nearest first. */
struct memory_tier {
    const char *name;       /* "l1", "l2", "hbm", "dram", "ssd" */
    bool cache;             /* holds copies; cannot be planned into */
    bool per_unit;          /* capacity and bandwidth are of one unit (SM, core) */
    double capacity;        /* bytes as sold, GPU memory in GiB */
    double usable;          /* bytes left by the driver; 0: all */
    double bandwidth;       /* byte/s read, data sheet (or published microbenchmark, as the source says) */
    double write_bandwidth; /* byte/s; 0: as read */
    double unit_bandwidth;  /* byte/s that one unit alone reaches of a shared tier; 0: all of it */
    double peer_bandwidth;  /* byte/s at which one unit reads what another has in a tier of its own; 0: not
                               known */
    double admits;          /* share of the lines that nearer caches give up the first time that it keeps */
    double latency;         /* s */
    double granularity;     /* bytes of the smallest access */
    double energy;          /* J/byte */
    struct source_location where;
};

enum link_kind { LINK_SCALE_UP, LINK_NETWORK, LINK_HOST, LINK_KIND_COUNT };
enum link_topology { TOPOLOGY_SWITCH, TOPOLOGY_DIRECT, TOPOLOGY_RING, TOPOLOGY_TORUS, TOPOLOGY_BUS };

struct link {
    const char *name; /* "NVLink 4" */
    int kind;         /* enum link_kind */
    int topology;     /* enum link_topology: SWITCH: full rate to any peer; DIRECT: 1/(peers) of it to each */
    double bandwidth; /* byte/s per direction and device */
    double latency;   /* s of one hop, as software sees it */
    int peers;        /* how many other devices it reaches; 0: no limit */
    bool reduces;     /* the switch sums in flight (NVLink SHARP) */
    double energy;    /* J/byte */
    struct source_location where;
};

struct units {
    const char *kind; /* "SM", "core", "systolic array" */
    int count;
    double clock; /* Hz, the clock the peaks hold at */
    int threads;  /* CPUs: hardware threads a core; 0 elsewhere */
};

struct power {
    double tdp;  /* W */
    double idle; /* W; 0: unknown */
    double cap;  /* W the device is held to, below its TDP; 0: none */
};

struct cloud_price {
    double usd_per_hour;
    const char *provider;
    const char *date;
    const char *source;
};

struct price {
    double launch_usd;        /* purchase; 0: unknown */
    double usd_per_hour;      /* the rent rafter reckons with; 0: none given */
    struct object_list cloud; /* struct cloud_price */
};

enum device_class {
    CLASS_GPU,
    CLASS_CPU,
    CLASS_NPU,
    CLASS_TPU,
    CLASS_PIM,
    CLASS_WAFER,
    CLASS_FPGA,
    CLASS_SSD
};

/* A place where figures come from: the source of all figures whose dotted path begins with `path`. */
struct source_note {
    const char *path;           /* "memory", "power.idle" */
    struct string_list sources; /* "unverified" is a source that says so */
};

struct device {
    const char *id; /* file name without .yaml */
    const char *name;
    const char *vendor;
    const char *extends;
    struct string_list aliases;
    int class; /* enum device_class */
    int year;
    const char *family; /* "nvidia-ampere": whose default scalars it takes */
    struct units units;
    struct peak_rate matrix[FORMAT_COUNT]; /* by format; flops 0: no units for it */
    struct peak_rate vector[FORMAT_COUNT];
    struct memory_tier *tiers; /* caches first, then memories, nearest first */
    size_t tier_count;
    struct link *links;
    size_t link_count;
    double launch_floor; /* s: a captured (or resident) kernel cannot be shorter than this */
    double launch_host;  /* s of host time for one eager launch on this device; 0 on CPUs */
    int operand_sharing; /* units that share one operand of their tiles (2: the SM pairs of B200) */
    int tile_cluster;    /* units that load one operand of their tiles once for all (2: Hopper's multicast) */
    int tile_step;       /* tiles' edges are multiples of it (instructions of any width); 0: powers of two */
    int pipeline_bytes;  /* of each row of a tile's operands that a unit has on the way; 0: not known */
    double lookup_matrix; /* OP/s of matrix units that look sums up by weights of one bit, 2 per multiply-add
                             stood in for; b bits take b times as long; 0: none */
    int lookup_bytes;     /* CPUs: bytes a clock and core looked up in tables of 16 bytes; 0: not known */
    int matrix_depth_bytes; /* k-extent of a matrix instruction in bytes (32 on Ampere: 16 bf16, 32 int8) */
    /* of one-off machines, given by techniques (mechanism/custom_hardware.c) */
    double mesh_side;   /* cores along each side of a mesh that sums over it; 0: none */
    double mesh_hop;    /* s from a core to the next */
    double stages;      /* a spatial pipeline: tokens on their way through hardware of their own; 0: none */
    double stage_time;  /* s */
    bool wired_weights; /* logic made for the weights' type: wires unpack them, no lanes */
    struct power power;
    struct price price;
    struct calibration *calibrations;
    size_t calibration_count;
    struct source_note *sources;
    size_t source_count;
    int unverified; /* figures groups whose source is "unverified" */
    struct source_location where;
};

/* A copy of the device with `units` of its units at work: rates of arithmetic are their share, a shared tier
 * gives what so many draw from it, up to its bandwidth. NULL: out of memory. */
struct device *device_with_units(struct arena *arena, const struct device *device, int units);

/* The memory the weights and the KV cache live in: the first tier that is no cache. */
const struct memory_tier *device_memory(const struct device *device);
/* The largest cache shared by all units (GPU L2, CPU L3), or NULL. */
const struct memory_tier *device_shared_cache(const struct device *device);
const struct link *device_link(const struct device *device, enum link_kind kind);
/* Bytes a program may allocate in the tier: usable, else capacity. */
double tier_usable(const struct memory_tier *tier);

/* Devices joined by links. `-d h100-sxm -n 8` makes one of them on the spot; files describe the others. */
struct system_member {
    const char *role; /* "gpu", "host", "ssd", "pim" */
    const char *device_name;
    int count;
    const struct device *device;
    struct source_location where;
};

struct system_link {
    struct string_list between; /* two roles, or one (all pairs of it) */
    struct link link;
};

struct system {
    const char *id;
    const char *name;
    struct string_list aliases;
    struct system_member *members; /* the first one computes unless a technique says otherwise */
    size_t member_count;
    struct system_link *links; /* override the devices' own */
    size_t link_count;
    double extra_power;  /* W of hosts, fans, switches, not in the devices' */
    double usd_per_hour; /* of the whole; 0: the sum of the devices' */
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

enum { MEMBERS_MOST = 64 };

/* The link of two members of different roles, or NULL. */
const struct link *system_link_between(const struct system *system, const char *a, const char *b);

extern const struct schema device_schema;
extern const struct schema system_schema;

/* Reads a device (after `extends` has been merged) and checks what a schema cannot: tiers in order, a memory,
 * a rate. */
bool device_read(struct reader *reader, const struct yaml_node *node, const char *id, struct device *device);
bool system_read(struct reader *reader, const struct yaml_node *node, const char *id, struct system *system);

/* The sources of a figure by dotted path: those of the longest matching prefix, or NULL. */
const struct string_list *figure_sources(const struct source_note *notes, size_t count, const char *path);

#endif
