/* JSON documents that know their places. Read with Jansson; hostile input is refused with line and column:
 * over 1 MiB, nested deeper than 64, duplicate keys, invalid UTF-8, numbers out of range. Python's NaN and
 * Infinity, which Hugging Face configs contain, are let through as empty lists: whoever needs a number there
 * refuses them, whoever does not is not disturbed. */
#ifndef RAFTER_SPEC_JSON_FILE_H
#define RAFTER_SPEC_JSON_FILE_H

#include "base/arena.h"
#include "base/diag.h"

#include <jansson.h>

enum { JSON_BYTES_MOST = 1 << 20, JSON_DEPTH_MOST = 64 };

struct json_file {
    const char *name; /* for messages */
    const char *text; /* as it stands in the file */
    size_t length;
    json_t *root; /* an object; freed by json_file_close */
};

/* Parses the text; name and text must outlive the file. false with an error, and nothing to close. */
bool json_file_parse(struct json_file *file, struct arena *arena, struct diag *diag, const char *name,
                     const char *text, size_t length);
void json_file_close(struct json_file *file);

/* The place of the value at a path of keys, "text_config.hidden_size"; of the file when it is not there. */
struct source_location json_file_where(const struct json_file *file, const char *path);

/* The value at a path as it is written, cut at 40 bytes, in the arena; "nothing" when it is not there. */
const char *json_file_found(const struct json_file *file, struct arena *arena, const char *path);

#endif
