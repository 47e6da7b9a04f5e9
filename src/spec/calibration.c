#include "spec/calibration.h"

#include <stdio.h>
#include <string.h>

/* No fixed cost of a kernel is longer than this; anything above is a wrong unit. */
#define OVERHEAD_MOST 1e-3 /* s */
/* Efficiencies divide, so that zero is out. */
#define EFFICIENCY_LEAST 1e-3

#define OVERHEAD(name, doc)                                                                                  \
    {                                                                                                        \
        name, DIM_SECONDS, 0, OVERHEAD_MOST, 0, doc                                                          \
    }
#define EFFICIENCY(name, doc)                                                                                \
    {                                                                                                        \
        name, DIM_FRACTION, EFFICIENCY_LEAST, 1, 1, doc                                                      \
    }

#define GEMM_SCALARS                                                                                         \
    {                                                                                                        \
        [GEMM_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                              \
        [GEMM_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),                \
        [GEMM_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a tile"),             \
        [GEMM_LAMBDA] = EFFICIENCY("lambda", "share of the shared cache's bandwidth that is reached"),       \
        [GEMM_OMEGA] = OVERHEAD("omega", "prologue and epilogue of each wave of tiles"),                     \
        [GEMM_DEQUANT] =                                                                                     \
            EFFICIENCY("dequant", "share of the lanes' rate at which weights are converted to values"),      \
    }

#define ATTENTION_SCALARS                                                                                    \
    {                                                                                                        \
        [ATTENTION_T0] = OVERHEAD("t0", "fixed time of one kernel"),                                         \
        [ATTENTION_BETA] = EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),           \
        [ATTENTION_EPS] = EFFICIENCY("eps", "share of the matrix units' peak reached inside a block"),       \
        [ATTENTION_OMEGA] = OVERHEAD("omega", "cost of each wave of query blocks"),                          \
        [ATTENTION_SPLIT] = OVERHEAD("split", "cost of combining one split-KV partial result"),              \
    }

#define LINK_SCALARS                                                                                         \
    {                                                                                                        \
        [LINK_T0] = OVERHEAD("t0", "fixed time of one operation"),                                           \
        [LINK_BETA] = EFFICIENCY("beta", "share of the link's bandwidth that is reached"),                   \
        [LINK_ALPHA] = OVERHEAD("alpha", "time of one hop beyond the link's latency"),                       \
    }

const struct family_declaration families[FAMILY_COUNT] = {
    [FAMILY_GEMM] = {"gemm", GEMM_SCALARS, 6},
    [FAMILY_MOE] = {"moe", GEMM_SCALARS, 6},
    [FAMILY_ATTENTION_PREFILL] = {"attention-prefill", ATTENTION_SCALARS, 5},
    [FAMILY_ATTENTION_DECODE] = {"attention-decode", ATTENTION_SCALARS, 5},
    [FAMILY_MLA_PREFILL] = {"mla-prefill", ATTENTION_SCALARS, 5},
    [FAMILY_MLA_DECODE] = {"mla-decode", ATTENTION_SCALARS, 5},
    [FAMILY_RECURRENT] = {"recurrent",
                          {
                              [RECURRENT_T0] = OVERHEAD("t0", "fixed time of one kernel"),
                              [RECURRENT_BETA] =
                                  EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),
                              [RECURRENT_EPS] =
                                  EFFICIENCY("eps", "share of the peak rate reached inside a chunk"),
                              [RECURRENT_OMEGA] = OVERHEAD("omega", "cost of each wave of chunks"),
                          },
                          4},
    [FAMILY_ELEMENTWISE] = {"elementwise",
                            {
                                [ELEMENTWISE_T0] = OVERHEAD("t0", "fixed time of one kernel"),
                                [ELEMENTWISE_BETA] =
                                    EFFICIENCY("beta", "share of main memory's bandwidth that is reached"),
                                [ELEMENTWISE_EPS] =
                                    EFFICIENCY("eps", "share of the lanes' peak rate that is reached"),
                            },
                            3},
    [FAMILY_COLLECTIVE] = {"collective", LINK_SCALARS, 3},
    [FAMILY_TRANSFER] = {"transfer", LINK_SCALARS, 3},
};

static const struct enum_name family_names[] = {
    {"gemm", FAMILY_GEMM},
    {"moe", FAMILY_MOE},
    {"attention-prefill", FAMILY_ATTENTION_PREFILL},
    {"attention-decode", FAMILY_ATTENTION_DECODE},
    {"mla-prefill", FAMILY_MLA_PREFILL},
    {"mla-decode", FAMILY_MLA_DECODE},
    {"recurrent", FAMILY_RECURRENT},
    {"elementwise", FAMILY_ELEMENTWISE},
    {"collective", FAMILY_COLLECTIVE},
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
    {.key = "residual",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct calibration, residual),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 10,
     .doc = "standard deviation of log(measured / predicted)"},
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
    for (int i = 0; i < family->count; i++) {
        calibration->given[i] = yaml_get(values, family->scalars[i].name) != NULL;
        if (!calibration->given[i])
            calibration->values[i] = family->scalars[i].fallback;
    }
    return true;
}

static bool refuse_repeats(struct reader *reader, const struct calibration *list, size_t count)
{
    const struct calibration *last = &list[count - 1];
    for (size_t i = 0; i + 1 < count; i++) {
        if (list[i].family == last->family && list[i].format == last->format &&
            strcmp(list[i].software, last->software) == 0)
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
