#include "spec/workload.h"

#include "spec/length.h"
#include "spec/source_notes.h"

COUNT_FOLLOWS(struct workload, sources, source_count);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct field slo_fields[] = {
    {.key = "ttft",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct slo, ttft),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 1e6,
     .doc = "time to the first token"},
    {.key = "tpot",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct slo, tpot),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 1e6,
     .doc = "time per output token after the first"},
    {.key = "latency",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct slo, latency),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 1e6,
     .doc = "time to the last token"},
};
static const struct schema slo_schema = {"slo", sizeof(struct slo), slo_fields, COUNT_OF(slo_fields), 0};

static const struct field arrival_fields[] = {
    {.key = "rate",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct arrivals, rate),
     .dimension = DIM_PER_SECOND,
     .min = 0,
     .max = 1e9,
     .doc = "requests per second; 0: the next one comes when one is done"},
    {.key = "burstiness",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct arrivals, burstiness),
     .dimension = DIM_NONE,
     .min = 0,
     .max = 1000,
     .fallback = "1",
     .doc = "coefficient of variation of the gaps; 1: Poisson"},
};
static const struct schema arrival_schema = {"arrivals", sizeof(struct arrivals), arrival_fields,
                                             COUNT_OF(arrival_fields), 0};

static const struct field workload_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct workload, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "extends",
     .kind = FIELD_STRING,
     .offset = offsetof(struct workload, extends),
     .doc = "the description that this one changes"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct workload, aliases),
     .doc = "other names"},
    {.key = "batch",
     .kind = FIELD_INT,
     .offset = offsetof(struct workload, batch),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1e7,
     .fallback = "1",
     .doc = "sequences in flight over the system"},
    {.key = "prompt",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct workload, prompt),
     .required = true,
     .custom = length_read,
     .doc = "tokens, or {uniform: [a, b]}, {lognormal: {median, p95, min, max}}, {list: [..]}"},
    {.key = "output",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct workload, output),
     .required = true,
     .custom = length_read,
     .doc = "tokens, likewise"},
    {.key = "shared_prefix",
     .kind = FIELD_INT,
     .offset = offsetof(struct workload, shared_prefix),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e8,
     .doc = "tokens at the head of every prompt that are the same for all; a technique reuses them"},
    {.key = "cached_fraction",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct workload, cached_fraction),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .doc = "share of the prompt that is in the KV cache when the request arrives"},
    {.key = "slo",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct workload, slo),
     .object = &slo_schema,
     .doc = "what the user accepts; left out: no limit"},
    {.key = "arrivals",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct workload, arrivals),
     .object = &arrival_schema,
     .doc = "when requests come"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct workload, sources),
     .custom = source_notes_read,
     .doc = "where figures come from"},
};

const struct schema workload_schema = {
    .name = "workload",
    .size = sizeof(struct workload),
    .fields = workload_fields,
    .count = COUNT_OF(workload_fields),
    .where_offset = offsetof(struct workload, where),
};

bool workload_read(struct reader *reader, const struct yaml_node *node, const char *id,
                   struct workload *workload)
{
    *workload = (struct workload){0};
    if (!schema_read(reader, &workload_schema, node, "", workload))
        return false;
    workload->id = id;
    double strata[STRATA_MOST];
    length_strata(&workload->prompt, strata);
    if (workload->shared_prefix > strata[0])
        return diag_error(reader->diag, workload->where,
                          "shared_prefix: %d tokens are more than the shortest prompts have (%.0f)",
                          workload->shared_prefix, strata[0]);
    return true;
}
