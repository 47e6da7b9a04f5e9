/* Vision towers of multimodal models. */
#include "spec/hf_build.h"

#include <math.h>

/* Towers that take any size: the tokens of a square image of a megapixel (1024 x 1024, sides rounded down).
 */
static int megapixel_tokens(int patch, int merge)
{
    int side = 1024 / (patch * merge > 0 ? patch * merge : 1);
    return side > 0 ? side * side : 1;
}

/* Patches of a fixed square image. */
static int patches(const struct hf_object *tower, int image, int patch)
{
    if (patch > 0 && image >= patch && image / patch <= 10000)
        return image / patch * (image / patch);
    hf_error(tower, "patch_size", "found %d, expected at most image_size (%d)", patch, image);
    return 1;
}

static int patch_values(const struct hf_object *tower, int channels, int frames, int patch)
{
    double values = (double)channels * frames * patch * patch;
    if (values <= HF_COUNT_MOST)
        return (int)values;
    hf_error(tower, "patch_size", "a patch of %g values is too large", values);
    return 1;
}

static double linear(double in, double out)
{
    return in * out + out;
}

/* LayerNorm, merge x merge patches side by side, two linear layers with biases. */
static double merger_parameters(double hidden, int merge, double out)
{
    double merged = hidden * merge * merge;
    return 2 * hidden + linear(merged, merged) + linear(merged, out);
}

/* CLIP, its class token left out; a projector of two linear layers with biases. */
static bool read_llava(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                       struct vision_spec *vision)
{
    int patch = hf_need_or(tower, "patch_size", 14),
        count = patches(tower, hf_need_or(tower, "image_size", 336), patch);
    int layers = hf_need_or(tower, "num_hidden_layers", 24), layer = -2;
    const json_t *feature = json_object_get(root->object, "vision_feature_layer");
    if (json_is_integer(feature) && json_integer_value(feature) < 0 && json_integer_value(feature) > -layers)
        layer = (int)json_integer_value(feature);
    *vision = (struct vision_spec){.layers = layers,
                                   .layers_used = layer == -1 ? 0 : layers + layer + 1,
                                   .hidden = hf_need_or(tower, "hidden_size", 1024),
                                   .heads = hf_need_or(tower, "num_attention_heads", 16),
                                   .intermediate = hf_need_or(tower, "intermediate_size", 4096),
                                   .patch_in = patch_values(tower, 3, 1, patch),
                                   .positions = count + 1,
                                   .extra_norms = 2,
                                   .extra_tokens = 1,
                                   .tokens_per_image = count};
    vision->projector_parameters = linear(vision->hidden, text_hidden) + linear(text_hidden, text_hidden);
    return true;
}

/* LLaVA-NeXT: up to 2 x 2 tiles beside the whole image; a learned vector ends each row of them. */
static bool read_llava_next(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                            struct vision_spec *vision)
{
    enum { IMAGES = 5 };
    read_llava(root, tower, text_hidden, vision);
    vision->projector_parameters += text_hidden;
    if (vision->tokens_per_image <= HF_COUNT_MOST / IMAGES)
        vision->tokens_per_image *= IMAGES;
    return true;
}

/* SigLIP; patches are pooled to mm_tokens_per_image; the projector is a norm and a linear layer. */
static bool read_gemma3(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                        struct vision_spec *vision)
{
    int patch = hf_need_or(tower, "patch_size", 14);
    *vision = (struct vision_spec){.layers = hf_need_or(tower, "num_hidden_layers", 27),
                                   .hidden = hf_need_or(tower, "hidden_size", 1152),
                                   .heads = hf_need_or(tower, "num_attention_heads", 16),
                                   .intermediate = hf_need_or(tower, "intermediate_size", 4304),
                                   .patch_in = patch_values(tower, 3, 1, patch),
                                   .patch_bias = true,
                                   .positions = patches(tower, hf_need_or(tower, "image_size", 896), patch),
                                   .extra_norms = 1,
                                   .tokens_per_image = hf_int(root, "mm_tokens_per_image", 256)};
    vision->projector_parameters = vision->hidden + (double)vision->hidden * text_hidden;
    return true;
}

/* 2 x 2 patches become one of four times the width, then an adapter of two linear layers without biases, and
 * a linear layer to the language model. */
static bool read_llama4(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                        struct vision_spec *vision)
{
    (void)root;
    int patch = hf_need_or(tower, "patch_size", 14),
        count = patches(tower, hf_need_or(tower, "image_size", 336), patch);
    double shuffle = hf_number(tower, "pixel_shuffle_ratio", 0.5);
    *vision = (struct vision_spec){.layers = hf_need_or(tower, "num_hidden_layers", 34),
                                   .hidden = hf_need_or(tower, "hidden_size", 1408),
                                   .heads = hf_need_or(tower, "num_attention_heads", 16),
                                   .intermediate = hf_need_or(tower, "intermediate_size", 5632),
                                   .patch_in = patch_values(tower, 3, 1, patch),
                                   .positions = count + 1,
                                   .extra_norms = 2,
                                   .extra_tokens = 1};
    if (!(shuffle > 0 && shuffle <= 1))
        return hf_error(tower, "pixel_shuffle_ratio", "found %g, expected a share of at most 1", shuffle);
    double in = hf_need_or(tower, "projector_input_dim", 4096),
           out = hf_need_or(tower, "projector_output_dim", 4096);
    vision->tokens_per_image = (int)(count * shuffle * shuffle) > 0 ? (int)(count * shuffle * shuffle) : 1;
    vision->projector_parameters = vision->hidden / (shuffle * shuffle) * in + in * out + out * text_hidden;
    return true;
}

/* Two frames a patch; no learned positions. */
static bool read_qwen2_vl(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                          struct vision_spec *vision)
{
    (void)root;
    int patch = hf_need_or(tower, "patch_size", 14), merge = hf_need_or(tower, "spatial_merge_size", 2);
    int hidden = hf_need_or(tower, "embed_dim", 1280);
    double ratio = hf_number(tower, "mlp_ratio", 4) * hidden;
    if (ratio > HF_COUNT_MOST || merge > 64 || patch > 10000)
        return hf_error(tower, "mlp_ratio", "the tower's widths are out of range");
    *vision = (struct vision_spec){
        .layers = hf_need_or(tower, "depth", 32),
        .hidden = hidden,
        .heads = hf_need_or(tower, "num_heads", 16),
        .intermediate = (int)ratio,
        .patch_in = patch_values(tower, hf_need_or(tower, "in_channels|in_chans", 3),
                                 hf_need_or(tower, "temporal_patch_size", 2), patch),
        .tokens_per_image = megapixel_tokens(patch, merge),
        .projector_parameters = merger_parameters(hidden, merge, text_hidden),
    };
    return true;
}

static bool read_qwen3_5(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                         struct vision_spec *vision)
{
    (void)root;
    int patch = hf_need_or(tower, "patch_size", 16), merge = hf_need_or(tower, "spatial_merge_size", 2);
    int hidden = hf_need_or(tower, "hidden_size", 1152);
    if (merge > 64 || patch > 10000)
        return hf_error(tower, "patch_size", "the patches are too large");
    *vision = (struct vision_spec){
        .layers = hf_need_or(tower, "depth", 27),
        .hidden = hidden,
        .heads = hf_need_or(tower, "num_heads", 16),
        .intermediate = hf_need_or(tower, "intermediate_size", 4304),
        .patch_in = patch_values(tower, hf_need_or(tower, "in_channels", 3),
                                 hf_need_or(tower, "temporal_patch_size", 2), patch),
        .patch_bias = true,
        .positions = hf_need_or(tower, "num_position_embeddings", 2304),
        .tokens_per_image = megapixel_tokens(patch, merge),
        .projector_parameters = merger_parameters(hidden, merge, text_hidden),
    };
    return true;
}

/* MoonViT: a learned grid of positions, one norm after the layers. */
static bool read_kimi(const struct hf_object *root, const struct hf_object *tower, int text_hidden,
                      struct vision_spec *vision)
{
    enum { MERGE = 2 }; /* merge_kernel_size [2, 2] */
    (void)root;
    int patch = hf_need_or(tower, "patch_size", 14), hidden = hf_need_or(tower, "vt_hidden_size", 1152);
    double positions =
        (double)hf_need_or(tower, "init_pos_emb_height", 64) * hf_need_or(tower, "init_pos_emb_width", 64);
    if (patch > 10000 || positions > HF_COUNT_MOST)
        return hf_error(tower, "patch_size", "the tower's sizes are out of range");
    *vision = (struct vision_spec){
        .layers = hf_need_or(tower, "vt_num_hidden_layers", 27),
        .hidden = hidden,
        .heads = hf_need_or(tower, "vt_num_attention_heads", 16),
        .intermediate = hf_need_or(tower, "vt_intermediate_size", 4304),
        .patch_in = patch_values(tower, 3, 1, patch),
        .patch_bias = true,
        .positions = (int)positions,
        .extra_norms = 1,
        .tokens_per_image = megapixel_tokens(patch, MERGE),
        .projector_parameters = merger_parameters(hidden, MERGE, text_hidden),
    };
    return true;
}

const struct hf_multimodal hf_multimodals[] = {
    {"LlavaForConditionalGeneration", "llava", "llama", read_llava},
    {"LlavaNextForConditionalGeneration", "llava_next", "llama", read_llava_next},
    {"Gemma3ForConditionalGeneration", "gemma3", "gemma3_text", read_gemma3},
    {"Llama4ForConditionalGeneration", "llama4", "llama4_text", read_llama4},
    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "qwen2", read_qwen2_vl},
    {"Qwen3_5ForConditionalGeneration", "qwen3_5", "qwen3_5_text", read_qwen3_5},
    {"Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", "qwen3_5_moe_text", read_qwen3_5},
    {"KimiK25ForConditionalGeneration", "kimi_k25", "kimi_k2", read_kimi},
};
const size_t hf_multimodal_count = sizeof hf_multimodals / sizeof *hf_multimodals;
