#include "spec/hf_decoder.h"

#include "spec/hf_build.h"

#include <math.h>
#include <string.h>

const struct hf_decoder *hf_decoder_find(const char *architecture, const char *type)
{
    for (size_t i = 0; i < hf_decoder_count && architecture != NULL; i++)
        if (strcmp(hf_decoders[i].architecture, architecture) == 0)
            return &hf_decoders[i];
    for (size_t i = 0; i < hf_decoder_count && architecture == NULL && type != NULL; i++)
        if (strcmp(hf_decoders[i].type, type) == 0)
            return &hf_decoders[i];
    return NULL;
}

size_t hf_decoder_names(const char **names, size_t most)
{
    size_t count = hf_decoder_count < most ? hf_decoder_count : most;
    for (size_t i = 0; i < count; i++)
        names[i] = hf_decoders[i].architecture;
    return count;
}

/* What a layer is made of, before it is put together. */
struct parts {
    const struct hf_decoder *decoder;
    const struct hf_object *config;
    struct attention_spec attention; /* of a layer that sees all */
    struct mla_spec mla;
    struct deltanet_spec deltanet;
    struct dense_spec dense;
    struct moe_spec moe;
    int window; /* of the layers that have one; 0: none has */
    int layers;
};

static bool has(const struct hf_decoder *decoder, unsigned trait)
{
    return (decoder->traits & trait) != 0;
}

static bool bias(const struct parts *parts, const char *key, unsigned trait)
{
    bool usual = has(parts->decoder, trait);
    return key != NULL ? hf_bool(parts->config, key, usual) : usual;
}

/* Falcon: the first generation has one key head or all, later ones say how many. */
static int falcon_kv_heads(const struct hf_object *config, int heads)
{
    if (hf_bool(config, "new_decoder_architecture", false))
        return hf_int(config, "num_kv_heads", heads);
    return hf_bool(config, "multi_query", true) ? 1 : heads;
}

static int kv_heads(const struct parts *parts, int heads)
{
    const struct hf_decoder *decoder = parts->decoder;
    struct hf_object inner;
    if (strcmp(decoder->type, "falcon") == 0)
        return falcon_kv_heads(parts->config, heads);
    if (strcmp(decoder->type, "chatglm") == 0 && !hf_bool(parts->config, "multi_query_attention", false))
        return heads;
    if (strcmp(decoder->type, "dbrx") == 0)
        return hf_part(parts->config, "attn_config", false, &inner) ? hf_int(&inner, "kv_n_heads", 1) : 1;
    if (decoder->names->kv_heads == NULL)
        return heads;
    int usual = parts->config->nested && decoder->usual != NULL ? decoder->usual->kv_heads : 0;
    return hf_int(parts->config, decoder->names->kv_heads, usual > 0 ? usual : heads);
}

static int head_dim(const struct parts *parts, int hidden, int heads)
{
    const struct hf_decoder *decoder = parts->decoder;
    if (decoder->names->head_dim != NULL && hf_has(parts->config, decoder->names->head_dim))
        return hf_need(parts->config, decoder->names->head_dim);
    if (decoder->head_dim > 0)
        return decoder->head_dim;
    if (hidden % heads != 0)
        hf_error(parts->config, decoder->names->hidden,
                 "%d is not a multiple of the %d heads, and head_dim is missing", hidden, heads);
    return hidden / heads > 0 ? hidden / heads : 1;
}

/* RoPE turns pairs: a share of a head that comes to an odd number is rounded down. */
static int rotary_dim(const struct parts *parts, int width)
{
    const struct hf_decoder *decoder = parts->decoder;
    if (has(decoder, HF_NO_ROPE) || hf_bool(parts->config, "alibi", false))
        return 0;
    struct hf_object rope;
    double usual = decoder->rotary > 0 ? decoder->rotary : 1;
    if (hf_part(parts->config, "rope_parameters", false, &rope))
        usual = hf_number(&rope, "partial_rotary_factor", usual);
    double share = hf_number(parts->config, "partial_rotary_factor|rotary_pct", usual);
    if (share > 1)
        hf_error(parts->config, "partial_rotary_factor", "found %g, expected a share of at most 1", share);
    if (hf_has(parts->config, "rotary_dim"))
        return hf_int(parts->config, "rotary_dim", 0);
    return share > 1 ? 0 : (int)(share * width + 1e-6) / 2 * 2;
}

static void read_attention(struct parts *parts, struct model *model)
{
    const struct hf_decoder *decoder = parts->decoder;
    const struct hf_sizes *usual = decoder->usual;
    int heads = hf_need_or(parts->config, decoder->names->heads, usual != NULL ? usual->heads : 0);
    int width = head_dim(parts, model->hidden, heads);
    bool parallel = has(decoder, HF_PARALLEL);
    if (strcmp(decoder->type, "falcon") == 0)
        parallel = hf_bool(parts->config, "parallel_attn", true);
    bool norm = has(decoder, HF_QK_NORM) ? hf_bool(parts->config, "use_qk_norm", true)
                                         : hf_bool(parts->config, "qk_layernorm", false);
    if (strcmp(decoder->type, "glm4_moe") == 0)
        norm = hf_bool(parts->config, "use_qk_norm", false);
    parts->attention = (struct attention_spec){
        .heads = heads,
        .kv_heads = kv_heads(parts, heads),
        .head_dim = width,
        .rotary_dim = rotary_dim(parts, width),
        .qkv_bias = bias(parts, decoder->qkv_bias, HF_QKV_BIAS),
        .o_bias = bias(parts, decoder->o_bias, HF_O_BIAS),
        .qk_norm = norm,
        .qk_norm_all_heads = norm && has(decoder, HF_QK_NORM_ALL),
        .sinks = has(decoder, HF_SINKS),
        .output_gate = has(decoder, HF_OUTPUT_GATE),
        .sub_norm = has(decoder, HF_SUB_NORM),
        .parallel = parallel,
    };
}

/* Later models let layers use the tokens that the indexer of a layer before picked. */
static void refuse_shared_indexers(const struct hf_object *config)
{
    int every = hf_int(config, "index_topk_freq", 1);
    const json_t *types = hf_list(config, "indexer_types");
    size_t i;
    json_t *type;
    if (every > 1)
        hf_error(config, "index_topk_freq",
                 "found %d, expected 1: indexers that layers share are not modelled", every);
    json_array_foreach(types, i, type)
    {
        if (json_is_string(type) && strcmp(json_string_value(type), "full") == 0)
            continue;
        hf_error(config, "indexer_types",
                 "expected \"full\" for each layer: indexers that layers share are not modelled");
        return;
    }
}

static void read_indexer(struct parts *parts)
{
    const struct hf_object *config = parts->config;
    if (!hf_has(config, "index_topk"))
        return;
    refuse_shared_indexers(config);
    parts->mla.indexer = ARENA_NEW(config->arena, struct indexer_spec);
    if (parts->mla.indexer == NULL) {
        hf_error(config, "index_topk", "out of memory");
        return;
    }
    *parts->mla.indexer = (struct indexer_spec){.heads = hf_need(config, "index_n_heads"),
                                                .head_dim = hf_need(config, "index_head_dim"),
                                                .top_k = hf_need(config, "index_topk")};
}

static void read_mla(struct parts *parts)
{
    const struct hf_object *config = parts->config;
    parts->mla = (struct mla_spec){
        .heads = hf_need(config, "num_attention_heads"),
        .q_lora_rank = hf_int(config, "q_lora_rank", 0),
        .kv_lora_rank = hf_need(config, "kv_lora_rank"),
        .qk_nope_head_dim = hf_need(config, "qk_nope_head_dim"),
        .qk_rope_head_dim = hf_need(config, "qk_rope_head_dim"),
        .v_head_dim = hf_need(config, "v_head_dim"),
    };
    read_indexer(parts);
}

static void read_deltanet(struct parts *parts)
{
    const struct hf_object *config = parts->config;
    parts->deltanet = (struct deltanet_spec){
        .key_heads = hf_need(config, "linear_num_key_heads"),
        .value_heads = hf_need(config, "linear_num_value_heads"),
        .key_head_dim = hf_need(config, "linear_key_head_dim"),
        .value_head_dim = hf_need(config, "linear_value_head_dim"),
        .conv_width = hf_need(config, "linear_conv_kernel_dim"),
    };
}

static void read_dense(struct parts *parts, const struct model *model)
{
    const struct hf_decoder *decoder = parts->decoder;
    const struct hf_sizes *usual = decoder->usual;
    const char *key = decoder->names->intermediate;
    int width = 0;
    if (has(decoder, HF_FOUR_TIMES) && hf_int(parts->config, key, 0) == 0)
        width = model->hidden <= HF_COUNT_MOST / 4 ? 4 * model->hidden : HF_COUNT_MOST;
    else
        width = hf_need_or(parts->config, key, usual != NULL ? usual->intermediate : 0);
    parts->dense = (struct dense_spec){.intermediate = width,
                                       .gated = has(decoder, HF_GATED),
                                       .bias = bias(parts, decoder->mlp_bias, HF_MLP_BIAS),
                                       .sub_norm = has(decoder, HF_SUB_NORM)};
}

/* Shared experts: so many, each as wide as a routed one, or the width of all together. */
static int shared_width(const struct hf_experts *keys, const struct hf_object *config, int width)
{
    if (keys->shared_intermediate != NULL)
        return hf_int(config, keys->shared_intermediate, 0);
    int count = keys->shared_count != NULL ? hf_int(config, keys->shared_count, 0) : 0;
    if ((double)count * width <= HF_COUNT_MOST)
        return count * width;
    hf_error(config, keys->shared_count, "%d experts of %d are too wide together", count, width);
    return 0;
}

static void read_experts(struct parts *parts)
{
    const struct hf_experts *keys = parts->decoder->experts;
    struct hf_object config = *parts->config;
    if (strcmp(parts->decoder->type, "dbrx") == 0 && !hf_part(parts->config, "ffn_config", false, &config))
        hf_error(parts->config, "ffn_config", "missing, expected an object {...}");
    int width = hf_need(&config, keys->intermediate);
    int shared = shared_width(keys, &config, width);
    parts->moe = (struct moe_spec){.experts = hf_need(&config, keys->experts),
                                   .top_k = hf_need(&config, keys->top_k),
                                   .intermediate = width,
                                   .shared_intermediate = shared,
                                   .gated = has(parts->decoder, HF_GATED),
                                   .bias = (keys->traits & HF_EXPERT_BIAS) != 0,
                                   .router_bias = (keys->traits & HF_ROUTER_BIAS) != 0,
                                   .shared_gate = (keys->traits & HF_SHARED_GATE) != 0 && shared > 0};
}

static bool listed(const json_t *list, int layer)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i,
                       item) if (json_is_integer(item) && json_integer_value(item) == layer) return true;
    return false;
}

static bool has_experts(const struct parts *parts, int layer)
{
    const struct hf_object *config = parts->config;
    const json_t *list;
    int step;
    switch (parts->decoder->experts != NULL ? parts->decoder->experts->rule : HF_EXPERTS_NONE) {
    case HF_EXPERTS_NONE:
        return false;
    case HF_EXPERTS_ALL:
        return true;
    case HF_EXPERTS_AFTER:
        step = hf_int(config, "moe_layer_freq", 1);
        return layer >= hf_int(config, "first_k_dense_replace", 0) && layer % (step > 0 ? step : 1) == 0;
    case HF_EXPERTS_STEP:
        step = hf_int(config, "decoder_sparse_step", 1);
        list = hf_list(config, "mlp_only_layers");
        return (list == NULL || !listed(list, layer)) && (layer + 1) % (step > 0 ? step : 1) == 0;
    case HF_EXPERTS_INTERLEAVED:
        list = hf_list(config, "moe_layers");
        if (list != NULL && json_array_size(list) > 0)
            return listed(list, layer);
        step = hf_int(config, "interleave_moe_layer_step", 1);
        return (layer + 1) % (step > 0 ? step : 1) == 0;
    }
    return false;
}

/* The layer's entry in layer_types; NULL where there is no such list. */
static const char *layer_type(const struct parts *parts, int layer)
{
    const json_t *types = hf_list(parts->config, "layer_types");
    const json_t *type = types != NULL ? json_array_get(types, (size_t)layer) : NULL;
    return json_is_string(type) ? json_string_value(type) : NULL;
}

static bool is_linear(const struct parts *parts, int layer)
{
    if (!has(parts->decoder, HF_DELTANET))
        return false;
    const char *type = layer_type(parts, layer);
    if (type != NULL)
        return strcmp(type, "linear_attention") == 0;
    int interval = hf_int(parts->config, "full_attention_interval", 4);
    return interval == 0 || (layer + 1) % interval != 0;
}

/* Llama 4: layers whose entry of no_rope_layers is 0 have no RoPE and see all; by default every fourth. */
static bool has_rope(const struct parts *parts, int layer)
{
    if (parts->decoder->windows != HF_WINDOW_CHUNKS)
        return true;
    const json_t *list = hf_list(parts->config, "no_rope_layers");
    if (list != NULL && json_array_size(list) > 0)
        return json_integer_value(json_array_get(list, (size_t)layer)) != 0;
    return (layer + 1) % 4 != 0;
}

static bool is_windowed(const struct parts *parts, int layer)
{
    enum hf_windows windows = parts->decoder->windows;
    const char *type = layer_type(parts, layer);
    if (parts->window == 0)
        return false;
    if (windows == HF_WINDOW_ALL)
        return true;
    if (type != NULL)
        return strcmp(type, "sliding_attention") == 0 || strcmp(type, "chunked_attention") == 0;
    if (windows == HF_WINDOW_ALTERNATE)
        return layer % 2 == 0;
    if (windows == HF_WINDOW_CHUNKS)
        return has_rope(parts, layer);
    if (windows == HF_WINDOW_LATE)
        return layer >= hf_int(parts->config, "max_window_layers", 0);
    int turn = hf_int(parts->config, "sliding_window_pattern|_sliding_window_pattern", 6);
    return turn > 0 && (layer + 1) % turn != 0;
}

/* 0 where windows are off, or as long as the context. */
static int read_window(const struct parts *parts, const struct model *model)
{
    const struct hf_decoder *decoder = parts->decoder;
    const struct hf_object *config = parts->config;
    int usual = config->nested && decoder->usual != NULL ? decoder->usual->window : 0, window = 0;
    if (decoder->windows == HF_WINDOW_CHUNKS)
        window = hf_int(config, "attention_chunk_size", 0);
    else if (decoder->windows == HF_WINDOW_LATE)
        window = hf_bool(config, "use_sliding_window", false) ? hf_int(config, "sliding_window", 0) : 0;
    else if (decoder->windows != HF_WINDOW_NONE)
        window = hf_int(config, "sliding_window", usual);
    return window >= model->max_context ? 0 : window;
}

/* Norms of the block: Falcon's share one, or have two that are told by its generation. */
static int norms(const struct parts *parts)
{
    if (strcmp(parts->decoder->type, "falcon") != 0 || !parts->attention.parallel)
        return parts->decoder->norms;
    int usual = hf_bool(parts->config, "new_decoder_architecture", false) ? 2 : 1;
    return hf_int(parts->config, "num_ln_in_parallel_attn", usual) == 1 ? 1 : 0;
}

static struct block_spec make_block(const struct parts *parts, bool linear, bool windowed, bool rope,
                                    bool experts)
{
    struct block_spec block = {
        .mixer = MIXER_ATTENTION, .attention = parts->attention, .norms = norms(parts)};
    if (linear) {
        block.mixer = MIXER_GATED_DELTANET;
        block.attention = (struct attention_spec){0};
        block.deltanet = parts->deltanet;
    } else if (has(parts->decoder, HF_MLA)) {
        block.mixer = MIXER_MLA;
        block.attention = (struct attention_spec){0};
        block.mla = parts->mla;
    } else {
        block.attention.window = windowed ? parts->window : 0;
        block.attention.rotary_dim = rope ? block.attention.rotary_dim : 0;
    }
    block.ffn = experts ? FFN_MOE : FFN_DENSE;
    if (experts)
        block.moe = parts->moe;
    else
        block.dense = parts->dense;
    return block;
}

/* Names as people give them: what tells the blocks of this model apart. */
static const char *block_name(const struct parts *parts, bool linear, bool windowed, bool experts,
                              bool two_ffns, bool two_windows)
{
    const char *mixer = linear ? "linear" : has(parts->decoder, HF_DELTANET) ? "full" : NULL;
    if (two_windows)
        mixer = windowed ? "local" : "global";
    if (!two_ffns)
        return mixer != NULL ? mixer : "layer";
    const char *name = arena_printf(
        parts->config->arena, "%s%s%s", mixer != NULL ? mixer : "", mixer != NULL ? "_" : "",
        experts ? (mixer != NULL ? "moe" : "moe_layer") : (mixer != NULL ? "dense" : "dense_layer"));
    return name != NULL ? name : "layer";
}

/* Which choices differ between layers. */
struct kinds {
    bool linear, full, windowed, global, experts, dense;
};

static struct kinds survey(const struct parts *parts)
{
    struct kinds kinds = {0};
    for (int layer = 0; layer < parts->layers; layer++) {
        bool linear = is_linear(parts, layer), experts = has_experts(parts, layer);
        bool windowed = !linear && is_windowed(parts, layer);
        kinds.linear |= linear;
        kinds.full |= !linear;
        kinds.windowed |= windowed;
        kinds.global |= !linear && !windowed;
        kinds.experts |= experts;
        kinds.dense |= !experts;
    }
    return kinds;
}

static bool add_layers(struct hf_build *build, const struct parts *parts, const struct kinds *kinds)
{
    bool two_ffns = kinds->experts && kinds->dense, two_windows = kinds->windowed && kinds->global;
    for (int layer = 0; layer < parts->layers; layer++) {
        bool linear = is_linear(parts, layer), experts = has_experts(parts, layer);
        bool windowed = !linear && is_windowed(parts, layer);
        struct block_spec block = make_block(parts, linear, windowed, has_rope(parts, layer), experts);
        if (!hf_layer(build, block_name(parts, linear, windowed, experts, two_ffns, two_windows), &block))
            return false;
    }
    return true;
}

/* A prediction layer is as the model's last, with full attention. */
static bool add_mtp(struct hf_build *build, const struct parts *parts, const struct kinds *kinds)
{
    int layers = hf_int(parts->config, "num_nextn_predict_layers|mtp_num_hidden_layers", parts->decoder->mtp);
    if (layers == 0 || parts->layers == 0)
        return true;
    bool experts = has_experts(parts, parts->layers - 1);
    bool two_ffns = kinds->experts && kinds->dense, two_windows = kinds->windowed && kinds->global;
    struct block_spec block = make_block(parts, false, false, true, experts);
    const char *name = block_name(parts, false, false, experts, two_ffns, two_windows);
    build->model->mtp = ARENA_NEW(parts->config->arena, struct mtp_spec);
    if (build->model->mtp == NULL || !hf_block(build, name, &block))
        return false;
    *build->model->mtp = (struct mtp_spec){
        .layers = layers, .block = name, .own_embedding_and_head = has(parts->decoder, HF_OWN_MTP_HEAD)};
    return true;
}

static void read_positions(const struct parts *parts, struct model *model)
{
    const struct hf_decoder *decoder = parts->decoder;
    const struct hf_sizes *usual = decoder->usual;
    const char *key = decoder->names->context;
    model->max_context = decoder->context > 0
                             ? hf_int(parts->config, key, decoder->context)
                             : hf_need_or(parts->config, key, usual != NULL ? usual->context : 0);
    if (!has(decoder, HF_LEARNED))
        return;
    /* OPT keeps two rows before the first position. */
    model->learned_positions = model->max_context + (strcmp(decoder->type, "opt") == 0 ? 2 : 0);
}

/* OPT-350M: a narrower embedding, norms behind the sub-layers and none before the head. */
static void read_opt(const struct hf_object *config, struct model *model)
{
    int width = hf_int(config, "word_embed_proj_dim", model->hidden);
    model->embedding_dim = width == model->hidden ? 0 : width;
    model->no_final_norm =
        !hf_bool(config, "do_layer_norm_before", true) || hf_bool(config, "_remove_final_layer_norm", false);
}

/* Semi-autoregressive blocks of 32 tokens, a token a step, are what LLaDA's authors evaluate with
 * (arXiv:2502.09992); a config does not say. */
static void read_diffusion(struct model *model)
{
    enum { BLOCK_TOKENS = 32 };
    model->generation = GENERATION_MASKED_DIFFUSION;
    model->diffusion_block_tokens = BLOCK_TOKENS;
    model->diffusion_steps_per_block = BLOCK_TOKENS;
}

static void read_model(const struct parts *parts, struct model *model)
{
    const struct hf_decoder *decoder = parts->decoder;
    const struct hf_sizes *usual = decoder->usual;
    model->vocab = hf_need_or(parts->config, decoder->names->vocab, usual != NULL ? usual->vocab : 0);
    model->tied_embeddings =
        hf_bool(parts->config, "tie_word_embeddings|weight_tying", has(decoder, HF_TIED));
    model->norm = has(decoder, HF_LAYER_NORM) ? NORM_LAYER : NORM_RMS;
    model->norm_bias = has(decoder, HF_NORM_BIAS);
    model->embedding_norm = has(decoder, HF_EMBEDDING_NORM);
    model->head_bias = hf_bool(parts->config, "lm_head_bias", has(decoder, HF_HEAD_BIAS));
    read_positions(parts, model);
    if (strcmp(decoder->type, "opt") == 0)
        read_opt(parts->config, model);
    if (has(decoder, HF_DIFFUSION))
        read_diffusion(model);
    if (has(decoder, HF_TERNARY)) {
        element_type_parse("ternary", &model->weight_type);
        element_type_parse("int8", &model->activation_type);
    }
}

bool hf_decoder_build(struct hf_build *build, const struct hf_decoder *decoder)
{
    struct parts parts = {.decoder = decoder, .config = &build->config};
    struct model *model = build->model;
    const struct hf_sizes *usual = decoder->usual;
    int errors = build->config.diag->errors;
    model->hidden = hf_need_or(&build->config, decoder->names->hidden, usual != NULL ? usual->hidden : 0);
    parts.layers = hf_need_or(&build->config, decoder->names->layers, usual != NULL ? usual->layers : 0);
    read_model(&parts, model);
    if (has(decoder, HF_MLA))
        read_mla(&parts);
    else
        read_attention(&parts, model);
    if (has(decoder, HF_DELTANET))
        read_deltanet(&parts);
    parts.window = read_window(&parts, model);
    if (parts.layers > LAYERS_MOST)
        return hf_error(&build->config, decoder->names->layers, "found %d, expected at most %d", parts.layers,
                        LAYERS_MOST);
    struct kinds kinds = survey(&parts);
    if (kinds.experts)
        read_experts(&parts);
    if (kinds.dense)
        read_dense(&parts, model);
    if (build->config.diag->errors > errors)
        return false;
    return add_layers(build, &parts, &kinds) && add_mtp(build, &parts, &kinds);
}
