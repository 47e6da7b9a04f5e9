/* Models written as YAML read back as the same models. */
#include "spec/model_writer.h"

#include "spec/catalogue.h"

#include <criterion/criterion.h>
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

TestSuite(model_writer, .init = set_up, .fini = tear_down);

static struct model read_text(const char *text)
{
    struct model model = {0};
    struct reader reader = {arena, &diag};
    const struct yaml_node *root = yaml_parse(arena, &diag, "written.yaml", text, strlen(text));
    cr_assert(root != NULL && model_read(&reader, root, "written", &model), "%s\n%s", diag_first_error(&diag),
              text);
    return model;
}

static const char *written(const struct model *model, const char *comment)
{
    struct text out = {0};
    cr_assert(model_write(model, comment, &out));
    const char *copy = arena_strdup(arena, out.data);
    text_free(&out);
    return copy;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void expect_same_outside(const struct model *a, const struct model *b)
{
    cr_expect_str_eq(a->name, b->name);
    cr_expect(same_text(a->hf_repo, b->hf_repo) && same_text(a->architecture, b->architecture));
    cr_expect_eq(a->aliases.count, b->aliases.count);
    cr_expect_eq(a->max_context, b->max_context);
    cr_expect_eq(a->generation, b->generation);
    cr_expect_eq(a->diffusion_block_tokens, b->diffusion_block_tokens);
    cr_expect_eq(a->source_count, b->source_count);
    cr_expect_eq(a->published.parameters, b->published.parameters);
    cr_expect_eq(a->published.includes_mtp, b->published.includes_mtp);
    cr_expect(same_text(a->published.note, b->published.note));
    cr_expect(element_type_equal(&a->weight_type, &b->weight_type));
    cr_expect_str_eq(a->expert_type.name, b->expert_type.name);
    cr_expect(element_type_equal(&a->activation_type, &b->activation_type));
}

static void expect_same(const struct model *a, const struct model *b)
{
    struct parameter_count x, y;
    model_parameters(a, &x);
    model_parameters(b, &y);
    cr_expect(memcmp(&x, &y, sizeof x) == 0, "%s: %.0f became %.0f parameters", a->name, x.total, y.total);
    cr_assert_eq(a->layers, b->layers, "%s", a->name);
    cr_expect_eq(a->encoder_layers, b->encoder_layers, "%s", a->name);
    cr_expect_eq(a->relative_buckets, b->relative_buckets, "%s", a->name);
    cr_expect(memcmp(a->pattern, b->pattern, (size_t)a->layers) == 0, "%s", a->name);
    cr_assert_eq(a->block_count, b->block_count);
    for (size_t i = 0; i < a->block_count; i++) {
        cr_expect_str_eq(a->blocks[i].name, b->blocks[i].name);
        cr_expect(model_same_block(&a->blocks[i], &b->blocks[i]), "%s: %s", a->name, a->blocks[i].name);
    }
    expect_same_outside(a, b);
}

Test(model_writer, every_model_of_the_catalogue)
{
    struct catalogue catalogue;
    struct catalogue_entry *entries;
    size_t count;
    int models = 0;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_MODELS, &entries, &count), "%s",
              diag_first_error(&diag));
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        const struct model *model = catalogue_model(&catalogue, &diag, entries[i].id, NULL);
        cr_assert(model != NULL, "%s", diag_first_error(&diag));
        struct model again = read_text(written(model, NULL));
        expect_same(model, &again);
        models++;
    }
    cr_expect(models >= 30, "%d", models);
}

static const char *const hybrid =
    "# of two parts\n"
    "# and: more\n"
    "name: \"3 x: y, \\\"z\\\"\"\n"
    "aliases: [a-1, \"2b\", \"null\"]\n"
    "\n"
    "hidden: 64\n"
    "vocab: 100\n"
    "max_context: 4096\n"
    "norm: layer\n"
    "norm_bias: true\n"
    "weight_type: int4-g128\n"
    "activation_type: fp16\n"
    "\n"
    "blocks:\n"
    "  local:\n"
    "    attention: {heads: 4, kv_heads: 2, head_dim: 16, window: 8, qkv_bias: true}\n"
    "    dense: {intermediate: 256, gated: true}\n"
    "    norms: 4\n"
    "  global:\n"
    "    like: local\n"
    "    attention: {rotary_dim: 16, window: 0, qkv_bias: false}\n"
    "    norms: 0\n"
    "  mamba:\n"
    "    like: local\n"
    "    attention: null\n"
    "    mamba2: {inner: 128, state: 16, heads: 8, groups: 2, conv_width: 4}\n"
    "  alone:\n"
    "    like: mamba\n"
    "    dense: null\n"
    "layers:\n"
    "  - {blocks: [local, mamba, global], times: 3}\n"
    "  - {block: alone}\n"
    "\n"
    "published: {parameters: 1.5, note: \"about: 10%\"}\n"
    "\n"
    "sources:\n"
    "  dimensions: [\"https://example.org/a\", unverified]\n";

/* What is written in the writer's own way is written back as it was. */
Test(model_writer, layout)
{
    struct model model = read_text(hybrid);
    cr_expect_str_eq(written(&model, "of two parts\nand: more"), hybrid);
}

Test(model_writer, long_parts_take_lines)
{
    struct model model = read_text(
        "name: t\nhidden: 6144\nvocab: 1000\nblocks:\n  layer:\n    attention: {heads: 100000, kv_heads: "
        "100000, "
        "head_dim: 1000000, v_head_dim: 1000000, rotary_dim: 1000000, window: 100000000}\nlayers: 2\n");
    const char *text = written(&model, NULL);
    cr_expect_not_null(strstr(text, "    attention:\n      heads: 100000\n      kv_heads: 100000\n"), "%s",
                       text);
    cr_expect_not_null(strstr(text, "layers: 2\n"));
    read_text(text);
}

/* An indexer taken away, changed, and added to a block like another. */
Test(model_writer, parts_inside_parts)
{
    struct model model =
        read_text("name: t\n\nhidden: 64\nvocab: 100\nmax_context: 4096\n\nblocks:\n  a:\n    "
                  "mla: {heads: 4, q_lora_rank: 8, kv_lora_rank: 8, qk_nope_head_dim: 8, "
                  "qk_rope_head_dim: 4, v_head_dim: 8, indexer: {heads: 2, head_dim: 4, top_k: 9}}\n"
                  "    dense: {intermediate: 8}\n  b:\n    like: a\n    mla: {indexer: {top_k: 7}}\n"
                  "  c:\n    like: a\n    mla: {indexer: null}\n  d:\n    like: c\n    mla: {indexer: "
                  "{heads: 3, head_dim: 4, top_k: 5}}\nlayers: {blocks: [a, b, c, d]}\n");
    cr_assert_eq(model.blocks[1].mla.indexer->top_k, 7);
    cr_assert_null(model.blocks[2].mla.indexer);
    const char *text = written(&model, NULL);
    struct model again = read_text(text);
    expect_same(&model, &again);
    cr_expect_not_null(strstr(text, "    mla: {indexer: null}\n"), "%s", text);
    cr_expect_not_null(strstr(text, "      indexer: {heads: 2, head_dim: 4, top_k: 9}\n"), "%s", text);
}

Test(model_writer, words_that_yaml_takes_for_something_else)
{
    static const char *const names[] = {"true", "No",  "~",   "1e3", "0x10", "- a", "a: b", "a #b",
                                        "#a",   "[a]", "{a}", "&a",  "*a",   "!a",  "|",    ">",
                                        "'a'",  "\"",  "\\",  "%a",  "@a",   "`a`", "?",    ".inf",
                                        "a ",   " a",  "a,b", "nan", "inf",  "ü b", "---",  "a:"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct model model = read_text(hybrid);
        model.name = names[i];
        model.aliases = (struct string_list){(const char **)&names[i], 1};
        struct model again = read_text(written(&model, NULL));
        cr_expect_str_eq(again.name, names[i]);
        cr_expect_str_eq(again.aliases.items[0], names[i]);
    }
}
