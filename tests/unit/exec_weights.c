/* Weight sources: what each one gives by role, and what hostile files are told. */
#include "exec/formats/gguf_writer.h"
#include "exec/formats/quantize.h"
#include "exec/formats/roles.h"
#include "exec/kernels/blocks.h"
#include "exec/weights.h"
#include "spec/catalogue.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;
static char folder[64], path[128];

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    strcpy(folder, "/tmp/rafter-weights-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.gguf", folder);
}

static void tear_down(void)
{
    static const char *const names[] = {"model.gguf",      "other.gguf",
                                        "config.json",     "model.safetensors",
                                        "two.safetensors", "model.safetensors.index.json"};
    char name[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    rmdir(folder);
    arena_free(arena);
}

TestSuite(exec_weights, .init = set_up, .fini = tear_down);

/* ---- helpers ---- */

static const struct model *tiny(const char *name)
{
    const char *file = arena_printf(arena, "%s/tests/models/%s.yaml", SOURCE_DIR, name);
    const struct model *model = catalogue_model(&catalogue, &diag, file, NULL);
    cr_assert_not_null(model, "%s", diag_first_error(&diag));
    return model;
}

static struct weights *make(const char *name, enum weight_type type)
{
    struct weights *weights = weights_random(arena, &diag, tiny(name), type, 7);
    cr_assert_not_null(weights, "%s", diag_first_error(&diag));
    return weights;
}

static struct weights *open_good(const char *what)
{
    struct weights *weights = weights_open(arena, &diag, what);
    cr_assert_not_null(weights, "%s", diag_first_error(&diag));
    return weights;
}

/* The source is refused, and the first error ends so or has this in it. */
static void expect_refusal(const char *what, const char *message)
{
    struct diag own = {.arena = arena};
    struct weights *weights = weights_open(arena, &own, what);
    cr_expect_null(weights, "expected: %s", message);
    cr_expect(strstr(diag_first_error(&own), message) != NULL, "found \"%s\", expected \"%s\"",
              diag_first_error(&own), message);
    weights_close(weights);
}

static struct tensor need(const struct weights *weights, enum tensor_role role, int layer, int part)
{
    struct tensor tensor = {0};
    cr_assert(weights_find(weights, role, layer, part, &tensor), "%s", tensor_role_name(role));
    return tensor;
}

static float *row_of(const struct tensor *tensor, size_t row)
{
    float *values = ARENA_ARRAY(arena, float, tensor->cols);
    weights_decode(tensor->type, tensor_row(tensor, row), tensor->cols, values);
    return values;
}

static void write_file(const char *name, const char *bytes, size_t length)
{
    char full[200];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    FILE *file = fopen(full, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static char *read_file(size_t *length)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    *length = (size_t)status.st_size;
    char *bytes = ARENA_ARRAY(arena, char, *length + 1);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    cr_assert_eq(fread(bytes, 1, *length, file), *length);
    fclose(file);
    return bytes;
}

/* ---- random values ---- */

Test(exec_weights, random_values_are_normal_and_seeded)
{
    struct weights *weights = make("tiny-llama", WEIGHT_F32);
    struct tensor q = need(weights, ROLE_Q, 1, 0);
    cr_expect_eq(q.rows, 256);
    cr_expect_eq(q.cols, 256);
    double sum = 0, squares = 0, fourth = 0, n = 0;
    for (size_t row = 0; row < q.rows; row++) {
        const float *values = row_of(&q, row);
        for (size_t i = 0; i < q.cols; i++, n++) {
            double value = (double)values[i] * sqrt((double)q.cols);
            sum += value;
            squares += value * value;
            fourth += value * value * value * value;
        }
    }
    cr_expect_float_eq(sum / n, 0, 0.02);
    cr_expect_float_eq(squares / n, 1, 0.02);
    cr_expect_float_eq(fourth / n, 2.7, 0.1, "3 is normal, the sum of four has 2.7");
    struct weights *same = make("tiny-llama", WEIGHT_F32);
    struct tensor again = need(same, ROLE_Q, 1, 0);
    cr_expect_arr_eq(q.data, again.data, q.rows * q.cols * sizeof(float));
    struct weights *other = weights_random(arena, &diag, tiny("tiny-llama"), WEIGHT_F32, 8);
    again = need(other, ROLE_Q, 1, 0);
    cr_expect(memcmp(q.data, again.data, q.cols * sizeof(float)) != 0, "another seed, other values");
    cr_expect(memcmp(row_of(&q, 0), row_of(&q, 1), q.cols * sizeof(float)) != 0);
    weights_close(weights);
    weights_close(same);
    weights_close(other);
}

Test(exec_weights, bytes_are_those_of_the_model)
{
    struct weights *weights = make("tiny-llama", WEIGHT_Q8_0);
    double matrices = 2 * 512 * 256 + 2 * (256 * 256 * 2 + 2 * 128 * 256 + 3 * 512 * 256), norms = 5 * 256;
    cr_expect_eq(weights_bytes(weights), matrices / 32 * 34 + norms * 4);
    weights_touch(weights);
    weights_close(weights);
}

static bool count_values(void *context, const struct role_shape *shape)
{
    *(double *)context += (double)shape->rows * (double)shape->cols;
    return true;
}

/* The roles of a model, where it has them all, hold exactly the parameters that its dimensions come to. */
Test(exec_weights, roles_hold_the_parameters_of_the_catalogues_models)
{
    struct catalogue_entry *entries;
    size_t count, runnable = 0;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_MODELS, &entries, &count));
    for (size_t i = 0; i < count; i++) {
        struct diag own = {.arena = arena};
        const struct model *model = catalogue_model(&catalogue, &own, entries[i].id, NULL);
        double values = 0;
        if (model == NULL || !model_roles(model, entries[i].id, &own, count_values, &values))
            continue;
        struct parameter_count parameters;
        model_parameters(model, &parameters);
        cr_expect_float_eq(values, parameters.text, 0.5, "%s: %.0f for %.0f", entries[i].id, values,
                           parameters.text);
        runnable++;
    }
    cr_expect_gt(runnable, 80, "%zu of %zu", runnable, count);
}

Test(exec_weights, recurrences_get_values_that_stay_stable)
{
    const struct model *model = catalogue_model(&catalogue, &diag, "mamba-130m", NULL);
    cr_assert_not_null(model, "%s", diag_first_error(&diag));
    struct weights *weights = weights_random(arena, &diag, model, WEIGHT_BF16, 1);
    cr_assert_not_null(weights, "%s", diag_first_error(&diag));
    const struct mamba_spec *spec = &model->blocks[0].mamba;
    struct tensor a = need(weights, ROLE_A, 3, 0);
    const float *row = row_of(&a, 5);
    cr_expect_eq(row[0], -1.0F);
    cr_expect_eq(row[spec->state - 1], -(float)spec->state);
    const float *bias = weights_vector(weights, arena, &diag, ROLE_DT_BIAS, 3, 0, (size_t)spec->inner);
    cr_assert_not_null(bias);
    for (int i = 0; i < spec->inner; i++) {
        double dt = log1p(exp((double)bias[i]));
        cr_expect(dt > 0.00099 && dt < 0.101, "softplus of %g", (double)bias[i]);
    }
    weights_close(weights);
}

Test(exec_weights, random_refusals)
{
    const struct model *model = catalogue_model(&catalogue, &diag, "qwen2.5-0.5b", NULL);
    cr_expect_null(weights_random(arena, &diag, model, WEIGHT_Q4_K, 1));
    cr_expect(strstr(diag_first_error(&diag), "rows of 896 values are no multiple of the 256") != NULL, "%s",
              diag_first_error(&diag));
    struct diag own = {.arena = arena};
    model = catalogue_model(&catalogue, &own, "deepseek-v2", NULL);
    cr_expect_null(weights_random(arena, &own, model, WEIGHT_F32, 1));
    cr_expect(strstr(diag_first_error(&own), "of memory are available") != NULL, "%s",
              diag_first_error(&own));
    own = (struct diag){.arena = arena};
    model = catalogue_model(&catalogue, &own, "gpt-oss-20b", NULL);
    cr_expect_null(weights_random(arena, &own, model, WEIGHT_F32, 1));
    cr_expect(strstr(diag_first_error(&own), "biases of experts") != NULL, "%s", diag_first_error(&own));
}

Test(exec_weights, what_is_asked_for_is_checked)
{
    struct weights *weights = make("tiny-mixtral", WEIGHT_F32);
    struct tensor tensor;
    cr_expect(weights_find(weights, ROLE_EXPERT_UP, 1, 3, &tensor));
    cr_expect_not(weights_find(weights, ROLE_EXPERT_UP, 1, 4, &tensor));
    cr_expect_not(weights_find(weights, ROLE_EXPERT_UP, 1, -1, &tensor));
    cr_expect_not(weights_find(weights, ROLE_EXPERT_UP, 2, 0, &tensor));
    cr_expect_not(weights_find(weights, ROLE_Q_BIAS, 0, 0, &tensor));
    cr_expect_null(weights_vector(weights, arena, &diag, ROLE_Q_BIAS, 0, 0, 128));
    cr_expect_eq(diag.errors, 0);
    cr_expect_null(weights_vector(weights, arena, &diag, ROLE_FFN_NORM, 0, 0, 127));
    cr_expect_str_eq(diag_first_error(&diag),
                     "Tiny Mixtral: error: layer 0: feed-forward norm: feed-forward norm "
                     "has 128 values, expected 127");
    diag = (struct diag){.arena = arena};
    cr_expect_not(weights_need(weights, &diag, ROLE_Q, 1, 0, 128, 64, &tensor));
    cr_expect(strstr(diag_first_error(&diag), "is 128 x 128, expected 128 x 64") != NULL, "%s",
              diag_first_error(&diag));
    weights_close(weights);
}

/* ---- GGUF ---- */

static void write_gguf(const struct weights *weights, enum weight_type type)
{
    struct quantize_options options = {.type = type};
    cr_assert(weights_quantize(weights, arena, &diag, path, &options), "%s", diag_first_error(&diag));
}

/* Row 2i of a head is row i of the weights' halves, row 2i + 1 row i + n/2. */
static size_t half_row(size_t row, size_t n)
{
    return row - row % n + row % n / 2 + row % 2 * (n / 2);
}

Test(exec_weights, gguf_gives_what_was_written)
{
    struct weights *made = make("tiny-llama", WEIGHT_F32);
    write_gguf(made, WEIGHT_F32);
    struct weights *read = open_good(path);
    static const enum tensor_role roles[] = {ROLE_Q, ROLE_K, ROLE_V, ROLE_O, ROLE_GATE, ROLE_UP, ROLE_DOWN};
    cr_expect(weights_hyper(read)->rope_interleaved);
    cr_expect_float_eq(weights_hyper(read)->norm_eps, 1e-5F, 1e-9F);
    cr_expect_eq(weights_model(read)->layers, 2);
    cr_expect_eq(weights_bytes(read), weights_bytes(made));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        struct tensor from = need(made, roles[i], 1, 0), to = need(read, roles[i], 1, 0);
        cr_assert_eq(from.rows, to.rows);
        cr_assert_eq(from.cols, to.cols);
        for (size_t row = 0; row < to.rows; row++) {
            size_t source = i < 2 ? half_row(row, 64) : row;
            cr_assert_arr_eq(tensor_row(&to, row), tensor_row(&from, source), to.cols * sizeof(float),
                             "%s row %zu", tensor_role_name(roles[i]), row);
        }
    }
    weights_close(made);
    weights_close(read);
}

Test(exec_weights, gguf_of_a_gguf_file_is_the_same_as_of_its_source)
{
    struct weights *made = make("tiny-llama", WEIGHT_F32);
    write_gguf(made, WEIGHT_F32);
    struct weights *first = open_good(path);
    struct quantize_options options = {.type = WEIGHT_Q6_K};
    char other[128];
    snprintf(other, sizeof other, "%s/other.gguf", folder);
    cr_assert(weights_quantize(first, arena, &diag, other, &options));
    write_gguf(made, WEIGHT_Q6_K);
    struct weights *direct = open_good(path), *twice = open_good(other);
    static const enum tensor_role roles[] = {ROLE_EMBEDDING, ROLE_HEAD, ROLE_Q, ROLE_DOWN, ROLE_FFN_NORM};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        struct tensor a = need(direct, roles[i], 0, 0), b = need(twice, roles[i], 0, 0);
        cr_expect_eq(a.type, i < 4 ? WEIGHT_Q6_K : WEIGHT_F32);
        cr_expect_eq(a.type, b.type);
        cr_expect_arr_eq(a.data, b.data, a.rows * weight_row_bytes(a.type, a.cols));
    }
    weights_close(made);
    weights_close(first);
    weights_close(direct);
    weights_close(twice);
}

Test(exec_weights, gguf_experts_are_views_of_one_tensor)
{
    struct weights *made = make("tiny-mixtral", WEIGHT_Q8_0);
    write_gguf(made, WEIGHT_Q8_0);
    struct weights *read = open_good(path);
    for (int part = 0; part < 4; part++) {
        struct tensor from = need(made, ROLE_EXPERT_DOWN, 1, part),
                      to = need(read, ROLE_EXPERT_DOWN, 1, part);
        cr_expect_eq(to.rows, 128);
        cr_expect_arr_eq(to.data, from.data, to.rows * weight_row_bytes(to.type, to.cols));
    }
    cr_expect(weights_hyper(read)->route_normalise);
    weights_close(made);
    weights_close(read);
}

Test(exec_weights, blocks_that_do_not_divide_rows_fall_back)
{
    cr_expect_eq(quantize_type(WEIGHT_Q4_K, 512), WEIGHT_Q4_K);
    cr_expect_eq(quantize_type(WEIGHT_Q4_K, 896), WEIGHT_Q8_0);
    cr_expect_eq(quantize_type(WEIGHT_Q4_0, 48), WEIGHT_F16);
    struct weights *made = make("tiny-mixtral", WEIGHT_F32);
    write_gguf(made, WEIGHT_Q6_K);
    struct weights *read = open_good(path);
    cr_expect_eq(need(read, ROLE_Q, 0, 0).type, WEIGHT_Q8_0, "rows of 128");
    cr_expect_eq(need(read, ROLE_EXPERT_DOWN, 0, 0).type, WEIGHT_Q6_K, "rows of 256");
    weights_close(made);
    weights_close(read);
}

/* The place of a tensor's entry in a header: behind its name. */
static size_t entry_at(const char *bytes, size_t length, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at + n < length; at++)
        if (memcmp(bytes + at, name, n) == 0)
            return at + n;
    cr_assert(false, "%s", name);
    return 0;
}

static void put_number(char *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        at[i] = (char)(value >> (8 * i) & 0xff);
}

/* A two-dimensional entry: dimensions 4 bytes, sizes 8 each, type 4, offset 8. */
enum { AT_COLS = 4, AT_ROWS = 12, AT_TYPE = 20, AT_OFFSET = 24 };

static void expect_patched(const char *good, size_t length, const char *name, size_t field, uint64_t value,
                           size_t width, const char *message)
{
    char *bytes = ARENA_ARRAY(arena, char, length);
    memcpy(bytes, good, length);
    put_number(bytes + entry_at(bytes, length, name) + field, value, width);
    write_file("model.gguf", bytes, length);
    expect_refusal(path, message);
}

Test(exec_weights, hostile_gguf_files)
{
    struct weights *made = make("tiny-llama", WEIGHT_Q8_0);
    size_t length;
    write_gguf(made, WEIGHT_Q8_0);
    weights_close(made);
    const char *good = read_file(&length), *q = "blk.1.attn_q.weight";
    expect_patched(good, length, q, AT_TYPE, 23, 4, "blk.1.attn_q.weight: ggml's type 23 is not run");
    expect_patched(good, length, q, AT_TYPE, 0, 4, "its data lies over that of blk.1.attn_q.weight");
    expect_patched(good, length, q, AT_OFFSET, 33, 8, "its offset is no multiple of the alignment");
    expect_patched(good, length, q, AT_OFFSET, ~(uint64_t)31, 8, "its data ends behind the file's end");
    expect_patched(good, length, q, AT_OFFSET, 0, 8, "its data lies over that of");
    expect_patched(good, length, q, AT_COLS, 250, 8, "rows of 250 values are no multiple of the 32");
    expect_patched(good, length, q, AT_ROWS, 255, 8,
                   "layer 1: q projection: blk.1.attn_q.weight is 255 x 256, expected 256 x 256");
    expect_patched(good, length, q, AT_ROWS, (uint64_t)1 << 62, 8, "more than 2^53");
    expect_patched(good, length, q, AT_ROWS, (uint64_t)1 << 40, 8, "its data ends behind the file's end");
    expect_patched(good, length, "blk.1.attn_", 0, '?', 1, "not known what it is for");
    expect_patched(good, length, "general.archi", 0, 'T', 1, "general.architecture: missing");
    expect_patched(good, length, "layer_norm_rms_epsilo", 0, 'N', 1, "layer_norm_rms_epsilon: missing");
}

Test(exec_weights, gguf_files_cut_off)
{
    struct weights *made = make("tiny-llama", WEIGHT_Q8_0);
    size_t length;
    write_gguf(made, WEIGHT_Q8_0);
    weights_close(made);
    char *good = read_file(&length);
    size_t header = entry_at(good, length, "blk.0.attn_q.weight");
    const size_t cuts[] = {1,  3,      4,          7,           15,         23,         30,
                           60, header, header + 5, header + 30, length / 2, length - 40};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_file("model.gguf", good, cuts[i]);
        expect_refusal(path, cuts[i] < 4      ? "expected a GGUF file"
                             : cuts[i] < 4096 ? "ends inside the header"
                                              : "its data ends behind the file's end");
    }
    write_file("model.gguf", good, 0);
    expect_refusal(path, "the file is empty");
    unlink(path);
    expect_refusal(path, "cannot open");
    write_file("model.gguf", "hello, world", 12);
    expect_refusal(path, "expected a GGUF file, or a folder with safetensors");
}

/* Latent attention: kv_b has each head's keys, then its values. */
Test(exec_weights, gguf_latent_attention_is_taken_apart)
{
    enum { HIDDEN = 64, HEADS = 2, NOPE = 32, ROPE = 32, VALUE = 32, RANK = 64, VOCAB = 32, FFN = 64 };
    static const struct {
        const char *name;
        size_t rows, cols;
    } tensors[] = {
        {"token_embd.weight", VOCAB, HIDDEN},
        {"output.weight", VOCAB, HIDDEN},
        {"output_norm.weight", 1, HIDDEN},
        {"blk.0.attn_norm.weight", 1, HIDDEN},
        {"blk.0.attn_q.weight", HEADS * (NOPE + ROPE), HIDDEN},
        {"blk.0.attn_kv_a_mqa.weight", RANK + ROPE, HIDDEN},
        {"blk.0.attn_kv_a_norm.weight", 1, RANK},
        {"blk.0.attn_kv_b.weight", HEADS * (NOPE + VALUE), RANK},
        {"blk.0.attn_output.weight", HIDDEN, HEADS * VALUE},
        {"blk.0.ffn_norm.weight", 1, HIDDEN},
        {"blk.0.ffn_gate.weight", FFN, HIDDEN},
        {"blk.0.ffn_up.weight", FFN, HIDDEN},
        {"blk.0.ffn_down.weight", HIDDEN, FFN},
    };
    enum { COUNT = sizeof tensors / sizeof *tensors };
    struct tensor parts[COUNT];
    struct gguf_entry entries[COUNT];
    struct gguf_pairs pairs = {0};
    for (size_t i = 0; i < COUNT; i++) {
        size_t n = tensors[i].rows * tensors[i].cols;
        float *values = ARENA_ARRAY(arena, float, n);
        for (size_t j = 0; j < n; j++)
            values[j] = (float)(j / tensors[i].cols); /* its row */
        parts[i] = (struct tensor){tensors[i].name, WEIGHT_F32, tensors[i].rows, tensors[i].cols, values};
        entries[i] = (struct gguf_entry){.name = tensors[i].name,
                                         .dimensions = tensors[i].rows > 1 ? 2 : 1,
                                         .size = {tensors[i].cols, tensors[i].rows, 1, 1},
                                         .type = tensors[i].rows > 1 ? WEIGHT_F16 : WEIGHT_F32,
                                         .parts = &parts[i],
                                         .part_count = 1};
    }
    static const struct {
        const char *key;
        uint32_t value;
    } counts[] = {{"block_count", 1},
                  {"context_length", 256},
                  {"embedding_length", HIDDEN},
                  {"feed_forward_length", FFN},
                  {"attention.head_count", HEADS},
                  {"attention.head_count_kv", HEADS},
                  {"attention.kv_lora_rank", RANK},
                  {"attention.key_length", NOPE + ROPE},
                  {"attention.value_length", VALUE},
                  {"rope.dimension_count", ROPE},
                  {"rope.scaling.original_context_length", 64}};
    gguf_add_text(&pairs, "general.architecture", "deepseek2", 9);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        gguf_add_u32(&pairs, arena_printf(arena, "deepseek2.%s", counts[i].key), counts[i].value);
    gguf_add_f32(&pairs, "deepseek2.attention.layer_norm_rms_epsilon", 1e-6F);
    gguf_add_text(&pairs, "deepseek2.rope.scaling.type", "yarn", 4);
    gguf_add_f32(&pairs, "deepseek2.rope.scaling.factor", 4);
    gguf_add_f32(&pairs, "deepseek2.rope.scaling.yarn_log_multiplier", 0.1F);
    cr_assert(gguf_write(&diag, path, &pairs, entries, COUNT), "%s", diag_first_error(&diag));
    text_free(&pairs.bytes);

    struct weights *read = open_good(path);
    struct tensor keys = need(read, ROLE_MLA_K_UP, 0, 0), values = need(read, ROLE_MLA_V_UP, 0, 0);
    cr_expect_eq(keys.rows, HEADS * NOPE);
    cr_expect_eq(values.rows, HEADS * VALUE);
    cr_expect_eq(row_of(&keys, 3)[7], 3.0F);
    cr_expect_eq(row_of(&keys, NOPE + 3)[7], (float)(NOPE + VALUE + 3), "the second head's");
    cr_expect_eq(row_of(&values, 3)[0], (float)(NOPE + 3));
    cr_expect_eq(row_of(&values, VALUE + 3)[0], (float)(NOPE + VALUE + NOPE + 3));
    /* scores are scaled by (1 + 0.1 ln 4)^2 / sqrt(64), cosines not at all */
    cr_expect_float_eq(weights_hyper(read)->attention_scale, 1.2964F / 8, 1e-4F);
    cr_expect_eq(weights_hyper(read)->rope_magnitude, 1.0F);
    cr_expect_eq(weights_hyper(read)->rope_scaling, ROPE_YARN);
    weights_close(read);
}

/* ---- safetensors ---- */

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\",\n"
    " \"hidden_size\": 32, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,\n"
    " \"num_key_value_heads\": 1, \"intermediate_size\": 64, \"vocab_size\": 16,\n"
    " \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\",\n"
    " \"rope_theta\": 500000.0, \"tie_word_embeddings\": true,\n"
    " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,\n"
    "  \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32},\n"
    " \"torch_dtype\": \"float32\"}";

/* rows 0: a vector */
struct stored {
    const char *name;
    int rows, cols;
};

static const struct stored llama[] = {
    {"model.embed_tokens.weight", 16, 32},
    {"model.layers.0.input_layernorm.weight", 0, 32},
    {"model.layers.0.post_attention_layernorm.weight", 0, 32},
    {"model.layers.0.self_attn.q_proj.weight", 32, 32},
    {"model.layers.0.self_attn.k_proj.weight", 16, 32},
    {"model.layers.0.self_attn.v_proj.weight", 16, 32},
    {"model.layers.0.self_attn.o_proj.weight", 32, 32},
    {"model.layers.0.mlp.gate_proj.weight", 64, 32},
    {"model.layers.0.mlp.up_proj.weight", 64, 32},
    {"model.layers.0.mlp.down_proj.weight", 32, 64},
    {"model.norm.weight", 0, 32},
};
enum { LLAMA_TENSORS = sizeof llama / sizeof *llama };

/* Tensors [from, to) of a table as a header's text; the data follows in their order. */
static const char *make_header(const struct stored *table, size_t from, size_t to)
{
    struct text text = {0};
    size_t offset = 0;
    text_add(&text, "{\"__metadata__\": {\"format\": \"pt\"}");
    for (size_t i = from; i < to; i++) {
        int rows = table[i].rows, cols = table[i].cols;
        size_t bytes = (size_t)(rows > 0 ? rows : 1) * (size_t)cols * sizeof(float);
        text_printf(&text, ",\n\"%s\": {\"dtype\": \"F32\", \"shape\": [", table[i].name);
        if (rows > 0)
            text_printf(&text, "%d, ", rows);
        text_printf(&text, "%d], \"data_offsets\": [%zu, %zu]}", cols, offset, offset + bytes);
        offset += bytes;
    }
    text_add(&text, "}");
    const char *copy = arena_strdup(arena, text.data);
    text_free(&text);
    return copy;
}

static const char *llama_header(size_t from, size_t to)
{
    return make_header(llama, from, to);
}

/* Values are 1000 times the tensor's number, and their row. */
static void write_table(const char *name, const char *header, const struct stored *table, size_t from,
                        size_t to, size_t cut)
{
    struct text text = {0};
    char length[8];
    put_number(length, strlen(header), 8);
    text_addn(&text, length, 8);
    text_add(&text, header);
    for (size_t i = from; i < to; i++)
        for (int row = 0; row < (table[i].rows > 0 ? table[i].rows : 1); row++)
            for (int col = 0; col < table[i].cols; col++) {
                float value = (float)(1000 * (int)i + row);
                text_addn(&text, (const char *)&value, sizeof value);
            }
    write_file(name, text.data, text.length - cut);
    text_free(&text);
}

static void write_safetensors(const char *name, const char *header, size_t from, size_t to, size_t cut)
{
    write_table(name, header, llama, from, to, cut);
}

static void write_folder(const char *header)
{
    write_file("config.json", config, strlen(config));
    write_safetensors("model.safetensors", header, 0, LLAMA_TENSORS, 0);
}

static const char *replace(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    cr_assert_not_null(at, "%s", old);
    return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

static void expect_bad_header(const char *old, const char *new, const char *message)
{
    write_folder(replace(llama_header(0, LLAMA_TENSORS), old, new));
    expect_refusal(folder, message);
}

Test(exec_weights, safetensors_in_one_file)
{
    write_folder(llama_header(0, LLAMA_TENSORS));
    struct weights *read = open_good(folder);
    struct tensor k = need(read, ROLE_K, 0, 0), head = need(read, ROLE_HEAD, 0, 0);
    cr_expect_eq(k.rows, 16);
    cr_expect_eq(row_of(&k, 5)[31], 4005.0F);
    cr_expect_eq(row_of(&head, 9)[0], 9.0F, "tied");
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_FFN_NORM, 0, 0, 32)[3], 2000.0F);
    const struct hyper *hyper = weights_hyper(read);
    cr_expect_eq(hyper->rope_theta, 500000.0F);
    cr_expect_eq(hyper->rope_scaling, ROPE_LLAMA3);
    cr_expect_eq(hyper->rope_factor, 8.0F);
    cr_expect_eq(hyper->rope_high, 4.0F);
    cr_expect_not(hyper->rope_interleaved);
    cr_expect_null(weights_gguf(read));
    cr_expect_null(weights_tokenizer_path(read));
    /* the same as a GGUF file: q's rows as pairs, the scaling as a tensor */
    write_gguf(read, WEIGHT_F32);
    struct weights *again = open_good(path);
    struct tensor q = need(again, ROLE_Q, 0, 0);
    cr_expect_eq(row_of(&q, 16 + 3)[0], 3000.0F + 16 + 9, "row 3 of head 1 is the second of pair 1");
    const float *factors = weights_vector(again, arena, &diag, ROLE_ROPE_FACTORS, 0, 0, 8);
    cr_assert_not_null(factors);
    cr_expect_float_eq(factors[7], 8, 1e-6F, "the longest wave");
    cr_expect_eq(factors[0], 1.0F, "a wave of 2 pi tokens goes 5 times into 32");
    weights_close(read);
    weights_close(again);
}

/* Gated DeltaNet: rows by key head are put in order, A is made, norms get their 1 but for the gated one. */
Test(exec_weights, safetensors_of_qwen3_next)
{
    static const char text[] =
        "{\"architectures\": [\"Qwen3NextForCausalLM\"], \"model_type\": \"qwen3_next\", \"hidden_size\": "
        "32,\n"
        " \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": "
        "16,\n"
        " \"intermediate_size\": 64, \"vocab_size\": 16, \"max_position_embeddings\": 64,\n"
        " \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\", \"tie_word_embeddings\": true,\n"
        " \"layer_types\": [\"linear_attention\"], \"linear_num_key_heads\": 2, \"linear_num_value_heads\": "
        "4,\n"
        " \"linear_key_head_dim\": 8, \"linear_value_head_dim\": 4, \"linear_conv_kernel_dim\": 4,\n"
        " \"num_experts\": 2, \"num_experts_per_tok\": 1, \"moe_intermediate_size\": 16,\n"
        " \"shared_expert_intermediate_size\": 16, \"decoder_sparse_step\": 1, \"norm_topk_prob\": true,\n"
        " \"torch_dtype\": \"float32\"}";
    static const struct stored tensors[] = {
        {"model.layers.0.linear_attn.A_log", 0, 4}, /* the first: values are 0 */
        {"model.embed_tokens.weight", 16, 32},
        {"model.norm.weight", 0, 32},
        {"model.layers.0.input_layernorm.weight", 0, 32},
        {"model.layers.0.post_attention_layernorm.weight", 0, 32},
        {"model.layers.0.linear_attn.in_proj_qkvz.weight", 64, 32}, /* heads 2 x (8 + 8 + 8 + 8) */
        {"model.layers.0.linear_attn.in_proj_ba.weight", 8, 32},
        {"model.layers.0.linear_attn.conv1d.weight", 48, 4},
        {"model.layers.0.linear_attn.dt_bias", 0, 4},
        {"model.layers.0.linear_attn.norm.weight", 0, 4},
        {"model.layers.0.linear_attn.out_proj.weight", 32, 16},
        {"model.layers.0.mlp.gate.weight", 2, 32},
        {"model.layers.0.mlp.experts.0.gate_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.0.up_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.0.down_proj.weight", 32, 16},
        {"model.layers.0.mlp.experts.1.gate_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.1.up_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.1.down_proj.weight", 32, 16},
        {"model.layers.0.mlp.shared_expert.gate_proj.weight", 16, 32},
        {"model.layers.0.mlp.shared_expert.up_proj.weight", 16, 32},
        {"model.layers.0.mlp.shared_expert.down_proj.weight", 32, 16},
        {"model.layers.0.mlp.shared_expert_gate.weight", 1, 32},
        {"mtp.fc.weight", 32, 64},
    };
    enum { COUNT = sizeof tensors / sizeof *tensors };
    write_file("config.json", text, strlen(text));
    write_table("model.safetensors", make_header(tensors, 0, COUNT), tensors, 0, COUNT, 0);
    struct weights *read = open_good(folder);
    struct tensor in = need(read, ROLE_IN_PROJ, 0, 0), gates = need(read, ROLE_IN_GATES, 0, 0);
    struct tensor z = need(read, ROLE_IN_Z, 0, 0);
    cr_expect_eq(row_of(&in, 8 + 3)[0], 5000.0F + 35, "the second head's q");
    cr_expect_eq(row_of(&in, 16 + 3)[0], 5000.0F + 11, "the first head's k");
    cr_expect_eq(row_of(&in, 32 + 3)[0], 5000.0F + 19, "the first head's v");
    cr_expect_eq(row_of(&z, 15)[0], 5000.0F + 63, "the last z");
    cr_expect_eq(row_of(&gates, 2)[0], 6000.0F + 4, "beta of the second key head's first");
    cr_expect_eq(row_of(&gates, 4)[0], 6000.0F + 2, "the first decay");
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_A, 0, 0, 4)[3], -1.0F);
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_FINAL_NORM, 0, 0, 32)[3], 2001.0F);
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_GATED_NORM, 0, 0, 4)[3], 9000.0F);
    cr_expect_not(weights_hyper(read)->norm_plus_one, "it is added already");
    struct tensor expert = need(read, ROLE_EXPERT_DOWN, 0, 1);
    cr_expect_eq(row_of(&expert, 2)[0], 17002.0F);
    weights_close(read);
}

/* GPT-2: matrices are [in][out] (Conv1D of transformers/pytorch_utils.py), the mask is no weight; names as in
 * https://huggingface.co/openai-community/gpt2, which has no "transformer." in front. */
Test(exec_weights, safetensors_of_gpt2)
{
    static const char text[] =
        "{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\", \"n_embd\": 32,\n"
        " \"n_layer\": 1, \"n_head\": 2, \"vocab_size\": 16, \"n_ctx\": 8, \"n_positions\": 8,\n"
        " \"activation_function\": \"gelu_new\", \"layer_norm_epsilon\": 1e-05,\n"
        " \"torch_dtype\": \"float32\"}";
    static const struct stored tensors[] = {
        {"wte.weight", 16, 32},          {"wpe.weight", 8, 32},
        {"ln_f.weight", 0, 32},          {"ln_f.bias", 0, 32},
        {"h.0.attn.bias", 8, 8},         {"h.0.attn.c_attn.weight", 32, 96},
        {"h.0.attn.c_attn.bias", 0, 96}, {"h.0.attn.c_proj.weight", 32, 32},
        {"h.0.attn.c_proj.bias", 0, 32}, {"h.0.ln_1.weight", 0, 32},
        {"h.0.ln_1.bias", 0, 32},        {"h.0.ln_2.weight", 0, 32},
        {"h.0.ln_2.bias", 0, 32},        {"h.0.mlp.c_fc.weight", 32, 128},
        {"h.0.mlp.c_fc.bias", 0, 128},   {"h.0.mlp.c_proj.weight", 128, 32},
        {"h.0.mlp.c_proj.bias", 0, 32},
    };
    enum { COUNT = sizeof tensors / sizeof *tensors };
    write_file("config.json", text, strlen(text));
    write_table("model.safetensors", make_header(tensors, 0, COUNT), tensors, 0, COUNT, 0);
    struct weights *read = open_good(folder);
    struct tensor v = need(read, ROLE_V, 0, 0), down = need(read, ROLE_DOWN, 0, 0);
    cr_expect_eq(v.rows, 32);
    cr_expect_eq(row_of(&v, 7)[5], 5005.0F, "a column of the file");
    cr_expect_eq(down.rows, 32);
    cr_expect_eq(row_of(&down, 7)[100], 15100.0F);
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_K_BIAS, 0, 0, 32)[0], 6000.0F);
    cr_expect_eq(weights_vector(read, arena, &diag, ROLE_FINAL_NORM_BIAS, 0, 0, 32)[0], 3000.0F);
    cr_expect_eq(weights_hyper(read)->activation, ACTIVATION_GELU_TANH);
    cr_expect_eq(weights_model(read)->norm, NORM_LAYER);
    weights_close(read);
}

/* OlmoeConfig: norm_topk_prob is false unless set; norms over all heads; clip_qkv is not run. */
Test(exec_weights, safetensors_of_olmoe)
{
    static const char text[] =
        "{\"architectures\": [\"OlmoeForCausalLM\"], \"model_type\": \"olmoe\", \"hidden_size\": 32,\n"
        " \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"num_key_value_heads\": 1,\n"
        " \"intermediate_size\": 16, \"num_experts\": 2, \"num_experts_per_tok\": 1, \"vocab_size\": 16,\n"
        " \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-05, \"hidden_act\": \"silu\",\n"
        " \"clip_qkv\": null, \"tie_word_embeddings\": true, \"torch_dtype\": \"float32\"}";
    static const struct stored tensors[] = {
        {"model.embed_tokens.weight", 16, 32},
        {"model.norm.weight", 0, 32},
        {"model.layers.0.input_layernorm.weight", 0, 32},
        {"model.layers.0.post_attention_layernorm.weight", 0, 32},
        {"model.layers.0.self_attn.q_proj.weight", 32, 32},
        {"model.layers.0.self_attn.k_proj.weight", 16, 32},
        {"model.layers.0.self_attn.v_proj.weight", 16, 32},
        {"model.layers.0.self_attn.o_proj.weight", 32, 32},
        {"model.layers.0.self_attn.q_norm.weight", 0, 32},
        {"model.layers.0.self_attn.k_norm.weight", 0, 16},
        {"model.layers.0.mlp.gate.weight", 2, 32},
        {"model.layers.0.mlp.experts.0.gate_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.0.up_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.0.down_proj.weight", 32, 16},
        {"model.layers.0.mlp.experts.1.gate_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.1.up_proj.weight", 16, 32},
        {"model.layers.0.mlp.experts.1.down_proj.weight", 32, 16},
    };
    enum { COUNT = sizeof tensors / sizeof *tensors };
    write_file("config.json", text, strlen(text));
    write_table("model.safetensors", make_header(tensors, 0, COUNT), tensors, 0, COUNT, 0);
    struct weights *read = open_good(folder);
    cr_expect(weights_model(read)->blocks[0].attention.qk_norm_all_heads);
    cr_expect_not(weights_hyper(read)->route_normalise);
    weights_close(read);
    const char *clipped = replace(text, "\"clip_qkv\": null", "\"clip_qkv\": 8.0");
    write_file("config.json", clipped, strlen(clipped));
    expect_refusal(folder, "limits of q, k and v are not run");
}

Test(exec_weights, safetensors_in_several_files)
{
    static const char index[] =
        "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {"
        "\"a\": \"model.safetensors\", \"b\": \"two.safetensors\", \"c\": \"model.safetensors\"}}";
    write_file("config.json", config, strlen(config));
    write_safetensors("model.safetensors", llama_header(0, 5), 0, 5, 0);
    write_safetensors("two.safetensors", llama_header(5, LLAMA_TENSORS), 5, LLAMA_TENSORS, 0);
    write_file("model.safetensors.index.json", index, strlen(index));
    struct weights *read = open_good(folder);
    struct tensor down = need(read, ROLE_DOWN, 0, 0);
    cr_expect_eq(row_of(&down, 4)[63], 9004.0F);
    weights_close(read);
    write_safetensors("two.safetensors", llama_header(3, LLAMA_TENSORS), 3, LLAMA_TENSORS, 0);
    expect_refusal(folder, "self_attn.q_proj.weight: there twice");
    write_safetensors("two.safetensors", llama_header(6, LLAMA_TENSORS), 6, LLAMA_TENSORS, 0);
    expect_refusal(folder, "layer 0: v projection: missing, expected 16 x 32");
}

Test(exec_weights, hostile_indexes)
{
    static const struct {
        const char *index, *message;
    } cases[] = {
        {"{\"weight_map\": {\"a\": \"model.safetensors.index.json\"}}",
         "expected names of .safetensors files"},
        {"{\"weight_map\": {\"a\": \"../model.safetensors\"}}", "in the same folder"},
        {"{\"weight_map\": {\"a\": \"/etc/x.safetensors\"}}", "in the same folder"},
        {"{\"weight_map\": {\"a\": 3}}", "expected names of .safetensors files"},
        {"{\"weight_map\": {}}", "weight_map: missing"},
        {"{\"weight_map\": {\"a\": \"b.safetensors\", \"a\": \"c.safetensors\"}}", "duplicate object key"},
        {"[[[[[[[[[[[[]]]]]]]]]]]]", "nested too deep"},
        {"[]", "expected an object"},
        {"{\"weight_map\": {\"a\": \"none.safetensors\"}}", "cannot open"},
    };
    write_folder(llama_header(0, LLAMA_TENSORS));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("model.safetensors.index.json", cases[i].index, strlen(cases[i].index));
        expect_refusal(folder, cases[i].message);
    }
}

Test(exec_weights, hostile_safetensors)
{
    expect_bad_header("[16, 32]", "[16, 31]", "not as many bytes as shape and dtype come to");
    expect_bad_header("[16, 32]", "[32, 16]", "is 32 x 16, expected 16 x 32");
    expect_bad_header("[16, 32]", "[4294967296, 4294967296]", "more than 2^53 values");
    expect_bad_header("[16, 32]", "[-16, -32]", "shape: expected a list");
    expect_bad_header("[16, 32]", "[16, 32, 0]", "a tensor without values");
    expect_bad_header("[16, 32]", "[1, 1, 1, 1, 1, 1, 1, 16, 32]", "at most 8 whole numbers");
    expect_bad_header("\"F32\"", "\"F33\"", "dtype: expected F32, F16 or BF16");
    expect_bad_header("\"F32\"", "\"I32\"", "values of I32 are not run, expected F32, F16 or BF16");
    expect_bad_header("\"F32\"", "\"BF16\"", "not as many bytes as shape and dtype come to");
    expect_bad_header("\"data_offsets\": [0, 2048]", "\"data_offsets\": [2048, 0]", "expected [from, to]");
    expect_bad_header("\"data_offsets\": [0, 2048]", "\"data_offsets\": [0]", "expected [from, to]");
    expect_bad_header("\"data_offsets\": [0, 2048]",
                      "\"data_offsets\": [9223372036854773759, 9223372036854775807]",
                      "the data ends behind the file's end");
    expect_bad_header("mlp.up_proj", "mlp.gate_proj", "duplicate object key");
    expect_bad_header("mlp.up_proj", "mlp.side_proj", "mlp.side_proj.weight: not known what it is for");
    expect_bad_header("layers.0.mlp.up_proj", "layers.7.mlp.up_proj", "layer 7 is not one of the model's");
    expect_bad_header("model.norm", "model.no\\nrm", "no printable ASCII");
    expect_bad_header("{\"format\": \"pt\"}", "[[[[[[[[[1]]]]]]]]]", "nested too deep");
    expect_bad_header("{\"__metadata__\"", "[\"__metadata__\"", "header:");
}

Test(exec_weights, safetensors_cut_off)
{
    const char *header = llama_header(0, LLAMA_TENSORS);
    write_folder(header);
    write_file("model.safetensors", "\1\0\0", 3);
    expect_refusal(folder, "the file ends inside its length");
    write_file("model.safetensors", "\377\377\377\377\377\377\377\177{}", 10);
    expect_refusal(folder, "longer than 100000000 bytes");
    write_file("model.safetensors", "\377\0\0\0\0\0\0\0{}", 10);
    expect_refusal(folder, "the file ends inside it");
    write_safetensors("model.safetensors", header, 0, LLAMA_TENSORS, 4);
    expect_refusal(folder, "model.norm.weight: data_offsets: the data ends behind the file's end");
    write_file("model.safetensors", "", 0);
    expect_refusal(folder, "the file is empty");
}

Test(exec_weights, configs_that_are_not_run)
{
    static const struct {
        const char *old, *new, *message;
    } cases[] = {
        {"LlamaForCausalLM", "BloomForCausalLM", "BloomForCausalLM"},
        {"LlamaForCausalLM", "GPTJForCausalLM", "GPTJForCausalLM"},
        {"\"silu\"", "\"mish\"", "hidden_act: found \"mish\""},
        {"\"llama3\"", "\"dynamic\"", "rope_type: found \"dynamic\""},
        {"\"factor\": 8.0", "\"factor\": 0.5", "factor: expected a number from 1"},
        {"\"rms_norm_eps\": 1e-6, ", "", "rms_norm_eps: missing"},
    };
    write_folder(llama_header(0, LLAMA_TENSORS));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = replace(config, cases[i].old, cases[i].new);
        write_file("config.json", text, strlen(text));
        expect_refusal(folder, cases[i].message);
    }
}
