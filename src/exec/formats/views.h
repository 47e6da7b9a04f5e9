/* Parts of fused tensors: views of rows where they follow each other, copies where they do not. */
#ifndef RAFTER_EXEC_FORMATS_VIEWS_H
#define RAFTER_EXEC_FORMATS_VIEWS_H

#include "exec/formats/table.h"

/* Rows [from, from + rows). */
struct tensor tensor_rows(const struct tensor *tensor, size_t from, size_t rows);

/* A vector's values [from, from + n), of a type without blocks. */
struct tensor vector_part(const struct tensor *vector, size_t from, size_t n);

/* q, k and v rows of a layer's fused projection, or of its bias. false with diag: other than expected. */
bool weights_split_qkv(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused,
                       bool bias);

/* The first half is the gate, the second up. */
bool weights_split_gate_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused);

/* Experts of a layer one after the other in one tensor. */
bool weights_split_experts(struct weights *weights, struct diag *diag, enum tensor_role role, int layer,
                           const struct tensor *stacked);

/* MLA's kv_b: for each head the rows of its keys, then of its values; copied apart. */
bool weights_split_kv_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused);

/* MLA's keys as absorbed kernels like them, for each head [rank][nope]; turned into [nope][rank], as fp32. */
bool weights_turn_k_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *turned);

#endif
