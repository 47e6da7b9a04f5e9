/* Gated DeltaNet's fused projections, in the order that the runner wants: q, k, v, then z, beta, decay. */
#ifndef RAFTER_EXEC_FORMATS_DELTANET_VIEWS_H
#define RAFTER_EXEC_FORMATS_DELTANET_VIEWS_H

#include "exec/formats/table.h"

/* For each key head its q, k, and the v and z of the value heads that share it. false with diag: other rows.
 */
bool weights_gather_deltanet(struct weights *weights, struct diag *diag, int layer,
                             const struct tensor *fused);

/* For each key head beta and decay of the value heads that share it. */
bool weights_gather_deltanet_gates(struct weights *weights, struct diag *diag, int layer,
                                   const struct tensor *fused);

/* beta and decay of two tensors, whose types may differ; put together as fp32. */
bool weights_join_deltanet_gates(struct weights *weights, struct diag *diag, int layer,
                                 const struct tensor *beta, const struct tensor *decay);

#endif
