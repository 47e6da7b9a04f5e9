#include "cli/listing.h"

#include "mechanism/mechanism.h"
#include "report/human.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void id_columns(struct table *table)
{
    table_column(table, "id", "id", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "name", "name", SIDE_LEFT, COLUMN_BOTH);
}

static void right(struct table *table, const char *key, const char *heading)
{
    table_column(table, key, heading, SIDE_RIGHT, COLUMN_BOTH);
}

static void cell(struct table *table, struct arena *arena, enum human_kind kind, double value)
{
    double known = value > 0.0 ? value : (double)NAN;
    table_number(table, known, human(arena, kind, known));
}

static void kind_columns(struct table *table, enum kind kind)
{
    id_columns(table);
    if (kind == KIND_HARDWARE) {
        right(table, "devices", "devices");
        right(table, "memory_bytes", "memory");
        right(table, "bandwidth_bytes_per_s", "bandwidth");
        right(table, "bf16_flops_per_s", "bf16 dense");
        right(table, "tdp_w", "TDP");
        right(table, "usd_per_hour", "USD/h");
        right(table, "unverified", "unverified");
    } else if (kind == KIND_MODELS) {
        right(table, "parameters", "parameters");
        right(table, "active_parameters", "active");
        right(table, "layers", "layers");
        right(table, "hidden", "hidden");
        right(table, "max_context_tokens", "context");
    } else if (kind == KIND_WORKLOADS) {
        right(table, "batch", "batch");
        right(table, "prompt_tokens", "prompt (mean)");
        right(table, "output_tokens", "output (mean)");
    } else if (kind == KIND_TECHNIQUES) {
        table_column(table, "family", "family", SIDE_LEFT, COLUMN_BOTH);
        right(table, "year", "year");
        table_column(table, "summary", "summary", SIDE_LEFT, COLUMN_BOTH);
        table_column(table, "paper", "paper", SIDE_LEFT, COLUMN_BOTH);
    }
    if (kind != KIND_TECHNIQUES)
        table_column(table, "aliases", "", SIDE_LEFT, COLUMN_DATA);
}

/* fp16 where there is no bf16: the same width, and older devices have only it. */
static double half_rate(const struct device *device)
{
    double bf16 = fmax(device->matrix[FORMAT_BF16].flops, device->vector[FORMAT_BF16].flops);
    return bf16 > 0.0 ? bf16 : device->matrix[FORMAT_FP16].flops;
}

static void device_cells(struct session *session, struct diag *diag, struct table *table, const char *id)
{
    const struct system *system = catalogue_system(&session->catalogue, diag, id, 0, NULL);
    if (system == NULL)
        return;
    const struct device *device = system->members[0].device;
    const struct memory_tier *memory = device_memory(device);
    double rent = system->usd_per_hour > 0.0 ? system->usd_per_hour
                                             : device->price.usd_per_hour * system->members[0].count;
    struct arena *arena = session->arena;
    table_number(table, system->members[0].count, arena_printf(arena, "%d", system->members[0].count));
    cell(table, arena, HUMAN_BYTES, memory != NULL ? memory->capacity : 0.0);
    cell(table, arena, HUMAN_BYTES_PER_SECOND, memory != NULL ? memory->bandwidth : 0.0);
    cell(table, arena, HUMAN_FLOP_PER_SECOND, half_rate(device));
    cell(table, arena, HUMAN_WATTS, device->power.tdp);
    table_number(table, rent > 0.0 ? rent : (double)NAN,
                 rent > 0.0 ? arena_printf(arena, "%.2f", rent) : "-");
    table_number(table, device->unverified, arena_printf(arena, "%d", device->unverified));
}

static void model_cells(struct session *session, struct diag *diag, struct table *table, const char *id)
{
    const struct model *model = catalogue_model(&session->catalogue, diag, id, NULL);
    struct parameter_count count;
    if (model == NULL)
        return;
    model_parameters(model, &count);
    cell(table, session->arena, HUMAN_PARTS, count.total);
    cell(table, session->arena, HUMAN_PARTS, count.active);
    cell(table, session->arena, HUMAN_NUMBER, model->layers);
    cell(table, session->arena, HUMAN_NUMBER, model->hidden);
    cell(table, session->arena, HUMAN_NUMBER, model->max_context);
}

static void workload_cells(struct session *session, struct diag *diag, struct table *table, const char *id)
{
    const struct workload *workload = catalogue_workload(&session->catalogue, diag, id, NULL);
    if (workload == NULL)
        return;
    cell(table, session->arena, HUMAN_NUMBER, workload->batch);
    cell(table, session->arena, HUMAN_NUMBER, length_mean(&workload->prompt));
    cell(table, session->arena, HUMAN_NUMBER, length_mean(&workload->output));
}

static void technique_cells(struct session *session, struct diag *diag, struct table *table, const char *id)
{
    const struct technique *technique = catalogue_technique(&session->catalogue, diag, id);
    if (technique == NULL)
        return;
    bool dated = technique->year > 0;
    table_text(table, technique_family(technique));
    table_number(table, dated ? technique->year : (double)NAN,
                 dated ? arena_printf(session->arena, "%d", technique->year) : "-");
    table_text(table, technique->summary);
    table_text(table, technique->paper);
}

static const char *aliases_text(const struct string_list *aliases, struct arena *arena)
{
    const char *text = "";
    for (size_t i = 0; i < aliases->count && text != NULL; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", aliases->items[i]);
    return text;
}

static void entry_row(struct session *session, struct table *table, enum kind kind,
                      const struct catalogue_entry *entry)
{
    struct diag diag = {.arena = session->arena};
    table_row(table, TONE_PLAIN);
    table_text(table, entry->id);
    table_text(table, entry->name);
    if (kind == KIND_HARDWARE)
        device_cells(session, &diag, table, entry->id);
    else if (kind == KIND_MODELS)
        model_cells(session, &diag, table, entry->id);
    else if (kind == KIND_WORKLOADS)
        workload_cells(session, &diag, table, entry->id);
    else if (kind == KIND_TECHNIQUES)
        technique_cells(session, &diag, table, entry->id);
    if (diag.errors > 0)
        diag_warning(&session->diag, NOWHERE, "%s cannot be read: %s", entry->id, diag_first_error(&diag));
    else if (kind != KIND_TECHNIQUES)
        table_text(table, aliases_text(&entry->aliases, session->arena));
}

static struct table *mechanisms_table(struct arena *arena)
{
    struct table *table = table_new(arena);
    table_column(table, "name", "name", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "summary", "summary", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < mechanism_count; i++) {
        table_row(table, TONE_PLAIN);
        table_text(table, mechanisms[i]->name);
        table_text(table, mechanisms[i]->summary);
    }
    return table;
}

static struct table *types_table(struct arena *arena)
{
    size_t count;
    const char *const *names = element_type_names(&count);
    struct table *table = table_new(arena);
    table_column(table, "name", "type", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "format", "computes in", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "bytes_each", "bytes each", SIDE_RIGHT, COLUMN_BOTH);
    for (size_t i = 0; i < count; i++) {
        struct element_type type;
        if (!element_type_parse(names[i], &type))
            continue;
        double bytes = element_bytes_each(&type);
        table_row(table, TONE_PLAIN);
        table_text(table, names[i]);
        table_text(table, number_format_name(type.format));
        table_number(table, bytes, arena_printf(arena, "%.6g", bytes));
    }
    return table;
}

struct member {
    const char *family;
    struct catalogue_entry entry;
};

static int by_family(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->family, y->family);
    return order != 0 ? order : strcmp(x->entry.id, y->entry.id);
}

/* Techniques of a family stand together. */
static bool sort_by_family(struct session *session, struct catalogue_entry *entries, size_t count)
{
    struct member *members = ARENA_ARRAY(session->arena, struct member, count + 1);
    struct diag quiet = {.arena = session->arena}; /* their rows say what is wrong */
    if (members == NULL)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    for (size_t i = 0; i < count; i++) {
        const struct technique *technique = catalogue_technique(&session->catalogue, &quiet, entries[i].id);
        members[i] = (struct member){technique ? technique_family(technique) : "", entries[i]};
    }
    qsort(members, count, sizeof *members, by_family);
    for (size_t i = 0; i < count; i++)
        entries[i] = members[i].entry;
    return true;
}

struct table *listing_table(struct session *session, enum kind kind)
{
    struct catalogue_entry *entries;
    size_t count;
    if (kind == KIND_MECHANISMS)
        return mechanisms_table(session->arena);
    if (kind == KIND_TYPES)
        return types_table(session->arena);
    if (!catalogue_list(&session->catalogue, &session->diag, kind_catalogue(kind), &entries, &count))
        return NULL;
    if (kind == KIND_TECHNIQUES && !sort_by_family(session, entries, count))
        return NULL;
    struct table *table = table_new(session->arena);
    kind_columns(table, kind);
    for (size_t i = 0; i < count; i++)
        if (!entries[i].abstract)
            entry_row(session, table, kind, &entries[i]);
    if (table == NULL)
        session_refuse(session, "out of memory");
    return table;
}

bool listing_names(struct session *session, enum kind kind, struct string_list *names)
{
    struct catalogue_entry *entries = NULL;
    size_t count = mechanism_count, types;
    const char *const *type_names = element_type_names(&types);
    bool described = kind != KIND_MECHANISMS && kind != KIND_TYPES;
    if (kind == KIND_TYPES)
        count = types;
    if (described &&
        !catalogue_list(&session->catalogue, &session->diag, kind_catalogue(kind), &entries, &count))
        return false;
    *names = (struct string_list){ARENA_ARRAY(session->arena, const char *, count + 1), 0};
    if (names->items == NULL)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (described && entries[i].abstract)
            continue;
        names->items[names->count++] = described                 ? entries[i].id
                                       : kind == KIND_MECHANISMS ? mechanisms[i]->name
                                                                 : type_names[i];
    }
    return true;
}

static json_t *entry_json(const char *id, const char *name, const struct string_list *aliases)
{
    json_t *object = json_object();
    json_object_set_new(object, "id", json_text(id));
    json_object_set_new(object, "name", json_text(name));
    json_object_set_new(object, "aliases",
                        aliases != NULL ? json_texts(aliases->items, aliases->count) : json_array());
    return object;
}

json_t *listing_json(struct session *session, enum kind kind)
{
    json_t *array = json_array();
    struct catalogue_entry *entries = NULL;
    size_t count = 0;
    if (kind == KIND_MECHANISMS) {
        for (size_t i = 0; i < mechanism_count; i++)
            json_array_append_new(array, entry_json(mechanisms[i]->name, mechanisms[i]->summary, NULL));
    } else if (kind == KIND_TYPES) {
        const char *const *names = element_type_names(&count);
        for (size_t i = 0; i < count; i++)
            json_array_append_new(array, entry_json(names[i], names[i], NULL));
        return array;
    } else if (!catalogue_list(&session->catalogue, &session->diag, kind_catalogue(kind), &entries, &count)) {
        json_decref(array);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (!entries[i].abstract)
            json_array_append_new(array, entry_json(entries[i].id, entries[i].name, &entries[i].aliases));
    return array;
}
