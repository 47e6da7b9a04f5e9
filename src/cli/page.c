#include "cli/page.h"

#include "report/description.h"
#include "report/human.h"

#include <math.h>
#include <string.h>

/* What a page is made from: the merged tree, and what the typed description adds. */
struct page {
    struct session *session;
    enum kind kind;
    const struct schema *schema;
    const struct yaml_node *tree;
    const char *id, *path;
    struct description_list list;
    const struct calibration *calibrations;
    size_t calibration_count;
    const struct model *model;
    const struct technique *technique;
};

static void take_notes(struct page *page, const struct source_note *notes, size_t count)
{
    page->list.notes = notes;
    page->list.note_count = count;
}

static bool load_hardware(struct page *page, const char *name)
{
    struct session *session = page->session;
    if (yaml_get(page->tree, "members") != NULL) {
        const struct system *system = catalogue_system(&session->catalogue, &session->diag, name, 0, NULL);
        page->schema = &system_schema;
        if (system != NULL)
            take_notes(page, system->sources, system->source_count);
        return system != NULL;
    }
    const struct device *device = catalogue_device(&session->catalogue, &session->diag, name, NULL);
    page->schema = &device_schema;
    if (device == NULL)
        return false;
    take_notes(page, device->sources, device->source_count);
    page->calibrations = device->calibrations;
    page->calibration_count = device->calibration_count;
    return true;
}

static bool load_software(struct page *page, const char *name)
{
    struct session *session = page->session;
    const struct software *software = catalogue_software(&session->catalogue, &session->diag, name, NULL);
    page->schema = &software_schema;
    if (software == NULL)
        return false;
    take_notes(page, software->sources, software->source_count);
    page->calibrations = software->calibrations;
    page->calibration_count = software->calibration_count;
    return true;
}

static bool load_model(struct page *page, const char *name)
{
    struct session *session = page->session;
    page->model = catalogue_model(&session->catalogue, &session->diag, name, NULL);
    page->schema = &model_schema;
    if (page->model != NULL)
        take_notes(page, page->model->sources, page->model->source_count);
    return page->model != NULL;
}

static bool load_workload(struct page *page, const char *name)
{
    struct session *session = page->session;
    const struct workload *workload = catalogue_workload(&session->catalogue, &session->diag, name, NULL);
    page->schema = &workload_schema;
    if (workload != NULL)
        take_notes(page, workload->sources, workload->source_count);
    return workload != NULL;
}

static bool load_technique(struct page *page, const char *name)
{
    struct session *session = page->session;
    page->technique = catalogue_technique(&session->catalogue, &session->diag, name);
    page->schema = &technique_schema;
    if (page->technique != NULL)
        take_notes(page, page->technique->sources, page->technique->source_count);
    return page->technique != NULL;
}

static bool load(struct page *page, const char *name)
{
    struct session *session = page->session;
    page->tree = catalogue_tree(&session->catalogue, &session->diag, kind_catalogue(page->kind), name,
                                &page->path, &page->id);
    if (page->tree == NULL)
        return false;
    switch (page->kind) {
    case KIND_HARDWARE:
        return load_hardware(page, name);
    case KIND_SOFTWARE:
        return load_software(page, name);
    case KIND_MODELS:
        return load_model(page, name);
    case KIND_WORKLOADS:
        return load_workload(page, name);
    default:
        return load_technique(page, name);
    }
}

static const char *scalar_of(const struct yaml_node *tree, const char *key)
{
    const struct yaml_node *node = yaml_get(tree, key);
    return node != NULL && node->kind == YAML_SCALAR && !yaml_is_null(node) ? node->scalar : NULL;
}

static void add_aliases(struct text *out, const struct yaml_node *tree)
{
    const struct yaml_node *aliases = yaml_get(tree, "aliases");
    if (aliases == NULL || aliases->kind != YAML_LIST || aliases->first == NULL)
        return;
    text_add(out, "also ");
    for (const struct yaml_node *alias = aliases->first; alias != NULL; alias = alias->next)
        if (alias->kind == YAML_SCALAR)
            text_printf(out, "%s%s", alias == aliases->first ? "" : ", ", alias->scalar);
    text_add(out, "\n");
}

static void put_head(struct page *page)
{
    struct session *session = page->session;
    struct text *out = &session->out;
    const char *name = scalar_of(page->tree, "name"), *summary = scalar_of(page->tree, "summary");
    const char *paper = scalar_of(page->tree, "paper");
    const char *mark = session->format == OUTPUT_MARKDOWN ? "## " : "";
    tone_printf(out, session->colour, TONE_STRONG, "%s%s", mark, name != NULL ? name : page->id);
    text_printf(out, "  %s\n", page->id);
    text_printf(out, "%s%s\n", mark[0] != '\0' ? "\n" : "", page->path);
    add_aliases(out, page->tree);
    if (summary != NULL)
        text_printf(out, "%s\n", summary);
    if (paper != NULL)
        text_printf(out, "%s\n", paper);
    text_add(out, "\n");
}

static void parameter_line(struct session *session, struct table *table, const char *name, double count)
{
    if (!(count > 0.0))
        return;
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_number(table, count, human(session->arena, HUMAN_PARTS, count));
}

static struct table *parameters_table(struct session *session, const struct model *model)
{
    struct parameter_count count;
    struct table *table = table_new(session->arena);
    model_parameters(model, &count);
    table_column(table, "part", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "count", "", SIDE_RIGHT, COLUMN_BOTH);
    parameter_line(session, table, "token embedding", count.embedding);
    parameter_line(session, table, "output head", count.head);
    parameter_line(session, table, "mixers (attention, recurrences)", count.mixers);
    parameter_line(session, table, "feed-forward, shared experts, routers", count.ffns);
    parameter_line(session, table, "routed experts", count.experts);
    parameter_line(session, table, "norms", count.norms);
    parameter_line(session, table, "vision tower and projector", count.vision);
    parameter_line(session, table, "multi-token prediction", count.mtp);
    parameter_line(session, table, "all", count.total);
    parameter_line(session, table, "active a token", count.active);
    if (model->published.parameters > 0.0)
        parameter_line(session, table, "as published", model->published.parameters);
    return table;
}

static bool put_below(struct page *page, const char *title, const struct table *table)
{
    struct session *session = page->session;
    if (table == NULL)
        return true;
    text_add(&session->out, "\n");
    tone_printf(&session->out, session->colour, TONE_STRONG, "%s%s\n",
                session->format == OUTPUT_MARKDOWN ? "### " : "", title);
    text_add(&session->out, session->format == OUTPUT_MARKDOWN ? "\n" : "");
    return session_put(session, table) == STATUS_YES;
}

static enum exit_status put_text(struct page *page)
{
    struct session *session = page->session;
    size_t unverified = count_unverified(&page->list);
    put_head(page);
    if (session_put(session, description_table(&page->list, session->arena)) != STATUS_YES)
        return STATUS_BAD;
    text_add(&session->out, "\n");
    description_sources(&page->list, session->format == OUTPUT_MARKDOWN, &session->out);
    if (unverified > 0)
        text_printf(&session->out, "%zu of %zu figures are unverified\n", unverified, page->list.count);
    if (page->model != NULL && !put_below(page, "Parameters", parameters_table(session, page->model)))
        return STATUS_BAD;
    const struct table *calibration =
        calibration_table(page->calibrations, page->calibration_count, session->arena);
    return put_below(page, "Calibration", calibration) ? STATUS_YES : STATUS_BAD;
}

static json_t *page_json(const struct page *page)
{
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_text(kind_name(page->kind)));
    json_object_set_new(object, "id", json_text(page->id));
    json_object_set_new(object, "path", json_text(page->path));
    json_object_set_new(object, "name", json_text(scalar_of(page->tree, "name")));
    json_object_set_new(object, "figures", description_json(&page->list));
    json_object_set_new(object, "unverified", json_integer((json_int_t)count_unverified(&page->list)));
    return object;
}

static enum exit_status show_description(struct session *session, enum kind kind, const char *name)
{
    struct page page = {.session = session, .kind = kind, .list = {.arena = session->arena}};
    if (!load(&page, name))
        return STATUS_BAD;
    if (page.technique != NULL)
        describe_uses(&page.list, page.technique);
    describe_map(&page.list, page.schema, page.tree, "");
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, page_json(&page)) ? STATUS_YES
                                                         : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return session_put(session, description_table(&page.list, session->arena));
    return put_text(&page);
}

enum exit_status show_page(struct session *session, enum kind kind, const char *name)
{
    if (kind == KIND_MECHANISMS)
        return show_mechanism(session, name);
    return kind == KIND_TYPES ? show_type(session, name) : show_description(session, kind, name);
}
