#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "spec/key_index.h"
#include "spec/yaml_explain.h"
#include "spec/yaml_tree.h"

enum { BYTES_MOST = 4 * 1024 * 1024, DEPTH_MOST = 64, NODES_MOST = 200000, SHOWN_MOST = 60 };

struct parse {
    struct arena *arena;
    struct diag *diag;
    const char *file;
    const char *text;
    size_t length;
    yaml_parser_t parser;
    int nodes;
};

static struct source_location place(const struct parse *parse, yaml_mark_t mark)
{
    return (struct source_location){parse->file, (int)mark.line + 1, (int)mark.column + 1};
}

static struct yaml_node *out_of_memory(struct parse *parse)
{
    diag_error(parse->diag, (struct source_location){parse->file, 0, 0}, "out of memory");
    return NULL;
}

/* The place of a byte of the text, in characters, for errors that come without one. */
static struct source_location place_of_offset(const struct parse *parse, size_t offset)
{
    struct source_location where = {parse->file, 1, 1};
    for (size_t i = 0; i < offset && i < parse->length; i++) {
        unsigned char c = (unsigned char)parse->text[i];
        if (c == '\n') {
            where.line++;
            where.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            where.column++;
        }
    }
    return where;
}

static struct yaml_node *reader_error(struct parse *parse)
{
    struct source_location where = place_of_offset(parse, parse->parser.problem_offset);
    const char *problem = parse->parser.problem == NULL ? "" : parse->parser.problem;
    if (strstr(problem, "control characters") != NULL)
        diag_error(parse->diag, where, "the control character 0x%02x; expected text",
                   (unsigned)parse->parser.problem_value);
    else
        diag_error(parse->diag, where, "not UTF-8: %s", problem);
    return NULL;
}

static struct yaml_node *syntax_error(struct parse *parse)
{
    const yaml_parser_t *parser = &parse->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return out_of_memory(parse);
    if (parser->error == YAML_READER_ERROR)
        return reader_error(parse);
    const char *meaning = yaml_explain(parser, parse->text, parse->length);
    struct source_location where = place(parse, parser->problem_mark);
    struct source_location start = place(parse, parser->context_mark);
    if (yaml_blames_start(parser))
        diag_error(parse->diag, start, "%s", meaning);
    else if (parser->context != NULL && start.line != where.line)
        diag_error(parse->diag, where, "%s (in what begins at line %d)", meaning, start.line);
    else
        diag_error(parse->diag, where, "%s", meaning);
    return NULL;
}

/* Escapes in double quotes can spell what the text itself may not hold. */
static bool refuse_controls(struct parse *parse, struct source_location where, const char *text,
                            size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < length && (unsigned char)text[i + 1] < 0xa0;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c1)
            return diag_error(parse->diag, where, "the escaped control character 0x%02x in a text",
                              c1 ? (unsigned char)text[i + 1] : c);
    }
    return true;
}

static struct yaml_node *refuse_alias(struct parse *parse, const yaml_event_t *event)
{
    diag_error(parse->diag, place(parse, event->start_mark),
               "aliases (*%.*s) are not read; write the value out, or use \"extends\"", SHOWN_MOST,
               (const char *)event->data.alias.anchor);
    return NULL;
}

static bool refuse_marks(struct parse *parse, struct source_location where, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    if (anchor != NULL)
        return diag_error(parse->diag, where,
                          "anchors (&%.*s) are not read; write values out, or use \"extends\"", SHOWN_MOST,
                          (const char *)anchor);
    if (tag != NULL)
        return diag_error(parse->diag, where,
                          "tags such as !!str are not read; quote a value to make it a text");
    return true;
}

static struct yaml_node *new_node(struct parse *parse, enum yaml_kind kind, const yaml_event_t *event)
{
    struct source_location where = place(parse, event->start_mark);
    if (++parse->nodes > NODES_MOST) {
        diag_error(parse->diag, where, "more than %d values", NODES_MOST);
        return NULL;
    }
    struct yaml_node *node = ARENA_NEW(parse->arena, struct yaml_node);
    if (node == NULL)
        return out_of_memory(parse);
    node->kind = kind;
    node->where = where;
    return node;
}

static struct yaml_node *scalar_node(struct parse *parse, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct source_location where = place(parse, event->start_mark);
    /* the tag that libyaml gives an untagged scalar of these is none */
    if (!refuse_marks(parse, where, event->data.scalar.anchor, event->data.scalar.tag) ||
        !refuse_controls(parse, where, text, length))
        return NULL;
    struct yaml_node *node = new_node(parse, YAML_SCALAR, event);
    if (node == NULL)
        return NULL;
    node->scalar = arena_strndup(parse->arena, text, length);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node->scalar == NULL ? out_of_memory(parse) : node;
}

static struct yaml_node *parse_node(struct parse *parse, const yaml_event_t *event, int depth);

/* The next event; false with an error. To be deleted by the caller. */
static bool next_event(struct parse *parse, yaml_event_t *event)
{
    if (yaml_parser_parse(&parse->parser, event) != 0)
        return true;
    syntax_error(parse);
    return false;
}

static bool add_items(struct parse *parse, struct yaml_node *list, int depth)
{
    for (struct yaml_node **end = &list->first;; end = &(*end)->next) {
        yaml_event_t event;
        if (!next_event(parse, &event))
            return false;
        bool last = event.type == YAML_SEQUENCE_END_EVENT;
        if (!last)
            *end = parse_node(parse, &event, depth);
        yaml_event_delete(&event);
        if (last || *end == NULL)
            return last;
        list->children++;
    }
}

static const char *parse_key(struct parse *parse, const yaml_event_t *event)
{
    struct source_location where = place(parse, event->start_mark);
    if (event->type == YAML_ALIAS_EVENT) {
        refuse_alias(parse, event);
        return NULL;
    }
    yaml_scalar_style_t style = event->data.scalar.style;
    if (event->type != YAML_SCALAR_EVENT || style == YAML_LITERAL_SCALAR_STYLE ||
        style == YAML_FOLDED_SCALAR_STYLE) {
        diag_error(parse->diag, where, "expected a key that is a word, found %s",
                   event->type == YAML_SEQUENCE_START_EVENT  ? "a list"
                   : event->type == YAML_MAPPING_START_EVENT ? "a map"
                                                             : "a text block");
        return NULL;
    }
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (!refuse_marks(parse, where, event->data.scalar.anchor, event->data.scalar.tag) ||
        !refuse_controls(parse, where, text, length))
        return NULL;
    if (length == 0) {
        diag_error(parse->diag, where, "an empty key");
        return NULL;
    }
    const char *key = arena_strndup(parse->arena, text, length);
    if (key == NULL)
        out_of_memory(parse);
    return key;
}

static struct yaml_node *parse_entry(struct parse *parse, const yaml_event_t *key_event, int depth)
{
    struct source_location where = place(parse, key_event->start_mark);
    const char *key = parse_key(parse, key_event);
    yaml_event_t event;
    if (key == NULL || !next_event(parse, &event))
        return NULL;
    struct yaml_node *node = parse_node(parse, &event, depth);
    yaml_event_delete(&event);
    if (node == NULL)
        return NULL;
    node->key = key;
    node->key_where = where;
    return node;
}

static bool add_entries(struct parse *parse, struct yaml_node *map, int depth)
{
    for (struct yaml_node **end = &map->first;; end = &(*end)->next) {
        yaml_event_t event;
        if (!next_event(parse, &event))
            return false;
        bool last = event.type == YAML_MAPPING_END_EVENT;
        if (!last)
            *end = parse_entry(parse, &event, depth);
        yaml_event_delete(&event);
        if (last || *end == NULL)
            return last;
        map->children++;
    }
}

static bool refuse_duplicates(struct parse *parse, const struct yaml_node *map)
{
    struct key_index index;
    if (!key_index_make(parse->arena, map, &index))
        return out_of_memory(parse) != NULL;
    bool ok = true;
    for (size_t i = 1; i < index.count; i++) {
        const struct yaml_node *entry = index.sorted[i], *before = index.sorted[i - 1];
        if (strcmp(entry->key, before->key) == 0)
            ok = diag_error(parse->diag, entry->key_where,
                            "duplicate key \"%.*s\"; it is first given at line %d", SHOWN_MOST, entry->key,
                            before->key_where.line);
    }
    return ok;
}

static struct yaml_node *list_node(struct parse *parse, const yaml_event_t *event, int depth)
{
    struct source_location where = place(parse, event->start_mark);
    if (!refuse_marks(parse, where, event->data.sequence_start.anchor, event->data.sequence_start.tag))
        return NULL;
    struct yaml_node *list = new_node(parse, YAML_LIST, event);
    return list != NULL && add_items(parse, list, depth) ? list : NULL;
}

static struct yaml_node *map_node(struct parse *parse, const yaml_event_t *event, int depth)
{
    struct source_location where = place(parse, event->start_mark);
    if (!refuse_marks(parse, where, event->data.mapping_start.anchor, event->data.mapping_start.tag))
        return NULL;
    struct yaml_node *map = new_node(parse, YAML_MAP, event);
    if (map == NULL || !add_entries(parse, map, depth) || !refuse_duplicates(parse, map))
        return NULL;
    return map;
}

/* The node that begins with event, `depth` lists and maps around it. */
static struct yaml_node *parse_node(struct parse *parse, const yaml_event_t *event, int depth)
{
    if (event->type == YAML_ALIAS_EVENT)
        return refuse_alias(parse, event);
    if (event->type == YAML_SCALAR_EVENT)
        return scalar_node(parse, event);
    if (depth == DEPTH_MOST) {
        diag_error(parse->diag, place(parse, event->start_mark), "nested deeper than %d", DEPTH_MOST);
        return NULL;
    }
    return event->type == YAML_SEQUENCE_START_EVENT ? list_node(parse, event, depth + 1)
                                                    : map_node(parse, event, depth + 1);
}

/* Takes events up to and with one of the given type, so that parse_document sees the document's first node.
 */
static bool skip_to_node(struct parse *parse, yaml_event_t *event)
{
    for (;;) {
        if (!next_event(parse, event))
            return false;
        if (event->type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(event);
            return diag_error(parse->diag, (struct source_location){parse->file, 1, 1},
                              "the file is empty, expected a map of keys");
        }
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT)
            return true;
        yaml_event_delete(event);
    }
}

static bool expect_end(struct parse *parse)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(parse, &event))
            return false;
        yaml_event_type_t type = event.type;
        struct source_location where = place(parse, event.start_mark);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return true;
        if (type == YAML_DOCUMENT_START_EVENT)
            return diag_error(parse->diag, where, "a second document begins here; a file holds one");
    }
}

static struct yaml_node *parse_document(struct parse *parse)
{
    yaml_event_t event;
    if (!skip_to_node(parse, &event))
        return NULL;
    struct yaml_node *root = parse_node(parse, &event, 0);
    yaml_event_delete(&event);
    return root != NULL && expect_end(parse) ? root : NULL;
}

/* Other encodings are named, not guessed at: libyaml would read UTF-16, with places that are off. */
static bool check_encoding(struct parse *parse)
{
    const unsigned char *bytes = (const unsigned char *)parse->text;
    struct source_location where = {parse->file, 1, 1};
    if (parse->length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        parse->text += 3;
        parse->length -= 3;
        return true;
    }
    if (parse->length >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
        return diag_error(parse->diag, where, "the file is in UTF-16, expected UTF-8");
    return true;
}

/* Tags are not read, so their handles have no use; libyaml compares each with all before it, which takes
 * minutes on a file of them. */
static bool refuse_tag_handles(struct parse *parse)
{
    static const char directive[] = "%TAG";
    for (size_t i = 0; i + sizeof directive <= parse->length; i++)
        if ((i == 0 || parse->text[i - 1] == '\n' || parse->text[i - 1] == '\r') &&
            memcmp(parse->text + i, directive, sizeof directive - 1) == 0)
            return diag_error(parse->diag, place_of_offset(parse, i),
                              "the directive %%TAG; tags are not read");
    return true;
}

struct yaml_node *yaml_parse(struct arena *arena, struct diag *diag, const char *name, const char *text,
                             size_t length)
{
    struct parse parse = {.arena = arena, .diag = diag, .text = text, .length = length};
    parse.file = arena_strdup(arena, name);
    if (parse.file == NULL)
        return out_of_memory(&parse);
    if (length > BYTES_MOST) {
        diag_error(diag, (struct source_location){parse.file, 0, 0}, "larger than the %d bytes allowed",
                   BYTES_MOST);
        return NULL;
    }
    if (!check_encoding(&parse) || !refuse_tag_handles(&parse))
        return NULL;
    if (yaml_parser_initialize(&parse.parser) == 0)
        return out_of_memory(&parse);
    yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parse.parser, (const unsigned char *)parse.text, parse.length);
    struct yaml_node *root = parse_document(&parse);
    yaml_parser_delete(&parse.parser);
    return root;
}

struct yaml_node *yaml_parse_file(struct arena *arena, struct diag *diag, const char *path)
{
    size_t length;
    char *text = file_read(arena, diag, path, BYTES_MOST, &length);
    return text == NULL ? NULL : yaml_parse(arena, diag, path, text, length);
}
