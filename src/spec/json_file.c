#include "spec/json_file.h"

#include <string.h>

/* A walk over the text, whose line and column it keeps. Columns count bytes from 1. */
struct walk {
    const char *at, *end;
    int line, column;
};

static struct walk walk_start(const char *text, size_t length)
{
    return (struct walk){text, text + length, 1, 1};
}

static bool walk_on(const struct walk *walk)
{
    return walk->at < walk->end;
}

static void step(struct walk *walk)
{
    if (*walk->at++ == '\n') {
        walk->line++;
        walk->column = 1;
    } else {
        walk->column++;
    }
}

/* Past a string whose opening quote is next. */
static void skip_string(struct walk *walk)
{
    step(walk);
    while (walk_on(walk) && *walk->at != '"') {
        if (*walk->at == '\\')
            step(walk);
        if (walk_on(walk))
            step(walk);
    }
    if (walk_on(walk))
        step(walk);
}

static void skip_blanks(struct walk *walk)
{
    while (walk_on(walk) && strchr(" \t\r\n", *walk->at) != NULL && *walk->at != '\0')
        step(walk);
}

/* Past one value of any kind: to the comma or bracket that ends it. */
static void skip_value(struct walk *walk)
{
    int depth = 0;
    while (walk_on(walk)) {
        char c = *walk->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return;
        if (c == '"') {
            skip_string(walk);
            continue;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        step(walk);
    }
}

/* From the opening brace of an object to the value of its key. Keys with escapes are never asked for. */
static bool find_key(struct walk *walk, const char *key, size_t length)
{
    if (!walk_on(walk) || *walk->at != '{')
        return false;
    step(walk);
    for (;;) {
        skip_blanks(walk);
        if (!walk_on(walk) || *walk->at != '"')
            return false;
        const char *name = walk->at + 1;
        skip_string(walk);
        size_t name_length = (size_t)(walk->at - name) - 1;
        skip_blanks(walk);
        if (walk_on(walk) && *walk->at == ':')
            step(walk);
        skip_blanks(walk);
        if (name_length == length && memcmp(name, key, length) == 0)
            return true;
        skip_value(walk);
        if (walk_on(walk))
            step(walk);
    }
}

static bool find_path(const struct json_file *file, const char *path, struct walk *walk)
{
    *walk = walk_start(file->text, file->length);
    skip_blanks(walk);
    for (;;) {
        size_t length = strcspn(path, ".");
        if (!find_key(walk, path, length))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

struct source_location json_file_where(const struct json_file *file, const char *path)
{
    struct walk walk;
    if (!find_path(file, path, &walk))
        return (struct source_location){file->name, 0, 0};
    return (struct source_location){file->name, walk.line, walk.column};
}

const char *json_file_found(const struct json_file *file, struct arena *arena, const char *path)
{
    enum { SHOWN_MOST = 40 };
    struct walk walk;
    if (!find_path(file, path, &walk))
        return "nothing";
    const char *from = walk.at;
    skip_value(&walk);
    size_t length = (size_t)(walk.at - from);
    while (length > 0 && strchr(" \t\r\n", from[length - 1]) != NULL)
        length--;
    bool cut = length > SHOWN_MOST;
    const char *found = arena_printf(arena, "%.*s%s", cut ? SHOWN_MOST : (int)length, from, cut ? "..." : "");
    return found != NULL ? found : "";
}

/* Jansson itself recurses to 2048; nothing that is a config needs that. */
static bool check_depth(struct diag *diag, const char *name, const char *text, size_t length)
{
    struct walk walk = walk_start(text, length);
    int depth = 0;
    while (walk_on(&walk)) {
        char c = *walk.at;
        if (c == '"') {
            skip_string(&walk);
            continue;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth > JSON_DEPTH_MOST)
            return diag_error(diag, (struct source_location){name, walk.line, walk.column},
                              "nested deeper than %d", JSON_DEPTH_MOST);
        step(&walk);
    }
    return true;
}

/* Python writes these words where JSON has no number. Of the same width, so that places stay. */
static void replace_words(char *text, size_t length)
{
    static const struct {
        const char *word, *instead;
    } words[] = {{"-Infinity", "[]       "}, {"Infinity", "[]      "}, {"NaN", "[] "}};
    struct walk walk = walk_start(text, length);
    while (walk_on(&walk)) {
        if (*walk.at == '"') {
            skip_string(&walk);
            continue;
        }
        size_t at = (size_t)(walk.at - text);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            size_t width = strlen(words[i].word);
            if (length - at >= width && memcmp(text + at, words[i].word, width) == 0)
                memcpy(text + at, words[i].instead, width);
        }
        step(&walk);
    }
}

static bool refuse(struct diag *diag, const char *name, const json_error_t *error)
{
    struct source_location where = {name, 0, 0};
    if (error->line > 0) {
        where.line = error->line;
        where.column = error->column > 0 ? error->column : 1;
    }
    return diag_error(diag, where, "not JSON: %s", error->text);
}

bool json_file_parse(struct json_file *file, struct arena *arena, struct diag *diag, const char *name,
                     const char *text, size_t length)
{
    *file = (struct json_file){.name = name, .text = text, .length = length};
    struct source_location where = {name, 0, 0};
    if (length > JSON_BYTES_MOST)
        return diag_error(diag, where, "larger than the %d bytes allowed for JSON", JSON_BYTES_MOST);
    if (!check_depth(diag, name, text, length))
        return false;
    char *copy = arena_strndup(arena, text, length);
    if (copy == NULL)
        return diag_error(diag, where, "out of memory");
    replace_words(copy, length);
    json_error_t error;
    json_t *root = json_loadb(copy, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return refuse(diag, name, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return diag_error(diag, (struct source_location){name, 1, 1}, "expected a JSON object {...}");
    }
    file->root = root;
    return true;
}

void json_file_close(struct json_file *file)
{
    json_decref(file->root);
    file->root = NULL;
}
