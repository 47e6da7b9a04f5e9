/* The vision tower: a stack of bidirectional layers beside the language model. */
#include "spec/model.h"

enum { NO_WORDS = 1 }; /* rows of the token table: the least that a model may have */

const struct model *model_vision_tower(struct arena *arena, struct diag *diag, const struct model *model)
{
    const struct vision_spec *vision = model->vision;
    if (!vision) {
        diag_error(diag, NOWHERE, "%s has no vision tower; name a model for it, or say that it does not run",
                   model->id);
        return NULL;
    }
    int layers = vision->layers_used > 0 ? vision->layers_used : vision->layers;
    struct model *tower = ARENA_NEW(arena, struct model);
    struct block_spec *block = ARENA_NEW(arena, struct block_spec);
    int *block_layers = ARENA_NEW(arena, int);
    unsigned char *pattern = ARENA_ARRAY(arena, unsigned char, (size_t)layers);
    const char *id = arena_printf(arena, "%s-vision", model->id);
    if (!tower || !block || !block_layers || !pattern || !id) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    *block = (struct block_spec){.name = "layer",
                                 .mixer = MIXER_ATTENTION,
                                 .ffn = FFN_DENSE,
                                 .attention = {.heads = vision->heads,
                                               .kv_heads = vision->heads,
                                               .head_dim = vision->hidden / vision->heads,
                                               .qkv_bias = true,
                                               .o_bias = true},
                                 .dense = {.intermediate = vision->intermediate, .bias = true}};
    *block_layers = layers;
    *tower = (struct model){.id = id,
                            .name = id,
                            .hidden = vision->hidden,
                            .vocab = NO_WORDS,
                            .tied_embeddings = true,
                            .norm = NORM_LAYER,
                            .norm_bias = true,
                            .weight_type = model->activation_type,
                            .activation_type = model->activation_type,
                            .blocks = block,
                            .block_count = 1,
                            .layers = layers,
                            .pattern = pattern,
                            .block_layers = block_layers};
    return tower;
}
