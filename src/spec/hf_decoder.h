/* The table of decoders: what the config calls things, and what holds whatever the config says. */
#ifndef RAFTER_SPEC_HF_DECODER_H
#define RAFTER_SPEC_HF_DECODER_H

#include <stddef.h>

/* What a family calls the sizes; "a|b": either. NULL: there is no such key. */
struct hf_names {
    const char *hidden, *layers, *heads, *kv_heads, *head_dim, *intermediate, *vocab, *context;
};

/* Sizes that transformers assumes where a multimodal config leaves them out of its text part; 0: none. */
struct hf_sizes {
    int hidden, layers, heads, kv_heads, head_dim, intermediate, vocab, context, window;
};

enum {
    HF_GATED = 1 << 0,      /* SwiGLU or GeGLU */
    HF_TIED = 1 << 1,       /* tied unless tie_word_embeddings says no */
    HF_LAYER_NORM = 1 << 2, /* else RMS */
    HF_NORM_BIAS = 1 << 3,
    HF_QKV_BIAS = 1 << 4, /* unless the key of the bias says no */
    HF_O_BIAS = 1 << 5,
    HF_MLP_BIAS = 1 << 6,
    HF_HEAD_BIAS = 1 << 7,
    HF_QK_NORM = 1 << 8,   /* unless use_qk_norm says no */
    HF_PARALLEL = 1 << 9,  /* attention and feed-forward side by side */
    HF_SUB_NORM = 1 << 10, /* BitNet */
    HF_SINKS = 1 << 11,
    HF_FOUR_TIMES = 1 << 12, /* the feed-forward is 4 x hidden unless it says otherwise */
    HF_NO_ROPE = 1 << 13,
    HF_LEARNED = 1 << 14, /* a learned position table, max_position_embeddings rows */
    HF_EMBEDDING_NORM = 1 << 15,
    HF_DIFFUSION = 1 << 16, /* masked diffusion */
    HF_TERNARY = 1 << 17,   /* weights of three values, int8 activations */
    HF_MLA = 1 << 18,
    HF_OUTPUT_GATE = 1 << 19,
    HF_DELTANET = 1 << 20,     /* gated DeltaNet in the layers that layer_types calls linear_attention */
    HF_OWN_MTP_HEAD = 1 << 21, /* multi-token-prediction layers store an embedding and a head */
    HF_QK_NORM_ALL = 1 << 22   /* one norm over all heads (MiniMax) */
};

/* Which layers see a window only. layer_types, where it is there, overrules all but the first two. */
enum hf_windows {
    HF_WINDOW_NONE,
    HF_WINDOW_ALL,       /* all, when sliding_window is set */
    HF_WINDOW_LATE,      /* those from max_window_layers on, when use_sliding_window is set (Qwen) */
    HF_WINDOW_ALTERNATE, /* the first, the third ... */
    HF_WINDOW_PATTERN,   /* all but each sliding_window_pattern-th */
    HF_WINDOW_CHUNKS     /* Llama 4: attention_chunk_size, but in layers without RoPE */
};

enum hf_expert_rule {
    HF_EXPERTS_NONE,
    HF_EXPERTS_ALL,        /* in each layer */
    HF_EXPERTS_AFTER,      /* from first_k_dense_replace on, each moe_layer_freq-th */
    HF_EXPERTS_STEP,       /* each decoder_sparse_step-th, but those of mlp_only_layers */
    HF_EXPERTS_INTERLEAVED /* Llama 4: moe_layers, or each interleave_moe_layer_step-th */
};

enum { HF_EXPERT_BIAS = 1 << 0, HF_ROUTER_BIAS = 1 << 1, HF_SHARED_GATE = 1 << 2 };

struct hf_experts {
    enum hf_expert_rule rule;
    const char *experts, *top_k, *intermediate;
    const char *shared_count;        /* each as wide as a routed one; NULL: none */
    const char *shared_intermediate; /* of all together; NULL: none */
    unsigned traits;
};

struct hf_decoder {
    const char *architecture; /* architectures[0] */
    const char *type;         /* model_type */
    const struct hf_names *names;
    const struct hf_experts *experts;
    const struct hf_sizes *usual;
    unsigned traits;
    enum hf_windows windows;
    int norms;            /* norms of the model's width in a block; 0: one before each sub-layer */
    int mtp;              /* multi-token-prediction layers where the config does not say */
    int context;          /* where the config does not say; 0: it must */
    int head_dim;         /* where the config does not say; 0: hidden / heads */
    double rotary;        /* share of a head that RoPE turns where the config does not say; 0: all */
    const char *qkv_bias; /* keys of biases; NULL: as the traits say */
    const char *o_bias;
    const char *mlp_bias;
};

extern const struct hf_decoder hf_decoders[];
extern const size_t hf_decoder_count;

#endif
