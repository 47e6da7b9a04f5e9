/* Weight sources: where a model's tensors come from. A GGUF file or a folder of safetensors is mapped; random
 * values are made in memory. Which is decided when it is opened; the runner asks by role and never sees
 * names. */
#ifndef RAFTER_EXEC_WEIGHTS_H
#define RAFTER_EXEC_WEIGHTS_H

#include "exec/hyper.h"
#include "exec/tensor.h"
#include "spec/model.h"

/* Matrices are [out][in]; vectors have rows 1. */
enum tensor_role {
    ROLE_EMBEDDING, /* [vocab][hidden] */
    ROLE_POSITIONS, /* [learned_positions][hidden] */
    ROLE_EMBEDDING_NORM,
    ROLE_EMBEDDING_NORM_BIAS,
    ROLE_FINAL_NORM,
    ROLE_FINAL_NORM_BIAS,
    ROLE_HEAD, /* tied: the embedding */
    ROLE_HEAD_BIAS,
    ROLE_ROPE_FACTORS,      /* [1][rotary_dim / 2] divisors of the frequencies (GGUF's llama-3 rope_freqs) */
    ROLE_ROPE_FACTORS_LONG, /* the same for contexts beyond the original one (longrope) */
    ROLE_ATTENTION_NORM,
    ROLE_ATTENTION_NORM_BIAS,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_O,
    ROLE_Q_BIAS,
    ROLE_K_BIAS,
    ROLE_V_BIAS,
    ROLE_O_BIAS,
    ROLE_Q_NORM,
    ROLE_K_NORM,
    ROLE_SINKS,
    ROLE_POST_ATTENTION_NORM, /* on what attention adds (Gemma 2 and 3) */
    ROLE_MLA_Q_DOWN,          /* [q_lora_rank][hidden] */
    ROLE_MLA_Q_NORM,
    ROLE_MLA_Q_UP,    /* [heads (nope + rope)][q_lora_rank]; ROLE_Q where q is not compressed */
    ROLE_MLA_KV_DOWN, /* [kv_lora_rank + rope][hidden] */
    ROLE_MLA_KV_NORM,
    ROLE_MLA_K_UP, /* [heads nope][kv_lora_rank] */
    ROLE_MLA_V_UP, /* [heads v][kv_lora_rank] */
    ROLE_FFN_NORM,
    ROLE_FFN_NORM_BIAS,
    ROLE_GATE,
    ROLE_UP, /* of a plain MLP: its first matrix */
    ROLE_DOWN,
    ROLE_GATE_BIAS,
    ROLE_UP_BIAS,
    ROLE_DOWN_BIAS,
    ROLE_POST_FFN_NORM,
    ROLE_ROUTER,
    ROLE_ROUTER_BIAS, /* score correction, for choosing only */
    ROLE_EXPERT_GATE, /* of expert `part` */
    ROLE_EXPERT_UP,
    ROLE_EXPERT_DOWN,
    ROLE_SHARED_GATE, /* the shared experts' MLP, all of them together */
    ROLE_SHARED_UP,
    ROLE_SHARED_DOWN,
    ROLE_SHARED_SWITCH, /* [1][hidden]: the scalar gate on them */
    ROLE_IN_PROJ,       /* Mamba: [2 inner][hidden]; Mamba-2: z, x, B, C, dt; DeltaNet: q, k, v */
    ROLE_IN_GATES,      /* DeltaNet: [2 value_heads][hidden]: beta, decay */
    ROLE_CONV,          /* [channels][width] */
    ROLE_CONV_BIAS,
    ROLE_X_PROJ,  /* Mamba-1: [dt_rank + 2 state][inner] */
    ROLE_DT_PROJ, /* Mamba-1: [inner][dt_rank] */
    ROLE_DT_BIAS, /* [inner], [heads], [value_heads] */
    ROLE_A,       /* [inner][state], [1][heads]: negative, A itself, not its log */
    ROLE_D,       /* [1][inner], [1][heads] */
    ROLE_GATED_NORM,
    ROLE_OUT_PROJ,
    ROLE_IN_Z, /* DeltaNet: [values][hidden] */
    ROLE_COUNT
};

const char *tensor_role_name(enum tensor_role role);

struct weights;

/* Opens a GGUF file, or a folder with config.json and *.safetensors (model.safetensors.index.json for
 * several). All sizes, offsets and types are checked here, so that no later access can leave the file. NULL
 * with diag. */
struct weights *weights_open(struct arena *arena, struct diag *diag, const char *path);

/* Seeded random values for a model: normal, with the deviation 1 / sqrt(in) for matrices, so that activations
 * keep their size; norms 1, biases 0. Linear layers in `type`, vectors in fp32. NULL with diag: out of
 * memory, a size that the type's blocks do not divide. */
struct weights *weights_random(struct arena *arena, struct diag *diag, const struct model *model,
                               enum weight_type type, uint64_t seed);
void weights_close(struct weights *weights);

const struct model *weights_model(const struct weights *weights);
const struct hyper *weights_hyper(const struct weights *weights);
double weights_bytes(const struct weights *weights); /* of all tensors */

/* The tensor of a role in a layer (0-based; outside layers: 0), `part` the expert. false: there is none,
 * which is no error. A part of a fused tensor is a view of its rows. */
bool weights_find(const struct weights *weights, enum tensor_role role, int layer, int part,
                  struct tensor *tensor);

/* The same, and the tensor must have this shape; false with diag that names role, layer, shapes. */
bool weights_need(const struct weights *weights, struct diag *diag, enum tensor_role role, int layer,
                  int part, size_t rows, size_t cols, struct tensor *tensor);

/* A vector as floats in the arena (decoded); NULL: there is none, or with diag a wrong length. */
const float *weights_vector(const struct weights *weights, struct arena *arena, struct diag *diag,
                            enum tensor_role role, int layer, int part, size_t n);

/* What a tokenizer needs: the GGUF header with its metadata; NULL where the source has none. */
struct gguf_header;
const struct gguf_header *weights_gguf(const struct weights *weights);
/* tokenizer.json beside safetensors; NULL: none. */
const char *weights_tokenizer_path(const struct weights *weights);

/* Whether data lie in memory of the source's own, for which large pages are asked: not in a mapped file, nor
 * anywhere else. */
bool weights_in_large_pages(const struct weights *weights, const void *data);

/* Reads all pages once, so that timing does not see the disk. */
void weights_touch(const struct weights *weights);

#endif
