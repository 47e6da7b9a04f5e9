/* Constants of the formulas, from a Hugging Face config.json. */
#ifndef RAFTER_EXEC_FORMATS_HF_HYPER_H
#define RAFTER_EXEC_FORMATS_HF_HYPER_H

#include "exec/hyper.h"
#include "spec/model.h"

/* What is fixed by a class of transformers. */
struct hf_family {
    const char *architecture;
    enum activation activation; /* where the config does not say, or says it wrongly (Gemma) */
    bool fixed_activation;
    bool normalise;     /* experts' weights, unless norm_topk_prob says otherwise */
    bool norm_plus_one; /* stored norms lack 1 */
    bool four_norms;    /* post_attention_layernorm comes behind attention, not before the feed-forward */
    bool interleaved;   /* RoPE turns neighbours */
    bool gemma;
    float theta; /* where the config does not say */
};

/* By the model's architecture; NULL: not run. */
const struct hf_family *hf_family_find(const char *architecture);

/* false with diag, at the place in the config. */
bool hf_hyper(struct hyper *hyper, struct arena *arena, struct diag *diag, const struct hf_family *family,
              const struct model *model, const char *name, const char *text, size_t length);

#endif
