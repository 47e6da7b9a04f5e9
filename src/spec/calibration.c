#include "spec/calibration.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* No fixed cost of a kernel is longer than this; anything above is a wrong unit. */
#define OVERHEAD_MOST 1e-3 /* s */
/* Efficiencies divide, so that zero is out. */
#define EFFICIENCY_LEAST 1e-3

#define OVERHEAD(name, doc)                                                                                  \
    {                                                                                                        \
        name, DIM_SECONDS, 0, OVERHEAD_MOST, 0, 3e-6, doc                                                    \
    }
#define OVERHEAD_FROM(name, first, doc)                                                                      \
    {                                                                                                        \
        name, DIM_SECONDS, 0, OVERHEAD_MOST, 0, first, doc                                                   \
    }
#define EFFICIENCY(name, doc)                                                                                \
    {                                                                                                        \
        name, DIM_FRACTION, EFFICIENCY_LEAST, 1, 1, 0.7, doc                                                 \
    }

#define EFFICIENCY_FROM(name, first, doc)                                                                    \
    {                                                                                                        \
        name, DIM_FRACTION, EFFICIENCY_LEAST, 1, 1, first, doc                                               \
    }

#define GEMM_SCALARS                                                                                         \
    {                                                                                                        \
        [GEMM_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                              \
        [GEMM_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),                \
        [GEMM_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a tile"),             \
        [GEMM_LAMBDA] = EFFICIENCY("lambda", "share of the shared cache's bandwidth that is reached"),       \
        [GEMM_OMEGA] = OVERHEAD("omega", "prologue and epilogue of each wave of tiles"),                     \
        [GEMM_DEQUANT] = {"dequant",                                                                         \
                          DIM_FRACTION,                                                                      \
                          EFFICIENCY_LEAST,                                                                  \
                          1,                                                                                 \
                          1,                                                                                 \
                          0.3,                                                                               \
                          "share of the lanes' rate at which values are converted, or multiplied"},          \
        [GEMM_SPLIT] = OVERHEAD("split", "time of summing the parts of a split k, besides their bytes"),     \
        [GEMM_ROW] = OVERHEAD("row", "time one unit takes for a row of A that the call itself quantises"),   \
    }

/* A number of rows: a power of two, which fits choose from. */
#define ROWS(name, least, most, fallback, start, doc)                                                        \
    {                                                                                                        \
        name, DIM_NONE, least, most, fallback, start, doc, true                                              \
    }

#define MOE_SCALARS                                                                                          \
    {                                                                                                        \
        [MOE_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                               \
        [MOE_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),                 \
        [MOE_EPS] = {"eps",                                                                                  \
                     DIM_FRACTION,                                                                           \
                     EFFICIENCY_LEAST,                                                                       \
                     1,                                                                                      \
                     1,                                                                                      \
                     0.2,                                                                                    \
                     "share of the matrix units' peak reached inside a tile",                                \
                     false},                                                                                 \
        [MOE_LAMBDA] = EFFICIENCY("lambda", "share of the shared cache's bandwidth that is reached"),        \
        [MOE_OMEGA] = OVERHEAD("omega", "prologue and epilogue of each wave of tiles"),                      \
        [MOE_DEQUANT] =                                                                                      \
            EFFICIENCY("dequant", "share of the lanes' rate at which weights are converted to values"),      \
        [MOE_TALL] = ROWS("tall", 16, 256, 128, 128, "rows of the tallest tile; a power of two"),            \
        [MOE_ROOM] = ROWS("room", 1, 256, 1, 1,                                                              \
                          "rows a tile is made for, over an expert's mean rows; a power of two"),            \
    }

#define ATTENTION_SCALARS                                                                                    \
    {                                                                                                        \
        [ATTENTION_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                         \
        [ATTENTION_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),           \
        [ATTENTION_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a block"),       \
        [ATTENTION_OMEGA] = OVERHEAD("omega", "cost of each wave of query blocks"),                          \
        [ATTENTION_SPLIT] = OVERHEAD("split", "cost of combining one split-KV partial result"),              \
    }

#define DECODE_SCALARS                                                                                       \
    {                                                                                                        \
        [DECODE_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                            \
        [DECODE_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),              \
        [DECODE_EPS] = {"eps",                                                                               \
                        DIM_FRACTION,                                                                        \
                        EFFICIENCY_LEAST,                                                                    \
                        1,                                                                                   \
                        1,                                                                                   \
                        0.2,                                                                                 \
                        "share of the matrix units' peak reached inside a KV tile"},                         \
        [DECODE_OMEGA] = OVERHEAD("omega", "start and end of each wave of work items"),                      \
        [DECODE_SPLIT] = OVERHEAD("split", "merging split-KV partial results, beside moving them"),          \
        [DECODE_LAMBDA] =                                                                                    \
            EFFICIENCY("lambda", "share of the shared cache's bandwidth that a unit's items reach"),         \
        [DECODE_LANES] = {"lanes",                                                                           \
                          DIM_FRACTION,                                                                      \
                          EFFICIENCY_LEAST,                                                                  \
                          1,                                                                                 \
                          1,                                                                                 \
                          0.2,                                                                               \
                          "share of the lanes' rate that kernels without matrix units reach"},               \
        [DECODE_LANE_OMEGA] = OVERHEAD("lane_omega", "as omega, of kernels without matrix units"),           \
    }

#define MLA_DECODE_SCALARS                                                                                   \
    {                                                                                                        \
        [DECODE_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                            \
        [DECODE_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),              \
        [DECODE_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a KV tile"),        \
        [DECODE_OMEGA] = OVERHEAD("omega", "start and end of each wave of work items"),                      \
        [DECODE_SPLIT] = OVERHEAD("split", "merging split-KV partial results, beside moving them"),          \
    }

#define PREFILL_SCALARS                                                                                      \
    {                                                                                                        \
        [PREFILL_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                           \
        [PREFILL_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),             \
        [PREFILL_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a block"),         \
        [PREFILL_OMEGA] = OVERHEAD("omega", "prologue and epilogue of each query block"),                    \
        [PREFILL_LANES] = EFFICIENCY("lanes", "share of the lanes' rate that the softmax reaches"),          \
        [PREFILL_PACK] = EFFICIENCY(                                                                         \
            "pack", "share of the KV heads whose query heads are packed into common query blocks"),          \
        [PREFILL_SINGLE] = EFFICIENCY("single", "the same where a sequence has one token"),                  \
        [PREFILL_WRITE] = OVERHEAD(                                                                          \
            "write", "latency of a block that writes a token's KV, where a measurement includes it"),        \
    }

#define LINK_SCALARS                                                                                         \
    [LINK_T0] = OVERHEAD("t0", "fixed time of one operation"),                                               \
    [LINK_BETA] = EFFICIENCY("beta", "share of the link's bandwidth that is reached"),                       \
    [LINK_ALPHA] = OVERHEAD_FROM("alpha", 1e-6, "time of one hop beyond the link's latency")

/* Half of what the low-latency protocol sends are flags. */
#define FLAGGED_MOST  0.5
#define FLAGGED_LEAST 0.1

const struct family_declaration families[FAMILY_COUNT] = {
    [FAMILY_GEMM] = {"gemm", GEMM_SCALARS, 8},
    [FAMILY_MOE] = {"moe", MOE_SCALARS, 8},
    [FAMILY_ATTENTION_PREFILL] = {"attention-prefill", PREFILL_SCALARS, 8},
    [FAMILY_ATTENTION_DECODE] = {"attention-decode", DECODE_SCALARS, 8},
    [FAMILY_MLA_PREFILL] = {"mla-prefill", PREFILL_SCALARS, 5},
    [FAMILY_MLA_DECODE] = {"mla-decode", MLA_DECODE_SCALARS, 5},
    [FAMILY_RECURRENT] =
        {"recurrent",
         {
             [RECURRENT_T0] = OVERHEAD("t0", "fixed time of one kernel"),
             [RECURRENT_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),
             [RECURRENT_EPS] = EFFICIENCY_FROM("eps", 0.1, "share of the peak rate reached inside a chunk"),
             [RECURRENT_OMEGA] =
                 OVERHEAD_FROM("omega", 1e-6, "time of each chunk that waits for the one before"),
             [RECURRENT_LAUNCH] =
                 OVERHEAD("launch", "fixed time of each further kernel of the chunkwise form"),
             [RECURRENT_LAMBDA] =
                 EFFICIENCY("lambda", "share of the shared cache's bandwidth that is reached"),
             [RECURRENT_SCAN] = EFFICIENCY("scan", "share of the lanes' rate reached token by token"),
         },
         7},
    [FAMILY_CONV] =
        {"conv",
         {
             [CONV_T0] = OVERHEAD("t0", "fixed time of one kernel"),
             [CONV_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),
             [CONV_LAMBDA] =
                 EFFICIENCY_FROM("lambda", 0.3, "share of the shared cache's bandwidth that is reached"),
             [CONV_ROW] = OVERHEAD_FROM("row", 0.3e-6, "time of one token in a block's loop over its tokens"),
             [CONV_EPS] = EFFICIENCY(
                 "eps", "share of the lanes' rate that cores reach, who have no units for exponentials"),
         },
         5},
    [FAMILY_ELEMENTWISE] = {"elementwise",
                            {
                                [ELEMENTWISE_T0] = OVERHEAD("t0", "fixed time of one kernel"),
                                [ELEMENTWISE_BETA] =
                                    EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),
                                [ELEMENTWISE_EPS] =
                                    EFFICIENCY("eps", "share of the lanes' peak rate that is reached"),
                            },
                            3},
    [FAMILY_COLLECTIVE] =
        {"collective",
         {
             LINK_SCALARS,
             [LINK_FILL] = OVERHEAD_FROM("fill", 0.5e-6, "time in which one hop fills a low-latency channel"),
             [LINK_FLAGGED] = {"flagged", DIM_FRACTION, FLAGGED_LEAST, FLAGGED_MOST, FLAGGED_MOST, 0.4,
                               "share of the link's bandwidth that the low-latency protocol reaches"},
             [LINK_START] = OVERHEAD_FROM("start", 15e-6, "start of the bandwidth protocol"),
             [LINK_HOP] =
                 OVERHEAD("hop", "time of one hop of the bandwidth protocol beyond the link's latency"),
             [LINK_IN_SWITCH] =
                 EFFICIENCY("in_switch", "share of the link's bandwidth that sums inside the switch reach"),
         },
         8},
    [FAMILY_ALL_REDUCE_KERNEL] =
        {"all-reduce-kernel",
         {
             [PEER_T0] = OVERHEAD("t0", "fixed time of one kernel"),
             [PEER_BETA] = EFFICIENCY("beta", "share of the link's bandwidth that is reached"),
             [PEER_STAGE] = OVERHEAD_FROM("stage", 4e-6, "time of the second stage's wait for all peers"),
             [PEER_SIGNAL] = OVERHEAD_FROM("signal", 0.1e-6, "time of the exchange of signals with one peer"),
         },
         4},
    [FAMILY_TRANSFER] = {"transfer", {LINK_SCALARS}, 3},
};

static const struct enum_name family_names[] = {
    {"gemm", FAMILY_GEMM},
    {"moe", FAMILY_MOE},
    {"attention-prefill", FAMILY_ATTENTION_PREFILL},
    {"attention-decode", FAMILY_ATTENTION_DECODE},
    {"mla-prefill", FAMILY_MLA_PREFILL},
    {"mla-decode", FAMILY_MLA_DECODE},
    {"recurrent", FAMILY_RECURRENT},
    {"conv", FAMILY_CONV},
    {"elementwise", FAMILY_ELEMENTWISE},
    {"collective", FAMILY_COLLECTIVE},
    {"all-reduce-kernel", FAMILY_ALL_REDUCE_KERNEL},
    {"transfer", FAMILY_TRANSFER},
    {NULL, 0},
};

static const struct enum_name format_names[] = {
    {"any", FORMAT_NONE},  {"fp64", FORMAT_FP64},
    {"fp32", FORMAT_FP32}, {"tf32", FORMAT_TF32},
    {"bf16", FORMAT_BF16}, {"fp16", FORMAT_FP16},
    {"fp8", FORMAT_FP8},   {"fp6", FORMAT_FP6},
    {"fp4", FORMAT_FP4},   {"int8", FORMAT_INT8},
    {"int4", FORMAT_INT4}, {"int2", FORMAT_INT2},
    {"int1", FORMAT_INT1}, {NULL, 0},
};

static const struct enum_name operand_names[] = {
    {"any", OPERAND_ANY},
    {"fp64", FORMAT_FP64},
    {"fp32", FORMAT_FP32},
    {"tf32", FORMAT_TF32},
    {"bf16", FORMAT_BF16},
    {"fp16", FORMAT_FP16},
    {"fp8", FORMAT_FP8},
    {"fp6", FORMAT_FP6},
    {"fp4", FORMAT_FP4},
    {"int8", FORMAT_INT8},
    {"int4", FORMAT_INT4},
    {"int2", FORMAT_INT2},
    {"int1", FORMAT_INT1},
    {"fp8-block", OPERAND_FP8_BLOCK},
    {"fp4-marlin", OPERAND_FP4_MARLIN},
    {"int8-k", OPERAND_INT8_K},
    {"int4-k", OPERAND_INT4_K},
    {NULL, 0},
};

enum operand operand_of(const struct element_type *type)
{
    bool blocks = type->grain == GRAIN_BLOCK || type->grain == GRAIN_GROUP;
    if (type->format == FORMAT_FP8 && blocks)
        return OPERAND_FP8_BLOCK;
    /* more than a scale and a zero point for each group: the scales of smaller ones within it */
    const double scale_bits_most = 32;
    if (type->grain == GRAIN_GROUP && type->scale_bits > scale_bits_most)
        switch (type->format) {
        case FORMAT_INT8:
            return OPERAND_INT8_K;
        case FORMAT_INT4:
            return OPERAND_INT4_K;
        default:
            break;
        }
    return (enum operand)type->format;
}

enum operand operand_alike(enum operand operand)
{
    if (operand == OPERAND_INT8_K)
        return (enum operand)FORMAT_INT8;
    return operand == OPERAND_INT4_K ? (enum operand)FORMAT_INT4 : operand;
}

enum operand operand_of_marlin(const struct element_type *type)
{
    return type->format == FORMAT_FP4 ? OPERAND_FP4_MARLIN : operand_of(type);
}

const char *operand_name(enum operand operand)
{
    for (const struct enum_name *name = operand_names; name->name; name++)
        if (name->value == (int)operand)
            return name->name;
    return "any";
}

static const struct enum_name provenance_names[] = {
    {"none", PROVENANCE_NONE},
    {"family-default", PROVENANCE_FAMILY_DEFAULT},
    {"inherited", PROVENANCE_INHERITED},
    {"fitted", PROVENANCE_FITTED},
    {NULL, 0},
};

const char *provenance_name(enum provenance provenance)
{
    return provenance_names[provenance].name;
}

double calibration_sigma(const struct calibration *calibration)
{
    return calibration->residual > 0 ? hypot(calibration->residual, calibration->parameters) : 0;
}

/* The scalars' names and bounds follow from the family, which is a neighbour of the map: calibrations_read
 * reads them once the family is known. */
static bool read_later(struct reader *reader, const struct yaml_node *node, void *member)
{
    (void)member;
    if (node->kind == YAML_MAP)
        return true;
    return diag_error(reader->diag, node->where, "expected a map of scalars such as {t0: 2 us, beta: 0.9}");
}

static const struct field calibration_fields[] = {
    {.key = "software",
     .kind = FIELD_STRING,
     .offset = offsetof(struct calibration, software),
     .fallback = "*",
     .doc = "software profile it was found with; * for any"},
    {.key = "version",
     .kind = FIELD_STRING,
     .offset = offsetof(struct calibration, version),
     .doc = "version of the software; none: any"},
    {.key = "family",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct calibration, family),
     .required = true,
     .names = family_names,
     .doc = "operator family"},
    {.key = "format",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct calibration, format),
     .names = format_names,
     .fallback = "any",
     .doc = "number format that the kernel computes in"},
    {.key = "operand",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct calibration, operand),
     .names = operand_names,
     .fallback = "any",
     .doc = "how the kernel's weights or KV cache are stored; fp8-block: a scale per block; fp4-marlin: "
            "experts that Marlin repacked"},
    {.key = "provenance",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct calibration, provenance),
     .names = provenance_names,
     .fallback = "family-default",
     .doc = "where the values come from; fitted ones reach devices that extend this one as inherited"},
    {.key = "values",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct calibration, values),
     .required = true,
     .custom = read_later,
     .doc = "the family's scalars by name; those left out take their ideal value"},
    {.key = "standard_errors",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct calibration, standard_errors),
     .custom = read_later,
     .doc = "standard errors of the fitted scalars by name"},
    {.key = "correlations",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct calibration, correlations),
     .custom = read_later,
     .doc = "correlations of the errors: scalar -> earlier scalar -> -1 to 1"},
    {.key = "residual",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct calibration, residual),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = SIGMA_MOST,
     .doc = "standard deviation of log(measured / predicted)"},
    {.key = "parameters",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct calibration, parameters),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = SIGMA_MOST,
     .doc = "standard deviation of log(predicted) that the scalars' own uncertainty causes"},
    {.key = "samples",
     .kind = FIELD_INT,
     .offset = offsetof(struct calibration, samples),
     .min = 0,
     .max = 1e9,
     .doc = "measurements fitted"},
    {.key = "source",
     .kind = FIELD_STRING,
     .offset = offsetof(struct calibration, source),
     .doc = "of the measurements"},
    {.key = "date", .kind = FIELD_STRING, .offset = offsetof(struct calibration, date), .doc = "of the fit"},
};

const struct schema calibration_schema = {
    .name = "calibration",
    .size = sizeof(struct calibration),
    .fields = calibration_fields,
    .count = sizeof calibration_fields / sizeof calibration_fields[0],
    .where_offset = offsetof(struct calibration, where),
};

/* A family's scalars as a schema over double[SCALARS_MOST], so that the reader gives the usual checks. */
static bool read_scalars(struct reader *reader, const struct family_declaration *family,
                         const struct yaml_node *node, bool errors, const char *path, double *values)
{
    struct field fields[SCALARS_MOST] = {{0}};
    for (int i = 0; i < family->count; i++) {
        const struct scalar_declaration *scalar = &family->scalars[i];
        fields[i] = (struct field){
            .key = scalar->name,
            .kind = FIELD_QUANTITY,
            .offset = (size_t)i * sizeof(double),
            .dimension = scalar->dimension,
            .min = errors ? 0 : scalar->min,
            .max = errors ? 1e3 : scalar->max,
            .doc = scalar->doc,
        };
    }
    struct schema schema = {family->name, SCALARS_MOST * sizeof(double), fields, (size_t)family->count, 0};
    return schema_read(reader, &schema, node, path, values);
}

/* {eps: {t0: -0.2, beta: 0.1}}: of a scalar with those before it in the family's table. */
static bool read_correlations(struct reader *reader, const struct family_declaration *family,
                              const struct yaml_node *node, const char *path,
                              double correlations[SCALARS_MOST][SCALARS_MOST])
{
    bool ok = true;
    size_t known = 0;
    for (int i = 1; i < family->count; i++) {
        const struct yaml_node *row = yaml_get(node, family->scalars[i].name);
        struct field fields[SCALARS_MOST] = {{0}};
        if (row == NULL)
            continue;
        known++;
        for (int j = 0; j < i; j++)
            fields[j] = (struct field){.key = family->scalars[j].name,
                                       .kind = FIELD_QUANTITY,
                                       .offset = (size_t)j * sizeof(double),
                                       .dimension = DIM_NONE,
                                       .min = -1,
                                       .max = 1,
                                       .doc = "correlation"};
        struct schema schema = {family->name, SCALARS_MOST * sizeof(double), fields, (size_t)i, 0};
        ok = schema_read(reader, &schema, row, path, correlations[i]) && ok;
    }
    if (known == node->children)
        return ok;
    return diag_error(reader->diag, node->where,
                      "%s: expected names of scalars of %s that have others before "
                      "them in its table",
                      path, family->name);
}

static bool read_calibration(struct reader *reader, const struct yaml_node *node, size_t index,
                             struct calibration *calibration)
{
    char path[64];
    snprintf(path, sizeof path, "calibration.%zu", index);
    if (!schema_read(reader, &calibration_schema, node, path, calibration))
        return false;
    const struct family_declaration *family = &families[calibration->family];
    const struct yaml_node *values = yaml_get(node, "values");
    const struct yaml_node *errors = yaml_get(node, "standard_errors");
    snprintf(path, sizeof path, "calibration.%zu.values", index);
    if (!read_scalars(reader, family, values, false, path, calibration->values))
        return false;
    snprintf(path, sizeof path, "calibration.%zu.standard_errors", index);
    if (errors != NULL && !read_scalars(reader, family, errors, true, path, calibration->standard_errors))
        return false;
    const struct yaml_node *correlations = yaml_get(node, "correlations");
    snprintf(path, sizeof path, "calibration.%zu.correlations", index);
    if (correlations != NULL &&
        !read_correlations(reader, family, correlations, path, calibration->correlations))
        return false;
    for (int i = 0; i < family->count; i++) {
        calibration->given[i] = yaml_get(values, family->scalars[i].name) != NULL;
        if (!calibration->given[i])
            calibration->values[i] = family->scalars[i].fallback;
    }
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool refuse_repeats(struct reader *reader, const struct calibration *list, size_t count)
{
    const struct calibration *last = &list[count - 1];
    for (size_t i = 0; i + 1 < count; i++) {
        if (list[i].family == last->family && list[i].format == last->format &&
            list[i].operand == last->operand && same_text(list[i].software, last->software) &&
            same_text(list[i].version, last->version))
            return diag_error(
                reader->diag, last->where,
                "calibration: a second block for software \"%s\", family %s; the first is at line %d",
                last->software, families[last->family].name, list[i].where.line);
    }
    return true;
}

enum { CALIBRATIONS_MOST = 2048 };

bool calibrations_read(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_LIST)
        return diag_error(reader->diag, node->where, "calibration: expected a list of blocks");
    if (node->children > CALIBRATIONS_MOST)
        return diag_error(reader->diag, node->where, "calibration: %zu blocks are more than the %d allowed",
                          node->children, CALIBRATIONS_MOST);
    struct calibration *list = ARENA_ARRAY(reader->arena, struct calibration, node->children + 1);
    if (list == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    size_t count = 0;
    bool ok = true;
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        bool good = read_calibration(reader, item, count, &list[count]);
        count++;
        ok = good && refuse_repeats(reader, list, count) && ok;
        if (!good)
            list[count - 1].software = ""; /* equal to no other block */
    }
    struct calibration **items = member;
    *items = list;
    *(size_t *)(void *)(items + 1) = count;
    return ok;
}
