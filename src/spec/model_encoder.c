/* Encoders: their layers attend to all of the prompt and to nothing else; the decoder's attend to themselves
 * and, in cross_attention, to the encoder's output. */
#include "spec/model_encoder.h"

#include <string.h>

static struct source_location place(const struct yaml_node *node, const char *path)
{
    const struct yaml_node *found = yaml_path(node, path);
    return found != NULL ? found->where : node->where;
}

static struct source_location block_place(struct reader *reader, const struct yaml_node *node,
                                          const struct block_spec *block, const char *key)
{
    const char *path = arena_printf(reader->arena, "blocks.%s.%s", block->name, key);
    return path != NULL && yaml_path(node, path) != NULL ? place(node, path) : block->where;
}

static bool decodes(const struct model *model, size_t block)
{
    for (int i = model->encoder_layers; i < model->layers; i++)
        if (model->pattern[i] == block)
            return true;
    return false;
}

static bool check_encoder_block(struct reader *reader, const struct yaml_node *node,
                                const struct block_spec *block)
{
    struct diag *diag = reader->diag;
    bool ok = true;
    if (block->mixer != MIXER_ATTENTION)
        ok = diag_error(diag, block->where,
                        "blocks.%s: a layer of the encoder without attention, expected attention",
                        block->name);
    if (block->mixer == MIXER_ATTENTION && block->attention.window > 0)
        ok = diag_error(diag, block_place(reader, node, block, "attention.window"),
                        "blocks.%s.attention.window: found %d, expected none: a layer of the encoder attends "
                        "to all tokens",
                        block->name, block->attention.window);
    if (block->cross_attention.heads > 0)
        ok = diag_error(diag, block_place(reader, node, block, "cross_attention"),
                        "blocks.%s.cross_attention: a layer of the encoder has no other output to attend to",
                        block->name);
    return ok;
}

/* A block is the encoder's or the decoder's, so that its operators are told apart. */
static bool check_blocks(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    bool ok = true, crosses = false;
    for (size_t i = 0; i < model->block_count; i++) {
        const struct block_spec *block = &model->blocks[i];
        bool encodes = model_encodes(model, (int)i);
        crosses |= block->cross_attention.heads > 0;
        if (encodes && decodes(model, i))
            ok = diag_error(reader->diag, block->where,
                            "blocks.%s: a layer of the encoder and of the decoder, expected two blocks",
                            block->name);
        else if (encodes)
            ok = check_encoder_block(reader, node, block) && ok;
    }
    if (!crosses)
        ok =
            diag_error(reader->diag, place(node, "encoder_layers"),
                       "encoder_layers: no block has cross_attention, so nothing reads the encoder's output");
    return ok;
}

static bool refuse_with_encoder(struct reader *reader, const struct yaml_node *node, const char *key)
{
    return diag_error(reader->diag, place(node, key), "%s: not modelled with encoder_layers", key);
}

static bool check_rest(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    bool ok = true;
    if (model->generation != GENERATION_AUTOREGRESSIVE)
        ok = refuse_with_encoder(reader, node, "generation");
    if (model->learned_positions > 0)
        ok = refuse_with_encoder(reader, node, "learned_positions");
    if (model->embedding_dim > 0)
        ok = refuse_with_encoder(reader, node, "embedding_dim");
    if (model->embedding_norm)
        ok = refuse_with_encoder(reader, node, "embedding_norm");
    if (model->vision != NULL)
        ok = refuse_with_encoder(reader, node, "vision");
    if (model->mtp != NULL)
        ok = refuse_with_encoder(reader, node, "mtp");
    return ok;
}

/* All layers from `first` to `last` add the same table to their scores. */
static bool check_bias_heads(struct reader *reader, const struct yaml_node *node, const struct model *model,
                             int first, int last)
{
    int heads = 0;
    for (int i = first; i < last; i++) {
        const struct block_spec *block = &model->blocks[model->pattern[i]];
        if (block->mixer != MIXER_ATTENTION)
            continue;
        if (heads > 0 && block->attention.heads != heads)
            return diag_error(reader->diag, block_place(reader, node, block, "attention.heads"),
                              "blocks.%s.attention.heads: found %d, expected %d as in the layers before, "
                              "which share the biases of relative_buckets",
                              block->name, block->attention.heads, heads);
        heads = block->attention.heads;
    }
    if (heads > 0)
        return true;
    return diag_error(reader->diag, place(node, "relative_buckets"),
                      "relative_buckets: found %d, but the %s no attention to add biases to",
                      model->relative_buckets,
                      first == 0 && last < model->layers ? "encoder has" : "layers have");
}

bool encoder_check(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    int encoder = model->encoder_layers;
    bool ok = true;
    if (encoder > 0) {
        ok = check_blocks(reader, node, model);
        ok = check_rest(reader, node, model) && ok;
    }
    for (size_t i = 0; i < model->block_count && encoder == 0; i++)
        if (model->blocks[i].cross_attention.heads > 0)
            ok = diag_error(reader->diag, block_place(reader, node, &model->blocks[i], "cross_attention"),
                            "blocks.%s.cross_attention: the model has no encoder; give encoder_layers",
                            model->blocks[i].name);
    if (model->relative_buckets > 0 && encoder > 0)
        ok = check_bias_heads(reader, node, model, 0, encoder) && ok;
    if (model->relative_buckets > 0)
        ok = check_bias_heads(reader, node, model, encoder, model->layers) && ok;
    return ok;
}
