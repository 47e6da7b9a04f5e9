/* The parts of the catalogue: heads of files, names to files, `extends` and settings. catalogue.h is the
 * door. */
#ifndef RAFTER_SPEC_CATALOGUE_PRIVATE_H
#define RAFTER_SPEC_CATALOGUE_PRIVATE_H

#include "spec/catalogue.h"

/* Fills name, aliases (hf_repo among them), abstract and is_system from the first 16 KiB of the entry's file
 * by a scan of its lines at column 1, which does not need a valid document. false: not a readable regular
 * file (*reason: why). */
bool catalogue_head(struct arena *arena, struct catalogue_entry *entry, const char **reason);

/* Names compare without case, with '_' and ' ' as '-'. */
bool catalogue_same_name(const char *a, const char *b);

/* The file of a name. where: who asks, for messages. false with an error. */
bool catalogue_find(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                    const char *name, struct source_location where, const char **path, const char **id);

/* A description with `extends` merged in; `abstract` is taken out of the tree and told apart. */
struct description {
    struct yaml_node *tree;
    const char *id;
    const char *path;
    bool abstract;
};
bool catalogue_describe(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                        const char *name, struct source_location where, struct description *description);

/* Lays "path=value" settings over a tree. Items of lists are named by index or by their name or role:
 * "tiers.hbm.bandwidth=4 TB/s". false with an error. */
bool catalogue_set(struct arena *arena, struct diag *diag, struct yaml_node *tree,
                   const struct string_list *settings);

/* Takes a key out of a map. NULL when it is not there. */
struct yaml_node *catalogue_take(struct yaml_node *map, const char *key);

#endif
