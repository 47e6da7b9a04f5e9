/* Catalogues: names to descriptions. A name is a file (has a '/' or ends in .yaml), an id, an alias or a
 * Hugging Face name. */
#ifndef RAFTER_SPEC_CATALOGUE_H
#define RAFTER_SPEC_CATALOGUE_H

#include "spec/model.h"
#include "spec/software.h"
#include "spec/technique.h"
#include "spec/workload.h"

enum catalogue_kind {
    CATALOGUE_HARDWARE, /* devices and systems */
    CATALOGUE_SOFTWARE,
    CATALOGUE_MODELS,
    CATALOGUE_TECHNIQUES,
    CATALOGUE_WORKLOADS,
    CATALOGUE_KIND_COUNT
};

/* Where descriptions are looked for, in order: each folder of the list holds hardware/, models/ ... */
struct catalogue_cache;
struct catalogue_files;
struct catalogue {
    struct arena *arena;
    struct string_list roots;
    struct catalogue_cache *cache; /* NULL: every look-up reads the files */
    struct catalogue_files *files; /* NULL: files are parsed anew for each description that needs them */
};

/* Roots: RAFTER_PATH (colon-separated), $XDG_CONFIG_HOME/rafter (or ~/.config/rafter), the folder of the
 * running program (a checkout), its ../share/rafter, the compiled-in data folder. Missing folders are left
 * out. */
void catalogue_open(struct catalogue *catalogue, struct arena *arena);

/* From now on descriptions are read once and kept outside the arena until catalogue_forget; a file that
 * changes meanwhile is not seen. Copies of the struct share what is kept. false when memory is out. */
bool catalogue_remember(struct catalogue *catalogue);
void catalogue_forget(struct catalogue *catalogue);

/* For listings, which need the same parents and members again and again: from now on each file is parsed once
 * for as long as the arena lives, and calibrations, which no listing shows, are left out. false when memory
 * is out. */
bool catalogue_parse_once(struct catalogue *catalogue);

/* One entry of a listing, read from the head of its file without full parsing errors being fatal. */
struct catalogue_entry {
    const char *id;
    const char *path;
    const char *name;
    struct string_list aliases;
    bool abstract;  /* only to be extended */
    bool is_system; /* hardware: has `members` */
};

/* All entries of a kind sorted by id; the first root wins on equal ids. A file that cannot be read is
 * left out with a warning; false with an error: a folder that cannot be, out of memory. */
bool catalogue_list(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                    struct catalogue_entry **entries, size_t *count);

/* The tree of a description with `extends` merged in (at most 8 deep, no cycles), its path in *path and id in
 * *id. NULL with an error: unknown name (nearest valid ones), ambiguous alias (the candidates), bad file. An
 * exact id is found by its file name without reading others. */
struct yaml_node *catalogue_tree(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                                 const char *name, const char **path, const char **id);

/* Descriptions by name, read and checked; NULL with errors in diag. `settings` (may be NULL), "path=value"
 * texts, are laid over the merged tree; items of lists go by index or by name: "tiers.hbm.bandwidth=4 TB/s".
 */
const struct device *catalogue_device(struct catalogue *catalogue, struct diag *diag, const char *name,
                                      const struct string_list *settings);
/* A system by name; a device's name gives a system of `count` of it (0: 1). A count other than 0 replaces
 * that of a described system's first member; rent and extra power of the whole follow it. Settings: a key of
 * the system is its own, "role.path=value" goes to that member's device, anything else to the first member's.
 */
const struct system *catalogue_system(struct catalogue *catalogue, struct diag *diag, const char *name,
                                      int count, const struct string_list *settings);
const struct software *catalogue_software(struct catalogue *catalogue, struct diag *diag, const char *name,
                                          const struct string_list *settings);
const struct model *catalogue_model(struct catalogue *catalogue, struct diag *diag, const char *name,
                                    const struct string_list *settings);
const struct workload *catalogue_workload(struct catalogue *catalogue, struct diag *diag, const char *name,
                                          const struct string_list *settings);
const struct technique *catalogue_technique(struct catalogue *catalogue, struct diag *diag, const char *name);

const char *catalogue_kind_name(enum catalogue_kind kind); /* "hardware" */

#endif
