/* The order of a model's layers: runs of blocks, and the pattern they spell out. */
#ifndef RAFTER_SPEC_MODEL_LAYERS_H
#define RAFTER_SPEC_MODEL_LAYERS_H

#include "spec/model.h"

/* The keys of one run, for the docs. */
extern const struct schema layer_run_schema;

/* For FIELD_CUSTOM: member is a `struct layer_run *` directly followed by its `size_t` count. Takes a list of
 * runs, one run, or a number: layers that are all of the model's only block. */
bool layers_read(struct reader *reader, const struct yaml_node *node, void *member);

/* Derives layers, encoder_layers, pattern and block_layers from the runs; `node` is the model's. Refuses
 * unknown names, a total out of 1 .. 1000, and blocks that no layer uses. */
bool layers_resolve(struct reader *reader, const struct yaml_node *node, struct model *model);

#endif
