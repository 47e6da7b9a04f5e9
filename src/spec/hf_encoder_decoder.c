/* T5 (arXiv:1910.10683) and Switch Transformers (arXiv:2101.03961): an encoder and a decoder of like layers,
 * without biases, with RMS norms and a table of relative position biases for each of the two. Names and
 * defaults as in their configuration classes of transformers. */
#include "spec/hf_build.h"

#include <string.h>

enum { CONTEXT = 512, BUCKETS = 32 }; /* what both were trained on */

static struct block_spec t5_block(const struct hf_object *config)
{
    /* "gated-gelu" in T5 1.1 and Flan-T5, "relu" in T5 */
    const char *feed_forward = hf_text(config, "feed_forward_proj", "relu");
    int heads = hf_need(config, "num_heads|num_attention_heads");
    return (struct block_spec){
        .mixer = MIXER_ATTENTION,
        .attention = {.heads = heads, .kv_heads = heads, .head_dim = hf_need(config, "d_kv")},
        .ffn = FFN_DENSE,
        .dense = {.intermediate = hf_need(config, "d_ff"),
                  .gated = strncmp(feed_forward, "gated-", strlen("gated-")) == 0},
    };
}

static struct block_spec decoder_block(struct block_spec block)
{
    block.cross_attention =
        (struct cross_attention_spec){.heads = block.attention.heads, .head_dim = block.attention.head_dim};
    return block;
}

static struct block_spec experts_block(const struct hf_object *config, struct block_spec block)
{
    block.ffn = FFN_MOE;
    block.moe = (struct moe_spec){.experts = hf_need(config, "num_experts"),
                                  .top_k = 1,
                                  .intermediate = block.dense.intermediate,
                                  .gated = block.dense.gated,
                                  .router_bias = hf_bool(config, "router_bias", false)};
    block.dense = (struct dense_spec){0};
    return block;
}

/* Outside the layers, which are counted: the encoder's in *encoder, the decoder's in *decoder. */
static bool read_outside(struct hf_build *build, int *encoder, int *decoder)
{
    const struct hf_object *config = &build->config;
    struct model *model = build->model;
    model->hidden = hf_need(config, "d_model|hidden_size");
    model->vocab = hf_need(config, "vocab_size");
    model->max_context = hf_int(config, "n_positions", CONTEXT);
    model->relative_buckets = hf_int(config, "relative_attention_num_buckets", BUCKETS);
    model->tied_embeddings = hf_bool(config, "tie_word_embeddings", true);
    *encoder = hf_need(config, "num_layers|num_hidden_layers");
    *decoder = hf_int(config, "num_decoder_layers", *encoder);
    if (*decoder == 0)
        hf_error(config, "num_decoder_layers", "found 0, expected layers that decode");
    return *encoder <= LAYERS_MOST && *decoder <= LAYERS_MOST - *encoder
               ? true
               : hf_error(config, "num_layers", "found %d and %d to decode, expected at most %d together",
                          *encoder, *decoder, LAYERS_MOST);
}

/* Of `layers` layers `sparse` have experts: each `layers / sparse`-th, beginning with the second; with one in
 * each, all. */
static bool has_experts(int layers, int sparse, int layer)
{
    int step = sparse > 0 ? layers / sparse : 0;
    return step == 1 || (step > 1 && layer % step == 1);
}

static const char *block_name(const char *stack, bool experts)
{
    bool encoder = strcmp(stack, "encoder") == 0;
    return experts ? (encoder ? "encoder_moe" : "decoder_moe")
                   : (encoder ? "encoder_dense" : "decoder_dense");
}

static bool add_stack(struct hf_build *build, const char *stack, int layers, int sparse,
                      const struct block_spec *dense, const struct block_spec *moe)
{
    for (int i = 0; i < layers; i++) {
        bool experts = has_experts(layers, sparse, i);
        if (!hf_layer(build, block_name(stack, experts), experts ? moe : dense))
            return false;
    }
    return true;
}

static bool build_t5(struct hf_build *build)
{
    int errors = build->config.diag->errors, encoder, decoder;
    struct block_spec block = t5_block(&build->config), crossing = decoder_block(block);
    if (!read_outside(build, &encoder, &decoder) || build->config.diag->errors > errors)
        return false;
    build->encoder_layers = encoder;
    for (int i = 0; i < encoder; i++)
        if (!hf_layer(build, "encoder", &block))
            return false;
    for (int i = 0; i < decoder; i++)
        if (!hf_layer(build, "decoder", &crossing))
            return false;
    return true;
}

/* Tokens over an expert's capacity, a figure of the training, skip the layer; a description does not have it.
 */
static bool build_switch(struct hf_build *build)
{
    enum { SPARSE = 3 }; /* where the config does not say */
    const struct hf_object *config = &build->config;
    int errors = config->diag->errors, encoder, decoder;
    struct block_spec dense = t5_block(config), moe = experts_block(config, dense);
    struct block_spec crossing = decoder_block(dense), crossing_moe = decoder_block(moe);
    int sparse_encoder = hf_int(config, "num_sparse_encoder_layers", SPARSE);
    int sparse_decoder = hf_int(config, "num_sparse_decoder_layers", SPARSE);
    if (!read_outside(build, &encoder, &decoder))
        return false;
    if (sparse_encoder > encoder)
        hf_error(config, "num_sparse_encoder_layers", "found %d, expected at most num_layers (%d)",
                 sparse_encoder, encoder);
    if (sparse_decoder > decoder)
        hf_error(config, "num_sparse_decoder_layers", "found %d, expected at most num_decoder_layers (%d)",
                 sparse_decoder, decoder);
    if (config->diag->errors > errors)
        return false;
    build->encoder_layers = encoder;
    return add_stack(build, "encoder", encoder, sparse_encoder, &dense, &moe) &&
           add_stack(build, "decoder", decoder, sparse_decoder, &crossing, &crossing_moe);
}

const struct hf_recurrent hf_encoder_decoders[] = {
    {"T5ForConditionalGeneration", "t5", build_t5},
    {"T5WithLMHeadModel", "t5", build_t5}, /* the class's first name */
    {"MT5ForConditionalGeneration", "mt5", build_t5},
    {"SwitchTransformersForConditionalGeneration", "switch_transformers", build_switch},
};
const size_t hf_encoder_decoder_count = sizeof hf_encoder_decoders / sizeof *hf_encoder_decoders;
