#include "spec/hardware.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "spec/source_notes.h"

COUNT_FOLLOWS(struct device, tiers, tier_count);
COUNT_FOLLOWS(struct device, links, link_count);
COUNT_FOLLOWS(struct device, calibrations, calibration_count);
COUNT_FOLLOWS(struct device, sources, source_count);
COUNT_FOLLOWS(struct system, members, member_count);
COUNT_FOLLOWS(struct system, links, link_count);
COUNT_FOLLOWS(struct system, sources, source_count);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Bounds that catch a wrong unit or a slipped prefix rather than a strange machine. */
#define BYTES_LEAST     1.0
#define BYTES_MOST      1e18 /* an exabyte */
#define BANDWIDTH_LEAST 1e3  /* byte/s */
#define BANDWIDTH_MOST  1e18 /* byte/s */
#define FLOPS_LEAST     1e6  /* FLOP/s */
#define FLOPS_MOST      1e21 /* FLOP/s */
#define LATENCY_MOST    10.0 /* s */
#define ENERGY_MOST     1e-3 /* J/byte */
#define POWER_MOST      1e8  /* W */
#define USD_MOST        1e10

static const struct enum_name class_names[] = {
    {"gpu", CLASS_GPU},     {"cpu", CLASS_CPU},   {"npu", CLASS_NPU}, {"tpu", CLASS_TPU}, {"pim", CLASS_PIM},
    {"wafer", CLASS_WAFER}, {"fpga", CLASS_FPGA}, {"ssd", CLASS_SSD}, {NULL, 0},
};

static const struct enum_name link_kind_names[] = {
    {"scale-up", LINK_SCALE_UP},
    {"network", LINK_NETWORK},
    {"host", LINK_HOST},
    {NULL, 0},
};

static const struct enum_name topology_names[] = {
    {"switch", TOPOLOGY_SWITCH}, {"direct", TOPOLOGY_DIRECT}, {"ring", TOPOLOGY_RING},
    {"torus", TOPOLOGY_TORUS},   {"bus", TOPOLOGY_BUS},       {NULL, 0},
};

static const struct field unit_fields[] = {
    {.key = "kind",
     .kind = FIELD_STRING,
     .offset = offsetof(struct units, kind),
     .required = true,
     .doc = "what a unit is: SM, core, systolic array"},
    {.key = "count",
     .kind = FIELD_INT,
     .offset = offsetof(struct units, count),
     .required = true,
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1e8,
     .doc = "units that take work independently"},
    {.key = "clock",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct units, clock),
     .dimension = DIM_HERTZ,
     .min = 1e3,
     .max = 1e12,
     .doc = "clock at which the peak rates hold"},
    {.key = "threads",
     .kind = FIELD_INT,
     .offset = offsetof(struct units, threads),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1024,
     .doc = "hardware threads of a core (CPUs)"},
};
static const struct schema unit_schema = {"units", sizeof(struct units), unit_fields, COUNT_OF(unit_fields),
                                          0};

static const struct field tier_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct memory_tier, name),
     .required = true,
     .doc = "l1, l2, hbm, dram, ssd"},
    {.key = "cache",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct memory_tier, cache),
     .doc = "holds copies; nothing can be placed in it"},
    {.key = "per_unit",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct memory_tier, per_unit),
     .doc = "capacity and bandwidth are of one unit"},
    {.key = "capacity",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, capacity),
     .required = true,
     .dimension = DIM_BYTES,
     .min = BYTES_LEAST,
     .max = BYTES_MOST,
     .doc = "as sold; GPU memory in GiB"},
    {.key = "usable",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, usable),
     .dimension = DIM_BYTES,
     .min = BYTES_LEAST,
     .max = BYTES_MOST,
     .doc = "what the driver leaves; default: all"},
    {.key = "bandwidth",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, bandwidth),
     .required = true,
     .dimension = DIM_BYTES_PER_SECOND,
     .min = BANDWIDTH_LEAST,
     .max = BANDWIDTH_MOST,
     .doc = "read, data sheet or published microbenchmark"},
    {.key = "write_bandwidth",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, write_bandwidth),
     .dimension = DIM_BYTES_PER_SECOND,
     .min = BANDWIDTH_LEAST,
     .max = BANDWIDTH_MOST,
     .doc = "default: as read"},
    {.key = "unit_bandwidth",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, unit_bandwidth),
     .dimension = DIM_BYTES_PER_SECOND,
     .min = BANDWIDTH_LEAST,
     .max = BANDWIDTH_MOST,
     .doc = "what one unit alone reaches of a shared tier; default: all of it"},
    {.key = "peer_bandwidth",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, peer_bandwidth),
     .dimension = DIM_BYTES_PER_SECOND,
     .min = BANDWIDTH_LEAST,
     .max = BANDWIDTH_MOST,
     .doc = "what each unit reads of what another has in its own; default: as from the shared cache"},
    {.key = "admits",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, admits),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .fallback = "1",
     .doc =
         "share of what the units' own caches give up that a shared one keeps at once; others keep it when "
         "it comes again"},
    {.key = "latency",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, latency),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = LATENCY_MOST,
     .doc = "of one access"},
    {.key = "granularity",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, granularity),
     .dimension = DIM_BYTES,
     .min = BYTES_LEAST,
     .max = 1e9,
     .doc = "smallest access"},
    {.key = "energy",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct memory_tier, energy),
     .dimension = DIM_JOULES_PER_BYTE,
     .min = 0,
     .max = ENERGY_MOST,
     .doc = "of moving a byte"},
};
static const struct schema tier_schema = {"tier", sizeof(struct memory_tier), tier_fields,
                                          COUNT_OF(tier_fields), offsetof(struct memory_tier, where)};

/* The fields of a link that starts `base` bytes into the struct. */
#define LINK_FIELDS(base)                                                                                    \
    {.key = "name",                                                                                          \
     .kind = FIELD_STRING,                                                                                   \
     .offset = (base) + offsetof(struct link, name),                                                         \
     .required = true,                                                                                       \
     .doc = "NVLink 4, PCIe 5.0 x16"},                                                                       \
        {.key = "kind",                                                                                      \
         .kind = FIELD_ENUM,                                                                                 \
         .offset = (base) + offsetof(struct link, kind),                                                     \
         .required = true,                                                                                   \
         .names = link_kind_names,                                                                           \
         .doc = "within a node, between nodes, or to the host"},                                             \
        {.key = "topology",                                                                                  \
         .kind = FIELD_ENUM,                                                                                 \
         .offset = (base) + offsetof(struct link, topology),                                                 \
         .names = topology_names,                                                                            \
         .fallback = "switch",                                                                               \
         .doc = "switch: the full rate to any peer; direct: an equal share to each"},                        \
        {.key = "bandwidth",                                                                                 \
         .kind = FIELD_QUANTITY,                                                                             \
         .offset = (base) + offsetof(struct link, bandwidth),                                                \
         .required = true,                                                                                   \
         .dimension = DIM_BYTES_PER_SECOND,                                                                  \
         .min = BANDWIDTH_LEAST,                                                                             \
         .max = BANDWIDTH_MOST,                                                                              \
         .doc = "per direction and device"},                                                                 \
        {.key = "latency",                                                                                   \
         .kind = FIELD_QUANTITY,                                                                             \
         .offset = (base) + offsetof(struct link, latency),                                                  \
         .dimension = DIM_SECONDS,                                                                           \
         .min = 0,                                                                                           \
         .max = LATENCY_MOST,                                                                                \
         .doc = "of one hop, as software sees it"},                                                          \
        {.key = "peers",                                                                                     \
         .kind = FIELD_INT,                                                                                  \
         .offset = (base) + offsetof(struct link, peers),                                                    \
         .dimension = DIM_COUNT,                                                                             \
         .min = 0,                                                                                           \
         .max = 1e7,                                                                                         \
         .doc = "other devices within reach; 0: no limit"},                                                  \
        {.key = "reduces",                                                                                   \
         .kind = FIELD_BOOL,                                                                                 \
         .offset = (base) + offsetof(struct link, reduces),                                                  \
         .doc = "the switch sums in flight (NVLink SHARP)"},                                                 \
    {                                                                                                        \
        .key = "energy", .kind = FIELD_QUANTITY, .offset = (base) + offsetof(struct link, energy),           \
        .dimension = DIM_JOULES_PER_BYTE, .min = 0, .max = ENERGY_MOST, .doc = "of sending a byte"           \
    }

static const struct field link_fields[] = {LINK_FIELDS(0)};
static const struct schema link_schema = {"link", sizeof(struct link), link_fields, COUNT_OF(link_fields),
                                          offsetof(struct link, where)};

static const struct field power_fields[] = {
    {.key = "tdp",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct power, tdp),
     .required = true,
     .dimension = DIM_WATTS,
     .min = 1e-3,
     .max = POWER_MOST,
     .doc = "thermal design power"},
    {.key = "idle",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct power, idle),
     .dimension = DIM_WATTS,
     .min = 0,
     .max = POWER_MOST,
     .doc = "left out: unknown"},
    {.key = "cap",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct power, cap),
     .dimension = DIM_WATTS,
     .min = 0,
     .max = POWER_MOST,
     .doc = "power the device is held to, below its TDP: operators that would draw more take longer"},
};
static const struct schema power_schema = {"power", sizeof(struct power), power_fields,
                                           COUNT_OF(power_fields), 0};

static const struct field cloud_fields[] = {
    {.key = "usd_per_hour",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct cloud_price, usd_per_hour),
     .required = true,
     .dimension = DIM_USD_PER_HOUR,
     .min = 0,
     .max = USD_MOST,
     .doc = "of one device"},
    {.key = "provider",
     .kind = FIELD_STRING,
     .offset = offsetof(struct cloud_price, provider),
     .required = true,
     .doc = "who asks it, for which product"},
    {.key = "date",
     .kind = FIELD_STRING,
     .offset = offsetof(struct cloud_price, date),
     .doc = "when it was seen"},
    {.key = "source", .kind = FIELD_STRING, .offset = offsetof(struct cloud_price, source), .doc = "where"},
};
static const struct schema cloud_schema = {"cloud price", sizeof(struct cloud_price), cloud_fields,
                                           COUNT_OF(cloud_fields), 0};

static const struct field price_fields[] = {
    {.key = "launch_usd",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct price, launch_usd),
     .dimension = DIM_USD,
     .min = 0,
     .max = USD_MOST,
     .doc = "purchase price at launch; left out: unknown"},
    {.key = "usd_per_hour",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct price, usd_per_hour),
     .dimension = DIM_USD_PER_HOUR,
     .min = 0,
     .max = USD_MOST,
     .doc = "the rent that estimates reckon with"},
    {.key = "cloud",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct price, cloud),
     .object = &cloud_schema,
     .doc = "asking prices"},
};
static const struct schema price_schema = {"price", sizeof(struct price), price_fields,
                                           COUNT_OF(price_fields), 0};

static bool refuse_format(struct reader *reader, const struct yaml_node *node)
{
    const char *names[FORMAT_COUNT];
    size_t count = 0;
    for (int format = FORMAT_NONE + 1; format < FORMAT_COUNT; format++)
        names[count++] = number_format_name((enum number_format)format);
    const char *nearest = suggest_nearest(node->key, names, count);
    if (nearest != NULL)
        return diag_error(reader->diag, node->key_where, "unknown number format \"%s\"; did you mean %s?",
                          node->key, nearest);
    return diag_error(reader->diag, node->key_where,
                      "unknown number format \"%s\", expected one such as bf16, int8", node->key);
}

/* A map of number format to peak rate, into peak_rate[FORMAT_COUNT]. */
static bool read_rates(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (node->kind != YAML_MAP)
        return diag_error(reader->diag, node->where, "expected a map of rates such as {bf16: 312 TFLOP/s}");
    struct peak_rate *rates = member;
    bool ok = true;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        enum number_format format = number_format_parse(entry->key);
        if (format == FORMAT_NONE) {
            ok = refuse_format(reader, entry);
            continue;
        }
        const struct field field = {
            .key = entry->key,
            .kind = FIELD_QUANTITY,
            .offset = offsetof(struct peak_rate, flops),
            .dimension = DIM_FLOPS,
            .min = FLOPS_LEAST,
            .max = FLOPS_MOST,
        };
        const struct schema schema = {"rate", sizeof(struct peak_rate), &field, 1, 0};
        /* the reader takes maps: wrap the entry into a map of its own */
        struct yaml_node only = *entry;
        only.next = NULL;
        const struct yaml_node map = {.kind = YAML_MAP, .where = entry->where, .first = &only, .children = 1};
        ok = schema_read(reader, &schema, &map, node->key, &rates[format]) && ok;
        rates[format].format = format;
    }
    return ok;
}

static const struct field device_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct device, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "vendor", .kind = FIELD_STRING, .offset = offsetof(struct device, vendor), .doc = "maker"},
    {.key = "extends",
     .kind = FIELD_STRING,
     .offset = offsetof(struct device, extends),
     .doc = "the description that this one changes"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct device, aliases),
     .doc = "other names"},
    {.key = "class",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct device, class),
     .required = true,
     .names = class_names,
     .doc = "kind of device"},
    {.key = "year",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, year),
     .min = 1980,
     .max = 2100,
     .doc = "of its launch"},
    {.key = "family",
     .kind = FIELD_STRING,
     .offset = offsetof(struct device, family),
     .doc = "architecture whose default scalars it takes"},
    {.key = "units",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct device, units),
     .required = true,
     .object = &unit_schema,
     .doc = "what takes work independently"},
    {.key = "matrix",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct device, matrix),
     .custom = read_rates,
     .doc = "dense peak of the matrix units by number format, 2 per multiply-add, whole device"},
    {.key = "vector",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct device, vector),
     .custom = read_rates,
     .doc = "peak of the ordinary lanes by number format"},
    {.key = "tiers",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct device, tiers),
     .required = true,
     .object = &tier_schema,
     .doc = "caches, then memories, nearest first"},
    {.key = "links",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct device, links),
     .object = &link_schema,
     .doc = "ways out of the device"},
    {.key = "launch_floor",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct device, launch_floor),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = LATENCY_MOST,
     .doc = "a captured kernel cannot be shorter"},
    {.key = "launch_host",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct device, launch_host),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = LATENCY_MOST,
     .doc = "host time of one launch outside a captured graph"},
    {.key = "operand_sharing",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, operand_sharing),
     .min = 1,
     .max = 64,
     .fallback = "1",
     .doc = "units that share one operand of their matrix tiles, each loading its part"},
    {.key = "tile_cluster",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, tile_cluster),
     .min = 1,
     .max = 64,
     .fallback = "1",
     .doc = "units of a cluster that load an operand of their tiles once for all of them (multicast)"},
    {.key = "tile_step",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, tile_step),
     .min = 32,
     .max = 128,
     .doc = "tiles may be any multiple of it high (matrix instructions of any width); none: powers of two"},
    {.key = "pipeline_bytes",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, pipeline_bytes),
     .min = 16,
     .max = 65536,
     .doc = "of each row of a tile's operands, bytes on the way to a unit: pipeline stages x bytes of one"},
    {.key = "lookup_matrix",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct device, lookup_matrix),
     .dimension = DIM_FLOPS,
     .min = FLOPS_LEAST,
     .max = FLOPS_MOST,
     .doc =
         "matrix units that look sums up by 1-bit weights, 2 per multiply-add; b bits take b times as long"},
    {.key = "lookup_bytes",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, lookup_bytes),
     .min = 1,
     .max = 4096,
     .doc = "CPUs: bytes a clock and core that byte shuffles look up in tables of 16 bytes"},
    {.key = "matrix_depth_bytes",
     .kind = FIELD_INT,
     .offset = offsetof(struct device, matrix_depth_bytes),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 4096,
     .fallback = "32",
     .doc = "k-extent of a matrix instruction in bytes"},
    {.key = "power",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct device, power),
     .object = &power_schema,
     .doc = "power"},
    {.key = "price",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct device, price),
     .object = &price_schema,
     .doc = "price"},
    {.key = "calibration",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct device, calibrations),
     .custom = calibrations_read,
     .doc = "list of blocks of calibrated scalars; see calibration"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct device, sources),
     .custom = source_notes_read,
     .doc = "where figures come from: path of a key -> source or list; unverified is a source that says so"},
};

const struct schema device_schema = {"device", sizeof(struct device), device_fields, COUNT_OF(device_fields),
                                     offsetof(struct device, where)};

static bool check_tier_order(struct reader *reader, const struct device *device)
{
    bool ok = true;
    bool memory = false;
    for (size_t i = 0; i < device->tier_count; i++) {
        const struct memory_tier *tier = &device->tiers[i];
        if (tier->cache && memory)
            ok = diag_error(reader->diag, tier->where,
                            "tiers: cache %s comes after a memory; caches go first", tier->name);
        memory = memory || !tier->cache;
        for (size_t j = 0; j < i; j++)
            if (strcmp(device->tiers[j].name, tier->name) == 0)
                ok = diag_error(reader->diag, tier->where, "tiers: a second tier is named %s", tier->name);
        if (tier->usable > tier->capacity)
            ok = diag_error(reader->diag, tier->where, "tiers: %s: more is usable than its capacity",
                            tier->name);
    }
    if (!memory)
        ok = diag_error(reader->diag, device->where, "tiers: no memory: every tier is a cache");
    return ok;
}

static bool has_rate(const struct device *device)
{
    for (int format = 0; format < FORMAT_COUNT; format++)
        if (device->matrix[format].flops > 0 || device->vector[format].flops > 0)
            return true;
    return false;
}

enum { TIERS_MOST = 32 };

bool device_read(struct reader *reader, const struct yaml_node *node, const char *id, struct device *device)
{
    *device = (struct device){0};
    if (!schema_read(reader, &device_schema, node, "", device))
        return false;
    device->id = id;
    device->unverified = source_notes_unverified(device->sources, device->source_count);
    if (device->tier_count > TIERS_MOST)
        return diag_error(reader->diag, device->where, "tiers: %zu are more than the %d allowed",
                          device->tier_count, TIERS_MOST);
    bool ok = check_tier_order(reader, device);
    if (!has_rate(device) && device->class != CLASS_SSD)
        ok = diag_error(reader->diag, device->where, "no peak rate: give matrix or vector");
    if (device->power.idle > device->power.tdp)
        ok = diag_error(reader->diag, device->where, "power: idle is above tdp");
    return ok;
}

const struct memory_tier *device_memory(const struct device *device)
{
    for (size_t i = 0; i < device->tier_count; i++)
        if (!device->tiers[i].cache)
            return &device->tiers[i];
    return NULL;
}

const struct memory_tier *device_shared_cache(const struct device *device)
{
    const struct memory_tier *largest = NULL;
    for (size_t i = 0; i < device->tier_count; i++) {
        const struct memory_tier *tier = &device->tiers[i];
        if (tier->cache && !tier->per_unit && (largest == NULL || tier->capacity > largest->capacity))
            largest = tier;
    }
    return largest;
}

const struct link *device_link(const struct device *device, enum link_kind kind)
{
    for (size_t i = 0; i < device->link_count; i++)
        if (device->links[i].kind == (int)kind)
            return &device->links[i];
    return NULL;
}

double tier_usable(const struct memory_tier *tier)
{
    return tier->usable > 0 ? tier->usable : tier->capacity;
}

static const struct field member_fields[] = {
    {.key = "role",
     .kind = FIELD_STRING,
     .offset = offsetof(struct system_member, role),
     .required = true,
     .doc = "gpu, host, ssd, pim: what links and techniques call it"},
    {.key = "device",
     .kind = FIELD_STRING,
     .offset = offsetof(struct system_member, device_name),
     .required = true,
     .doc = "name of the device"},
    {.key = "count",
     .kind = FIELD_INT,
     .offset = offsetof(struct system_member, count),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1e6,
     .fallback = "1",
     .doc = "how many of it"},
};
static const struct schema member_schema = {"member", sizeof(struct system_member), member_fields,
                                            COUNT_OF(member_fields), offsetof(struct system_member, where)};

static const struct field system_link_fields[] = {
    {.key = "between",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct system_link, between),
     .required = true,
     .doc = "two roles, or one for all pairs of it"},
    LINK_FIELDS(offsetof(struct system_link, link)),
};
static const struct schema system_link_schema = {
    "system link", sizeof(struct system_link), system_link_fields, COUNT_OF(system_link_fields),
    offsetof(struct system_link, link) + offsetof(struct link, where)};

static const struct field system_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct system, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct system, aliases),
     .doc = "other names"},
    {.key = "members",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct system, members),
     .required = true,
     .object = &member_schema,
     .doc = "its devices; the first computes unless a technique says otherwise"},
    {.key = "links",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct system, links),
     .object = &system_link_schema,
     .doc = "override the devices' own"},
    {.key = "extra_power",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct system, extra_power),
     .dimension = DIM_WATTS,
     .min = 0,
     .max = POWER_MOST,
     .doc = "of what is no device: fans, switches, hosts not listed"},
    {.key = "usd_per_hour",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct system, usd_per_hour),
     .dimension = DIM_USD_PER_HOUR,
     .min = 0,
     .max = USD_MOST,
     .doc = "of the whole; left out: the sum of the devices'"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct system, sources),
     .custom = source_notes_read,
     .doc = "where figures come from"},
};

const struct schema system_schema = {"system", sizeof(struct system), system_fields, COUNT_OF(system_fields),
                                     offsetof(struct system, where)};

static bool has_role(const struct system *system, const char *role)
{
    for (size_t i = 0; i < system->member_count; i++)
        if (strcmp(system->members[i].role, role) == 0)
            return true;
    return false;
}

static bool check_members(struct reader *reader, const struct system *system)
{
    bool ok = true;
    for (size_t i = 1; i < system->member_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(system->members[i].role, system->members[j].role) == 0)
                ok = diag_error(reader->diag, system->members[i].where,
                                "members: a second one has the role %s", system->members[i].role);
    return ok;
}

static bool check_link(struct reader *reader, const struct system *system, const struct system_link *link)
{
    if (link->between.count < 1 || link->between.count > 2)
        return diag_error(reader->diag, link->link.where, "links: between takes one or two roles, found %zu",
                          link->between.count);
    bool ok = true;
    for (size_t i = 0; i < link->between.count; i++)
        if (!has_role(system, link->between.items[i]))
            ok = diag_error(reader->diag, link->link.where, "links: between: no member has the role \"%s\"",
                            link->between.items[i]);
    return ok;
}

enum { SYSTEM_LINKS_MOST = 256 };

bool system_read(struct reader *reader, const struct yaml_node *node, const char *id, struct system *system)
{
    *system = (struct system){0};
    if (!schema_read(reader, &system_schema, node, "", system))
        return false;
    system->id = id;
    if (system->member_count == 0 || system->member_count > MEMBERS_MOST)
        return diag_error(reader->diag, system->where, "members: found %zu, expected 1 to %d",
                          system->member_count, MEMBERS_MOST);
    if (system->link_count > SYSTEM_LINKS_MOST)
        return diag_error(reader->diag, system->where, "links: found %zu, expected at most %d",
                          system->link_count, SYSTEM_LINKS_MOST);
    bool ok = check_members(reader, system);
    for (size_t i = 0; i < system->link_count; i++)
        ok = check_link(reader, system, &system->links[i]) && ok;
    return ok;
}

const struct link *system_link_between(const struct system *system, const char *a, const char *b)
{
    for (size_t i = 0; i < system->link_count; i++) {
        const struct string_list *between = &system->links[i].between;
        if (between->count != 2)
            continue;
        if ((strcmp(between->items[0], a) == 0 && strcmp(between->items[1], b) == 0) ||
            (strcmp(between->items[0], b) == 0 && strcmp(between->items[1], a) == 0))
            return &system->links[i].link;
    }
    return NULL;
}
