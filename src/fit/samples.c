#include "base/parallel.h"
#include "base/suggest.h"
#include "base/text.h"
#include "fit/sample_row.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum {
    FILE_MOST = 256 << 20,
    BLOCKS_MOST = 256,
    SKIPS_MOST = 256,
    OTHERS_MOST = 16,
    OPS_A_SAMPLE = 8,
    BUFFERS_A_SAMPLE = 8
};

static const struct sample_schema *const schemas[] = {
    &gemm_samples,      &attention_samples,  &moe_samples,        &mla_samples,
    &recurrent_samples, &collective_samples, &elementwise_samples};

uint64_t fnv1a(uint64_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211ULL;
    return hash;
}

unsigned sample_fold(const struct sample *sample, bool by_shape)
{
    return (unsigned)((by_shape ? sample->shape_hash : sample->line_hash) % FOLDS);
}

const char *row_text(struct sample_row *row, const char *column)
{
    int index = csv_column(row->table, column);
    return index == CSV_NO_COLUMN ? "" : row->row->cells[index];
}

double row_number(struct sample_row *row, const char *column, double least)
{
    double value = 0;
    int index = csv_column(row->table, column);
    if (row->failed || index == CSV_NO_COLUMN)
        return least;
    if (!csv_number(row->table, row->row, index, row->diag, &value)) {
        row->failed = true;
        return least;
    }
    const double most = 1e15;
    if (value >= least && value <= most)
        return value;
    row->failed = true;
    diag_error(row->diag, csv_where(row->table, row->row, index), "%s: found %g, expected %g to %g", column,
               value, least, most);
    return least;
}

struct element_type row_type(struct sample_row *row, const char *column)
{
    struct element_type type;
    const char *name = row_text(row, column);
    if (element_type_parse(name, &type))
        return type;
    const char *reason = text_is_plain(name)
                             ? arena_printf(row->arena, "%s \"%.40s\" is no known element type", column, name)
                             : "an element type whose name is not plain text";
    row_skip(row, reason ? reason : "out of memory");
    return row_type_named(row, "bf16");
}

struct element_type row_type_named(struct sample_row *row, const char *name)
{
    struct element_type type = {0};
    if (!element_type_parse(name, &type) && !row->failed) {
        row->failed = true;
        diag_error(row->diag, NOWHERE, "no element type %s", name);
    }
    return type;
}

bool row_operands(struct sample_row *row, const char *column, const struct operand_types *names, size_t count,
                  struct element_type *a, struct element_type *b)
{
    const char *dtype = row_text(row, column);
    struct operand_types types = {dtype, dtype, dtype};
    for (size_t i = 0; i < count; i++)
        types = strcmp(names[i].dtype, dtype) == 0 ? names[i] : types;
    if (element_type_parse(types.a, a) && element_type_parse(types.b, b))
        return true;
    row_type(row, column);
    return false;
}

void row_shape(struct sample_row *row, const char *const *columns)
{
    for (; *columns; columns++) {
        const char *cell = row_text(row, *columns);
        row->shape_hash = fnv1a(row->shape_hash, cell, strlen(cell) + 1);
    }
}

void row_skip(struct sample_row *row, const char *reason)
{
    if (!row->skip)
        row->skip = reason;
}

int row_weights(struct sample_row *row, const struct element_type *type, double rows, double cols)
{
    int index = graph_add_buffer(row->graph, "weights", BUFFER_WEIGHTS, OUTSIDE_LAYERS);
    if (row->graph->failed)
        return BUFFER_NONE;
    struct buffer *buffer = &row->graph->buffers[index];
    buffer->type = *type;
    buffer->rows = rows;
    buffer->cols = cols;
    return index;
}

void samples_start(struct sample_set *set, struct arena *arena, const struct device *device)
{
    *set = (struct sample_set){.arena = arena, .device = device};
    set->member = (struct system_member){.role = "device", .count = 1, .device = device};
    set->system = (struct system){.id = device->id, .members = &set->member, .member_count = 1};
    set->blocks = ARENA_ARRAY(arena, struct sample_block, BLOCKS_MOST);
    set->skipped = ARENA_ARRAY(arena, struct skipped_rows, SKIPS_MOST);
    set->others = ARENA_ARRAY(arena, struct other_device, OTHERS_MOST);
    set->profiles = ARENA_ARRAY(arena, struct software, BLOCKS_MOST);
    set->profile_sources = ARENA_ARRAY(arena, const char *, BLOCKS_MOST);
}

/* The first column of the schema that the table lacks; NULL: it has all. *found: how many it has. */
static const char *missing_column(const struct sample_schema *schema, const struct csv_table *table,
                                  size_t *found)
{
    static const char *const common[] = {"device", "source", "time_us", NULL};
    const char *missing = NULL;
    *found = 0;
    for (int own = 0; own < 2; own++)
        for (const char *const *column = own ? schema->columns : common; *column; column++) {
            bool there = csv_column(table, *column) != CSV_NO_COLUMN;
            *found += there;
            missing = there || missing ? missing : *column;
        }
    return missing;
}

static const struct sample_schema *schema_of(struct diag *diag, const struct csv_table *table)
{
    enum { SCHEMAS = sizeof schemas / sizeof *schemas };
    const struct sample_schema *nearest = NULL;
    const char *lacks = NULL;
    size_t most = 3;
    for (size_t i = 0; i < SCHEMAS; i++) {
        size_t found;
        const char *missing = missing_column(schemas[i], table, &found);
        if (!missing)
            return schemas[i];
        if (found > most) {
            nearest = schemas[i];
            lacks = missing;
            most = found;
        }
    }
    struct source_location where = {table->path, table->header_line, 1};
    if (nearest)
        diag_error(diag, where, "no column \"%s\", which samples of %s have", lacks, nearest->name);
    else
        diag_error(
            diag, where,
            "the columns are of no known kind of samples: expected device, source, time_us and those "
            "of gemm (dtype, m, n, k), attention, moe, mla, linear_attention, collective or elementwise");
    return NULL;
}

static bool goes_by(const struct device *device, const char *name)
{
    if (edit_distance(device->id, name) == 0 || (device->name && edit_distance(device->name, name) == 0))
        return true;
    for (size_t i = 0; i < device->aliases.count; i++)
        if (edit_distance(device->aliases.items[i], name) == 0)
            return true;
    return false;
}

static void count_other(struct sample_set *set, const char *name)
{
    set->other_devices++;
    for (size_t i = 0; i < set->other_count; i++)
        if (strcmp(set->others[i].name, name) == 0) {
            set->others[i].count++;
            return;
        }
    if (set->other_count < OTHERS_MOST)
        set->others[set->other_count++] = (struct other_device){name, 1};
}

/* Rows of one device mostly follow each other, so that a name is compared once. */
struct device_names {
    const char *last;
    bool same;
};

static bool is_device(struct device_names *names, const struct device *device, const char *name)
{
    if (!names->last || strcmp(names->last, name) != 0)
        *names = (struct device_names){name, goes_by(device, name)};
    return names->same;
}

/* "vllm custom 0.14.0": software vllm, version 0.14.0. */
static bool take_profile(struct sample_set *set, const char *source, software_lookup *lookup, void *context,
                         struct software *software)
{
    const char *id = arena_strndup(set->arena, source, strcspn(source, " ")), *last = strrchr(source, ' ');
    const struct software *profile = id && lookup ? lookup(context, id) : NULL;
    *software = profile ? *profile : (struct software){0};
    software->id = id; /* a profile may be found by an alias */
    software->version = last && isdigit((unsigned char)last[1]) ? last + 1 : NULL;
    return id != NULL;
}

/* The software of a source, looked up once. */
static const struct software *profile_of(struct sample_set *set, struct diag *diag, const char *source,
                                         struct source_location where, software_lookup *lookup, void *context)
{
    for (size_t i = 0; i < set->profile_count; i++)
        if (strcmp(set->profile_sources[i], source) == 0)
            return &set->profiles[i];
    if (source[strspn(source, " ")] == '\0' || source[0] == ' ' || !text_is_plain(source)) {
        diag_error(diag, where,
                   "source: found \"%.80s\", expected a software and its version such as vllm 0.14.0",
                   source);
        return NULL;
    }
    if (set->profile_count == BLOCKS_MOST) {
        diag_error(diag, where, "more than %d sources", BLOCKS_MOST);
        return NULL;
    }
    struct software *software = &set->profiles[set->profile_count];
    if (!take_profile(set, source, lookup, context, software)) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    set->profile_sources[set->profile_count++] = source;
    return software;
}

static bool same_key(const struct sample_block *a, const struct sample_block *b)
{
    return a->family == b->family && a->format == b->format && a->operand == b->operand &&
           strcmp(a->source, b->source) == 0;
}

static struct sample_block *find_block(struct sample_set *set, struct diag *diag,
                                       const struct sample_block *wanted)
{
    for (size_t i = 0; i < set->block_count; i++)
        if (same_key(&set->blocks[i], wanted))
            return &set->blocks[i];
    if (set->block_count == BLOCKS_MOST) {
        diag_error(diag, NOWHERE, "more than %d combinations of software, family and element types",
                   BLOCKS_MOST);
        return NULL;
    }
    struct sample_block *block = &set->blocks[set->block_count++];
    *block = *wanted;
    return block;
}

static const char *text_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static bool same_skip(const struct skipped_rows *a, const struct skipped_rows *b)
{
    return a->family == b->family && strcmp(a->reason, b->reason) == 0 && strcmp(a->source, b->source) == 0 &&
           strcmp(a->dtype, b->dtype) == 0;
}

static bool count_skipped(struct sample_set *set, const struct sample_row *row,
                          const struct sample_block *wanted)
{
    struct skipped_rows skip = {.reason = arena_strdup(set->arena, row->skip),
                                .source = wanted->source,
                                .dtype = text_or(row->dtype, ""),
                                .family = (int)wanted->family,
                                .first = {row->table->path, row->row->line, 1},
                                .count = 1};
    if (!skip.reason)
        return diag_error(row->diag, NOWHERE, "out of memory");
    set->skipped_count++;
    for (size_t i = 0; i < set->skipped_kinds; i++)
        if (same_skip(&set->skipped[i], &skip)) {
            set->skipped[i].count++;
            return true;
        }
    if (set->skipped_kinds < SKIPS_MOST)
        set->skipped[set->skipped_kinds++] = skip;
    return true;
}

/* Room for any schema's operators; what a sample keeps is copied out of it. */
static bool start_graph(struct sample_row *row, struct arena *scratch, const struct software *software)
{
    struct graph *graph = row->graph = ARENA_NEW(scratch, struct graph);
    if (!graph)
        return diag_error(row->diag, NOWHERE, "out of memory");
    graph->arena = scratch;
    graph->software = software;
    graph->parallel = (struct parallelism){.tp = 1, .pp = 1, .ep = 1, .dp = 1};
    graph->op_capacity = OPS_A_SAMPLE;
    graph->buffer_capacity = BUFFERS_A_SAMPLE;
    graph->ops = ARENA_ARRAY(scratch, struct op, OPS_A_SAMPLE);
    graph->buffers = ARENA_ARRAY(scratch, struct buffer, BUFFERS_A_SAMPLE);
    graph->types.activations = row_type_named(row, "bf16");
    if (software->activation_type.name[0] != '\0')
        graph->types.activations = software->activation_type;
    graph->types.weights = graph->types.experts = graph->types.kv = graph->types.activations;
    graph->types.state = row_type_named(row, "fp32");
    return (graph->ops && graph->buffers) || diag_error(row->diag, NOWHERE, "out of memory");
}

static const struct graph *keep_graph(struct arena *arena, const struct graph *graph)
{
    struct graph *kept = ARENA_NEW(arena, struct graph);
    if (!kept)
        return NULL;
    *kept = *graph;
    kept->arena = arena;
    kept->op_capacity = graph->op_count;
    kept->buffer_capacity = graph->buffer_count;
    kept->ops = ARENA_ARRAY(arena, struct op, (size_t)graph->op_count + 1);
    kept->buffers = ARENA_ARRAY(arena, struct buffer, (size_t)graph->buffer_count + 1);
    if (!kept->ops || !kept->buffers)
        return NULL;
    memcpy(kept->ops, graph->ops, (size_t)graph->op_count * sizeof *graph->ops);
    memcpy(kept->buffers, graph->buffers, (size_t)graph->buffer_count * sizeof *graph->buffers);
    return kept;
}

/* The most devices that an operator of the sample joins. */
static int ranks_needed(const struct graph *graph)
{
    double most = 1;
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].kind == OP_COLLECTIVE && graph->ops[i].collective.ranks > most)
            most = graph->ops[i].collective.ranks;
    return most < 1 << 20 ? (int)most : 1 << 20;
}

/* Family and formats are what the cost model makes of the operator on this device. */
static bool identify(struct sample_set *set, struct sample_row *row, struct sample_block *wanted)
{
    struct target target;
    struct system system;
    struct system_member member;
    if (!samples_target(set, wanted, set->device, &system, &member, &target, row->diag))
        return false;
    struct diag quiet = {.arena = set->scratch};
    struct prepared_op *prepared = cost_prepare(set->scratch, &quiet, row->graph, &target);
    if (!prepared) {
        row_skip(row, quiet.first ? quiet.first->text : "cannot be modelled");
        return true;
    }
    enum regime regime = row->regime ? row->regime : segment_regime(&row->sample->segment);
    struct op_footing footing = cost_footing(prepared, 0, regime);
    wanted->family = footing.family;
    wanted->format = footing.format;
    wanted->operand = footing.operand;
    return true;
}

/* Columns that do not say what was done. */
static bool is_work(const char *column)
{
    static const char *const others[] = {"device", "source", "kernel", "kernel_source", "time_us"};
    for (size_t j = 0; j < sizeof others / sizeof *others; j++)
        if (strcmp(column, others[j]) == 0)
            return false;
    return true;
}

static uint64_t hash_work(const struct csv_table *table, const struct csv_row *row)
{
    uint64_t hash = FNV1A_START;
    for (size_t i = 0; i < table->column_count; i++)
        if (is_work(table->columns[i]))
            hash = fnv1a(hash, row->cells[i], strlen(row->cells[i]) + 1);
    return hash;
}

const char *sample_dimensions(const struct sample *sample, struct arena *arena)
{
    struct text out = {0};
    for (size_t i = 0; i < sample->table->column_count; i++) {
        const char *column = sample->table->columns[i], *cell = sample->row->cells[i];
        if (is_work(column) && !strstr(column, "dtype") && text_is_plain(column) && text_is_plain(cell))
            text_printf(&out, "%s%s %s", out.length > 0 ? ", " : "", column, cell);
    }
    const char *kept = arena_strdup(arena, out.data && !out.failed ? out.data : "");
    text_free(&out);
    return kept ? kept : "";
}

static bool keep_sample(struct sample_set *set, struct diag *diag, const struct sample *sample)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 4096;
        struct sample *grown = ARENA_ARRAY(set->arena, struct sample, capacity);
        if (!grown)
            return diag_error(diag, NOWHERE, "out of memory");
        if (set->count > 0)
            memcpy(grown, set->samples, set->count * sizeof *grown);
        set->samples = grown;
        set->capacity = capacity;
    }
    set->samples[set->count++] = *sample;
    return true;
}

/* "half" of a block that had "bfloat16, fp8": "bfloat16, fp8, half". */
static bool add_dtype(struct sample_set *set, struct sample_block *block, const char *dtype)
{
    size_t length = strlen(dtype);
    for (const char *at = block->dtype; at; at = strstr(at, ", ") ? strstr(at, ", ") + 2 : NULL)
        if (strncmp(at, dtype, length) == 0 && (at[length] == '\0' || at[length] == ','))
            return true;
    block->dtype = arena_printf(set->arena, "%s, %s", block->dtype, dtype);
    return block->dtype != NULL;
}

/* Rows of a kind that the model has no answer for, and rows in whose terms it has. */
static bool file_row(struct sample_set *set, struct sample_row *row, struct sample_block *wanted)
{
    struct sample *sample = row->sample;
    wanted->family = (enum family)FAMILY_UNKNOWN;
    if (row->graph->op_count > 0 && !identify(set, row, wanted))
        return false;
    sample->dtype = wanted->dtype = text_or(row->dtype, "");
    if (!text_is_plain(sample->dtype) || !text_is_plain(sample->variant))
        return diag_error(row->diag, sample->where,
                          "control characters or bytes that are no UTF-8 in a name of types or kernels");
    if (row->skip)
        return count_skipped(set, row, wanted);
    struct sample_block *block = find_block(set, row->diag, wanted);
    if (!block)
        return false;
    block->count++;
    sample->block = (size_t)(block - set->blocks);
    sample->graph = keep_graph(set->arena, row->graph);
    sample->line_hash = fnv1a(FNV1A_START, sample->text, strlen(sample->text));
    sample->shape_hash = row->shape_hash;
    sample->work_hash = hash_work(row->table, row->row);
    if (!sample->graph || !add_dtype(set, block, sample->dtype))
        return diag_error(row->diag, NOWHERE, "out of memory");
    return keep_sample(set, row->diag, sample);
}

static bool add_row(struct sample_set *set, struct sample_row *row, const struct sample_schema *schema,
                    software_lookup *lookup, void *context)
{
    *row->sample = (struct sample){.where = {row->table->path, row->row->line, 1},
                                   .text = row->row->text,
                                   .table = row->table,
                                   .row = row->row,
                                   .variant = "",
                                   .kernel = ""};
    const char *source = row_text(row, "source");
    const struct software *software =
        profile_of(set, row->diag, source, csv_where(row->table, row->row, csv_column(row->table, "source")),
                   lookup, context);
    if (!software)
        return false;
    struct sample_block wanted = {.source = source,
                                  .dtype = "",
                                  .software_id = software->id,
                                  .version = software->version,
                                  .software = *software};
    row->shape_hash = FNV1A_START;
    arena_reset(set->scratch);
    if (!start_graph(row, set->scratch, software))
        return false;
    row->sample->seconds = row_number(row, "time_us", 1e-3) * 1e-6;
    schema->read(row);
    if (row->failed)
        return false;
    if (row->graph->failed)
        return diag_error(row->diag, NOWHERE, "out of memory");
    int ranks = ranks_needed(row->graph);
    set->member.count = ranks > set->member.count ? ranks : set->member.count;
    return file_row(set, row, &wanted);
}

static bool add_rows(struct sample_set *set, struct diag *diag, const struct csv_table *table,
                     const struct sample_schema *schema, software_lookup *lookup, void *context)
{
    struct device_names names = {0};
    int device = csv_column(table, "device");
    for (size_t i = 0; i < table->row_count; i++) {
        struct sample sample;
        struct sample_row row = {
            .arena = set->arena, .diag = diag, .table = table, .row = &table->rows[i], .sample = &sample};
        const char *name = table->rows[i].cells[device];
        if (!is_device(&names, set->device, name))
            count_other(set, name);
        else if (!add_row(set, &row, schema, lookup, context))
            return false;
    }
    return true;
}

bool samples_add(struct sample_set *set, struct diag *diag, const struct csv_table *table,
                 software_lookup *lookup, void *context)
{
    if (!set->blocks || !set->skipped || !set->others || !set->profiles || !set->profile_sources)
        return diag_error(diag, NOWHERE, "out of memory");
    const struct sample_schema *schema = schema_of(diag, table);
    if (!schema)
        return false;
    set->scratch = arena_new(0);
    bool ok = set->scratch ? add_rows(set, diag, table, schema, lookup, context)
                           : diag_error(diag, NOWHERE, "out of memory");
    arena_free(set->scratch);
    set->scratch = NULL;
    return ok;
}

bool samples_read(struct sample_set *set, struct diag *diag, const char *path, software_lookup *lookup,
                  void *context)
{
    struct csv_table *table = ARENA_NEW(set->arena, struct csv_table);
    if (!table)
        return diag_error(diag, NOWHERE, "out of memory");
    return csv_read(table, set->arena, diag, path, FILE_MOST) &&
           samples_add(set, diag, table, lookup, context);
}

bool samples_target(const struct sample_set *set, const struct sample_block *block,
                    const struct device *device, struct system *system, struct system_member *member,
                    struct target *target, struct diag *diag)
{
    *member = set->member;
    member->device = device;
    *system = set->system;
    system->members = member;
    struct graph_types types = {0};
    element_type_parse("bf16", &types.activations);
    if (block->software.activation_type.name[0] != '\0')
        types.activations = block->software.activation_type;
    if (!target_resolve(target, diag, system, &block->software, &types))
        return false;
    target->repeated = true;
    return true;
}

bool sample_predict(const struct sample *sample, const struct target *target, struct arena *scratch,
                    struct diag *diag, double *seconds, double *sigma)
{
    const struct segment *segment = &sample->segment;
    struct step_totals totals[REGIME_ANY + 1];
    memset(totals, 0, sizeof totals);
    step_totals_add(&totals[segment_regime(segment)], segment);
    step_totals_add(&totals[REGIME_ANY], segment);
    arena_reset(scratch);
    struct prepared_op *prepared = cost_prepare(scratch, diag, sample->graph, target);
    if (!prepared)
        return false;
    *seconds = 0;
    for (int i = 0; i < sample->graph->op_count; i++) {
        struct op_cost cost;
        cost_op(prepared, i, segment, 1, totals, &cost);
        *seconds += cost.time * sample->graph->ops[i].per_layer;
    }
    if (sigma) {
        const struct calibration *block = cost_footing(prepared, 0, segment_regime(segment)).calibration;
        *sigma = block ? calibration_sigma(block) : 0;
    }
    if (*seconds > 0 && isfinite(*seconds))
        return true;
    return diag_error(diag, sample->where, "the predicted time is %g s", *seconds);
}

/* What went wrong first is said by asking again, alone. */
static bool predict_again(const struct sample *sample, const struct target *target, struct diag *diag)
{
    double seconds;
    struct arena *scratch = arena_new(0);
    bool ok = scratch && sample_predict(sample, target, scratch, diag, &seconds, NULL);
    arena_free(scratch);
    if (ok || diag->errors == 0)
        diag_error(diag, NOWHERE, "out of memory");
    return false;
}

/* Predictions being made, by several threads. */
struct predictions {
    const struct sample_set *set;
    const size_t *chosen;
    const struct target *target;
    double *seconds, *sigmas;
    size_t first_failed; /* lowered atomically */
};

static void note_failure(struct predictions *all, size_t index)
{
    size_t first = __atomic_load_n(&all->first_failed, __ATOMIC_RELAXED);
    while (index < first && !__atomic_compare_exchange_n(&all->first_failed, &first, index, true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void predict_range(void *context, size_t from, size_t to)
{
    struct predictions *all = context;
    struct arena *scratch = arena_new(0);
    struct diag quiet = {.arena = scratch};
    for (size_t i = from; i < to; i++)
        if (!scratch || !sample_predict(&all->set->samples[all->chosen[i]], all->target, scratch, &quiet,
                                        &all->seconds[i], all->sigmas ? &all->sigmas[i] : NULL))
            note_failure(all, i);
    arena_free(scratch);
}

bool samples_predict(const struct sample_set *set, const size_t *chosen, size_t count,
                     const struct target *target, struct diag *diag, double *seconds, double *sigmas)
{
    enum { CHUNK = 128 }; /* some tenths of a millisecond: long against a thread's start */
    struct predictions all = {set, chosen, target, seconds, sigmas, count};
    parallel_for(count, CHUNK, predict_range, &all);
    size_t failed = all.first_failed;
    return failed == count || predict_again(&set->samples[chosen[failed]], target, diag);
}
