/* What rewrites of the KV cache share. */
#ifndef RAFTER_MECHANISM_KV_CACHE_H
#define RAFTER_MECHANISM_KV_CACHE_H

#include "mechanism/rewrites.h"

/* Self-attention that reads what the sequence has cached, fused or one of its three kernels; a prefill op may
 * have been set to read fresh K and V instead. */
bool kv_attends(const struct op *op);

/* An op that writes a sequence's own tokens to its cache, in a layer of the decoder. */
bool kv_writes(const struct graph *graph, const struct op *op);

/* The type with scale times the bits a value, scales and zero points included, and more bits for each. */
struct element_type kv_type_scaled(const struct element_type *type, double scale, double more_bits);

/* Whether the op's kept has been set. */
bool kv_keeps_all(const struct kept *kept);

/* A stream over new tokens right behind op `at`, with its block and share of the tokens; elements read and
 * written a token. NULL with diag: no room. */
struct op *kv_stream(struct rewrite *rewrite, int at, const char *name, enum regime regime, double read,
                     double written, double flops);

/* Behind op `at`: a linear layer n x k in the activations' type, with weights of its own. NULL with diag. */
struct op *kv_linear(struct rewrite *rewrite, int at, const char *name, double n, double k);

/* The decode op's last `tokens` tokens are kept in full precision: by a copy at decode + 1 with a buffer of
 * its own. made: [BUFFERS_MOST], the copy of each buffer so far or BUFFER_NONE, for unfused attention's three
 * kernels. */
bool kv_residual(struct rewrite *rewrite, int decode, double tokens, int *made);

/* Tokens of the prompts as the software lays them out, on average; 0: no request is known. */
double kv_prompt_tokens(const struct rewrite *rewrite);

/* Masked diffusion caches nothing: refused. */
bool kv_needs_cache(struct rewrite *rewrite, const char *mechanism);

/* What each sequence keeps of its tokens cannot be shared with others: refused beside shared_prefix. */
bool kv_alone(struct rewrite *rewrite, const char *mechanism);

/* false with diag: no op of the graph attends to a cache (recurrent models). */
bool kv_found(struct rewrite *rewrite, const char *mechanism, int changed);

#endif
