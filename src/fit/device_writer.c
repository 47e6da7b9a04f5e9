#include "fit/device_writer.h"

#include "fit/fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The file as lines, and where its calibration list stands in them. */
struct file {
    const char *path, *text, *end;
    const struct yaml_node *root, *list; /* list NULL: the file has none of its own */
    struct calibration *blocks;          /* of the list, in its order; followed by their number */
    size_t count;
};

/* The first byte of a line; lines count from 1. */
static const char *line_start(const struct file *file, int line)
{
    const char *at = file->text;
    for (; line > 1 && at < file->end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(file->end - at));
        at = newline ? newline + 1 : file->end;
    }
    return at;
}

static bool is_blank_or_comment(const char *line, const char *end)
{
    while (line < end && (*line == ' ' || *line == '\t' || *line == '\r'))
        line++;
    return line == end || *line == '\n' || *line == '#';
}

/* Where what follows `from` begins: comments and blank lines right before `to` belong to it. */
static const char *before_comments(const char *from, const char *to)
{
    while (to > from) {
        const char *line = to - 1;
        while (line > from && line[-1] != '\n')
            line--;
        if (!is_blank_or_comment(line, to))
            break;
        to = line;
    }
    return to;
}

/* The region of the list in the text: from its key's line to what follows. */
static void find_region(const struct file *file, const char **from, const char **to)
{
    const struct yaml_node *key = file->list;
    *from = line_start(file, key->key_where.line);
    *to = before_comments(*from, key->next ? line_start(file, key->next->key_where.line) : file->end);
}

/* A list of "- " lines; one in brackets has no lines of its own. */
static bool is_block_list(const struct file *file)
{
    const struct yaml_node *list = file->list;
    const char *line = line_start(file, list->where.line);
    return list->first && list->where.line > list->key_where.line && line[strspn(line, " ")] == '-';
}

static bool replaced(const struct calibration *own, const struct calibration *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (same_calibration_key(own, &blocks[i]))
            return true;
    return false;
}

/* Quoted as YAML reads it back; what it would refuse becomes '?'. */
static void add_quoted(struct text *out, const char *string)
{
    bool plain = text_is_plain(string);
    text_add(out, "\"");
    for (; *string != '\0'; string++) {
        unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\')
            text_add(out, "\\");
        text_addn(out, !plain && (c < 0x20 || c >= 0x7f) ? "?" : string, 1);
    }
    text_add(out, "\"");
}

/* An item of a list in brackets, in one line. */
static void add_node(struct text *out, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR) {
        if (node->quoted || strpbrk(node->scalar, ",:{}[]#&*\"'"))
            add_quoted(out, node->scalar);
        else
            text_add(out, node->scalar);
        return;
    }
    bool map = node->kind == YAML_MAP;
    text_add(out, map ? "{" : "[");
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        text_add(out, child == node->first ? "" : ", ");
        if (map)
            text_printf(out, "%s: ", child->key);
        add_node(out, child);
    }
    text_add(out, map ? "}" : "]");
}

/* The text of a kept item; indentation as it is where the items stand in lines of their own. */
static void add_kept(struct text *out, const struct file *file, const char *const *starts, size_t index)
{
    const struct yaml_node *item = file->list->first;
    for (size_t i = 0; i < index; i++)
        item = item->next;
    if (starts) {
        text_addn(out, starts[index], (size_t)(starts[index + 1] - starts[index]));
        if (out->length > 0 && out->data[out->length - 1] != '\n')
            text_add(out, "\n");
    } else {
        text_add(out, "  - ");
        add_node(out, item);
        text_add(out, "\n");
    }
}

static void add_scalar(struct text *out, enum dimension dimension, double value)
{
    if (dimension == DIM_SECONDS)
        text_printf(out, "%.6g us", value * 1e6);
    else
        text_printf(out, "%.6g", value);
}

static void add_scalars(struct text *out, const char *key, const struct calibration *block, bool errors)
{
    const struct family_declaration *family = &families[block->family];
    bool any = false;
    for (int i = 0; i < family->count; i++) {
        double value = errors ? block->standard_errors[i] : block->values[i];
        if (!block->given[i] || (errors && !(value > 0)))
            continue;
        text_printf(out, any ? ", %s%s: " : "%s{%s: ", any ? "" : key, family->scalars[i].name);
        add_scalar(out, family->scalars[i].dimension, value);
        any = true;
    }
    if (any)
        text_add(out, "}\n");
    else if (!errors)
        text_printf(out, "%s{}\n", key);
}

/* "correlations: {eps: {t0: -0.21, beta: 0.4}, ...}" of the scalars that have errors. */
static void add_correlations(struct text *out, const char *key, const struct calibration *block)
{
    const struct family_declaration *family = &families[block->family];
    bool any = false;
    for (int i = 1; i < family->count; i++) {
        bool first = true;
        for (int j = 0; j < i; j++) {
            if (fabs(block->correlations[i][j]) < 5e-4)
                continue;
            if (first)
                text_printf(out, any ? "}, %s%s: {" : "%s{%s: {", any ? "" : key, family->scalars[i].name);
            text_printf(out, "%s%s: %.3f", first ? "" : ", ", family->scalars[j].name,
                        block->correlations[i][j]);
            any = true;
            first = false;
        }
    }
    if (any)
        text_add(out, "}}\n");
}

static void add_named(struct text *out, const char *key, const char *string)
{
    if (!string)
        return;
    text_add(out, key);
    add_quoted(out, string);
    text_add(out, "\n");
}

/* dash: how far the list's items are indented. */
static void add_block(struct text *out, int dash, const struct calibration *block)
{
    char key[64];
    enum number_format format = (enum number_format)block->format;
#define KEY(name) (snprintf(key, sizeof key, "%*s%s: ", dash + 2, "", name), key)
    text_printf(out, "%*s- software: ", dash, "");
    add_quoted(out, block->software);
    text_add(out, "\n");
    add_named(out, KEY("version"), block->version);
    text_printf(out, "%s%s\n", KEY("family"), families[block->family].name);
    if (format != FORMAT_NONE)
        text_printf(out, "%s%s\n", KEY("format"), number_format_name(format));
    if (block->operand != OPERAND_ANY)
        text_printf(out, "%s%s\n", KEY("operand"), operand_name((enum operand)block->operand));
    text_printf(out, "%s%s\n", KEY("provenance"), provenance_name((enum provenance)block->provenance));
    add_scalars(out, KEY("values"), block, false);
    add_scalars(out, KEY("standard_errors"), block, true);
    add_correlations(out, KEY("correlations"), block);
    text_printf(out, "%s%.6g\n", KEY("residual"), block->residual);
    text_printf(out, "%s%.6g\n", KEY("parameters"), block->parameters);
    text_printf(out, "%s%d\n", KEY("samples"), block->samples);
    add_named(out, KEY("source"), block->source);
    add_named(out, KEY("date"), block->date);
#undef KEY
}

/* Where each item's text begins, and after the last where the list ends; NULL: items have no lines of their
 * own. */
static const char *const *item_starts(const struct file *file, struct arena *arena)
{
    if (!is_block_list(file))
        return NULL;
    const char *from, *to, **starts = ARENA_ARRAY(arena, const char *, file->count + 1);
    find_region(file, &from, &to);
    size_t i = 0;
    int line = file->list->key_where.line;
    for (const struct yaml_node *item = file->list->first; starts && item; item = item->next, i++) {
        const char *after = line_start(file, line + 1);
        starts[i] = i == 0 ? after : before_comments(after, line_start(file, item->where.line));
        line = item->where.line;
    }
    if (starts)
        starts[i] = to;
    return starts;
}

static int indentation(const struct file *file, const char *const *starts)
{
    return starts ? (int)strspn(line_start(file, file->list->where.line), " ") : 2;
}

static void add_list(struct text *out, const struct file *file, const struct calibration *blocks,
                     size_t count, struct arena *arena)
{
    const char *const *starts = file->list ? item_starts(file, arena) : NULL;
    int dash = file->list ? indentation(file, starts) : 2;
    text_add(out, "calibration:\n");
    for (size_t i = 0; i < file->count; i++)
        if (!replaced(&file->blocks[i], blocks, count))
            add_kept(out, file, starts, i);
    for (size_t i = 0; i < count; i++)
        add_block(out, dash, &blocks[i]);
}

static bool read_file(struct file *file, const char *path, const char *text, size_t length,
                      struct arena *arena, struct diag *diag)
{
    struct reader reader = {arena, diag};
    *file = (struct file){.path = path, .text = text, .end = text + length};
    file->root = yaml_parse(arena, diag, path, text, length);
    if (!file->root)
        return false;
    if (file->root->kind != YAML_MAP)
        return diag_error(diag, file->root->where, "expected a map of keys to values");
    file->list = yaml_get(file->root, "calibration");
    return !file->list || calibrations_read(&reader, file->list, &file->blocks);
}

/* What was written reads as the same description with these blocks. */
static bool check(const struct file *file, size_t kept, const struct calibration *blocks, size_t count,
                  struct arena *arena, const struct text *out, size_t from, struct diag *quiet)
{
    struct file again;
    if (!read_file(&again, file->path, out->data + from, out->length - from, arena, quiet) ||
        again.count != kept + count || again.root->children != file->root->children + (file->list ? 0 : 1))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!same_calibration_key(&again.blocks[kept + i], &blocks[i]))
            return false;
    return true;
}

bool device_write(const char *path, const char *text, size_t length, const struct calibration *blocks,
                  size_t count, struct arena *arena, struct diag *diag, struct text *out)
{
    struct file file;
    size_t from = out->length, kept = 0;
    if (!read_file(&file, path, text, length, arena, diag))
        return false;
    const char *begin = file.end, *end = file.end;
    if (file.list)
        find_region(&file, &begin, &end);
    text_addn(out, file.text, (size_t)(begin - file.text));
    text_addn(out, end, (size_t)(file.end - end));
    if (out->length > from && out->data[out->length - 1] != '\n')
        text_add(out, "\n");
    add_list(out, &file, blocks, count, arena);
    for (size_t i = 0; i < file.count; i++)
        kept += !replaced(&file.blocks[i], blocks, count);
    if (out->failed)
        return diag_error(diag, NOWHERE, "out of memory");
    struct diag quiet = {.arena = arena};
    return check(&file, kept, blocks, count, arena, out, from, &quiet) ||
           diag_error(
               diag, (struct source_location){path, 0, 0},
               "is written in a way that calibration blocks cannot be added to; expected keys in lines of "
               "their own, and `calibration:` as a list below its key (it would read: %s)",
               quiet.errors > 0 ? diag_first_error(&quiet) : "other blocks");
}
