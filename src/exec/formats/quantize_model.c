#include "exec/formats/quantize_model.h"

#include "exec/formats/roles.h"
#include "exec/formats/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MOST = 128 };

/* The architecture under which the file is read: what tells them apart is where norms and biases are, and
 * whether RoPE turns neighbours or halves. */
struct form {
    const char *architecture;
    bool interleaved;
};

struct writing {
    const struct weights *weights;
    const struct quantize_options *options;
    struct arena *arena;
    struct diag *diag;
    struct form form;
    struct gguf_pairs pairs;
    struct gguf_entry *entries; /* NULL: they are being counted */
    size_t count;
    struct tensor factors; /* of RoPE; data NULL: none */
};

static bool refuse(const struct writing *writing, const char *what)
{
    return weights_error(writing->weights, writing->diag,
                         "%s: no GGUF architecture that is written here has it; expected a model like Llama, "
                         "Qwen 2, Qwen 3 or Mixtral",
                         what);
}

/* ---- what can be said ---- */

static const char *unsaid_layers(const struct model *model)
{
    const struct block_spec *first = &model->blocks[model->pattern[0]];
    const struct attention_spec *attention = &first->attention;
    for (int i = 1; i < model->layers; i++)
        if (model->pattern[i] != model->pattern[0])
            return "layers of several kinds";
    if (first->mixer != MIXER_ATTENTION || first->ffn == FFN_NONE || first->cross_attention.heads > 0)
        return "a layer that is not attention and a feed-forward";
    if (attention->window > 0 || attention->sinks || attention->output_gate || attention->sub_norm ||
        attention->parallel || attention->qk_norm_all_heads || attention->o_bias)
        return "a window, sinks, gate, bias or norm of attention";
    if (attention->rotary_dim != attention->head_dim || attention->v_head_dim > 0)
        return "RoPE on a part of a head, or values of another size";
    if (first->norms != 0 && first->norms != 2)
        return "this number of norms in a block";
    if (first->ffn == FFN_DENSE && (!first->dense.gated || first->dense.bias || first->dense.sub_norm))
        return "a feed-forward without gate, or with biases";
    if (first->ffn == FFN_MOE && (!first->moe.gated || first->moe.shared_intermediate > 0 ||
                                  first->moe.router_bias || first->moe.bias || first->moe.latent > 0))
        return "shared experts, or experts with biases";
    if (attention->qkv_bias && (attention->qk_norm || first->ffn == FFN_MOE))
        return "biases of q, k and v here";
    return NULL;
}

static const char *unsaid_formulas(const struct model *model, const struct hyper *hyper)
{
    if (model->norm != NORM_RMS || model->embedding_norm || model->no_final_norm || model->head_bias ||
        model->learned_positions > 0)
        return "norms or tables outside the layers";
    if (hyper->activation != ACTIVATION_SILU || hyper->embedding_scale != 1 || hyper->residual_scale != 1 ||
        hyper->logit_scale != 1 || hyper->attention_softcap != 0 || hyper->logit_softcap != 0 ||
        hyper->attention_scale != 0 || hyper->norm_plus_one)
        return "this activation, scale or cap";
    if (hyper->route_sigmoid || !hyper->route_normalise || hyper->route_scale != 1 || hyper->route_groups > 0)
        return "this routing";
    if (hyper->rope_scaling == ROPE_LONG || hyper->rope_magnitude != 0)
        return "this scaling of RoPE";
    return NULL;
}

static bool choose_form(struct writing *writing)
{
    const struct model *model = &writing->weights->model;
    if (model->layers < 1 || model->encoder_layers > 0)
        return refuse(writing, "an encoder");
    const char *unsaid = unsaid_layers(model);
    if (unsaid == NULL)
        unsaid = unsaid_formulas(model, &writing->weights->hyper);
    if (unsaid != NULL)
        return refuse(writing, unsaid);
    const struct block_spec *block = &model->blocks[model->pattern[0]];
    if (block->attention.qk_norm)
        writing->form = (struct form){block->ffn == FFN_MOE ? "qwen3moe" : "qwen3", false};
    else if (block->attention.qkv_bias)
        writing->form = (struct form){"qwen2", false};
    else
        writing->form = (struct form){"llama", true};
    if (!writing->form.interleaved && writing->weights->hyper.rope_interleaved)
        return refuse(writing, "RoPE on neighbours");
    return true;
}

/* ---- metadata ---- */

static const char *key(const struct writing *writing, const char *name, char full[KEY_MOST])
{
    snprintf(full, KEY_MOST, "%s.%s", writing->form.architecture, name);
    return full;
}

static void add_count(struct writing *writing, const char *name, int value)
{
    char full[KEY_MOST];
    gguf_add_u32(&writing->pairs, key(writing, name, full), (uint32_t)value);
}

static void add_number(struct writing *writing, const char *name, float value)
{
    char full[KEY_MOST];
    gguf_add_f32(&writing->pairs, key(writing, name, full), value);
}

static void add_rope(struct writing *writing)
{
    char full[KEY_MOST];
    const struct hyper *hyper = &writing->weights->hyper;
    const char *type = hyper->rope_scaling == ROPE_LINEAR ? "linear"
                       : hyper->rope_scaling == ROPE_YARN ? "yarn"
                                                          : NULL;
    add_number(writing, "rope.freq_base", hyper->rope_theta);
    if (type == NULL)
        return;
    gguf_add_text(&writing->pairs, key(writing, "rope.scaling.type", full), type, strlen(type));
    add_number(writing, "rope.scaling.factor", hyper->rope_factor);
    if (hyper->rope_scaling == ROPE_YARN)
        add_count(writing, "rope.scaling.original_context_length", (int)hyper->rope_original_context);
}

static void add_experts(struct writing *writing, const struct moe_spec *moe)
{
    add_count(writing, "expert_count", moe->experts);
    add_count(writing, "expert_used_count", moe->top_k);
    add_count(writing, "expert_feed_forward_length", moe->intermediate);
}

static void add_pairs(struct writing *writing)
{
    const struct model *model = &writing->weights->model;
    const struct block_spec *block = &model->blocks[model->pattern[0]];
    const char *architecture = writing->form.architecture,
               *name = model->name != NULL ? model->name : "model";
    bool moe = block->ffn == FFN_MOE;
    gguf_add_text(&writing->pairs, "general.architecture", architecture, strlen(architecture));
    gguf_add_text(&writing->pairs, "general.name", name, strlen(name));
    quantize_add_type(&writing->pairs, writing->options->type);
    add_count(writing, "block_count", model->layers);
    add_count(writing, "context_length", model->max_context);
    add_count(writing, "embedding_length", model->hidden);
    add_count(writing, "vocab_size", model->vocab);
    add_count(writing, "feed_forward_length", moe ? block->moe.intermediate : block->dense.intermediate);
    add_count(writing, "attention.head_count", block->attention.heads);
    add_count(writing, "attention.head_count_kv", block->attention.kv_heads);
    add_count(writing, "attention.key_length", block->attention.head_dim);
    add_count(writing, "attention.value_length", block->attention.head_dim);
    add_count(writing, "rope.dimension_count", block->attention.rotary_dim);
    add_number(writing, "attention.layer_norm_rms_epsilon", writing->weights->hyper.norm_eps);
    add_rope(writing);
    if (moe)
        add_experts(writing, &block->moe);
    if (writing->options->tokenizer != NULL)
        quantize_add_tokenizer(&writing->pairs, writing->options->tokenizer);
    else
        gguf_add_text(&writing->pairs, "tokenizer.ggml.model", "none", 4);
}

/* Llama 3.1's scaling as divisors of the frequencies, a tensor of its own: long waves are stretched by the
 * factor, short ones stay, those between go over smoothly (transformers' modeling_rope_utils). */
static bool make_factors(struct writing *writing)
{
    const struct hyper *hyper = &writing->weights->hyper;
    const struct model *model = &writing->weights->model;
    int n = model->blocks[model->pattern[0]].attention.rotary_dim / 2;
    if (hyper->rope_scaling != ROPE_LLAMA3 || n < 1)
        return true;
    float *values = ARENA_ARRAY(writing->arena, float, (size_t)n);
    if (values == NULL)
        return weights_error(writing->weights, writing->diag, "out of memory");
    for (int i = 0; i < n; i++) {
        double waves = hyper->rope_original_context * pow((double)hyper->rope_theta, -(double)i / n) /
                       (2 * 3.14159265358979323846);
        double smooth = (waves - hyper->rope_low) / (double)(hyper->rope_high - hyper->rope_low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        values[i] = (float)(1 / ((1 - smooth) / hyper->rope_factor + smooth));
    }
    writing->factors = (struct tensor){
        .name = "rope_freqs", .type = WEIGHT_F32, .rows = 1, .cols = (size_t)n, .data = values};
    return true;
}

/* ---- tensors ---- */

static const char *const names[ROLE_COUNT] = {
    [ROLE_EMBEDDING] = "token_embd.weight",
    [ROLE_FINAL_NORM] = "output_norm.weight",
    [ROLE_HEAD] = "output.weight",
    [ROLE_ATTENTION_NORM] = "attn_norm.weight",
    [ROLE_Q] = "attn_q.weight",
    [ROLE_K] = "attn_k.weight",
    [ROLE_V] = "attn_v.weight",
    [ROLE_O] = "attn_output.weight",
    [ROLE_Q_BIAS] = "attn_q.bias",
    [ROLE_K_BIAS] = "attn_k.bias",
    [ROLE_V_BIAS] = "attn_v.bias",
    [ROLE_Q_NORM] = "attn_q_norm.weight",
    [ROLE_K_NORM] = "attn_k_norm.weight",
    [ROLE_FFN_NORM] = "ffn_norm.weight",
    [ROLE_GATE] = "ffn_gate.weight",
    [ROLE_UP] = "ffn_up.weight",
    [ROLE_DOWN] = "ffn_down.weight",
    [ROLE_ROUTER] = "ffn_gate_inp.weight",
    [ROLE_EXPERT_GATE] = "ffn_gate_exps.weight",
    [ROLE_EXPERT_UP] = "ffn_up_exps.weight",
    [ROLE_EXPERT_DOWN] = "ffn_down_exps.weight",
};

static bool add_entry(struct writing *writing, const struct role_shape *shape, const struct tensor *parts)
{
    bool outside = shape->role < ROLE_ATTENTION_NORM, turned = shape->role == ROLE_Q || shape->role == ROLE_K;
    const struct hyper *hyper = &writing->weights->hyper;
    const struct model *model = &writing->weights->model;
    const char *name = outside ? names[shape->role]
                               : arena_printf(writing->arena, "blk.%d.%s", shape->layer, names[shape->role]);
    if (name == NULL)
        return weights_error(writing->weights, writing->diag, "out of memory");
    size_t head = (size_t)model->blocks[model->pattern[0]].attention.head_dim;
    bool vector = shape->part < 0 && shape->rows == 1 && shape->role != ROLE_ROUTER;
    writing->entries[writing->count++] = (struct gguf_entry){
        .name = name,
        .dimensions = shape->part >= 0 ? 3
                      : vector         ? 1
                                       : 2,
        .size = {shape->cols, shape->rows, shape->part >= 0 ? shape->part_count : 1, 1},
        .type = shape->linear ? quantize_type(writing->options->type, shape->cols) : WEIGHT_F32,
        .parts = parts,
        .part_count = shape->part >= 0 ? shape->part_count : 1,
        .head_rows = turned && writing->form.interleaved && !hyper->rope_interleaved ? head : 0,
    };
    return true;
}

/* Experts are one tensor, whose first brings all of them. */
static bool add(void *context, const struct role_shape *shape)
{
    struct writing *writing = context;
    if (names[shape->role] == NULL)
        return refuse(writing, tensor_role_name(shape->role));
    if (shape->part > 0)
        return true;
    if (writing->entries == NULL) {
        writing->count++;
        return true;
    }
    const struct weights_slot *slot = weights_slot(writing->weights, shape->role, shape->layer);
    return add_entry(writing, shape, shape->part == 0 ? slot->parts : &slot->tensor);
}

static bool add_entries(struct writing *writing)
{
    const struct weights *weights = writing->weights;
    if (!make_factors(writing) || !model_roles(&weights->model, weights->path, writing->diag, add, writing))
        return false;
    writing->entries = ARENA_ARRAY(writing->arena, struct gguf_entry, writing->count + 1);
    if (writing->entries == NULL)
        return weights_error(weights, writing->diag, "out of memory");
    writing->count = 0;
    if (writing->factors.data != NULL)
        writing->entries[writing->count++] = (struct gguf_entry){.name = "rope_freqs.weight",
                                                                 .dimensions = 1,
                                                                 .size = {writing->factors.cols, 1, 1, 1},
                                                                 .type = WEIGHT_F32,
                                                                 .parts = &writing->factors,
                                                                 .part_count = 1};
    return model_roles(&weights->model, weights->path, writing->diag, add, writing);
}

bool quantize_model(const struct weights *weights, struct arena *arena, struct diag *diag, const char *path,
                    const struct quantize_options *options)
{
    struct writing writing = {.weights = weights, .options = options, .arena = arena, .diag = diag};
    if (!choose_form(&writing) || !add_entries(&writing))
        return false;
    add_pairs(&writing);
    bool written = gguf_write(diag, path, &writing.pairs, writing.entries, writing.count);
    text_free(&writing.pairs.bytes);
    return written;
}
