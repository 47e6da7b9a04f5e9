/* Rewrites that mechanisms share: layers told apart, attention operators parted by phase or by heads. */
#ifndef RAFTER_MECHANISM_REWRITES_H
#define RAFTER_MECHANISM_REWRITES_H

#include "mechanism/mechanism.h"

/* on_model: gives the chosen layers ([model->layers], the encoder's first) blocks of their own, so that
 * on_ops can change what belongs to them alone. false with diag: memory, or more than BLOCKS_MOST blocks. */
enum { BLOCKS_MOST = 64 };
bool layers_set_apart(struct rewrite *rewrite, const bool *chosen);

/* The decoder's layers from its `first` on, chosen for layers_set_apart and block_is_chosen; NULL with diag:
 * memory. */
bool *layers_from(struct rewrite *rewrite, const struct model *model, int first);

/* Whether all the block's layers are chosen; once they are set apart, all or none are. */
bool block_is_chosen(const struct model *model, int block, const bool *chosen);

/* An overlap group that no operator is in; 0: there is none left. */
int overlap_group_free(const struct graph *graph);

/* A copy of the op right behind it; other pointers into the graph's ops are void then. NULL with diag: no
 * room. */
struct op *op_copy(struct rewrite *rewrite, int index);

/* A copy of the buffer, for an op of its own; BUFFER_NONE with diag: no room. */
int buffer_copy(struct rewrite *rewrite, int index);

/* An attention op of any regime becomes one of prefill and, at index + 1, one of decode. false with diag: no
 * room. An op that is of one regime already stays alone: *decode is its index or -1. */
bool attention_part_regimes(struct rewrite *rewrite, int index, int *prefill, int *decode);

/* The op and its KV buffer keep `share` of the heads, a copy at index + 1 with a buffer of its own has the
 * rest. share in (0, 1); expected numbers of heads need not be whole. What writes
 * the cache writes both; it must not be parted already. */
bool attention_part_heads(struct rewrite *rewrite, int index, double share);

/* Where an op is in a layer: the mixer (attention, recurrence) with the norm and the residual around it, or
 * the feed-forward network from its norm on. */
enum sublayer { SUBLAYER_NONE, SUBLAYER_MIXER, SUBLAYER_FFN };
void sublayers_of(const struct graph *graph, unsigned char sublayers[OPS_MOST]);

/* A dense layer [n, k] with weights of its own as op `at` of the block. NULL with diag: no room. */
struct op *linear_insert(struct rewrite *rewrite, int at, const char *name, int block, double n, double k);

/* Heads on the last hidden state behind the model's own, each of `layers` square layers and one to the
 * vocabulary, for all positions whose logits are computed (Medusa, arXiv:2401.10774). */
bool decoding_heads_add(struct rewrite *rewrite, int heads, int layers);

/* Self-attention over a KV cache, fused: what cache policies rewrite. */
bool is_cached_attention(const struct op *op);

#endif
