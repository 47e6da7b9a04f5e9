/* From a Hugging Face config to a model: what the families of architectures share. */
#ifndef RAFTER_SPEC_HF_BUILD_H
#define RAFTER_SPEC_HF_BUILD_H

#include "spec/hf_keys.h"
#include "spec/model.h"
#include "spec/model_block.h"

/* A model in the making: layers come one by one, and blocks are told apart by their names. */
struct hf_build {
    struct hf_object config; /* of the language model */
    struct model *model;
    struct block_spec *blocks; /* model->blocks */
    int pattern[LAYERS_MOST];
    int layers;
    int encoder_layers; /* the first so many of them */
};

/* Adds a layer of the block of that name, and the block when it is new. false with an error: too many layers.
 */
bool hf_layer(struct hf_build *build, const char *name, const struct block_spec *block);
/* Adds a block for multi-token prediction only, when it is new. */
bool hf_block(struct hf_build *build, const char *name, const struct block_spec *block);
/* Spells the pattern as the shortest list of runs. false: out of memory. */
bool hf_runs(struct arena *arena, struct model *model, const int *pattern, int layers);
/* The same where the first layers are an encoder's. */
bool hf_stacks(struct arena *arena, const struct hf_build *build);

/* Decoders: attention (or MLA, or gated DeltaNet in some layers) and a feed-forward, as rows of a table. */
struct hf_decoder;
const struct hf_decoder *hf_decoder_find(const char *architecture, const char *type);
bool hf_decoder_build(struct hf_build *build, const struct hf_decoder *decoder);
size_t hf_decoder_names(const char **names, size_t most);

/* State-space models, hybrids and xLSTM: one function each. */
struct hf_recurrent {
    const char *architecture;
    const char *type; /* model_type */
    bool (*build)(struct hf_build *build);
};
extern const struct hf_recurrent hf_recurrents[];
extern const size_t hf_recurrent_count;
/* Encoders with decoders, likewise. */
extern const struct hf_recurrent hf_encoder_decoders[];
extern const size_t hf_encoder_decoder_count;

/* Multimodal models: a language model in a part of the config, and a vision tower. */
struct hf_multimodal {
    const char *architecture;
    const char *type;
    const char *text_type; /* model_type of the language model where its part does not say */
    bool (*vision)(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                   struct vision_spec *vision);
};
extern const struct hf_multimodal hf_multimodals[];
extern const size_t hf_multimodal_count;

/* Element types from quantization_config, else from torch_dtype. */
bool hf_quantization(const struct hf_object *root, const struct hf_object *text, struct model *model);

#endif
