/* What a model with an encoder must keep to. Private to spec/. */
#ifndef RAFTER_SPEC_MODEL_ENCODER_H
#define RAFTER_SPEC_MODEL_ENCODER_H

#include "spec/model.h"

/* Checks encoder_layers, cross_attention and relative_buckets against each other and the rest, with errors at
 * their places; the layers are resolved. `node` is the model's. */
bool encoder_check(struct reader *reader, const struct yaml_node *node, const struct model *model);

#endif
