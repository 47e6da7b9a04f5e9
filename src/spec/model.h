/* Models: blocks of layers, each a mixer (attention, MLA, a recurrence) and a feed-forward network. */
#ifndef RAFTER_SPEC_MODEL_H
#define RAFTER_SPEC_MODEL_H

#include "spec/hardware.h"

enum mixer_kind {
    MIXER_NONE,
    MIXER_ATTENTION,
    MIXER_MLA,
    MIXER_MAMBA1,
    MIXER_MAMBA2,
    MIXER_GATED_DELTANET,
    MIXER_MLSTM
};

struct attention_spec {
    int heads;
    int kv_heads;
    int head_dim;
    int v_head_dim; /* 0: head_dim */
    int rotary_dim; /* 0: no RoPE */
    int window;     /* tokens attended to, the new one included; 0: all before it */
    bool qkv_bias;
    bool o_bias;
    bool qk_norm;           /* a norm over each head of q and k */
    bool qk_norm_all_heads; /* one norm over all heads of q, one over all of k (MiniMax-M2) */
    bool sinks;             /* a learned logit per head */
    bool output_gate;       /* q projection twice as wide, sigmoid gate on the output */
    bool sub_norm;          /* a norm over the attention output before the o projection */
    bool parallel;          /* attention and MLP read the same norm's output and are summed */
};

/* A lightning indexer (DeepSeek-V3.2): small heads score each cached token for each query, and attention runs
 * over the best `top_k` of them. */
struct indexer_spec {
    int heads;
    int head_dim;
    int top_k;
};

/* Attention of a decoder layer to the encoder's output, each head with keys and values of its own. */
struct cross_attention_spec {
    int heads; /* 0: the block has none */
    int head_dim;
    bool qkv_bias;
    bool o_bias;
};

struct mla_spec {
    int heads;
    int q_lora_rank; /* 0: no q compression */
    int kv_lora_rank;
    int qk_nope_head_dim;
    int qk_rope_head_dim;
    int v_head_dim;
    struct indexer_spec *indexer; /* NULL: each query attends to all tokens before it */
};

struct mamba_spec { /* Mamba-1 and Mamba-2 */
    int inner;
    int state;
    int dt_rank; /* Mamba-1 */
    int conv_width;
    int heads;  /* Mamba-2 */
    int groups; /* Mamba-2: B and C are shared by heads / groups */
    bool conv_bias;
    bool norm_dt_bc; /* norms on dt, B and C (Jamba) */
};

struct deltanet_spec {
    int key_heads;
    int value_heads;
    int key_head_dim;
    int value_head_dim;
    int conv_width;
};

struct mlstm_spec {
    int heads;
    int qk_head_dim;
    int v_head_dim;
    int chunk; /* tokens of a prefill chunk */
};

enum ffn_kind { FFN_NONE, FFN_DENSE, FFN_MOE };

struct dense_spec {
    int intermediate;
    bool gated;
    bool bias;
    bool sub_norm; /* a norm over the intermediate before the down projection */
};

struct moe_spec {
    int experts;
    int top_k;
    int intermediate;        /* of one routed expert */
    int shared_intermediate; /* of all shared experts together; 0: none */
    int latent; /* width that routed experts read and write, projected from and to hidden; 0: hidden */
    bool gated;
    bool bias;        /* the linear layers of routed experts and of their latent have biases */
    bool router_bias; /* a bias, or score correction, of one value per expert */
    bool shared_gate; /* a scalar sigmoid gate on the shared expert */
};

struct block_spec {
    const char *name;
    int mixer; /* enum mixer_kind */
    int ffn;   /* enum ffn_kind */
    struct attention_spec attention;
    struct cross_attention_spec cross_attention; /* after the mixer; heads 0: none */
    struct mla_spec mla;
    struct mamba_spec mamba;
    struct deltanet_spec deltanet;
    struct mlstm_spec mlstm;
    struct dense_spec dense;
    struct moe_spec moe;
    int norms; /* hidden-wide norms in the block; 0: one for each of its sub-layers */
    struct source_location where;
};

/* A run of layers: the named blocks in turn, `times` over. */
struct layer_run {
    struct string_list blocks;
    int times;
    struct source_location where;
};

enum norm_kind { NORM_RMS, NORM_LAYER };
enum generation_kind { GENERATION_AUTOREGRESSIVE, GENERATION_MASKED_DIFFUSION };

struct vision_spec {
    int layers;      /* whose weights are stored */
    int layers_used; /* run; 0: all */
    int hidden;
    int heads;
    int intermediate;
    int patch_in; /* values of a patch: 3 * 14 * 14 */
    bool patch_bias;
    int positions;    /* rows of the learned position table */
    int extra_norms;  /* norms outside the layers */
    int extra_tokens; /* class token */
    double projector_parameters;
    int tokens_per_image; /* that reach the language model */
};

struct published {
    double parameters;
    double active_parameters; /* 0: not published */
    bool rounded;             /* the authors' rounded figure */
    bool two_digits;          /* a figure of two digits, such as a name: the count only has to round to it */
    bool includes_mtp;
    bool includes_vision;
    const char *note;
};

struct mtp_spec {
    int layers; /* multi-token-prediction layers, each a block of kind `block` with its own projection */
    const char *block;
    bool own_embedding_and_head;
};

struct model {
    const char *id;
    const char *name;
    const char *extends;
    const char *hf_repo;
    const char *architecture;
    struct string_list aliases;
    int hidden;
    int vocab;
    int max_context;       /* 0: no limit (recurrent) */
    int learned_positions; /* rows of a learned position table; 0: none */
    int relative_buckets;  /* T5: rows of a table of biases by distance, a column a head; 0: none */
    bool tied_embeddings;
    bool embedding_norm; /* a norm right after the embedding (BLOOM) */
    bool no_final_norm;
    bool head_bias;
    int embedding_dim;             /* 0: hidden; else projections to and from hidden (opt-350m) */
    int norm;                      /* enum norm_kind */
    bool norm_bias;                /* LayerNorm with a bias */
    int generation;                /* enum generation_kind */
    int diffusion_steps_per_block; /* MASKED_DIFFUSION */
    int diffusion_block_tokens;
    struct element_type weight_type; /* of the checkpoint's linear layers */
    struct element_type expert_type; /* of routed experts; name "" : as weight_type */
    struct element_type activation_type;
    struct block_spec *blocks;
    size_t block_count;
    struct layer_run *runs;
    size_t run_count;
    struct layer_run *encoder_runs; /* NULL: a decoder alone */
    size_t encoder_run_count;
    int layers;                 /* sum over runs, the encoder's included, derived */
    int encoder_layers;         /* the first so many of them; 0: no encoder */
    unsigned char *pattern;     /* [layers] index into blocks, the encoder's first, derived */
    int *block_layers;          /* [block_count] layers of each block, derived */
    struct vision_spec *vision; /* NULL: none */
    struct mtp_spec *mtp;       /* NULL: none */
    struct published published;
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

extern const struct schema model_schema;
bool model_read(struct reader *reader, const struct yaml_node *node, const char *id, struct model *model);

/* Tokens of the context that a request needs at most: the prompt and the output behind it, or the longer of
 * the two where an encoder has the prompt and the decoder the output. */
double model_context_needed(const struct model *model, double prompt, double output);

/* The model's vision tower as a model of its own: patches in, features out, no words. NULL with diag: it has
 * none. */
const struct model *model_vision_tower(struct arena *arena, struct diag *diag, const struct model *model);

/* Whether the block's layers are the encoder's; false for any other index. */
bool model_encodes(const struct model *model, int block);

/* Values of the tables of relative position biases: one of the encoder's, one of the decoder's layers. */
double model_relative_values(const struct model *model);

/* Parameters by part, biases and norms included. */
struct parameter_count {
    double embedding; /* token table, learned and relative positions, embedding projection */
    double head;      /* 0 when tied */
    double mixers;
    double ffns;    /* dense ffn, shared experts, routers */
    double experts; /* routed experts */
    double norms;
    double vision;
    double mtp;
    double text;   /* all but vision and mtp */
    double total;  /* all */
    double active; /* text parameters touched per token: top_k of the experts; embedding and head included */
};

/* Counts from the dimensions alone; formulas in docs/methodology.md. */
void model_parameters(const struct model *model, struct parameter_count *count);
/* Of one layer of a block: its mixer's, its ffn's without routed experts, one routed expert's. Norms included
 * in mixer and ffn respectively. */
double block_mixer_parameters(const struct model *model, const struct block_spec *block);
double block_ffn_parameters(const struct model *model, const struct block_spec *block);
double block_expert_parameters(const struct model *model, const struct block_spec *block);
/* What routed experts read and write: values a token. */
double moe_width(const struct model *model, const struct moe_spec *moe);

#endif
