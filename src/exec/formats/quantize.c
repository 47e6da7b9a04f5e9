#include "exec/formats/quantize.h"

#include "exec/formats/gguf_data.h"
#include "exec/formats/gguf_writer.h"
#include "exec/formats/quantize_model.h"
#include "exec/formats/table.h"

#include <string.h>

enum weight_type quantize_type(enum weight_type type, size_t cols)
{
    if (cols % weight_layouts[type].block_values == 0)
        return type;
    return cols % weight_layouts[WEIGHT_Q8_0].block_values == 0 ? WEIGHT_Q8_0 : WEIGHT_F16;
}

void quantize_add_type(struct gguf_pairs *pairs, enum weight_type type)
{
    /* llama_ftype of llama.cpp's include/llama.h; the version of the blocks' layout: GGML_QNT_VERSION */
    static const uint32_t file_types[WEIGHT_TYPE_COUNT] = {
        [WEIGHT_F32] = 0,  [WEIGHT_F16] = 1,   [WEIGHT_BF16] = 32, [WEIGHT_Q8_0] = 7,
        [WEIGHT_Q4_0] = 2, [WEIGHT_Q4_K] = 14, [WEIGHT_Q6_K] = 18, [WEIGHT_Q4_1] = 3,
        [WEIGHT_Q5_0] = 8, [WEIGHT_Q5_1] = 9,  [WEIGHT_Q5_K] = 16,
    };
    gguf_add_u32(pairs, "general.file_type", file_types[type]);
    gguf_add_u32(pairs, "general.quantization_version", 2);
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

void quantize_add_tokenizer(struct gguf_pairs *pairs, const struct gguf_header *header)
{
    for (size_t i = 0; i < header->pair_count; i++)
        if (starts_with(header->pairs[i].key, "tokenizer."))
            gguf_add_copy(pairs, &header->pairs[i], header->bytes);
}

/* ---- from a GGUF file ---- */

static void copy_pairs(struct gguf_pairs *pairs, const struct gguf_header *header,
                       const struct quantize_options *options)
{
    for (size_t i = 0; i < header->pair_count; i++) {
        const char *key = header->pairs[i].key;
        bool ours = strcmp(key, "general.file_type") == 0 || strcmp(key, "general.alignment") == 0 ||
                    strcmp(key, "general.quantization_version") == 0;
        if (!ours && !(options->tokenizer != NULL && starts_with(key, "tokenizer.")))
            gguf_add_copy(pairs, &header->pairs[i], header->bytes);
    }
    quantize_add_type(pairs, options->type);
    if (options->tokenizer != NULL)
        quantize_add_tokenizer(pairs, options->tokenizer);
}

/* Matrices of linear layers and the embedding; small ones that results hang on are left alone. */
static bool is_linear(const struct gguf_tensor *tensor)
{
    static const char *const left[] = {"_norm",         "ffn_gate_inp", "ssm_conv1d", "ssm_dt",   "ssm_a",
                                       "position_embd", "rope_",        "attn_sinks", "exp_probs"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (strstr(tensor->name, left[i]) != NULL)
            return false;
    size_t length = strlen(tensor->name);
    return tensor->dimensions >= 2 && length > 7 && strcmp(tensor->name + length - 7, ".weight") == 0;
}

static bool from_gguf(const struct weights *weights, struct arena *arena, struct diag *diag, const char *path,
                      const struct quantize_options *options)
{
    const struct gguf_header *header = weights->gguf;
    struct gguf_pairs pairs = {0};
    struct gguf_entry *entries = ARENA_ARRAY(arena, struct gguf_entry, header->tensor_count + 1);
    if (entries == NULL)
        return weights_error(weights, diag, "out of memory");
    for (size_t i = 0; i < header->tensor_count; i++) {
        const struct gguf_tensor *tensor = &header->tensors[i];
        const struct tensor *rows = &weights->gguf_tensors[i];
        entries[i] = (struct gguf_entry){
            .name = tensor->name,
            .dimensions = tensor->dimensions,
            .type = is_linear(tensor) ? quantize_type(options->type, rows->cols) : rows->type,
            .parts = rows,
            .part_count = 1,
        };
        memcpy(entries[i].size, tensor->size, sizeof tensor->size);
    }
    copy_pairs(&pairs, header, options);
    bool written = gguf_write(diag, path, &pairs, entries, header->tensor_count);
    text_free(&pairs.bytes);
    return written;
}

bool weights_quantize(const struct weights *weights, struct arena *arena, struct diag *diag, const char *path,
                      const struct quantize_options *options)
{
    return weights->gguf != NULL ? from_gguf(weights, arena, diag, path, options)
                                 : quantize_model(weights, arena, diag, path, options);
}
