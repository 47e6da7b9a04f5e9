/* What a model computes beyond its sizes (struct model has those): constants of its formulas. Read from GGUF
 * metadata or config.json; models/ files do not have them, where random weights take the defaults. */
#ifndef RAFTER_EXEC_HYPER_H
#define RAFTER_EXEC_HYPER_H

#include "exec/kernels/small.h"

enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN, ROPE_LLAMA3, ROPE_LONG };

struct hyper {
    float norm_eps;
    enum activation activation;
    float rope_theta;       /* base of the frequencies */
    float rope_theta_local; /* of layers with a window (Gemma 3); 0: rope_theta */
    bool rope_interleaved;  /* pairs are neighbours (GGUF's llama), else halves (Hugging Face) */
    enum rope_scaling rope_scaling;
    float rope_factor;
    float rope_original_context;            /* tokens the model was trained on before scaling */
    float rope_low, rope_high;              /* LLAMA3: frequency factors; YARN: beta_slow, beta_fast */
    float rope_magnitude;                   /* YARN's attention factor; 0: by formula */
    float attention_scale;                  /* of scores; 0: 1 / sqrt(head size) */
    float attention_softcap, logit_softcap; /* 0: none */
    float embedding_scale;                  /* of embeddings; 1 */
    float residual_scale;                   /* of what a sub-layer adds; 1 */
    float logit_scale;                      /* logits are multiplied by it; 1 */
    bool norm_plus_one;   /* norms multiply by 1 + weight (Gemma in safetensors; GGUF has it added already) */
    bool route_sigmoid;   /* experts are scored by sigmoids */
    bool route_normalise; /* chosen experts' weights are divided by their sum */
    float route_scale;
    int route_groups, route_top_groups;
    bool delta_tiled; /* DeltaNet's value head h has key head h mod key heads (GGUF's Qwen3.5), else
                         neighbours share one */
};

/* Defaults: eps 1e-5, SiLU, theta 10000, halves, no scaling, scales 1, softmax routing, normalised. */
struct hyper hyper_default(void);

#endif
