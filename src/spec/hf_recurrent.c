/* State-space models, their hybrids with attention, and xLSTM. */
#include "spec/hf_build.h"

#include <math.h>
#include <string.h>

/* "auto" stands for ceil(hidden / 16) (arXiv:2312.00752, section 3.6: dt_rank). */
static int dt_rank(const struct hf_object *config, const char *keys, int hidden)
{
    const json_t *value = json_object_get(config->object, keys);
    if (value == NULL || json_is_null(value))
        return (hidden + 15) / 16;
    if (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0)
        return (hidden + 15) / 16;
    return hf_need(config, keys);
}

/* The inner width: stated, or `expand` times hidden. */
static int inner_width(const struct hf_object *config, const char *stated, const char *expand, int hidden)
{
    if (stated != NULL && hf_has(config, stated))
        return hf_need(config, stated);
    double width = hf_number(config, expand, 2) * hidden;
    if (width >= 1 && width <= HF_COUNT_MOST)
        return (int)width;
    hf_error(config, expand, "the inner width comes to %g, expected 1 to %d", width, HF_COUNT_MOST);
    return 1;
}

static int read_outside(struct hf_build *build, bool tied, const char *context)
{
    const struct hf_object *config = &build->config;
    struct model *model = build->model;
    model->hidden = hf_need(config, "hidden_size|embedding_dim|d_model");
    model->vocab = hf_need(config, "vocab_size");
    model->tied_embeddings = hf_bool(config, "tie_word_embeddings", tied);
    model->norm = NORM_RMS;
    model->max_context = context != NULL ? hf_need(config, context) : 0;
    return config->diag->errors;
}

static bool repeat(struct hf_build *build, const char *keys, const struct block_spec *block, int errors)
{
    int layers = hf_need(&build->config, keys);
    if (build->config.diag->errors > errors)
        return false;
    for (int i = 0; i < layers; i++)
        if (!hf_layer(build, "layer", block))
            return false;
    return true;
}

/* Mamba and FalconMamba; the latter's norms on dt, B and C have no weights. */
static bool build_mamba(struct hf_build *build)
{
    const struct hf_object *config = &build->config;
    int errors = config->diag->errors;
    read_outside(build, true, NULL);
    int hidden = build->model->hidden;
    struct block_spec block = {.mixer = MIXER_MAMBA1};
    block.mamba = (struct mamba_spec){.inner = inner_width(config, "intermediate_size", "expand", hidden),
                                      .state = hf_need(config, "state_size"),
                                      .dt_rank = dt_rank(config, "time_step_rank", hidden),
                                      .conv_width = hf_int(config, "conv_kernel", 4),
                                      .conv_bias = hf_bool(config, "use_conv_bias", true)};
    return repeat(build, "num_hidden_layers|n_layer", &block, errors);
}

static struct mamba_spec read_mamba2(const struct hf_object *config, const char *heads, const char *width,
                                     const char *state)
{
    struct mamba_spec spec = {.heads = hf_need(config, heads),
                              .state = hf_need(config, state),
                              .groups = hf_need(config, "n_groups"),
                              .conv_width = hf_int(config, "conv_kernel", 4),
                              .conv_bias = hf_bool(config, "use_conv_bias", true)};
    double inner = (double)spec.heads * hf_need(config, width);
    if (inner > HF_COUNT_MOST)
        hf_error(config, heads, "the inner width comes to %g, expected at most %d", inner, HF_COUNT_MOST);
    else
        spec.inner = (int)inner;
    return spec;
}

static bool build_mamba2(struct hf_build *build)
{
    int errors = build->config.diag->errors;
    read_outside(build, false, NULL);
    struct block_spec block = {.mixer = MIXER_MAMBA2,
                               .mamba = read_mamba2(&build->config, "num_heads", "head_dim", "state_size")};
    return repeat(build, "num_hidden_layers", &block, errors);
}

static int round_up(double width, int multiple)
{
    return (int)(ceil(width / multiple) * multiple);
}

/* Widths are factors of the model's, rounded up (xlstm/xlstm_large of NX-AI/xlstm). */
static bool build_xlstm(struct hf_build *build)
{
    const struct hf_object *config = &build->config;
    int errors = config->diag->errors;
    read_outside(build, false, NULL);
    double hidden = build->model->hidden;
    int heads = hf_need(config, "num_heads"), chunk = hf_int(config, "chunk_size", 64);
    double keys = hf_number(config, "qk_dim_factor", 0.5) * hidden;
    double values = hf_number(config, "v_dim_factor", 1) * hidden;
    double ffn = hf_number(config, "ffn_proj_factor", 2.667) * hidden;
    int multiple = hf_int(config, "ffn_round_up_to_multiple_of", 64);
    double widest = HF_COUNT_MOST / 2.0;
    if (keys > widest || values > widest || ffn > widest || keys < heads || values < heads || ffn < 1 ||
        multiple < 1 || multiple > widest)
        return hf_error(config, "ffn_proj_factor",
                        "the factors give widths out of range: keys %g, values %g, "
                        "feed-forward %g",
                        keys, values, ffn);
    struct block_spec block = {.mixer = MIXER_MLSTM, .ffn = FFN_DENSE};
    block.mlstm = (struct mlstm_spec){
        .heads = heads, .qk_head_dim = (int)keys / heads, .v_head_dim = (int)values / heads, .chunk = chunk};
    block.dense = (struct dense_spec){.intermediate = round_up(ffn, multiple), .gated = true};
    return repeat(build, "num_hidden_layers|num_blocks", &block, errors);
}

static struct attention_spec read_attention(const struct hf_object *config, int hidden,
                                            const char *width_keys)
{
    int heads = hf_need(config, "num_attention_heads");
    int width = hf_int(config, width_keys, hidden / heads > 0 ? hidden / heads : 1);
    return (struct attention_spec){.heads = heads,
                                   .kv_heads = hf_int(config, "num_key_value_heads", heads),
                                   .head_dim = width > 0 ? width : 1};
}

/* A layer counts where (layer - offset) is a multiple of the period. */
static bool in_turn(int layer, int period, int offset)
{
    return period > 0 && layer % period == offset % period;
}

static bool build_jamba(struct hf_build *build)
{
    const struct hf_object *config = &build->config;
    int errors = config->diag->errors;
    read_outside(build, false, "max_position_embeddings");
    int hidden = build->model->hidden, layers = hf_need(config, "num_hidden_layers");
    int width = hf_need(config, "intermediate_size");
    int attention_period = hf_int(config, "attn_layer_period", 8),
        attention = hf_int(config, "attn_layer_offset", 4);
    int expert_period = hf_int(config, "expert_layer_period", 2),
        expert = hf_int(config, "expert_layer_offset", 1);
    int experts = hf_int(config, "num_experts", 16);
    struct block_spec mamba = {.mixer = MIXER_MAMBA1, .ffn = FFN_DENSE}, attends = mamba;
    mamba.mamba = (struct mamba_spec){.inner = inner_width(config, NULL, "mamba_expand", hidden),
                                      .state = hf_int(config, "mamba_d_state", 16),
                                      .dt_rank = dt_rank(config, "mamba_dt_rank", hidden),
                                      .conv_width = hf_int(config, "mamba_d_conv", 4),
                                      .conv_bias = hf_bool(config, "mamba_conv_bias", true),
                                      .norm_dt_bc = true};
    mamba.dense = attends.dense = (struct dense_spec){.intermediate = width, .gated = true};
    attends.mixer = MIXER_ATTENTION;
    attends.attention = read_attention(config, hidden, "head_dim");
    struct moe_spec moe = {.experts = experts,
                           .top_k = hf_int(config, "num_experts_per_tok", 2),
                           .intermediate = width,
                           .gated = true};
    if (config->diag->errors > errors)
        return false;
    for (int layer = 0; layer < layers; layer++) {
        bool is_attention = in_turn(layer, attention_period, attention);
        bool is_moe = experts > 1 && in_turn(layer, expert_period, expert);
        struct block_spec block = is_attention ? attends : mamba;
        if (is_moe) {
            block.ffn = FFN_MOE;
            block.dense = (struct dense_spec){0};
            block.moe = moe;
        }
        static const char *const names[2][2] = {{"mamba", "mamba_moe"}, {"attention", "attention_moe"}};
        if (!hf_layer(build, names[is_attention][is_moe], &block))
            return false;
    }
    return true;
}

/* One sub-layer a layer, by its letter: M Mamba-2, * attention without RoPE, - MLP, E experts. */
static const char nemotron_letters[] = "M*-E";
static const char *const nemotron_names[] = {"mamba", "attention", "mlp", "moe"};
enum { NEMOTRON_KINDS = sizeof nemotron_names / sizeof *nemotron_names };

static struct block_spec nemotron_block(const struct hf_build *build, char letter)
{
    const struct hf_object *config = &build->config;
    struct block_spec block = {0};
    if (letter == 'M') {
        block.mixer = MIXER_MAMBA2;
        block.mamba = read_mamba2(config, "mamba_num_heads", "mamba_head_dim", "ssm_state_size");
    } else if (letter == '*') {
        block.mixer = MIXER_ATTENTION;
        block.attention = read_attention(config, build->model->hidden, "attention_head_dim|head_dim");
    } else if (letter == '-') {
        block.ffn = FFN_DENSE;
        block.dense = (struct dense_spec){.intermediate = hf_need(config, "intermediate_size")};
    } else {
        block.ffn = FFN_MOE;
        block.moe =
            (struct moe_spec){.experts = hf_need(config, "n_routed_experts"),
                              .top_k = hf_need(config, "num_experts_per_tok"),
                              .intermediate = hf_need(config, "moe_intermediate_size"),
                              .shared_intermediate = hf_int(config, "moe_shared_expert_intermediate_size", 0),
                              .latent = hf_int(config, "moe_latent_size", 0),
                              .router_bias = true};
    }
    return block;
}

/* The list's words as letters in an array of letters; NULL with an error. */
static const char *letters_of(const struct hf_object *config, const char *key, const json_t *list)
{
    size_t count = json_array_size(list);
    char *letters = ARENA_ARRAY(config->arena, char, count + 1);
    if (letters == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        size_t kind = 0;
        while (word != NULL && kind < NEMOTRON_KINDS && strcmp(word, nemotron_names[kind]) != 0)
            kind++;
        if (word == NULL || kind == NEMOTRON_KINDS) {
            hf_error(config, key, "found \"%s\", expected mamba, attention, mlp or moe",
                     word != NULL ? word : "what is no text");
            return NULL;
        }
        letters[i] = nemotron_letters[kind];
    }
    letters[count] = '\0';
    return letters;
}

/* Letters as a text or, in newer configs, a list of words. "" when neither is there, NULL with an error. */
static const char *nemotron_pattern(const struct hf_object *config, const char *text, const char *list)
{
    if (!hf_has(config, text)) {
        const json_t *words = hf_list(config, list);
        return words != NULL ? letters_of(config, list, words) : hf_has(config, list) ? NULL : "";
    }
    const char *pattern = json_string_value(json_object_get(config->object, text));
    size_t known = pattern != NULL ? strspn(pattern, nemotron_letters) : 0;
    if (pattern == NULL)
        hf_error(config, text, "expected a text of M, *, - and E");
    else if (pattern[known] != '\0')
        hf_error(config, text, "found \"%c\", expected M, *, - or E", pattern[known]);
    else
        return pattern;
    return NULL;
}

/* The sub-layers of a prediction layer as one block: a mixer, a feed-forward or one after the other. */
static bool nemotron_mtp(struct hf_build *build)
{
    const struct hf_object *config = &build->config;
    int layers = hf_int(config, "num_nextn_predict_layers", 0);
    if (layers == 0)
        return true;
    const char *pattern = nemotron_pattern(config, "mtp_hybrid_override_pattern", "mtp_layers_block_type");
    if (pattern == NULL)
        return false;
    size_t mixers = strspn(pattern, "M*"), ffns = strspn(pattern + mixers, "-E");
    if (*pattern == '\0' || mixers > 1 || ffns > 1 || pattern[mixers + ffns] != '\0') {
        hf_warning(
            config, "num_nextn_predict_layers",
            "the prediction layers are left out: found \"%s\", expected a mixer, a feed-forward or one "
            "after the other, such as *E",
            pattern);
        return true;
    }
    struct block_spec block = nemotron_block(build, *pattern);
    if (mixers == 1 && ffns == 1) {
        struct block_spec after = nemotron_block(build, pattern[1]);
        block.ffn = after.ffn;
        block.dense = after.dense;
        block.moe = after.moe;
    }
    struct mtp_spec *mtp = build->model->mtp = ARENA_NEW(config->arena, struct mtp_spec);
    if (mtp == NULL)
        return false;
    *mtp = (struct mtp_spec){.layers = layers, .block = "prediction"};
    return hf_block(build, mtp->block, &block);
}

static bool build_nemotron(struct hf_build *build)
{
    const struct hf_object *config = &build->config;
    int errors = config->diag->errors;
    struct block_spec blocks[NEMOTRON_KINDS] = {0};
    bool known[NEMOTRON_KINDS] = {false};
    read_outside(build, false, "max_position_embeddings");
    const char *pattern = nemotron_pattern(config, "hybrid_override_pattern", "layers_block_type");
    if (pattern == NULL)
        return false;
    if (*pattern == '\0')
        return hf_error(config, "hybrid_override_pattern",
                        "missing, expected a text of M, *, - and E (or a list as layers_block_type)");
    for (const char *letter = pattern; *letter != '\0'; letter++) {
        size_t kind = (size_t)(strchr(nemotron_letters, *letter) - nemotron_letters);
        if (!known[kind])
            blocks[kind] = nemotron_block(build, *letter);
        known[kind] = true;
        if (!hf_layer(build, nemotron_names[kind], &blocks[kind]))
            return false;
    }
    return nemotron_mtp(build) && config->diag->errors == errors;
}

const struct hf_recurrent hf_recurrents[] = {
    {"MambaForCausalLM", "mamba", build_mamba},
    {"FalconMambaForCausalLM", "falcon_mamba", build_mamba},
    {"Mamba2ForCausalLM", "mamba2", build_mamba2},
    {"JambaForCausalLM", "jamba", build_jamba},
    {"NemotronHForCausalLM", "nemotron_h", build_nemotron},
    {"xLSTMForCausalLM", "xlstm", build_xlstm},
};
const size_t hf_recurrent_count = sizeof hf_recurrents / sizeof *hf_recurrents;
