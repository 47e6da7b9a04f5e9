/* Software: the stack that runs the kernels. */
#ifndef RAFTER_SPEC_SOFTWARE_H
#define RAFTER_SPEC_SOFTWARE_H

#include "spec/hardware.h"

/* Whose decode attention kernels run: how they cut the work into items is theirs. */
enum attention_kernels {
    KERNELS_PORTABLE, /* split as is fastest */
    KERNELS_FLASH,    /* FlashAttention 2, on Hopper 3 */
    KERNELS_TRTLLM,   /* TensorRT-LLM's XQA and masked multi-head attention */
    KERNELS_MASKED,   /* masked multi-head attention alone: query heads do not share what they read */
    KERNELS_WHOLE     /* a prefill kernel on one query: a sequence's head is one piece of work, never split */
};

/* Whose kernels multiply experts of 4-bit floats with 16-bit activations. */
enum expert_kernels {
    EXPERTS_LIBRARY, /* those the library takes by itself: Triton in vLLM */
    EXPERTS_MARLIN
};

struct software {
    const char *id;
    const char *name;
    const char *version;
    const char *extends;
    struct string_list aliases;

    bool ideal; /* no overheads and no efficiencies: every operator at data-sheet rates */

    /* host side */
    bool graph_capture;         /* decode steps run as one captured graph: no launch per kernel */
    bool graph_capture_prefill; /* prefill steps too */
    double launch_host; /* s of host time per eager kernel launch, framework included; 0: the device's own */
    double host_per_step;          /* s of scheduling, batching, detokenising that delay each step */
    double host_per_request;       /* s per request: tokenising, admission, HTTP; delays the first token */
    double host_per_step_parallel; /* s added to host_per_step where a step goes to several processes */
    double host_per_sequence;      /* s more for each sequence of a step */
    double mask_per_sequence;      /* s to make the mask of a sequence's allowed tokens, each step */
    bool async_masks;              /* they are made beside the device's work */
    bool async_host;               /* host_per_step runs beside the device's work instead of between steps */
    double kernel_gap;             /* s between two dependent captured kernels beyond the kernels' own t0 */

    /* kernels */
    bool fuse_qkv;         /* one GEMM for q, k and v */
    bool fuse_gate_up;     /* one GEMM for gate and up */
    bool fuse_norm_add;    /* residual add inside the norm kernel */
    bool fuse_rope_cache;  /* RoPE and the KV cache write in one kernel */
    bool fuse_activation;  /* silu(gate)*up in one kernel rather than two */
    bool flash_attention;  /* scores stay on chip; false: QK^T, softmax, PV as three kernels through memory */
    bool static_cache;     /* the KV cache has its final length from the first step on, all of it is read */
    bool masked_attention; /* prefill attention takes its mask from memory: no block of scores is left out */
    bool eager_softmax; /* unfused, and each operation on the scores a kernel of its own: scaling, the mask,
                           to fp32, softmax, and back */
    bool pad_prompts;   /* a batch is padded to its longest prompt (no ragged batches) */
    bool all_logits;    /* prefill computes logits at every prompt position (old frameworks) */
    bool custom_all_reduce; /* one-shot kernels for small messages instead of the library's rings */
    bool copy_kv;           /* the KV cache grows by concatenation: each step reads and rewrites it */
    bool expand_gqa;        /* K and V are repeated to all heads in memory before attention */
    bool absorb_mla;        /* decode attends in the latent space */
    struct element_type activation_type; /* that it carries activations in; no name: the model's */
    bool quantizes_embedding; /* a type asked of the weights is that of the embedding table and the output
                                 head too */
    struct element_type
        turned_type;         /* of the transposed up-projection that absorbed queries are multiplied by,
                                where weights are of blocks, which cannot be turned; no name: read as stored */
    bool wide_small_weights; /* dt's projection and the shared experts' gate stay in the activations' type,
                                as routers and convolutions do everywhere */
    bool integer_products; /* weights of integers are multiplied by activations that the product itself makes
                              8-bit integers of, a scale for each block of weights */
    int gemv_rows; /* products of up to so many rows read each weight once and keep all rows' sums, without
                      tiles; 0: the faster of the two, whatever the rows */
    int panel_columns; /* products of more rows unpack panels of so many columns of weights, by which up to */
    int panel_rows;    /* so many rows are multiplied before they are unpacked again; 0: tiles */
    bool bf16_products; /* products of more rows than that round fp32 activations to bf16 for 16-bit weights,
                           where the device's bf16 is faster than its fp32 */
    bool scan_recurrences; /* recurrences go token by token in prefill too */
    int attention_tile;    /* KV tokens in whole numbers of which prefill attention works; 0: 16 KB of K */
    int solo_values; /* operators between products that write at most so many values are run by one core,
                        which starts no others; 0: none is */
    bool own_rows;   /* a core works on the same rows in each operator: its own caches keep them */
    int attention_kernels; /* enum attention_kernels: decode's */
    int expert_kernels;    /* enum expert_kernels */

    /* memory */
    double context_bytes;      /* CUDA context, libraries, per device */
    double collective_bytes;   /* communication buffers per device when there is more than one */
    double graph_bytes;        /* captured graphs, per device */
    double memory_utilization; /* fraction of device memory it lets itself use */
    int kv_block_tokens;       /* KV pages, tokens; 1: none */
    int prefill_chunk_tokens;  /* longest chunk (max batched tokens) that activations are sized for; 0: whole
                                  prompt */

    struct string_list calibrated_as; /* other profiles whose calibrations fit this one, best first */
    struct calibration
        *calibrations; /* for any device: software-side facts such as a slow framework's kernels */
    size_t calibration_count;
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

extern const struct schema software_schema;
bool software_read(struct reader *reader, const struct yaml_node *node, const char *id,
                   struct software *software);

#endif
