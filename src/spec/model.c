#include "spec/model.h"

#include "spec/model_block.h"
#include "spec/model_encoder.h"
#include "spec/model_layers.h"
#include "spec/source_notes.h"

COUNT_FOLLOWS(struct model, blocks, block_count);
COUNT_FOLLOWS(struct model, runs, run_count);
COUNT_FOLLOWS(struct model, encoder_runs, encoder_run_count);
COUNT_FOLLOWS(struct model, sources, source_count);

/* Bounds far above any model, so that a slip of the pen is caught and products stay finite. */
enum {
    HIDDEN_MOST = 1000000,
    VOCAB_MOST = 100000000,
    CONTEXT_MOST = 1000000000,
    BUCKETS_MOST = 1000000,
    IMAGE_TOKENS_MOST = 1000000
};
#define PARAMETERS_MOST 1e18

#define STRING(type, member, text)                                                                           \
    {                                                                                                        \
        .key = #member, .kind = FIELD_STRING, .offset = offsetof(struct type, member), .doc = text           \
    }
#define COUNT(type, member, least, most, text)                                                               \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = offsetof(struct type, member), .required = (least) > 0, \
        .dimension = DIM_COUNT, .min = least, .max = most, .doc = text                                       \
    }
#define TOKENS(member, most, text)                                                                           \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = offsetof(struct model, member),                         \
        .dimension = DIM_TOKENS, .min = 0, .max = most, .doc = text                                          \
    }
#define FLAG(type, member, text)                                                                             \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct type, member), .doc = text             \
    }
#define PARAMETERS(type, member, needed, text)                                                               \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct type, member), .required = needed, \
        .dimension = DIM_NONE, .min = 0, .max = PARAMETERS_MOST, .doc = text                                 \
    }
#define SCHEMA(table, title, type)                                                                           \
    {                                                                                                        \
        .name = title, .size = sizeof(struct type), .fields = table, .count = sizeof table / sizeof table[0] \
    }

static const struct enum_name norm_names[] = {{"rms", NORM_RMS}, {"layer", NORM_LAYER}, {NULL, 0}};
static const struct enum_name generation_names[] = {{"autoregressive", GENERATION_AUTOREGRESSIVE},
                                                    {"masked-diffusion", GENERATION_MASKED_DIFFUSION},
                                                    {NULL, 0}};

static const struct field vision_fields[] = {
    COUNT(vision_spec, layers, 1, LAYERS_MOST, "layers whose weights are stored"),
    COUNT(vision_spec, layers_used, 0, LAYERS_MOST, "layers that run; 0: all"),
    COUNT(vision_spec, hidden, 1, HIDDEN_MOST, "width"),
    COUNT(vision_spec, heads, 1, HIDDEN_MOST, "attention heads"),
    COUNT(vision_spec, intermediate, 1, HIDDEN_MOST, "width of the (ungated) feed-forward"),
    COUNT(vision_spec, patch_in, 1, HIDDEN_MOST, "values of a patch: 3 * 14 * 14"),
    FLAG(vision_spec, patch_bias, "the patch embedding has a bias"),
    COUNT(vision_spec, positions, 0, VOCAB_MOST, "rows of the learned position table"),
    COUNT(vision_spec, extra_norms, 0, 8, "norms outside the layers"),
    COUNT(vision_spec, extra_tokens, 0, 1024, "learned tokens beside the patches (class token)"),
    PARAMETERS(vision_spec, projector_parameters, false, "of the projector to the language model's width"),
    COUNT(vision_spec, tokens_per_image, 1, IMAGE_TOKENS_MOST, "that reach the language model"),
};
static const struct schema vision_schema = SCHEMA(vision_fields, "vision", vision_spec);

static const struct field mtp_fields[] = {
    COUNT(mtp_spec, layers, 1, 64, "multi-token-prediction layers"),
    {.key = "block",
     .kind = FIELD_STRING,
     .offset = offsetof(struct mtp_spec, block),
     .required = true,
     .doc = "the block that each of them is"},
    FLAG(mtp_spec, own_embedding_and_head, "they store an embedding and a head of their own"),
};
static const struct schema mtp_schema = SCHEMA(mtp_fields, "mtp", mtp_spec);

static const struct field published_fields[] = {
    PARAMETERS(published, parameters, true, "the published count"),
    PARAMETERS(published, active_parameters, false, "the published count that a token uses"),
    FLAG(published, rounded, "the authors' rounded figure"),
    FLAG(published, two_digits, "a figure of two digits, such as a name: the count only has to round to it"),
    FLAG(published, includes_mtp, "the multi-token-prediction layers are counted"),
    FLAG(published, includes_vision, "the vision tower and its projector are counted"),
    STRING(published, note, "what else is to be known about the count"),
};
static const struct schema published_schema = SCHEMA(published_fields, "published", published);

static const struct field model_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct model, name),
     .required = true,
     .doc = "as people write it"},
    STRING(model, extends, "the description that this one changes"),
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct model, aliases),
     .doc = "other names"},
    STRING(model, hf_repo, "its repository on the Hugging Face Hub"),
    STRING(model, architecture, "the class that runs it"),
    COUNT(model, hidden, 1, HIDDEN_MOST, "width of the residual stream"),
    COUNT(model, vocab, 1, VOCAB_MOST, "rows of the embedding"),
    TOKENS(max_context, CONTEXT_MOST,
           "tokens it was made for, prompt and output (each, behind an encoder); 0: no limit (recurrent)"),
    TOKENS(learned_positions, CONTEXT_MOST, "rows of a learned position table; 0: none"),
    COUNT(
        model, relative_buckets, 0, BUCKETS_MOST,
        "T5: biases by distance, a table of so many rows with a value a head for the layers, and one for the "
        "encoder's; 0: none"),
    FLAG(model, tied_embeddings, "the head is the embedding, transposed"),
    FLAG(model, embedding_norm, "a norm right after the embedding (BLOOM)"),
    FLAG(model, no_final_norm, "no norm before the head (OPT-350M)"),
    FLAG(model, head_bias, "the head has a bias"),
    COUNT(model, embedding_dim, 0, HIDDEN_MOST,
          "width of the embedding, projected to and from hidden; 0: hidden"),
    {.key = "norm",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct model, norm),
     .names = norm_names,
     .fallback = "rms",
     .doc = "rms or layer"},
    FLAG(model, norm_bias, "norms have a bias beside the weight"),
    {.key = "generation",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct model, generation),
     .names = generation_names,
     .fallback = "autoregressive",
     .doc = "a token a step, or blocks that are unmasked over several steps"},
    TOKENS(diffusion_block_tokens, CONTEXT_MOST, "masked-diffusion: tokens of a block"),
    COUNT(model, diffusion_steps_per_block, 0, CONTEXT_MOST,
          "masked-diffusion: steps that unmask a block; 0: a token a step"),
    {.key = "weight_type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct model, weight_type),
     .fallback = "bf16",
     .doc = "the linear layers' weights in the checkpoint"},
    {.key = "expert_type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct model, expert_type),
     .doc = "the routed experts' weights; left out: weight_type"},
    {.key = "activation_type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct model, activation_type),
     .fallback = "bf16",
     .doc = "what linear layers read"},
    {.key = "blocks",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct model, blocks),
     .required = true,
     .object = &block_schema,
     .custom = blocks_read,
     .doc = "the kinds of layers: a map of name to block"},
    {.key = "layers",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct model, runs),
     .required = true,
     .object = &layer_run_schema,
     .custom = layers_read,
     .doc = "their order: runs such as {block: name, times: 32}, or a number when there is one block"},
    {.key = "encoder_layers",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct model, encoder_runs),
     .object = &layer_run_schema,
     .custom = layers_read,
     .doc = "the layers of an encoder, which the prompt goes through; `layers` are the decoder's then, which "
            "start on one token and attend to the encoder's output in cross_attention"},
    {.key = "vision",
     .kind = FIELD_OBJECT_PTR,
     .offset = offsetof(struct model, vision),
     .object = &vision_schema,
     .doc = "the vision tower"},
    {.key = "mtp",
     .kind = FIELD_OBJECT_PTR,
     .offset = offsetof(struct model, mtp),
     .object = &mtp_schema,
     .doc = "multi-token-prediction layers"},
    {.key = "published",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct model, published),
     .object = &published_schema,
     .doc = "parameter counts that the dimensions are checked against"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct model, sources),
     .custom = source_notes_read,
     .doc = "where figures come from"},
};

const struct schema model_schema = {
    .name = "model",
    .size = sizeof(struct model),
    .fields = model_fields,
    .count = sizeof model_fields / sizeof model_fields[0],
    .where_offset = offsetof(struct model, where),
};

static struct source_location place(const struct yaml_node *node, const char *path)
{
    const struct yaml_node *found = yaml_path(node, path);
    return found != NULL ? found->where : node->where;
}

static bool check_positions(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    if (model->learned_positions == 0 ||
        (model->max_context > 0 && model->max_context <= model->learned_positions))
        return true;
    return diag_error(reader->diag, place(node, "max_context"),
                      "max_context: found %d, expected 1 to learned_positions (%d)", model->max_context,
                      model->learned_positions);
}

static bool check_norm(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    if (model->norm == NORM_LAYER || !model->norm_bias)
        return true;
    return diag_error(reader->diag, place(node, "norm_bias"),
                      "norm_bias: an RMS norm has none; norm: layer has");
}

static bool check_generation(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    int block = model->diffusion_block_tokens, steps = model->diffusion_steps_per_block;
    bool diffusion = model->generation == GENERATION_MASKED_DIFFUSION;
    if (diffusion && block == 0)
        return diag_error(reader->diag, place(node, "generation"),
                          "diffusion_block_tokens: missing, expected the tokens of a block, such as 32");
    if (!diffusion && (block > 0 || steps > 0))
        return diag_error(reader->diag,
                          place(node, block > 0 ? "diffusion_block_tokens" : "diffusion_steps_per_block"),
                          "%s: only for generation: masked-diffusion",
                          block > 0 ? "diffusion_block_tokens" : "diffusion_steps_per_block");
    if (steps > block)
        return diag_error(
            reader->diag, place(node, "diffusion_steps_per_block"),
            "diffusion_steps_per_block: found %d, expected at most diffusion_block_tokens (%d): a step "
            "unmasks a token at least",
            steps, block);
    return true;
}

static bool check_vision(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    const struct vision_spec *vision = model->vision;
    if (vision == NULL)
        return true;
    bool ok = true;
    if (vision->layers_used > vision->layers)
        ok = diag_error(reader->diag, place(node, "vision.layers_used"),
                        "vision.layers_used: found %d, expected at most layers (%d)", vision->layers_used,
                        vision->layers);
    if (vision->hidden % vision->heads != 0)
        ok = diag_error(reader->diag, place(node, "vision.heads"),
                        "vision.heads: found %d, expected a divisor of hidden (%d)", vision->heads,
                        vision->hidden);
    return ok;
}

/* A latent wider than the model is a slip: it would cost more than none. */
static bool check_latents(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    bool ok = true;
    for (size_t i = 0; i < model->block_count; i++) {
        const struct block_spec *block = &model->blocks[i];
        if (block->ffn != FFN_MOE || block->moe.latent <= model->hidden)
            continue;
        const struct yaml_node *latent =
            yaml_path(yaml_get(yaml_get(node, "blocks"), block->name), "moe.latent");
        ok = diag_error(reader->diag, latent != NULL ? latent->where : block->where,
                        "blocks.%s.moe.latent: found %d, expected at most hidden (%d)", block->name,
                        block->moe.latent, model->hidden);
    }
    return ok;
}

static bool check_mtp(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    if (model->mtp == NULL || block_index(model->blocks, model->block_count, model->mtp->block) >= 0)
        return true;
    const char *nearest =
        block_suggestion(reader->arena, model->blocks, model->block_count, model->mtp->block);
    return diag_error(reader->diag, place(node, "mtp.block"), "mtp.block: unknown block \"%s\"%s%s%s",
                      model->mtp->block, nearest ? ", did you mean \"" : "", nearest ? nearest : "",
                      nearest ? "\"?" : "");
}

/* A published count says what it covers; it cannot cover what the model does not have. */
static bool check_published(struct reader *reader, const struct yaml_node *node, const struct model *model)
{
    bool ok = true;
    if (model->published.includes_mtp && model->mtp == NULL)
        ok = diag_error(reader->diag, place(node, "published.includes_mtp"),
                        "published.includes_mtp: the model has no mtp");
    if (model->published.includes_vision && model->vision == NULL)
        ok = diag_error(reader->diag, place(node, "published.includes_vision"),
                        "published.includes_vision: the model has no vision");
    if (model->published.active_parameters > model->published.parameters)
        ok = diag_error(reader->diag, place(node, "published.active_parameters"),
                        "published.active_parameters: found %.0f, expected at most parameters (%.0f)",
                        model->published.active_parameters, model->published.parameters);
    return ok;
}

bool model_read(struct reader *reader, const struct yaml_node *node, const char *id, struct model *model)
{
    *model = (struct model){0};
    if (!schema_read(reader, &model_schema, node, "", model))
        return false;
    model->id = id;
    bool ok = layers_resolve(reader, node, model) && encoder_check(reader, node, model);
    ok = check_positions(reader, node, model) && ok;
    ok = check_norm(reader, node, model) && ok;
    ok = check_generation(reader, node, model) && ok;
    ok = check_vision(reader, node, model) && ok;
    ok = check_latents(reader, node, model) && ok;
    ok = check_mtp(reader, node, model) && ok;
    return check_published(reader, node, model) && ok;
}
