/* What the builders of layers share: adding one operator with the buffers it needs. Private to graph/. */
#ifndef RAFTER_GRAPH_BUILD_H
#define RAFTER_GRAPH_BUILD_H

#include "graph/graph.h"

/* A linear layer: rows x k times k x n, its weights (with a bias when asked) in a buffer of their own. */
struct op *add_linear(struct graph *graph, const char *name, int block, double n, double k, bool bias);

/* The layer just added is one of those that some software leaves in the activations' type. */
void keep_small_wide(struct graph *graph, const struct op *linear);

/* A stream over rows: elements read and written a row, lane FLOPs a row. */
struct op *add_stream(struct graph *graph, const char *name, enum op_kind kind, int block, double read,
                      double written, double flops);

/* A norm of `width` values, its weights in a buffer. With `residual` it also adds the residual stream: reads
 * and writes it. FLOPs: 7 a value (square, sum, scale, weight; LLM-Viewer counts the same), 1 more for the
 * add. */
struct op *add_norm(struct graph *graph, const char *name, int block, double width, double norms_a_row,
                    bool residual);

/* A norm at the head of a sub-layer, with the residual add of the sub-layer before fused in or ahead of it.
 */
void add_block_norm(struct graph *graph, const char *name, int block);

/* A collective among `ranks` on rows of `width` activations; nothing when ranks is 1. */
void add_collective(struct graph *graph, const char *name, int block, enum collective kind, int ranks,
                    double width, double rows_factor);

/* A KV buffer of `elements` values a token, and one per sequence (recurrent states). */
int add_kv_buffer(struct graph *graph, const char *name, int block, double elements, double window);
int add_state_buffer(struct graph *graph, const char *name, int block, double elements,
                     const struct element_type *type);

/* The norm's weights and biases where they are not one norm of its width: the number of values they hold. */
void norm_set_values(struct graph *graph, struct op *norm, double values);

/* What an attention's kernels are called: fused, or one after the other. */
struct attention_names {
    const char *fused, *qk, *softmax, *pv;
};

/* The kernels of `work` (its part set here), on K and V of the cache, or of activations with BUFFER_NONE. */
void add_attention_core(struct graph *graph, int block, const struct attention_names *names,
                        const struct attention_work *work, int cache);

void build_attention(struct graph *graph, int block);
void build_cross_attention(struct graph *graph, int block);
void build_mla(struct graph *graph, int block);
void build_recurrent(struct graph *graph, int block);

/* The indexer's parts beside MLA's: its queries where the compressed query is at hand, its keys and weights
 * where the layer's input is, then the scores of all tokens and the selection. */
void add_index_query(struct graph *graph, int block, const struct mla_spec *spec);
void add_index_inputs(struct graph *graph, int block, const struct mla_spec *spec);
void add_indexer(struct graph *graph, int block, const struct mla_spec *spec);

void build_ffn(struct graph *graph, int block);
void build_moe(struct graph *graph, int block);
void build_input(struct graph *graph);  /* embedding */
void build_output(struct graph *graph); /* final norm, head, sampling */
/* Before and behind the encoder's layers; after build_input, whose table they share. */
void build_encoder_input(struct graph *graph);
void build_encoder_output(struct graph *graph);

/* After all operators: the buffers that none of them owns. */
void add_activation_buffers(struct graph *graph);
void add_reserved_buffers(struct graph *graph);
void add_vision_buffer(struct graph *graph);

/* Refuses what does not divide: heads and intermediate sizes by tp, experts by ep, stages more than layers;
 * and stages of a model with an encoder. */
bool check_parallelism(struct diag *diag, const struct model *model, const struct parallelism *parallel);

/* The type of a name known to be valid. */
struct element_type element_type_of(const char *name);

/* One buffer of the block's parameters that no operator reads as an operand. */
void add_small_tensors(struct graph *graph, int block);

/* Rows of this attention group's share of the tokens: 1 / dp. */
double attention_share(const struct graph *graph);
/* Rows of the residual stream on a rank: the group's, or with sequence parallelism its 1/tp of them. */
double residual_share(const struct graph *graph);
/* Whether tokens go to the ranks of their experts and back (expert parallelism among attention groups). */
bool tokens_travel(const struct graph *graph, int block);
/* Ranks that dense feed-forward layers are cut over: tp * dp. */
int ffn_ranks(const struct graph *graph);

#endif
