/* Configs of tests/import/, written from published dimensions, against parameter counts from the same
 * dimensions (parameters.csv), and what is refused. */
#include "spec/hf_config.h"

#include "base/file.h"
#include "spec/model_block.h"
#include "spec/model_import.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(hf_config, .init = set_up, .fini = tear_down);

static bool import_text(const char *text, struct model *model)
{
    struct text yaml = {0};
    bool ok = model_import_bytes(arena, &diag, "config.json", text, strlen(text), "test", model, &yaml);
    text_free(&yaml);
    return ok;
}

static struct model load(const char *text)
{
    struct model model = {0};
    cr_assert(import_text(text, &model), "%s", diag_first_error(&diag));
    return model;
}

/* The text with its first `from` replaced. */
static const char *with(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    cr_assert(at != NULL, "%s", from);
    return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void expect_error(const char *text, const char *line)
{
    struct model model;
    diag = (struct diag){.arena = arena};
    cr_expect_not(import_text(text, &model));
    cr_expect_str_eq(diag_first_error(&diag), line);
}

static void expect_types(const char *quantization, const char *weights, const char *experts,
                         const char *activations)
{
    static const char *const moe =
        "{\"architectures\": [\"MixtralForCausalLM\"], \"hidden_size\": 1024, \"num_hidden_layers\": 2,"
        "\"num_attention_heads\": 8, \"num_key_value_heads\": 2, \"intermediate_size\": 2048, "
        "\"vocab_size\": 1000,"
        "\"max_position_embeddings\": 4096, \"num_local_experts\": 8, \"num_experts_per_tok\": 2,"
        "\"torch_dtype\": \"bfloat16\", \"quantization_config\": {%s}}";
    diag = (struct diag){.arena = arena};
    struct model model = load(arena_printf(arena, moe, quantization));
    cr_expect_str_eq(model.weight_type.name, weights, "%s", quantization);
    cr_expect_str_eq(model.expert_type.name, experts, "%s", quantization);
    cr_expect_str_eq(model.activation_type.name, activations, "%s", quantization);
}

static const char *const llama =
    "{\n\"architectures\": [\"LlamaForCausalLM\"],\n\"hidden_size\": 1024,\n\"num_hidden_layers\": 2,\n"
    "\"num_attention_heads\": 8,\n\"intermediate_size\": 2048,\n\"vocab_size\": 1000,\n"
    "\"max_position_embeddings\": 4096,\n\"torch_dtype\": \"float16\"\n}";

/* model,parameters,active_parameters,layers; active 0: none is known */
Test(hf_config, every_architecture_has_its_parameters)
{
    FILE *table = fopen(SOURCE_DIR "/tests/import/parameters.csv", "r");
    char line[256], id[100];
    double parameters, active;
    int layers, rows = 0;
    cr_assert_not_null(table);
    cr_assert_not_null(fgets(line, sizeof line, table));
    while (fgets(line, sizeof line, table) != NULL) {
        cr_assert_eq(sscanf(line, "%99[^,],%lf,%lf,%d", id, &parameters, &active, &layers), 4, "%s", line);
        struct model model;
        struct parameter_count count;
        struct text yaml = {0};
        const char *path = arena_printf(arena, "tests/import/%s.json", id);
        bool ok = model_import(arena, &diag, path, NULL, &model, &yaml);
        text_free(&yaml);
        cr_assert(ok, "%s", diag_first_error(&diag));
        model_parameters(&model, &count);
        cr_expect(fabs(count.total / parameters - 1) < 0.005, "%s: %.0f, not %.0f", id, count.total,
                  parameters);
        cr_expect(active == 0 || fabs(count.active / active - 1) < 0.005, "%s: active %.0f, not %.0f", id,
                  count.active, active);
        cr_expect_eq(model.layers, layers, "%s: %d layers", id, model.layers);
        cr_expect_str_eq(model.name, id);
        rows++;
    }
    fclose(table);
    cr_expect(rows >= 130, "%d", rows);
}

Test(hf_config, defaults_are_the_architectures)
{
    struct model model = load(llama);
    const struct attention_spec *attention = &model.blocks[0].attention;
    cr_expect_eq(attention->kv_heads, 8);
    cr_expect_eq(attention->head_dim, 128);
    cr_expect_eq(attention->rotary_dim, 128);
    cr_expect_not(attention->qkv_bias);
    cr_expect_not(model.tied_embeddings);
    cr_expect(model.blocks[0].dense.gated);
    cr_expect_str_eq(model.weight_type.name, "fp16");
    model = load(with(llama, "Llama", "Gemma"));
    cr_expect(model.tied_embeddings);
    cr_expect_eq(model.blocks[0].attention.head_dim, 256);
    model = load(with(llama, "Llama", "Qwen2"));
    cr_expect(model.blocks[0].attention.qkv_bias);
    cr_expect_not(model.blocks[0].attention.o_bias);
}

Test(hf_config, windows)
{
    struct model model = load(with(with(llama, "Llama", "Mistral"), "{", "{\"sliding_window\": 512,"));
    cr_expect_eq(model.blocks[0].attention.window, 512);
    cr_expect_eq(model.block_count, 1);
    model = load(with(with(llama, "Llama", "Mistral"), "{", "{\"sliding_window\": 4096,"));
    cr_expect_eq(model.blocks[0].attention.window, 0, "as long as the context");
    model = load(with(with(llama, "Llama", "Gemma2"), "{", "{\"sliding_window\": 512,"));
    cr_expect_eq(model.block_count, 2);
    cr_expect_eq(model.blocks[model.pattern[0]].attention.window, 512);
    cr_expect_eq(model.blocks[model.pattern[1]].attention.window, 0);
    model =
        load(with(with(llama, "Llama", "Gemma2"), "{",
                  "{\"sliding_window\": 512, \"layer_types\": [\"full_attention\", \"sliding_attention\"],"));
    cr_expect_eq(model.blocks[model.pattern[1]].attention.window, 512);
    /* Qwen states a window that it does not use */
    model = load(
        with(with(llama, "Llama", "Qwen2"), "{", "{\"sliding_window\": 512, \"use_sliding_window\": false,"));
    cr_expect_eq(model.blocks[0].attention.window, 0);
    model = load(with(with(llama, "Llama", "Qwen2"), "{",
                      "{\"sliding_window\": 512, \"use_sliding_window\": true, \"max_window_layers\": 1,"));
    cr_expect_eq(model.blocks[model.pattern[0]].attention.window, 0);
    cr_expect_eq(model.blocks[model.pattern[1]].attention.window, 512);
}

Test(hf_config, patterns_become_runs)
{
    struct model model;
    struct text yaml = {0};
    cr_assert(model_import(arena, &diag, "tests/import/gemma-3-27b.json", NULL, &model, &yaml));
    cr_expect_not_null(
        strstr(yaml.data, "layers:\n  - {blocks: [local, local, local, local, local, global], times: 10}\n"
                          "  - {block: local, times: 2}\n"),
        "%s", yaml.data);
    text_free(&yaml);
    yaml = (struct text){0};
    cr_assert(model_import(arena, &diag, "tests/import/llama-3.1-8b.json", "meta-llama/Llama-3.1-8B", &model,
                           &yaml));
    cr_expect_str_eq(
        yaml.data, "name: Llama-3.1-8B\nhf_repo: meta-llama/Llama-3.1-8B\narchitecture: LlamaForCausalLM\n\n"
                   "hidden: 4096\nvocab: 128256\nmax_context: 131072\nnorm: rms\nweight_type: bf16\n"
                   "activation_type: bf16\n\nblocks:\n  layer:\n"
                   "    attention: {heads: 32, kv_heads: 8, head_dim: 128, rotary_dim: 128}\n"
                   "    dense: {intermediate: 14336, gated: true}\nlayers: 32\n\nsources:\n"
                   "  dimensions: \"meta-llama/Llama-3.1-8B llama-3.1-8b.json, read by rafter import\"\n");
    text_free(&yaml);
}

Test(hf_config, types)
{
    expect_types("\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64", "int4-g64", "", "bf16");
    expect_types("\"quant_method\": \"gptq\", \"bits\": 3, \"group_size\": -1", "int3", "", "bf16");
    expect_types("\"quant_method\": \"awq\", \"w_bit\": 4, \"q_group_size\": 128", "int4-g128", "", "bf16");
    expect_types("\"quant_method\": \"fp8\"", "fp8", "", "fp8");
    expect_types("\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]", "fp8-block", "",
                 "fp8-block");
    expect_types("\"quant_method\": \"fbgemm_fp8\"", "fp8-channel", "", "fp8-channel");
    expect_types("\"quant_method\": \"mxfp4\"", "bf16", "mxfp4", "bf16");
    expect_types("\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true", "int4-g64", "", "bf16");
    expect_types("\"load_in_8bit\": true", "int8", "", "bf16");
    expect_types("\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\"", "nvfp4", "", "nvfp4");
    expect_types("\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"group_0\": {\"weights\": "
                 "{\"num_bits\": 8,"
                 "\"type\": \"int\", \"strategy\": \"channel\"}, \"input_activations\": {\"num_bits\": 8, "
                 "\"type\": \"int\","
                 "\"strategy\": \"token\"}}}",
                 "int8", "", "int8");
    expect_types("\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"group_0\": {\"weights\": "
                 "{\"num_bits\": 8,"
                 "\"type\": \"float\", \"strategy\": \"channel\"}, \"input_activations\": {\"num_bits\": 8, "
                 "\"type\": \"float\","
                 "\"strategy\": \"token\"}}}",
                 "fp8-channel", "", "fp8-channel");
    expect_types(
        "\"quant_method\": \"compressed-tensors\", \"ignore\": [\"re:.*self_attn.*\"], \"config_groups\": "
        "{\"group_0\":"
        "{\"weights\": {\"num_bits\": 4, \"type\": \"int\", \"strategy\": \"group\", \"group_size\": 32}}}",
        "bf16", "int4-g32", "bf16");
}

Test(hf_config, bad_quantization)
{
    expect_error(
        with(llama, "{", "{\"quantization_config\": {\"quant_method\": \"hqq\"},"),
        "config.json:1:42: error: quantization_config.quant_method: found \"hqq\", expected gptq, awq, fp8, "
        "fbgemm_fp8, mxfp4, bitsandbytes, bitnet, modelopt or compressed-tensors");
    expect_error(with(llama, "{", "{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 9},"),
                 "config.json:1:58: error: quantization_config.bits: no element type has 9 bits in groups of "
                 "128; expected "
                 "2 to 8 bits, groups of 16 to 4096");
    expect_error(
        with(llama, "{",
             "{\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [64, 64]},"),
        "config.json:1:70: error: quantization_config.weight_block_size: expected [128, 128]");
}

Test(hf_config, what_is_missing_is_named)
{
    expect_error(
        "{}", "config.json: error: architectures: missing, expected a list such as [\"LlamaForCausalLM\"]");
    expect_error(with(llama, "\"hidden_size\": 1024,", ""),
                 "config.json: error: hidden_size: missing, expected a whole number");
    expect_error(with(llama, "\"vocab_size\": 1000,", ""),
                 "config.json: error: vocab_size: missing, expected a whole number");
    expect_error("{\"architectures\": [\"GPT2LMHeadModel\"]}",
                 "config.json: error: n_embd: missing, expected a whole number (or as hidden_size)");
    /* all of it at once: hidden, layers, vocab, context, heads */
    cr_expect_eq(diag.errors, 5);
}

Test(hf_config, what_is_wrong_has_a_place)
{
    expect_error(with(llama, "1024", "\"1024\""),
                 "config.json:3:16: error: hidden_size: found \"1024\", expected a whole "
                 "number from 1 to 1000000000");
    expect_error(
        with(llama, "1024", "NaN"),
        "config.json:3:16: error: hidden_size: found NaN, expected a whole number from 1 to 1000000000");
    expect_error(
        with(llama, "1024", "1024.0"),
        "config.json:3:16: error: hidden_size: found 1024.0, expected a whole number from 1 to 1000000000");
    expect_error(
        with(llama, "1024", "-1"),
        "config.json:3:16: error: hidden_size: found -1, expected a whole number from 1 to 1000000000");
    expect_error(with(llama, "{", "{\"tie_word_embeddings\": 1,"),
                 "config.json:1:25: error: tie_word_embeddings: found 1, expected true or false");
    expect_error(with(llama, "1024", "1025"),
                 "config.json:3:16: error: hidden_size: 1025 is not a multiple of the 8 heads, "
                 "and head_dim is missing");
    expect_error(with(llama, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1001"),
                 "config.json:4:22: error: num_hidden_layers: found 1001, expected at most 1000");
    expect_error(with(llama, "{", "{\"num_key_value_heads\": 3,"),
                 "config.json, as a description:13:37: error: blocks.layer.attention.kv_heads: found 3, "
                 "expected a divisor "
                 "of heads (8)");
}

static const char *const switch_base =
    "{\n\"architectures\": [\"SwitchTransformersForConditionalGeneration\"],\n\"d_model\": 64, \"d_kv\": "
    "32,\n"
    "\"d_ff\": 256, \"num_heads\": 4, \"vocab_size\": 1000, \"num_experts\": 8,\n\"num_layers\": 6,\n"
    "\"num_sparse_encoder_layers\": 2, \"num_sparse_decoder_layers\": 4, \"num_decoder_layers\": 4\n}";

Test(hf_config, encoders_with_decoders)
{
    struct model model = load(switch_base);
    cr_expect_eq(model.encoder_layers, 6);
    cr_expect_eq(model.layers, 10);
    cr_expect_eq(model.max_context, 512);
    cr_expect_eq(model.relative_buckets, 32);
    cr_expect(model.tied_embeddings);
    for (int i = 0; i < 10; i++) {
        const struct block_spec *block = &model.blocks[model.pattern[i]];
        /* two of six: each third, from the second on; four of four: all */
        cr_expect_eq(block->ffn, i >= 6 || i == 1 || i == 4 ? FFN_MOE : FFN_DENSE, "layer %d", i);
        cr_expect_eq(block->cross_attention.heads, i >= 6 ? 4 : 0, "layer %d", i);
        cr_expect_eq(block->attention.head_dim, 32);
        cr_expect(block->ffn == FFN_MOE ? block->moe.top_k == 1 && !block->moe.gated : !block->dense.gated);
    }
    model = load(with(switch_base, "\"num_sparse_encoder_layers\": 2", "\"num_sparse_encoder_layers\": 0"));
    for (int i = 0; i < 6; i++)
        cr_expect_eq(model.blocks[model.pattern[i]].ffn, FFN_DENSE);
    const char *flan =
        with(switch_base, "SwitchTransformersForConditionalGeneration", "T5ForConditionalGeneration");
    model = load(with(flan, "{", "{\"feed_forward_proj\": \"gated-gelu\", \"tie_word_embeddings\": false,"));
    cr_expect(model.blocks[0].dense.gated && !model.tied_embeddings && model.block_count == 2);
}

Test(hf_config, encoders_that_cannot_be)
{
    expect_error(with(switch_base, "\"d_kv\": 32", "\"d_kw\": 32"),
                 "config.json: error: d_kv: missing, expected a whole number");
    expect_error(with(switch_base, "\"num_sparse_decoder_layers\": 4", "\"num_sparse_decoder_layers\": 5"),
                 "config.json:6:62: error: num_sparse_decoder_layers: found 5, expected at most "
                 "num_decoder_layers (4)");
    expect_error(
        with(switch_base, "\"num_layers\": 6", "\"num_layers\": 997"),
        "config.json:5:15: error: num_layers: found 997 and 4 to decode, expected at most 1000 together");
    expect_error(with(switch_base, "\"num_decoder_layers\": 4", "\"num_decoder_layers\": 0"),
                 "config.json:6:87: error: num_decoder_layers: found 0, expected layers that decode");
    expect_error(
        with(switch_base, "\"num_layers\": 6", "\"num_layers\": 1000000000"),
        "config.json:5:15: error: num_layers: found 1000000000 and 4 to decode, expected at most 1000 "
        "together");
}

Test(hf_config, unknown_architectures)
{
    expect_error(
        "{\"architectures\": [\"LlamaForCausalLN\"]}",
        "config.json:1:19: error: architectures: unknown architecture \"LlamaForCausalLN\", did you mean "
        "\"LlamaForCausalLM\"?; its layers would have to be written by hand: docs/schemas.md, models");
    expect_error("{\"architectures\": [\"BartForConditionalGeneration\"], \"is_encoder_decoder\": true}",
                 "config.json:1:19: error: architectures: \"BartForConditionalGeneration\" is an "
                 "encoder-decoder of an unknown kind, expected a T5 or Switch Transformers");
    expect_error("{\"model_type\": \"zzzz\"}", "config.json:1:16: error: model_type: unknown architecture "
                                               "\"zzzz\"; its layers would have to be written by "
                                               "hand: docs/schemas.md, models");
}

static const char *const nemotron =
    "{\n\"architectures\": [\"NemotronHForCausalLM\"],\n\"hidden_size\": 64,\n\"vocab_size\": 100,\n"
    "\"max_position_embeddings\": 4096,\n\"num_attention_heads\": 4,\n\"num_key_value_heads\": 2,\n"
    "\"head_dim\": 16,\n\"intermediate_size\": 128,\n\"mamba_num_heads\": 4,\n\"mamba_head_dim\": 16,\n"
    "\"ssm_state_size\": 8,\n\"n_groups\": 2,\n\"n_routed_experts\": 8,\n\"num_experts_per_tok\": 2,\n"
    "\"moe_intermediate_size\": 32,\n\"moe_latent_size\": 16,\n\"hybrid_override_pattern\": \"ME*-\",\n"
    "\"torch_dtype\": \"bfloat16\"\n}";

/* Newer configs write the letters of the pattern as words. */
Test(hf_config, sub_layers_as_letters_and_as_words)
{
    struct model letters = load(nemotron);
    struct model words = load(with(nemotron, "\"hybrid_override_pattern\": \"ME*-\"",
                                   "\"layers_block_type\": [\"mamba\", \"moe\", \"attention\", \"mlp\"]"));
    cr_assert_eq(letters.layers, 4);
    cr_assert_eq(words.layers, 4);
    for (int i = 0; i < 4; i++)
        cr_expect_str_eq(letters.blocks[letters.pattern[i]].name, words.blocks[words.pattern[i]].name);
    cr_expect_eq(letters.blocks[1].moe.latent, 16);
    cr_expect_null(letters.mtp);
    expect_error(with(nemotron, "ME*-", "ME*x"),
                 "config.json:18:28: error: hybrid_override_pattern: found \"x\", expected M, *, - or E");
    expect_error(with(nemotron, "\"ME*-\"", "[3]"),
                 "config.json:18:28: error: hybrid_override_pattern: expected a text of M, *, - and E");
    expect_error(
        with(nemotron, "\"hybrid_override_pattern\": \"ME*-\"", "\"layers_block_type\": [\"mamba\", \"mo\"]"),
        "config.json:18:22: error: layers_block_type: found \"mo\", expected mamba, attention, mlp or "
        "moe");
    expect_error(
        with(nemotron, "\"hybrid_override_pattern\": \"ME*-\",", ""),
        "config.json: error: hybrid_override_pattern: missing, expected a text of M, *, - and E (or a "
        "list as layers_block_type)");
    expect_error(with(nemotron, "\"moe_latent_size\": 16", "\"moe_latent_size\": \"16\""),
                 "config.json:17:20: error: moe_latent_size: found \"16\", expected a whole number from 0 to "
                 "1000000000");
    expect_error(
        with(nemotron, "\"moe_latent_size\": 16", "\"moe_latent_size\": 65"),
        "config.json, as a description:15:59: error: blocks.moe.moe.latent: found 65, expected at most "
        "hidden (64)");
}

/* A mixer and a feed-forward are one block; more than that is left out, and said. */
Test(hf_config, prediction_layers_of_sub_layers)
{
    struct model model = load(with(nemotron, "{",
                                   "{\"num_nextn_predict_layers\": 2, "
                                   "\"mtp_hybrid_override_pattern\": \"*E\","));
    cr_assert_not_null(model.mtp);
    cr_expect_eq(model.mtp->layers, 2);
    int index = block_index(model.blocks, model.block_count, model.mtp->block);
    cr_assert_geq(index, 0);
    cr_expect_eq(model.blocks[index].mixer, MIXER_ATTENTION);
    cr_expect_eq(model.blocks[index].ffn, FFN_MOE);
    cr_expect_eq(model.blocks[index].moe.latent, 16);
    cr_expect_eq(model.block_layers[index], 0);
    cr_expect_eq(diag.warnings, 0);
    model = load(with(nemotron, "{",
                      "{\"num_nextn_predict_layers\": 1, "
                      "\"mtp_layers_block_type\": [\"mlp\"],"));
    cr_assert_not_null(model.mtp);
    cr_expect_eq(model.blocks[block_index(model.blocks, model.block_count, model.mtp->block)].mixer,
                 MIXER_NONE);
    static const char *const left_out[] = {"**E", "E*", "*EE"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        diag = (struct diag){.arena = arena};
        model = load(with(nemotron, "{",
                          arena_printf(arena,
                                       "{\"num_nextn_predict_layers\": 1, "
                                       "\"mtp_hybrid_override_pattern\": \"%s\",",
                                       left_out[i])));
        cr_expect_null(model.mtp);
        cr_expect_eq(diag.warnings, 1, "%s", left_out[i]);
    }
}

Test(hf_config, sparse_attention)
{
    size_t length;
    struct parameter_count count;
    const char *config =
        file_read(arena, &diag, SOURCE_DIR "/tests/import/deepseek-v3.2.json", 1 << 16, &length);
    cr_assert_not_null(config, "%s", diag_first_error(&diag));
    struct model model = load(config);
    cr_assert_not_null(model.blocks[0].mla.indexer);
    cr_expect_eq(model.blocks[1].mla.indexer->heads, 64);
    cr_expect_eq(model.blocks[1].mla.indexer->head_dim, 128);
    cr_expect_eq(model.blocks[1].mla.indexer->top_k, 2048);
    model_parameters(&model, &count);
    cr_expect_eq(count.total, 685355329792);
    expect_error(with(config, "\"index_n_heads\": 64,", ""),
                 "config.json: error: index_n_heads: missing, expected a whole number");
    expect_error(
        with(config, "\"index_topk\": 2048", "\"index_topk\": 2048, \"index_topk_freq\": 4"),
        "config.json:24:41: error: index_topk_freq: found 4, expected 1: indexers that layers share are "
        "not modelled");
    expect_error(
        with(config, "\"index_topk\"", "\"indexer_types\": [\"full\", \"shared\"], \"index_topk\""),
        "config.json:24:19: error: indexer_types: expected \"full\" for each layer: indexers that layers "
        "share are not modelled");
}

/* Every prefix and every changed byte of a config gives a model or errors, never both. */
Test(hf_config, broken_files)
{
    static const char *const ids[] = {
        "kimi-k2.5",   "gemma-3-4b", "jamba-v0.1", "nemotron-h-8b", "nemotron-3-ultra-550b-a55b",
        "qwen3.5-0.8b"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct arena *scratch = arena_new(0);
        size_t length;
        char *text =
            file_read(arena, &diag, arena_printf(arena, "tests/import/%s.json", ids[i]), 1 << 20, &length);
        cr_assert_not_null(text);
        for (size_t at = 0; at < length; at += 7) {
            char kept = text[at];
            struct diag quiet = {.arena = scratch};
            struct model model;
            struct text yaml = {0};
            text[at] = "0}]\",-e"[at % 7];
            bool ok = model_import_bytes(scratch, &quiet, "a", text, length, NULL, &model, &yaml);
            cr_expect_eq(ok, quiet.errors == 0, "%s at %zu", ids[i], at);
            quiet = (struct diag){.arena = scratch};
            text[at] = kept;
            cr_expect_not(model_import_bytes(scratch, &quiet, "a", text, at, NULL, &model, &yaml));
            text_free(&yaml);
            arena_reset(scratch);
        }
        arena_free(scratch);
    }
}
