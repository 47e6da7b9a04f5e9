/* GGUF headers made here, byte by byte: what is read of them, and what is refused at which byte. */
#include "spec/gguf_header.h"

#include "base/text.h"
#include "spec/model_import.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

/* A header in the making. */
static struct text file;
static uint64_t tensors, pairs;
static struct text tensor_part, pair_part;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    file = tensor_part = pair_part = (struct text){0};
    tensors = pairs = 0;
}

static void tear_down(void)
{
    text_free(&file);
    text_free(&tensor_part);
    text_free(&pair_part);
    arena_free(arena);
}

TestSuite(gguf_header, .init = set_up, .fini = tear_down);

static void add_number(struct text *out, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        text_addn(out, &(char){(char)(value >> (8 * i))}, 1);
}

static void add_text(struct text *out, const char *text)
{
    add_number(out, strlen(text), 8);
    text_addn(out, text, strlen(text));
}

static void pair_number(const char *key, uint32_t value)
{
    add_text(&pair_part, key);
    add_number(&pair_part, GGUF_U32, 4);
    add_number(&pair_part, value, 4);
    pairs++;
}

static void pair_text(const char *key, const char *value)
{
    add_text(&pair_part, key);
    add_number(&pair_part, GGUF_STRING, 4);
    add_text(&pair_part, value);
    pairs++;
}

static void pair_array(const char *key, enum gguf_type type, uint64_t count, size_t width)
{
    add_text(&pair_part, key);
    add_number(&pair_part, GGUF_ARRAY, 4);
    add_number(&pair_part, type, 4);
    add_number(&pair_part, count, 8);
    for (uint64_t i = 0; i < count; i++)
        add_number(&pair_part, type == GGUF_STRING ? 0 : i + 1, width);
    pairs++;
}

/* Sizes end with the first 0. */
static void tensor(const char *name, uint32_t type, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t sizes[] = {a, b, c};
    uint32_t dimensions = (uint32_t)(1 + (b > 0) + (c > 0));
    add_text(&tensor_part, name);
    add_number(&tensor_part, dimensions, 4);
    for (uint32_t i = 0; i < dimensions; i++)
        add_number(&tensor_part, sizes[i], 8);
    add_number(&tensor_part, type, 4);
    add_number(&tensor_part, 0, 8);
    tensors++;
}

static void layer_tensor(int layer, const char *name, uint32_t type, uint64_t a, uint64_t b, uint64_t c)
{
    tensor(arena_printf(arena, "blk.%d.%s", layer, name), type, a, b, c);
}

static void put_together(uint32_t version)
{
    text_add(&file, "GGUF");
    add_number(&file, version, 4);
    add_number(&file, tensors, 8);
    add_number(&file, pairs, 8);
    text_addn(&file, pair_part.data, pair_part.length);
    text_addn(&file, tensor_part.data, tensor_part.length);
}

static bool parse(struct gguf_header *header)
{
    return gguf_header_parse(header, arena, &diag, "a.gguf", file.data, file.length);
}

static void expect_error(const char *line)
{
    struct gguf_header header;
    cr_expect_not(parse(&header));
    cr_expect_str_eq(diag_first_error(&diag), line);
}

enum { F32 = 0, F16 = 1, Q8_0 = 8, Q4_K = 12, Q6_K = 14, IQ4_XS = 23, MXFP4 = 39 };

/* A Llama, 512 wide, 8 heads and 2 for keys; experts > 0: a Mixtral. */
static void make_layers(const char *architecture, uint32_t type, int experts, int layers)
{
    char key[100];
    const char *numbers[] = {"block_count",         "embedding_length",     "feed_forward_length",
                             "context_length",      "attention.head_count", "attention.head_count_kv",
                             "rope.dimension_count"};
    uint32_t values[] = {(uint32_t)layers, 512, 1024, 4096, 8, 2, 64};
    pair_text("general.architecture", architecture);
    pair_text("general.name", "A small model");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, numbers[i]);
        pair_number(key, values[i]);
    }
    pair_array("tokenizer.ggml.tokens", GGUF_STRING, 1000, 8);
    tensor("token_embd.weight", Q6_K, 512, 1000, 0);
    tensor("output.weight", Q6_K, 512, 1000, 0);
    tensor("output_norm.weight", F32, 512, 0, 0);
    for (int layer = 0; layer < layers; layer++) {
        layer_tensor(layer, "attn_norm.weight", F32, 512, 0, 0);
        layer_tensor(layer, "ffn_norm.weight", F32, 512, 0, 0);
        layer_tensor(layer, "attn_q.weight", type, 512, 512, 0);
        layer_tensor(layer, "attn_k.weight", type, 512, 128, 0);
        layer_tensor(layer, "attn_v.weight", Q6_K, 512, 128, 0);
        layer_tensor(layer, "attn_output.weight", type, 512, 512, 0);
        if (experts > 0) {
            layer_tensor(layer, "ffn_gate_inp.weight", F32, 512, (uint64_t)experts, 0);
            layer_tensor(layer, "ffn_gate_exps.weight", MXFP4, 512, 1024, (uint64_t)experts);
            layer_tensor(layer, "ffn_up_exps.weight", MXFP4, 512, 1024, (uint64_t)experts);
            layer_tensor(layer, "ffn_down_exps.weight", MXFP4, 1024, 512, (uint64_t)experts);
        } else {
            layer_tensor(layer, "ffn_gate.weight", type, 512, 1024, 0);
            layer_tensor(layer, "ffn_up.weight", type, 512, 1024, 0);
            layer_tensor(layer, "ffn_down.weight", type, 1024, 512, 0);
        }
    }
}

static void make_llama(const char *architecture, uint32_t type, int experts)
{
    make_layers(architecture, type, experts, 2);
}

static struct model import(const char **yaml)
{
    struct model model = {0};
    struct text out = {0};
    cr_assert(model_import_bytes(arena, &diag, "a.gguf", file.data, file.length, NULL, &model, &out), "%s",
              diag_first_error(&diag));
    *yaml = arena_strdup(arena, out.data);
    text_free(&out);
    return model;
}

static void expect_import_error(const char *line)
{
    struct model model;
    struct text out = {0};
    put_together(3);
    cr_expect_not(model_import_bytes(arena, &diag, "a.gguf", file.data, file.length, NULL, &model, &out));
    cr_expect_str_eq(diag_first_error(&diag), line);
    text_free(&out);
}

Test(gguf_header, pairs_and_tensors)
{
    struct gguf_header header;
    pair_number("a.number", 7);
    pair_text("a.text", "words");
    pair_array("a.list", GGUF_I16, 3, 2);
    pair_array("a.long", GGUF_U8, 5000, 1);
    tensor("b", Q4_K, 256, 4, 3);
    put_together(2);
    cr_assert(parse(&header), "%s", diag_first_error(&diag));
    cr_expect_eq(header.version, 2);
    cr_expect_eq(gguf_pair(&header, "a.number")->number, 7);
    cr_expect_eq(gguf_pair(&header, "a.text")->length, 5);
    cr_expect_eq(memcmp(gguf_pair(&header, "a.text")->string, "words", 5), 0);
    cr_expect_eq(gguf_pair(&header, "a.list")->numbers[2], 3);
    cr_expect_null(gguf_pair(&header, "a.long")->numbers);
    cr_expect_eq(gguf_pair(&header, "a.long")->length, 5000);
    cr_expect_null(gguf_pair(&header, "a"));
    cr_expect_eq(gguf_tensor(&header, "b")->elements, 3072);
    cr_expect_eq(gguf_tensor(&header, "b")->type, Q4_K);
}

Test(gguf_header, elements_of_arrays)
{
    struct gguf_header header;
    add_text(&pair_part, "a.words");
    add_number(&pair_part, GGUF_ARRAY, 4);
    add_number(&pair_part, GGUF_STRING, 4);
    add_number(&pair_part, 2, 8);
    add_text(&pair_part, "one");
    add_text(&pair_part, "");
    pairs++;
    pair_array("a.long", GGUF_I16, 5000, 2);
    pair_number("a.number", 7);
    put_together(3);
    cr_assert(parse(&header), "%s", diag_first_error(&diag));

    struct gguf_elements words = gguf_elements(&header, gguf_pair(&header, "a.words"));
    const char *string = NULL;
    size_t length = 9;
    double number = 0;
    cr_expect_not(gguf_next_number(&words, &number), "strings are no numbers");
    cr_assert(gguf_next_string(&words, &string, &length));
    cr_expect(length == 3 && memcmp(string, "one", 3) == 0);
    cr_assert(gguf_next_string(&words, &string, &length));
    cr_expect_eq(length, 0);
    cr_expect_not(gguf_next_string(&words, &string, &length));

    struct gguf_elements numbers = gguf_elements(&header, gguf_pair(&header, "a.long"));
    cr_expect_not(gguf_next_string(&numbers, &string, &length));
    for (int i = 1; i <= 5000; i++) {
        cr_assert(gguf_next_number(&numbers, &number));
        cr_assert_eq(number, i);
    }
    cr_expect_not(gguf_next_number(&numbers, &number));

    struct gguf_elements none = gguf_elements(&header, gguf_pair(&header, "a.number"));
    cr_expect_not(gguf_next_number(&none, &number), "no array");
}

Test(gguf_header, every_prefix_is_refused)
{
    struct gguf_header header;
    make_llama("llama", Q4_K, 0);
    put_together(3);
    cr_assert(parse(&header), "%s", diag_first_error(&diag));
    for (size_t length = 0; length < file.length; length++) {
        struct diag quiet = {.arena = arena};
        cr_expect_not(gguf_header_parse(&header, arena, &quiet, "a.gguf", file.data, length), "%zu", length);
        cr_expect_eq(quiet.errors, 1);
    }
}

Test(gguf_header, letters)
{
    text_add(&file, "GGML");
    expect_error("a.gguf: error: GGUF header, byte 0: expected the letters GGUF");
}

Test(gguf_header, versions)
{
    put_together(1);
    expect_error("a.gguf: error: GGUF header, byte 4: found version 1, expected 2 or 3");
}

Test(gguf_header, big_endian)
{
    put_together(0x03000000);
    expect_error("a.gguf: error: GGUF header, byte 4: the file is big-endian, expected little-endian");
}

Test(gguf_header, counts)
{
    tensors = UINT64_MAX;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 8: more than 100000 tensors");
}

Test(gguf_header, more_pairs_than_there_are)
{
    pairs = 4096;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 24: the file ends inside the header");
}

Test(gguf_header, a_string_without_end)
{
    add_number(&pair_part, UINT64_MAX, 8);
    pairs = 1;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 24: a string is longer than what is left of the header");
}

Test(gguf_header, an_array_without_end)
{
    add_text(&pair_part, "a");
    add_number(&pair_part, GGUF_ARRAY, 4);
    add_number(&pair_part, GGUF_F64, 4);
    add_number(&pair_part, UINT64_MAX / 8 + 1, 8); /* times 8 it would come round to 8 */
    pairs = 1;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 49: an array is longer than what is left of the header");
}

Test(gguf_header, nested_arrays)
{
    add_text(&pair_part, "a");
    for (int i = 0; i < 8; i++) {
        add_number(&pair_part, GGUF_ARRAY, 4);
        if (i > 0)
            add_number(&pair_part, 1, 8);
    }
    add_number(&pair_part, GGUF_U8, 4);
    add_number(&pair_part, 1, 8);
    add_number(&pair_part, 1, 1);
    pairs = 1;
    put_together(3);
    struct gguf_header header;
    cr_expect_not(parse(&header));
    cr_expect_not_null(strstr(diag_first_error(&diag), "arrays are nested deeper than 4"));
}

Test(gguf_header, types_of_values)
{
    add_text(&pair_part, "a");
    add_number(&pair_part, GGUF_TYPE_COUNT, 4);
    pairs = 1;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 33: an unknown type of value");
}

Test(gguf_header, names_that_terminals_would_obey)
{
    pair_number("a\033[31m", 1);
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 24: a name holds bytes that are no printable ASCII");
}

Test(gguf_header, keys_twice)
{
    pair_number("a", 1);
    pair_number("a", 2);
    put_together(3);
    struct gguf_header header;
    cr_expect_not(parse(&header));
    cr_expect_not_null(strstr(diag_first_error(&diag), "a key is there twice"));
}

Test(gguf_header, tensors_too_large)
{
    tensor("a", F16, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 24: a tensor has no elements, or more than 2^53");
}

Test(gguf_header, tensors_of_five_dimensions)
{
    add_text(&tensor_part, "a");
    add_number(&tensor_part, 5, 4);
    tensors = 1;
    put_together(3);
    expect_error("a.gguf: error: GGUF header, byte 24: a tensor has more than 4 dimensions");
}

Test(gguf_header, a_llama)
{
    const char *yaml;
    struct parameter_count count;
    make_llama("llama", Q4_K, 0);
    put_together(3);
    struct model model = import(&yaml);
    model_parameters(&model, &count);
    /* embedding and head 2 x 512000, norms 5 x 512, per layer 655360 and 1572864 */
    cr_expect_eq(count.total, 1024000 + 2560 + 2 * (655360 + 1572864));
    cr_expect_eq(diag.warnings, 0);
    cr_expect_str_eq(yaml,
                     "name: A small model\narchitecture: LlamaForCausalLM\n\nhidden: 512\nvocab: 1000\n"
                     "max_context: 4096\nnorm: rms\nweight_type: q4_k\nactivation_type: fp16\n\nblocks:\n"
                     "  layer:\n    attention: {heads: 8, kv_heads: 2, head_dim: 64, rotary_dim: 64}\n"
                     "    dense: {intermediate: 1024, gated: true}\nlayers: 2\n\nsources:\n"
                     "  dimensions: \"a.gguf, read by rafter import\"\n");
}

Test(gguf_header, a_mixtral)
{
    const char *yaml;
    make_llama("llama", Q8_0, 8);
    pair_number("llama.expert_count", 8);
    pair_number("llama.expert_used_count", 2);
    put_together(3);
    struct model model = import(&yaml);
    cr_expect_eq(model.blocks[0].moe.experts, 8);
    cr_expect_eq(model.blocks[0].moe.top_k, 2);
    cr_expect_eq(model.blocks[0].moe.intermediate, 1024);
    cr_expect_str_eq(model.weight_type.name, "q8_0");
    cr_expect_str_eq(model.expert_type.name, "mxfp4");
    cr_expect_eq(diag.warnings, 0);
}

Test(gguf_header, windows_and_norms)
{
    const char *yaml;
    make_llama("gemma2", F16, 0);
    pair_number("gemma2.attention.sliding_window", 1024);
    pair_number("gemma2.attention.key_length", 64);
    for (int layer = 0; layer < 2; layer++) {
        layer_tensor(layer, "post_attention_norm.weight", F32, 512, 0, 0);
        layer_tensor(layer, "post_ffw_norm.weight", F32, 512, 0, 0);
    }
    put_together(3);
    struct model model = import(&yaml);
    cr_assert_eq(model.block_count, 2);
    cr_expect_str_eq(model.blocks[0].name, "local");
    cr_expect_eq(model.blocks[0].attention.window, 1024);
    cr_expect_eq(model.blocks[1].attention.window, 0);
    cr_expect_eq(model.blocks[0].norms, 4);
}

/* Gemma 3 of 7 layers: which of them have a window. */
static const char *windows_of(void)
{
    static char windows[8];
    const char *yaml;
    put_together(3);
    struct model model = import(&yaml);
    cr_assert_eq(model.layers, 7);
    for (int layer = 0; layer < model.layers; layer++)
        windows[layer] = model.blocks[model.pattern[layer]].attention.window > 0 ? 'w' : '-';
    return windows;
}

static void make_gemma3(uint32_t window)
{
    make_layers("gemma3", F16, 0, 7);
    pair_number("gemma3.attention.sliding_window", window);
}

Test(gguf_header, windows_of_the_usual_period)
{
    make_gemma3(512);
    cr_expect_str_eq(windows_of(), "wwwww-w");
}

Test(gguf_header, windows_of_another_period)
{
    make_gemma3(512);
    pair_number("gemma3.attention.sliding_window_pattern", 3);
    cr_expect_str_eq(windows_of(), "ww-ww-w");
}

Test(gguf_header, windows_by_a_flag_for_each_layer)
{
    static const char flags[] = {0, 1, 1, 0, 1, 0, 0};
    make_gemma3(512);
    pair_array("gemma3.attention.sliding_window_pattern", GGUF_BOOL, 7, 0);
    text_addn(&pair_part, flags, sizeof flags);
    cr_expect_str_eq(windows_of(), "-ww-w--");
}

/* Layers with a window have another RoPE: they stay apart where it bounds nothing. */
Test(gguf_header, a_window_of_the_whole_context)
{
    make_gemma3(1 << 20);
    cr_expect_str_eq(windows_of(), "wwwww-w");
}

Test(gguf_header, tensors_that_the_dimensions_do_not_explain)
{
    const char *yaml;
    make_llama("llama", Q4_K, 0);
    tensor("mystery.weight", F16, 512, 512, 0);
    put_together(3);
    import(&yaml);
    cr_expect_eq(diag.warnings, 1);
    cr_expect_not_null(strstr(diag.first->text, "something of the model is left out"));
}

Test(gguf_header, types_that_rafter_does_not_know)
{
    make_llama("llama", IQ4_XS, 0);
    expect_import_error("a.gguf: error: most matrices are of ggml's type IQ4_XS, which rafter does not know");
}

Test(gguf_header, architectures)
{
    make_llama("lama", Q4_K, 0);
    expect_import_error(
        "a.gguf: error: GGUF header, byte 56: general.architecture: unknown architecture \"lama\", did "
        "you mean \"llama\"?");
}

Test(gguf_header, missing_sizes)
{
    pair_text("general.architecture", "llama");
    tensor("token_embd.weight", F16, 512, 1000, 0);
    expect_import_error("a.gguf: error: llama.embedding_length: missing, expected a whole number");
}

Test(gguf_header, more_layers_than_tensors)
{
    make_llama("qwen3", Q4_K, 0);
    /* other pairs in place of its own */
    pair_part.length = 0;
    pairs = 0;
    pair_text("general.architecture", "qwen3");
    pair_number("qwen3.embedding_length", 512);
    pair_number("qwen3.context_length", 512);
    pair_number("qwen3.attention.head_count", 8);
    pair_number("qwen3.block_count", 3);
    expect_import_error(
        "a.gguf: error: blk.2.attn_output.weight: missing; the layer has no mixer that is known");
}
