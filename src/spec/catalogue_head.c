/* Heads of description files: what a listing shows, found without parsing YAML, so that hundreds of files
 * take milliseconds. */
#include "spec/catalogue_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

enum { HEAD_BYTES = 16384, ALIASES_MOST = 64 };

/* The file's first bytes, NUL-terminated. O_NONBLOCK: a FIFO in the folder must not hang us. */
static const char *read_head(const char *path, char head[HEAD_BYTES + 1])
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return strerror(errno);
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(file);
        return "not a regular file";
    }
    size_t length = 0, size = (size_t)status.st_size;
    while (length < HEAD_BYTES && (length < size || size == 0)) { /* /proc says 0 */
        ssize_t got = read(file, head + length, HEAD_BYTES - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(file);
    head[length] = '\0';
    return NULL;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r");
}

static const char *next_line(const char *at)
{
    at += strcspn(at, "\n");
    return *at == '\n' ? at + 1 : at;
}

/* A copy fit to be printed: a listing shows names that no parser has seen. */
static const char *printable_copy(struct arena *arena, const char *start, size_t length)
{
    char *copy = arena_strndup(arena, start, length);
    if (copy == NULL || text_is_plain(copy))
        return copy;
    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    return copy;
}

/* A quoted text from behind its opening quote; *at moves behind the closing one. NULL: not closed on its
 * line. */
static const char *take_quoted(struct arena *arena, const char **at, char quote)
{
    const char *start = *at;
    size_t length = 0;
    while (start[length] != '\0' && start[length] != '\n' && start[length] != quote)
        length++;
    if (start[length] != quote)
        return NULL;
    *at = start + length + 1;
    return printable_copy(arena, start, length);
}

/* A plain or quoted scalar at *at, ended by the line, a comment or one of `ends`. NULL: none. */
static const char *take_scalar(struct arena *arena, const char **at, const char *ends)
{
    const char *start = skip_blanks(*at);
    if (*start == '"' || *start == '\'') {
        *at = start + 1;
        return take_quoted(arena, at, *start);
    }
    size_t length = 0;
    while (start[length] != '\0' && start[length] != '\n' && strchr(ends, start[length]) == NULL) {
        if (start[length] == '#' && (length == 0 || start[length - 1] == ' '))
            break;
        length++;
    }
    *at = start + length;
    while (length > 0 && strchr(" \t\r", start[length - 1]) != NULL)
        length--;
    return length == 0 ? NULL : printable_copy(arena, start, length);
}

static void add_alias(struct catalogue_entry *entry, const char *alias)
{
    if (alias != NULL && entry->aliases.count < ALIASES_MOST)
        entry->aliases.items[entry->aliases.count++] = alias;
}

/* [a, b, "c"] from behind the bracket, over several lines if need be. */
static void scan_flow(struct arena *arena, struct catalogue_entry *entry, const char *at)
{
    while (*at != '\0' && *at != ']') {
        if (strchr(", \t\r\n", *at) != NULL) {
            at++;
        } else if (*at == '#') {
            at = next_line(at);
        } else {
            add_alias(entry, take_scalar(arena, &at, ",]"));
        }
    }
}

/* Lines "- a" that follow the key. */
static void scan_block(struct arena *arena, struct catalogue_entry *entry, const char *at)
{
    for (; *at != '\0'; at = next_line(at)) {
        const char *item = skip_blanks(at);
        if (*item == '#' || *item == '\n')
            continue;
        if (item[0] != '-' || item[1] != ' ')
            return;
        item += 2;
        add_alias(entry, take_scalar(arena, &item, ""));
    }
}

static void scan_aliases(struct arena *arena, struct catalogue_entry *entry, const char *at)
{
    const char *value = skip_blanks(at);
    if (*value == '[')
        scan_flow(arena, entry, value + 1);
    else if (*value == '\n' || *value == '#')
        scan_block(arena, entry, next_line(value));
    else
        add_alias(entry, take_scalar(arena, &value, ""));
}

/* The place behind "key:" when the line starts with it, or NULL. */
static const char *behind_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || line[length] != ':' || strchr(" \t\r\n", line[length + 1]) == NULL)
        return NULL;
    return line + length + 1;
}

static void scan_line(struct arena *arena, struct catalogue_entry *entry, const char *line)
{
    const char *value;
    if ((value = behind_key(line, "name")) != NULL)
        entry->name = take_scalar(arena, &value, "");
    else if ((value = behind_key(line, "aliases")) != NULL)
        scan_aliases(arena, entry, value);
    else if ((value = behind_key(line, "hf_repo")) != NULL)
        add_alias(entry, take_scalar(arena, &value, ""));
    else if ((value = behind_key(line, "members")) != NULL)
        entry->is_system = true;
    else if ((value = behind_key(line, "abstract")) != NULL) {
        const char *text = take_scalar(arena, &value, "");
        entry->abstract = text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0);
    }
}

bool catalogue_head(struct arena *arena, struct catalogue_entry *entry, const char **reason)
{
    char head[HEAD_BYTES + 1];
    *reason = read_head(entry->path, head);
    if (*reason != NULL)
        return false;
    const char *aliases[ALIASES_MOST];
    entry->aliases = (struct string_list){aliases, 0};
    for (const char *line = head; *line != '\0'; line = next_line(line))
        scan_line(arena, entry, line);
    if (entry->name == NULL)
        entry->name = entry->id;
    const char **kept = ARENA_ARRAY(arena, const char *, entry->aliases.count + 1);
    if (kept == NULL) {
        entry->aliases = (struct string_list){NULL, 0};
        *reason = "out of memory";
        return false;
    }
    memcpy(kept, aliases, entry->aliases.count * sizeof *kept);
    entry->aliases.items = kept;
    return true;
}
