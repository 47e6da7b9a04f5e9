#include "spec/model_writer.h"

#include "spec/model_block.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum { LINE_MOST = 110, STEP = 2 };

/* ---- scalars ---- */

/* Words and numbers that YAML would read as something else than text. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "~", "y", "n"};
    if (!isalpha((unsigned char)*text))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    size_t length = strlen(text);
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._/()+-") == length &&
           text[length - 1] != ' ' && strcasecmp(text, "inf") != 0 && strcasecmp(text, "nan") != 0;
}

static void add_string(struct text *out, const char *text)
{
    if (is_plain(text)) {
        text_add(out, text);
        return;
    }
    text_add(out, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_add(out, "\\");
        text_addn(out, c, 1);
    }
    text_add(out, "\"");
}

static void add_strings(struct text *out, const struct string_list *list)
{
    text_add(out, "[");
    for (size_t i = 0; i < list->count; i++) {
        text_add(out, i > 0 ? ", " : "");
        add_string(out, list->items[i]);
    }
    text_add(out, "]");
}

static void add_number(struct text *out, double value)
{
    bool whole = value == floor(value) && fabs(value) < 1e18;
    text_printf(out, whole ? "%.0f" : "%.17g", value);
}

static const char *enum_word(const struct field *field, int value)
{
    const struct enum_name *name = field->names;
    while (name->name != NULL && name->value != value)
        name++;
    return name->name;
}

static const void *member(const struct field *field, const void *base)
{
    return (const char *)base + field->offset;
}

/* Whether the member has a value that is not what its absence means. */
static bool is_set(const struct field *field, const void *base)
{
    const void *at = member(field, base);
    switch (field->kind) {
    case FIELD_STRING:
        return *(const char *const *)at != NULL;
    case FIELD_STRINGS:
        return ((const struct string_list *)at)->count > 0;
    case FIELD_BOOL:
        return *(const bool *)at;
    case FIELD_INT:
        return *(const int *)at != 0;
    case FIELD_QUANTITY:
        return *(const double *)at != 0;
    case FIELD_ENUM:
        return field->fallback == NULL || strcmp(enum_word(field, *(const int *)at), field->fallback) != 0 ||
               strcmp(field->key, "norm") == 0; /* people always say it */
    case FIELD_TYPE:
        return ((const struct element_type *)at)->name[0] != '\0';
    default:
        return false;
    }
}

static bool equal(const struct field *field, const void *a, const void *b);

static bool same_objects(const struct schema *schema, const void *a, const void *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (size_t i = 0; i < schema->count; i++)
        if (!equal(&schema->fields[i], a, b))
            return false;
    return true;
}

static bool equal(const struct field *field, const void *a, const void *b)
{
    const void *x = member(field, a), *y = member(field, b);
    if (field->kind == FIELD_OBJECT_PTR)
        return same_objects(field->object, *(const void *const *)x, *(const void *const *)y);
    if (field->kind == FIELD_BOOL)
        return *(const bool *)x == *(const bool *)y;
    return *(const int *)x == *(const int *)y; /* parts of blocks have no other kinds */
}

static void add_flow(struct text *out, const struct schema *schema, const void *base, const void *like);

static void add_value(struct text *out, const struct field *field, const void *base)
{
    const void *at = member(field, base);
    if (field->kind == FIELD_STRING)
        add_string(out, *(const char *const *)at);
    else if (field->kind == FIELD_STRINGS)
        add_strings(out, at);
    else if (field->kind == FIELD_BOOL)
        text_add(out, *(const bool *)at ? "true" : "false");
    else if (field->kind == FIELD_INT)
        text_printf(out, "%d", *(const int *)at);
    else if (field->kind == FIELD_QUANTITY)
        add_number(out, *(const double *)at);
    else if (field->kind == FIELD_ENUM)
        text_add(out, enum_word(field, *(const int *)at));
    else if (field->kind == FIELD_TYPE)
        text_add(out, ((const struct element_type *)at)->name);
    else if (field->kind == FIELD_OBJECT_PTR && *(const void *const *)at == NULL)
        text_add(out, "null");
    else if (field->kind == FIELD_OBJECT_PTR)
        add_flow(out, field->object, *(const void *const *)at, NULL);
}

/* ---- maps ---- */

/* One `key: value` of a map. */
static void add_pair(struct text *out, int indent, const struct field *field, const void *base)
{
    text_printf(out, "%*s%s: ", indent, "", field->key);
    add_value(out, field, base);
}

/* Whether the key is written: it is set, or it differs from the part that this one starts from. */
static bool is_written(const struct field *field, const void *base, const void *like)
{
    if (like != NULL)
        return !equal(field, base, like);
    if (field->kind == FIELD_OBJECT_PTR)
        return *(const void *const *)member(field, base) != NULL;
    return is_set(field, base) || field->required;
}

static void add_flow(struct text *out, const struct schema *schema, const void *base, const void *like)
{
    const char *between = "{";
    for (size_t i = 0; i < schema->count; i++) {
        if (!is_written(&schema->fields[i], base, like))
            continue;
        text_add(out, between);
        add_pair(out, 0, &schema->fields[i], base);
        between = ", ";
    }
    text_add(out, "}");
}

/* A part under its key: on one line where it fits. */
static void add_part(struct text *out, int indent, const char *key, const struct schema *schema,
                     const void *base, const void *like)
{
    struct text flow = {0};
    add_flow(&flow, schema, base, like);
    out->failed |= flow.failed;
    if (flow.data != NULL && indent + (int)strlen(key) + 2 + (int)flow.length <= LINE_MOST) {
        text_printf(out, "%*s%s: %s\n", indent, "", key, flow.data);
    } else {
        text_printf(out, "%*s%s:\n", indent, "", key);
        for (size_t i = 0; i < schema->count; i++) {
            if (!is_written(&schema->fields[i], base, like))
                continue;
            add_pair(out, indent + STEP, &schema->fields[i], base);
            text_add(out, "\n");
        }
    }
    text_free(&flow);
}

/* ---- blocks ---- */

/* Where a block keeps its mixer or feed-forward, and the key it is written under. */
struct part {
    const char *key;
    const void *base;
};

static struct part mixer_part(const struct block_spec *block)
{
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return (struct part){"attention", &block->attention};
    case MIXER_MLA:
        return (struct part){"mla", &block->mla};
    case MIXER_MAMBA1:
        return (struct part){"mamba1", &block->mamba};
    case MIXER_MAMBA2:
        return (struct part){"mamba2", &block->mamba};
    case MIXER_GATED_DELTANET:
        return (struct part){"gated_deltanet", &block->deltanet};
    case MIXER_MLSTM:
        return (struct part){"mlstm", &block->mlstm};
    default:
        return (struct part){NULL, NULL};
    }
}

static struct part ffn_part(const struct block_spec *block)
{
    if (block->ffn == FFN_DENSE)
        return (struct part){"dense", &block->dense};
    if (block->ffn == FFN_MOE)
        return (struct part){"moe", &block->moe};
    return (struct part){NULL, NULL};
}

static const struct schema *part_schema(const char *key)
{
    for (size_t i = 0; i < block_schema.count; i++)
        if (strcmp(block_schema.fields[i].key, key) == 0)
            return block_schema.fields[i].object;
    return NULL;
}

static bool same_kind(struct part a, struct part b)
{
    return a.key != NULL && b.key != NULL && strcmp(a.key, b.key) == 0;
}

static bool same_part(struct part a, struct part b)
{
    if (a.key == NULL || b.key == NULL)
        return a.key == b.key;
    if (!same_kind(a, b))
        return false;
    const struct schema *schema = part_schema(a.key);
    return same_objects(schema, a.base, b.base);
}

static struct part cross_part(const struct block_spec *block)
{
    if (block->cross_attention.heads > 0)
        return (struct part){"cross_attention", &block->cross_attention};
    return (struct part){NULL, NULL};
}

bool model_same_block(const struct block_spec *a, const struct block_spec *b)
{
    return same_part(mixer_part(a), mixer_part(b)) && same_part(cross_part(a), cross_part(b)) &&
           same_part(ffn_part(a), ffn_part(b)) && a->norms == b->norms;
}

/* The first block that has the same feed-forward or the same mixer. */
static const struct block_spec *find_like(const struct model *model, size_t at)
{
    struct part mixer = mixer_part(&model->blocks[at]), ffn = ffn_part(&model->blocks[at]);
    for (size_t i = 0; i < at; i++) {
        struct part other_mixer = mixer_part(&model->blocks[i]), other_ffn = ffn_part(&model->blocks[i]);
        if ((ffn.key != NULL && same_part(ffn, other_ffn)) ||
            (mixer.key != NULL && same_part(mixer, other_mixer)))
            return &model->blocks[i];
    }
    return NULL;
}

static void add_block_part(struct text *out, struct part part, struct part like)
{
    if (same_part(part, like))
        return;
    if (like.key != NULL && !same_kind(part, like))
        text_printf(out, "    %s: null\n", like.key);
    if (part.key != NULL)
        add_part(out, 2 * STEP, part.key, part_schema(part.key), part.base,
                 same_kind(part, like) ? like.base : NULL);
}

static void add_block(struct text *out, const struct model *model, size_t at)
{
    const struct block_spec *block = &model->blocks[at], *like = find_like(model, at);
    struct part none = {NULL, NULL};
    text_printf(out, "  %s:\n", block->name);
    if (like != NULL)
        text_printf(out, "    like: %s\n", like->name);
    add_block_part(out, mixer_part(block), like != NULL ? mixer_part(like) : none);
    add_block_part(out, cross_part(block), like != NULL ? cross_part(like) : none);
    add_block_part(out, ffn_part(block), like != NULL ? ffn_part(like) : none);
    if (block->norms != (like != NULL ? like->norms : 0))
        text_printf(out, "    norms: %d\n", block->norms);
}

/* ---- layers and sources ---- */

static void add_run(struct text *out, const struct layer_run *run)
{
    if (run->blocks.count == 1) {
        text_add(out, "{block: ");
        add_string(out, run->blocks.items[0]);
    } else {
        text_add(out, "{blocks: ");
        add_strings(out, &run->blocks);
    }
    if (run->times != 1)
        text_printf(out, ", times: %d", run->times);
    text_add(out, "}");
}

static void add_layers(struct text *out, const struct model *model, const char *key,
                       const struct layer_run *run, size_t count)
{
    if (count == 0)
        return;
    text_printf(out, "%s:", key);
    if (count == 1 && model->block_count == 1 && run->blocks.count == 1) {
        text_printf(out, " %d\n", run->times);
        return;
    }
    if (count == 1) {
        text_add(out, " ");
        add_run(out, run);
        text_add(out, "\n");
        return;
    }
    text_add(out, "\n");
    for (size_t i = 0; i < count; i++) {
        text_add(out, "  - ");
        add_run(out, &run[i]);
        text_add(out, "\n");
    }
}

static void add_sources(struct text *out, const struct model *model)
{
    if (model->source_count == 0)
        return;
    text_add(out, "\nsources:\n");
    for (size_t i = 0; i < model->source_count; i++) {
        const struct source_note *note = &model->sources[i];
        text_printf(out, "  %s: ", note->path);
        if (note->sources.count == 1)
            add_string(out, note->sources.items[0]);
        else
            add_strings(out, &note->sources);
        text_add(out, "\n");
    }
}

/* ---- the model ---- */

static const struct field *model_field(const char *key)
{
    for (size_t i = 0; i < model_schema.count; i++)
        if (strcmp(model_schema.fields[i].key, key) == 0)
            return &model_schema.fields[i];
    return NULL;
}

/* What people write first, and what is resolved. */
static bool is_head(const char *key)
{
    static const char *const head[] = {"name", "hf_repo", "aliases", "architecture", "extends"};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (strcmp(head[i], key) == 0)
            return true;
    return false;
}

static void add_line(struct text *out, const struct field *field, const void *base)
{
    if (field == NULL || !is_set(field, base))
        return;
    add_pair(out, 0, field, base);
    text_add(out, "\n");
}

static void add_comment(struct text *out, const char *comment)
{
    while (comment != NULL && *comment != '\0') {
        size_t length = strcspn(comment, "\n");
        text_printf(out, "# %.*s\n", (int)length, comment);
        comment += length + (comment[length] == '\n');
    }
}

/* Vision, multi-token prediction and published counts: the parts of the model that are maps. */
static void add_model_part(struct text *out, const struct model *model, const struct field *field)
{
    const void *base = member(field, model);
    if (field->kind == FIELD_OBJECT_PTR)
        base = *(const void *const *)base;
    else if (field->kind != FIELD_OBJECT || model->published.parameters == 0)
        return;
    if (base == NULL)
        return;
    text_add(out, "\n");
    add_part(out, 0, field->key, field->object, base, NULL);
}

bool model_write(const struct model *model, const char *comment, struct text *out)
{
    add_comment(out, comment);
    add_line(out, model_field("name"), model);
    add_line(out, model_field("hf_repo"), model);
    add_line(out, model_field("aliases"), model);
    add_line(out, model_field("architecture"), model);
    text_add(out, "\n");
    for (size_t i = 0; i < model_schema.count; i++)
        if (!is_head(model_schema.fields[i].key))
            add_line(out, &model_schema.fields[i], model);
    text_add(out, "\nblocks:\n");
    for (size_t i = 0; i < model->block_count; i++)
        add_block(out, model, i);
    add_layers(out, model, "encoder_layers", model->encoder_runs, model->encoder_run_count);
    add_layers(out, model, "layers", model->runs, model->run_count);
    for (size_t i = 0; i < model_schema.count; i++)
        add_model_part(out, model, &model_schema.fields[i]);
    add_sources(out, model);
    return !out->failed;
}
