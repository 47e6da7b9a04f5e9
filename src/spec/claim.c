#include "spec/claim.h"

#include "base/suggest.h"
#include "spec/schema_value.h"

#include <stddef.h>
#include <string.h>

const struct enum_name claim_kind_names[] = {{"exact", CLAIM_EXACT},
                                             {"up_to", CLAIM_UP_TO},
                                             {"at_least", CLAIM_AT_LEAST},
                                             {"average", CLAIM_AVERAGE},
                                             {NULL, 0}};
const struct enum_name claim_status_names[] = {{"computed", CLAIM_COMPUTED},
                                               {"input", CLAIM_INPUT},
                                               {"baseline", CLAIM_BASELINE},
                                               {"not-computable", CLAIM_NOT_COMPUTABLE},
                                               {NULL, 0}};
const struct enum_name claim_reason_names[] = {{"none", REASON_NONE},
                                               {"quality-metric", REASON_QUALITY},
                                               {"hardware-not-stated", REASON_HARDWARE},
                                               {"model-not-stated", REASON_MODEL},
                                               {"workload-not-stated", REASON_WORKLOAD},
                                               {"needs-arrivals", REASON_ARRIVALS},
                                               {NULL, 0}};
const struct enum_name claim_form_names[] = {{"value", FORM_VALUE},       {"ratio", FORM_RATIO},
                                             {"speedup", FORM_SPEEDUP},   {"reduction", FORM_REDUCTION},
                                             {"increase", FORM_INCREASE}, {NULL, 0}};
static const struct enum_name phase_names[] = {
    {"any", CLAIM_ANY_PHASE}, {"prefill", CLAIM_PREFILL}, {"decode", CLAIM_DECODE}, {NULL, 0}};

/* A scalar, or a list of them, as texts. */
static bool read_values(struct reader *reader, const struct yaml_node *node, struct string_list *values)
{
    char found[FOUND_MOST];
    size_t count = node->kind == YAML_LIST ? node->children : 1;
    const struct yaml_node *item = node->kind == YAML_LIST ? node->first : node;
    *values = (struct string_list){ARENA_ARRAY(reader->arena, const char *, count + 1), 0};
    if (values->items == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (item->kind != YAML_SCALAR)
            return diag_error(reader->diag, item->where, "%s: found %s, expected a value or a list of them",
                              node->key, schema_found(item, found));
        values->items[values->count++] = item->scalar;
    }
    return true;
}

/* {setup: NAME, zip: true, option: value or [values] ...} as it stands; setups are laid under it later. */
static bool read_query(struct reader *reader, const struct yaml_node *node, void *member)
{
    struct claim_query *query = member;
    char found[FOUND_MOST];
    if (node->kind != YAML_MAP)
        return diag_error(reader->diag, node->where,
                          "%s: found %s, expected a map of options such as {model: llama-2-7b, batch: 8}",
                          node->key ? node->key : "query", schema_found(node, found));
    *query = (struct claim_query){.given = true, .where = node->where};
    query->options = ARENA_ARRAY(reader->arena, struct query_option, node->children + 1);
    if (query->options == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        struct query_option option = {.key = entry->key, .where = entry->key_where};
        if (!read_values(reader, entry, &option.values))
            return false;
        if (strcmp(entry->key, "zip") == 0)
            query->zip = option.values.count == 1 && strcmp(option.values.items[0], "true") == 0;
        else
            query->options[query->count++] = option;
    }
    return true;
}

static const struct field claim_fields[] = {
    {.key = "id",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, id),
     .required = true,
     .doc = "TECHNIQUE#N: the N-th result of its paper's card; #N.K for a point of it"},
    {.key = "says",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, says),
     .doc = "in a line, what was measured"},
    {.key = "metric",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, metric),
     .required = true,
     .doc = "what of the answer: tpot, throughput, memory.total ... (see below)"},
    {.key = "ops",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct claim, ops),
     .doc = "for op_time, op_flops, op_bytes: operators, or kinds of them, summed"},
    {.key = "phase",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct claim, phase),
     .names = phase_names,
     .fallback = "any",
     .doc = "of those, the phase that is meant"},
    {.key = "form",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct claim, form),
     .names = claim_form_names,
     .fallback = "value",
     .doc = "of the metric with the technique t and without b: t, t/b, b/t, 1-t/b, t/b-1"},
    {.key = "unit",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, unit),
     .required = true,
     .doc = "of value: ms, tok/s, GiB, x, % ... (see below)"},
    {.key = "value",
     .kind = FIELD_QUANTITY,
     .dimension = DIM_NONE,
     .offset = offsetof(struct claim, value),
     .required = true,
     .doc = "as published, in the unit"},
    {.key = "kind",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct claim, kind),
     .names = claim_kind_names,
     .fallback = "exact",
     .doc = "over the query's grid: its one point, the largest, no smaller than, the mean"},
    {.key = "status",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct claim, status),
     .names = claim_status_names,
     .required = true,
     .doc = "computed (scored); input (a parameter of this file, or what follows from one alone); baseline "
            "(used to calibrate); not-computable"},
    {.key = "reason",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct claim, reason),
     .names = claim_reason_names,
     .fallback = "none",
     .doc = "why it is not computable; no other reasons are taken"},
    {.key = "query",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct claim, query),
     .custom = read_query,
     .doc = "options of `rafter estimate` without dashes; setup: NAME starts from one of `setups`; `with` "
            "is this technique unless given"},
    {.key = "baseline",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct claim, baseline),
     .custom = read_query,
     .doc = "what the baseline has otherwise than query; `with` is empty unless given"},
    {.key = "cause",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, cause),
     .doc = "why prediction and paper differ, where that was tested"},
    {.key = "where",
     .kind = FIELD_STRING,
     .offset = offsetof(struct claim, where_from),
     .doc = "table or figure of the paper"},
};

const struct schema claim_schema = {.name = "claim",
                                    .size = sizeof(struct claim),
                                    .fields = claim_fields,
                                    .count = sizeof claim_fields / sizeof claim_fields[0],
                                    .where_offset = offsetof(struct claim, where)};

const struct query_option *query_find(const struct claim_query *query, const char *key)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->options[i].key, key) == 0)
            return &query->options[i];
    return NULL;
}

/* ---- setups ---- */

struct claims_reader {
    struct reader reader;
    const struct technique *technique;
    int depth; /* of setups that start from setups */
};

static bool lay_setup(struct claims_reader *claims, struct claim_query *query);

static const struct yaml_node *find_setup(struct claims_reader *claims, const struct query_option *name)
{
    const struct yaml_node *setups = claims->technique->setups;
    const struct yaml_node *setup = name->values.count == 1 ? yaml_get(setups, name->values.items[0]) : NULL;
    if (setup != NULL)
        return setup;
    size_t count = setups ? setups->children : 0, i = 0;
    const char **names = ARENA_ARRAY(claims->reader.arena, const char *, count + 1);
    for (const struct yaml_node *entry = setups ? setups->first : NULL; names && entry; entry = entry->next)
        names[i++] = entry->key;
    const char *asked = name->values.count == 1 ? name->values.items[0] : "several";
    const char *nearest = names ? suggest_nearest(asked, names, count) : NULL;
    diag_error(claims->reader.diag, name->where, "setup: found \"%.80s\", which is none of `setups`%s%s%s",
               asked, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return NULL;
}

/* The options of `under` that the query does not say itself. */
static bool lay_under(struct claims_reader *claims, struct claim_query *query,
                      const struct claim_query *under)
{
    struct query_option *all =
        ARENA_ARRAY(claims->reader.arena, struct query_option, query->count + under->count + 1);
    if (all == NULL)
        return diag_error(claims->reader.diag, query->where, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->options[i].key, "setup") != 0)
            all[count++] = query->options[i];
    for (size_t i = 0; i < under->count; i++)
        if (query_find(query, under->options[i].key) == NULL)
            all[count++] = under->options[i];
    query->options = all;
    query->count = count;
    query->zip |= under->zip;
    return true;
}

static bool lay_setup(struct claims_reader *claims, struct claim_query *query)
{
    enum { DEPTH_MOST = 8 };
    const struct query_option *name = query_find(query, "setup");
    struct claim_query under;
    if (name == NULL)
        return true;
    if (claims->depth == DEPTH_MOST)
        return diag_error(claims->reader.diag, name->where,
                          "setup: more than %d setups that start from each other", DEPTH_MOST);
    const struct yaml_node *setup = find_setup(claims, name);
    if (setup == NULL || !read_query(&claims->reader, setup, &under))
        return false;
    claims->depth++;
    bool laid = lay_setup(claims, &under) && lay_under(claims, query, &under);
    claims->depth--;
    return laid;
}

/* ---- a list of claims ---- */

/* Whether the claim says what its status needs. */
static bool check_claim(struct diag *diag, const struct claim *claim)
{
    if (claim->status == CLAIM_COMPUTED && !claim->query.given)
        return diag_error(diag, claim->where, "%s: status computed needs a query", claim->id);
    if (claim->status == CLAIM_NOT_COMPUTABLE && claim->reason == REASON_NONE)
        return diag_error(diag, claim->where,
                          "%s: not-computable needs a reason: quality-metric, hardware-not-stated, "
                          "model-not-stated, workload-not-stated or needs-arrivals",
                          claim->id);
    if (claim->status != CLAIM_NOT_COMPUTABLE && claim->reason != REASON_NONE)
        return diag_error(diag, claim->where, "%s: a reason belongs to status not-computable only",
                          claim->id);
    return true;
}

static bool told_before(struct diag *diag, const struct claim_list *claims, const struct claim *claim)
{
    for (size_t i = 0; i < claims->count; i++)
        if (strcmp(claims->items[i].id, claim->id) == 0) {
            diag_error(diag, claim->where, "id: %s is there already, in line %d", claim->id,
                       claims->items[i].where.line);
            return true;
        }
    return false;
}

bool claims_read(struct arena *arena, struct diag *diag, const struct technique *technique,
                 struct claim_list *claims)
{
    struct claims_reader reading = {.reader = {arena, diag}, .technique = technique};
    const struct yaml_node *list = technique->claims;
    *claims = (struct claim_list){0};
    if (list == NULL)
        return true;
    if (list->kind != YAML_LIST)
        return diag_error(diag, list->where, "claims: expected a list of claims");
    claims->items = ARENA_ARRAY(arena, struct claim, list->children + 1);
    if (claims->items == NULL)
        return diag_error(diag, list->where, "out of memory");
    for (const struct yaml_node *entry = list->first; entry != NULL; entry = entry->next) {
        struct claim *claim = &claims->items[claims->count];
        if (!schema_read(&reading.reader, &claim_schema, entry, "claims", claim) ||
            !lay_setup(&reading, &claim->query) || !lay_setup(&reading, &claim->baseline) ||
            !check_claim(diag, claim) || told_before(diag, claims, claim))
            return false;
        claims->count++;
    }
    return true;
}
