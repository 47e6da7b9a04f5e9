/* Diagnostics: what went wrong, where. Errors are collected, never printed here: only the command line
 * prints. */
#ifndef RAFTER_BASE_DIAG_H
#define RAFTER_BASE_DIAG_H

#include "base/arena.h"

/* A place in a file: line and column count from 1. file NULL: no place (command line, environment);
 * line 0: the file as a whole. */
struct source_location {
    const char *file;
    int line;
    int column;
};

#define NOWHERE ((struct source_location){NULL, 0, 0})

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct diag_message {
    enum severity severity;
    struct source_location where;
    const char *text;
    struct diag_message *next;
};

struct diag {
    struct arena *arena; /* owns the messages */
    struct diag_message *first;
    struct diag_message *last;
    int errors;
    int warnings;
};

/* diag_error returns false so that a caller can write: return diag_error(...). After DIAG_MOST messages of a
 * kind further ones are only counted: hostile input cannot eat memory with them. Texts are cut at 1000 bytes
 * and control characters in them written as \x1b, so that input cannot speak to the terminal. Texts and
 * where.file are copied: what they were made of may go before the diag does. */
enum { DIAG_MOST = 100 };
bool diag_error(struct diag *diag, struct source_location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void diag_warning(struct diag *diag, struct source_location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One message as a line without newline, in the arena: "file:line:column: error: text". */
const char *diag_line(const struct diag *diag, const struct diag_message *message);

/* The first error's line, or "" when there is none. */
const char *diag_first_error(const struct diag *diag);

#endif
