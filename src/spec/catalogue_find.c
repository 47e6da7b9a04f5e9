/* Names to files: the folders, their listings, ids and aliases. */
#include "spec/catalogue_private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/suggest.h"
#include "base/text.h"

/* Where `make install` puts the catalogues; the Makefile may say otherwise. */
#ifndef RAFTER_DATA_DIR
#define RAFTER_DATA_DIR "/usr/local/share/rafter"
#endif

#define SUFFIX ".yaml"
enum { SUFFIX_LENGTH = 5, NAME_MOST = 200, ENTRIES_MOST = 100000, ROOTS_MOST = 64 };

static const char *const kind_names[CATALOGUE_KIND_COUNT] = {"hardware", "software", "models", "techniques",
                                                             "workloads"};
static const char *const kind_nouns[CATALOGUE_KIND_COUNT] = {"device or system", "software profile", "model",
                                                             "technique", "workload"};

const char *catalogue_kind_name(enum catalogue_kind kind)
{
    return kind_names[kind];
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static void add_root(struct catalogue *catalogue, const char *path)
{
    if (path == NULL || path[0] == '\0' || catalogue->roots.count == ROOTS_MOST || !is_folder(path))
        return;
    for (size_t i = 0; i < catalogue->roots.count; i++)
        if (strcmp(catalogue->roots.items[i], path) == 0)
            return;
    catalogue->roots.items[catalogue->roots.count++] = path;
}

static void add_listed_roots(struct catalogue *catalogue, const char *list)
{
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        add_root(catalogue, arena_strndup(catalogue->arena, list, length));
        list += length + (list[length] == ':');
    }
}

static void add_user_root(struct catalogue *catalogue)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (config != NULL && config[0] == '/')
        add_root(catalogue, arena_printf(catalogue->arena, "%s/rafter", config));
    else if (home != NULL && home[0] == '/')
        add_root(catalogue, arena_printf(catalogue->arena, "%s/.config/rafter", home));
}

static void add_program_roots(struct catalogue *catalogue)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL || slash == program)
        return;
    *slash = '\0';
    add_root(catalogue, arena_strdup(catalogue->arena, program));
    add_root(catalogue, arena_printf(catalogue->arena, "%s/../share/rafter", program));
}

void catalogue_open(struct catalogue *catalogue, struct arena *arena)
{
    *catalogue = (struct catalogue){.arena = arena};
    catalogue->roots.items = ARENA_ARRAY(arena, const char *, ROOTS_MOST);
    if (catalogue->roots.items == NULL)
        return;
    add_listed_roots(catalogue, getenv("RAFTER_PATH"));
    add_user_root(catalogue);
    add_program_roots(catalogue);
    add_root(catalogue, RAFTER_DATA_DIR);
}

static char fold(char c)
{
    return c == '_' || c == ' ' ? '-' : (char)tolower((unsigned char)c);
}

bool catalogue_same_name(const char *a, const char *b)
{
    while (*a != '\0' && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

static bool has_suffix(const char *name)
{
    size_t length = strlen(name);
    return length > SUFFIX_LENGTH && strcmp(name + length - SUFFIX_LENGTH, SUFFIX) == 0;
}

/* A growing array of entries with the root they come from, so that the first root wins. */
struct found {
    struct catalogue_entry entry;
    size_t root;
};

struct listing {
    struct found *items;
    size_t count;
    size_t capacity;
};

static struct found *listing_add(struct listing *listing)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 256 : 2 * listing->capacity;
        struct found *items = realloc(listing->items, capacity * sizeof *items);
        if (items == NULL)
            return NULL;
        listing->items = items;
        listing->capacity = capacity;
    }
    struct found *found = &listing->items[listing->count++];
    *found = (struct found){0};
    return found;
}

static bool wanted_file(const char *name)
{
    return name[0] != '.' && has_suffix(name) && strlen(name) <= NAME_MOST;
}

/* Adds the files of one folder; a missing folder has none. diag NULL: unreadable files are passed over. */
static bool list_folder(struct catalogue *catalogue, struct diag *diag, const char *folder, size_t root,
                        struct listing *listing)
{
    DIR *directory = folder == NULL ? NULL : opendir(folder);
    if (directory == NULL) {
        if (diag == NULL || errno == ENOENT || errno == ENOTDIR)
            return true;
        return diag_error(diag, (struct source_location){folder, 0, 0}, "cannot list: %s", strerror(errno));
    }
    for (const struct dirent *file = readdir(directory); file != NULL; file = readdir(directory)) {
        if (!wanted_file(file->d_name) || listing->count >= ENTRIES_MOST)
            continue;
        struct found *found = listing_add(listing);
        if (found == NULL)
            break;
        const char *reason = NULL;
        found->root = root;
        found->entry.id = arena_strndup(catalogue->arena, file->d_name, strlen(file->d_name) - SUFFIX_LENGTH);
        found->entry.path = arena_printf(catalogue->arena, "%s/%s", folder, file->d_name);
        if (found->entry.id == NULL || found->entry.path == NULL) {
            listing->count--;
            break;
        }
        if (catalogue_head(catalogue->arena, &found->entry, &reason))
            continue;
        if (diag != NULL)
            diag_warning(diag, (struct source_location){found->entry.path, 0, 0}, "cannot read: %s", reason);
        listing->count--;
    }
    closedir(directory);
    return true;
}

static int by_id_then_root(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    int order = strcmp(left->entry.id, right->entry.id);
    if (order != 0)
        return order;
    return (left->root > right->root) - (left->root < right->root);
}

bool catalogue_list(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                    struct catalogue_entry **entries, size_t *count)
{
    struct listing listing = {0};
    bool ok = true;
    for (size_t root = 0; root < catalogue->roots.count; root++) {
        const char *folder =
            arena_printf(catalogue->arena, "%s/%s", catalogue->roots.items[root], kind_names[kind]);
        ok = list_folder(catalogue, diag, folder, root, &listing) && ok;
    }
    if (listing.count > 0)
        qsort(listing.items, listing.count, sizeof *listing.items, by_id_then_root);
    *count = 0;
    *entries = ARENA_ARRAY(catalogue->arena, struct catalogue_entry, listing.count + 1);
    for (size_t i = 0; *entries != NULL && i < listing.count; i++) {
        const struct catalogue_entry *entry = &listing.items[i].entry;
        if (*count == 0 || strcmp((*entries)[*count - 1].id, entry->id) != 0)
            (*entries)[(*count)++] = *entry;
    }
    free(listing.items);
    if (*entries == NULL && diag != NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    return ok && *entries != NULL;
}

/* An id as a file name: nothing that could lead out of the folder. */
static bool is_plain_id(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MOST && name[0] != '.' && strchr(name, '/') == NULL;
}

static bool find_id(struct catalogue *catalogue, enum catalogue_kind kind, const char *id, const char **path)
{
    if (id == NULL || !is_plain_id(id))
        return false;
    for (size_t root = 0; root < catalogue->roots.count; root++) {
        *path = arena_printf(catalogue->arena, "%s/%s/%s" SUFFIX, catalogue->roots.items[root],
                             kind_names[kind], id);
        if (*path != NULL && is_file(*path))
            return true;
    }
    return false;
}

/* "H100_SXM" -> "h100-sxm": ids are written so, and a try costs no listing. */
static const char *folded(struct arena *arena, const char *name)
{
    char *copy = arena_strdup(arena, name);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        *c = fold(*c);
    return copy;
}

static const char *id_of_path(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    size_t length = strlen(base);
    return arena_strndup(arena, base, has_suffix(base) ? length - SUFFIX_LENGTH : length);
}

static bool goes_by(const struct catalogue_entry *entry, const char *name)
{
    if (catalogue_same_name(entry->name, name))
        return true;
    for (size_t i = 0; i < entry->aliases.count; i++)
        if (catalogue_same_name(entry->aliases.items[i], name))
            return true;
    return false;
}

/* How far a name is from the nearest of an entry's names. */
static int entry_distance(const struct catalogue_entry *entry, const char *name)
{
    int nearest = edit_distance(name, entry->id);
    for (size_t i = 0; i < entry->aliases.count; i++) {
        int distance = edit_distance(name, entry->aliases.items[i]);
        nearest = distance < nearest ? distance : nearest;
    }
    return nearest;
}

enum { SUGGESTIONS_MOST = 3 };

/* Up to three ids near to name, nearest first; as suggest_nearest, near is a third of the name's length. */
static size_t nearest_ids(const struct catalogue_entry *entries, size_t count, const char *name,
                          const char *nearest[SUGGESTIONS_MOST])
{
    int limit = (int)(strlen(name) < 63 ? strlen(name) : 63) / 3;
    int distances[SUGGESTIONS_MOST];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        int distance = entries[i].abstract ? limit + 2 : entry_distance(&entries[i], name);
        if (distance > (limit > 1 ? limit : 1))
            continue;
        size_t at = kept < SUGGESTIONS_MOST ? kept++ : SUGGESTIONS_MOST;
        for (; at > 0 && distances[at - 1] > distance; at--) {
            if (at < SUGGESTIONS_MOST) {
                distances[at] = distances[at - 1];
                nearest[at] = nearest[at - 1];
            }
        }
        if (at < SUGGESTIONS_MOST) {
            distances[at] = distance;
            nearest[at] = entries[i].id;
        }
    }
    return kept;
}

static const char *near_by_part(const struct catalogue_entry *entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!entries[i].abstract && suggest_nearest(name, &entries[i].id, 1) != NULL)
            return entries[i].id;
    return NULL;
}

static void add_names(struct text *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add(text, i + 1 == count ? " or " : ", ");
        text_add(text, names[i]);
    }
}

/* Nothing at all was found: which folders were looked into says more than the name. */
static bool refuse_empty(const struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                         const char *name, struct source_location where)
{
    struct text text = {0};
    for (size_t i = 0; i < catalogue->roots.count; i++)
        text_printf(&text, "%s%s", i > 0 ? ", " : "", catalogue->roots.items[i]);
    if (catalogue->roots.count == 0)
        text_add(&text,
                 "none of RAFTER_PATH, $XDG_CONFIG_HOME/rafter, the program's folder, its ../share/rafter "
                 "and " RAFTER_DATA_DIR " is a folder");
    diag_error(diag, where,
               "unknown %s \"%.*s\": no catalogue with %s/ was found; looked in: %s. RAFTER_PATH names more",
               kind_nouns[kind], NAME_MOST, name, kind_names[kind],
               text.failed || text.data == NULL ? "" : text.data);
    text_free(&text);
    return false;
}

static bool refuse_unknown(struct diag *diag, enum catalogue_kind kind, const char *name,
                           struct source_location where, const struct catalogue_entry *entries, size_t count)
{
    const char *nearest[SUGGESTIONS_MOST];
    size_t near = nearest_ids(entries, count, name, nearest);
    if (near == 0 && (nearest[0] = near_by_part(entries, count, name)) != NULL)
        near = 1;
    if (near == 0)
        return diag_error(diag, where, "unknown %s \"%.*s\"; `rafter list %s` shows all %zu",
                          kind_nouns[kind], NAME_MOST, name, kind_names[kind], count);
    struct text text = {0};
    add_names(&text, nearest, near);
    diag_error(diag, where, "unknown %s \"%.*s\"; did you mean %s?", kind_nouns[kind], NAME_MOST, name,
               text.failed ? nearest[0] : text.data);
    text_free(&text);
    return false;
}

enum { CANDIDATES_MOST = 8 };

static bool find_alias(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                       const char *name, struct source_location where, const char **path, const char **id)
{
    struct catalogue_entry *entries;
    size_t count;
    catalogue_list(catalogue, NULL, kind, &entries, &count);
    const char *candidates[CANDIDATES_MOST];
    size_t matches = 0;
    for (size_t i = 0; i < count; i++) {
        bool own = catalogue_same_name(entries[i].id, name);
        if (!own && !goes_by(&entries[i], name))
            continue;
        *path = entries[i].path;
        *id = entries[i].id;
        if (own)
            return true;
        if (matches < CANDIDATES_MOST)
            candidates[matches] = entries[i].id;
        matches++;
    }
    if (matches == 1)
        return true;
    if (count == 0)
        return refuse_empty(catalogue, diag, kind, name, where);
    if (matches == 0)
        return refuse_unknown(diag, kind, name, where, entries, count);
    struct text text = {0};
    add_names(&text, candidates, matches < CANDIDATES_MOST ? matches : CANDIDATES_MOST);
    diag_error(diag, where, "ambiguous %s \"%.*s\": it may be %s%s", kind_nouns[kind], NAME_MOST, name,
               text.failed ? "" : text.data, matches > CANDIDATES_MOST ? " and others" : "");
    text_free(&text);
    return false;
}

bool catalogue_find(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                    const char *name, struct source_location where, const char **path, const char **id)
{
    if (name == NULL || name[0] == '\0')
        return diag_error(diag, where, "an empty name for a %s", kind_nouns[kind]);
    bool as_file = has_suffix(name);
    if (as_file || (strchr(name, '/') != NULL && is_file(name))) {
        *path = arena_strdup(catalogue->arena, name);
        *id = id_of_path(catalogue->arena, name);
        return (*path != NULL && *id != NULL) || diag_error(diag, where, "out of memory");
    }
    *id = arena_strdup(catalogue->arena, name);
    if (find_id(catalogue, kind, *id, path))
        return true;
    *id = folded(catalogue->arena, name);
    if (find_id(catalogue, kind, *id, path))
        return true;
    return find_alias(catalogue, diag, kind, name, where, path, id);
}
