/* A made-up description with a field of every kind, for tests and fuzzing of the schema reader. */
#ifndef RAFTER_TESTS_MACHINE_SCHEMA_H
#define RAFTER_TESTS_MACHINE_SCHEMA_H

#include "spec/element_type.h"
#include "spec/schema.h"

struct machine_memory {
    const char *name;
    double capacity;  /* bytes */
    double bandwidth; /* byte/s */
    double latency;   /* s */
    struct source_location where;
};

struct machine_power {
    double tdp; /* W */
    double idle;
};

struct machine_tuning {
    double reach; /* fraction */
    int depth;
};

struct machine {
    const char *name;
    struct string_list aliases;
    bool fused;
    int units;
    int window; /* tokens */
    double rate;
    double efficiency;
    int topology;
    struct element_type type;
    struct machine_memory memory;
    struct machine_power *power;
    struct machine_tuning tuning;
    struct object_list links; /* struct machine_memory */
    struct object_list tiers; /* struct machine_memory, named */
    int notes;                /* how many entries `notes` has */
    struct source_location where;
};

static bool machine_read_notes(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (node->kind != YAML_MAP)
        return diag_error(reader->diag, node->where, "notes: expected a map");
    *(int *)member = (int)node->children;
    return true;
}

#define MACHINE_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct field machine_memory_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct machine_memory, name),
     .doc = "what it is"},
    {.key = "capacity",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_memory, capacity),
     .dimension = DIM_BYTES,
     .min = 1,
     .max = 1e18,
     .doc = "as sold"},
    {.key = "bandwidth",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_memory, bandwidth),
     .required = true,
     .dimension = DIM_BYTES_PER_SECOND,
     .min = 1e3,
     .max = 1e18,
     .doc = "read"},
    {.key = "latency",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_memory, latency),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 10,
     .fallback = "500 ns",
     .doc = "of one access"},
};
static const struct schema machine_memory_schema = {
    "memory", sizeof(struct machine_memory), machine_memory_fields, MACHINE_COUNT_OF(machine_memory_fields),
    offsetof(struct machine_memory, where)};

/* As the value of a map of names, the name is the key. */
static const struct schema machine_tier_schema = {
    "tier", sizeof(struct machine_memory), machine_memory_fields + 1,
    MACHINE_COUNT_OF(machine_memory_fields) - 1, offsetof(struct machine_memory, where)};

static const struct field machine_power_fields[] = {
    {.key = "tdp",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_power, tdp),
     .required = true,
     .dimension = DIM_WATTS,
     .doc = "thermal design power"},
    {.key = "idle",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_power, idle),
     .dimension = DIM_WATTS,
     .fallback = "60 W",
     .doc = "powered, without work"},
};
static const struct schema machine_power_schema = {
    "power", sizeof(struct machine_power), machine_power_fields, MACHINE_COUNT_OF(machine_power_fields), 0};

static const struct field machine_tuning_fields[] = {
    {.key = "reach",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine_tuning, reach),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .fallback = "90%",
     .doc = "share | reached"},
    {.key = "depth",
     .kind = FIELD_INT,
     .offset = offsetof(struct machine_tuning, depth),
     .required = true,
     .min = -2,
     .max = 8,
     .doc = "steps ahead"},
};
static const struct schema machine_tuning_schema = {"tuning", sizeof(struct machine_tuning),
                                                    machine_tuning_fields,
                                                    MACHINE_COUNT_OF(machine_tuning_fields), 0};

enum { MACHINE_SWITCH = 1, MACHINE_RING, MACHINE_TORUS };
static const struct enum_name machine_topologies[] = {
    {"switch", MACHINE_SWITCH},
    {"ring", MACHINE_RING},
    {"torus", MACHINE_TORUS},
    {NULL, 0},
};

static const struct field machine_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct machine, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct machine, aliases),
     .doc = "other names"},
    {.key = "fused",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct machine, fused),
     .fallback = "yes",
     .doc = "kernels"},
    {.key = "units",
     .kind = FIELD_INT,
     .offset = offsetof(struct machine, units),
     .required = true,
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1000,
     .doc = "that work independently"},
    {.key = "window",
     .kind = FIELD_INT,
     .offset = offsetof(struct machine, window),
     .dimension = DIM_TOKENS,
     .doc = "tokens in sight; 0: all"},
    {.key = "rate",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine, rate),
     .dimension = DIM_FLOPS,
     .min = 1e6,
     .max = 1e21,
     .doc = "peak"},
    {.key = "efficiency",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct machine, efficiency),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .fallback = "1",
     .doc = "share of the peak"},
    {.key = "topology",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct machine, topology),
     .names = machine_topologies,
     .fallback = "ring",
     .doc = "of its links"},
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct machine, type),
     .fallback = "bf16",
     .doc = "of weights"},
    {.key = "memory",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct machine, memory),
     .object = &machine_memory_schema,
     .required = true,
     .doc = "main memory"},
    {.key = "power",
     .kind = FIELD_OBJECT_PTR,
     .offset = offsetof(struct machine, power),
     .object = &machine_power_schema,
     .doc = "left out: unknown"},
    {.key = "tuning",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct machine, tuning),
     .object = &machine_tuning_schema,
     .doc = "scalars"},
    {.key = "links",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct machine, links),
     .object = &machine_memory_schema,
     .doc = "to peers"},
    {.key = "tiers",
     .kind = FIELD_NAMED,
     .offset = offsetof(struct machine, tiers),
     .object = &machine_tier_schema,
     .doc = "by name"},
    {.key = "notes",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct machine, notes),
     .custom = machine_read_notes,
     .doc = "anything"},
};
static const struct schema machine_schema = {"machine", sizeof(struct machine), machine_fields,
                                             MACHINE_COUNT_OF(machine_fields),
                                             offsetof(struct machine, where)};

#endif
