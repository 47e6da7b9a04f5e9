#include "spec/model_block.h"

#include "base/suggest.h"

#include <string.h>

/* Bounds far above any model, so that a slip of the pen is caught and products stay finite. */
enum {
    HEADS_MOST = 100000,
    WIDTH_MOST = 10000000,
    EXPERTS_MOST = 100000,
    CONV_MOST = 1024,
    WINDOW_MOST = 1000000000,
    NORMS_MOST = 8,
    LIKE_MOST = 8
};

#define REQUIRED(type, member, most, text)                                                                   \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = offsetof(struct type, member), .required = true,        \
        .dimension = DIM_COUNT, .min = 1, .max = most, .doc = text                                           \
    }
#define OPTIONAL(type, member, most, text)                                                                   \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = offsetof(struct type, member), .dimension = DIM_COUNT,  \
        .min = 0, .max = most, .doc = text                                                                   \
    }
#define FLAG(type, member, text)                                                                             \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct type, member), .doc = text             \
    }
#define SCHEMA(table, title, type)                                                                           \
    {                                                                                                        \
        .name = title, .size = sizeof(struct type), .fields = table, .count = sizeof table / sizeof table[0] \
    }

static const struct field attention_fields[] = {
    REQUIRED(attention_spec, heads, HEADS_MOST, "query heads"),
    REQUIRED(attention_spec, kv_heads, HEADS_MOST,
             "key and value heads; as heads: multi-head, 1: multi-query"),
    REQUIRED(attention_spec, head_dim, WIDTH_MOST, "width of a query and key head"),
    OPTIONAL(attention_spec, v_head_dim, WIDTH_MOST, "width of a value head; left out: head_dim"),
    OPTIONAL(attention_spec, rotary_dim, WIDTH_MOST, "values of a head that RoPE turns; 0: no RoPE"),
    OPTIONAL(attention_spec, window, WINDOW_MOST,
             "tokens attended to, the new one included; 0: all before it"),
    FLAG(attention_spec, qkv_bias, "the q, k and v projections have biases"),
    FLAG(attention_spec, o_bias, "the output projection has a bias"),
    FLAG(attention_spec, qk_norm, "a norm over each head of q and k"),
    FLAG(attention_spec, qk_norm_all_heads, "qk_norm: one over all heads of q, one over all of k"),
    FLAG(attention_spec, sinks, "a learned logit per head in the softmax's denominator"),
    FLAG(attention_spec, output_gate, "the q projection is twice as wide; its second half gates the output"),
    FLAG(attention_spec, sub_norm, "a norm over the attention output, before the output projection"),
    FLAG(attention_spec, parallel, "attention and feed-forward start from the same input and are summed"),
};
static const struct schema attention_schema = SCHEMA(attention_fields, "attention", attention_spec);

static const struct field indexer_fields[] = {
    REQUIRED(indexer_spec, heads, HEADS_MOST, "heads, which share one key of a token"),
    REQUIRED(indexer_spec, head_dim, WIDTH_MOST, "width of a head and of the cached key"),
    REQUIRED(indexer_spec, top_k, WINDOW_MOST, "tokens that a query attends to"),
};
static const struct schema indexer_schema = SCHEMA(indexer_fields, "indexer", indexer_spec);

static const struct field cross_attention_fields[] = {
    REQUIRED(cross_attention_spec, heads, HEADS_MOST, "heads, each with keys and values of its own"),
    REQUIRED(cross_attention_spec, head_dim, WIDTH_MOST, "width of a head"),
    FLAG(cross_attention_spec, qkv_bias, "the q, k and v projections have biases"),
    FLAG(cross_attention_spec, o_bias, "the output projection has a bias"),
};
static const struct schema cross_attention_schema =
    SCHEMA(cross_attention_fields, "cross_attention", cross_attention_spec);

static const struct field mla_fields[] = {
    REQUIRED(mla_spec, heads, HEADS_MOST, "heads"),
    OPTIONAL(mla_spec, q_lora_rank, WIDTH_MOST, "width of the compressed query; 0: not compressed"),
    REQUIRED(mla_spec, kv_lora_rank, WIDTH_MOST, "width of the cached latent"),
    REQUIRED(mla_spec, qk_nope_head_dim, WIDTH_MOST, "width of a query and key head without RoPE"),
    REQUIRED(mla_spec, qk_rope_head_dim, WIDTH_MOST, "width of its part with RoPE, shared by all key heads"),
    REQUIRED(mla_spec, v_head_dim, WIDTH_MOST, "width of a value head"),
    {.key = "indexer",
     .kind = FIELD_OBJECT_PTR,
     .offset = offsetof(struct mla_spec, indexer),
     .object = &indexer_schema,
     .doc = "sparse attention: scores the cached tokens and picks those that a query attends to"},
};
static const struct schema mla_schema = SCHEMA(mla_fields, "mla", mla_spec);

static const struct field mamba1_fields[] = {
    REQUIRED(mamba_spec, inner, WIDTH_MOST, "channels"),
    REQUIRED(mamba_spec, state, WIDTH_MOST, "state values of a channel"),
    REQUIRED(mamba_spec, dt_rank, WIDTH_MOST, "rank of the step size's projection"),
    REQUIRED(mamba_spec, conv_width, CONV_MOST, "taps of the convolution"),
    FLAG(mamba_spec, conv_bias, "the convolution has a bias"),
    FLAG(mamba_spec, norm_dt_bc, "norms on the step size, B and C (Jamba)"),
};
static const struct schema mamba1_schema = SCHEMA(mamba1_fields, "mamba1", mamba_spec);

static const struct field mamba2_fields[] = {
    REQUIRED(mamba_spec, inner, WIDTH_MOST, "channels"),
    REQUIRED(mamba_spec, state, WIDTH_MOST, "state values of a channel"),
    REQUIRED(mamba_spec, heads, HEADS_MOST, "heads that the channels form"),
    REQUIRED(mamba_spec, groups, HEADS_MOST, "groups of heads; a group shares B and C"),
    REQUIRED(mamba_spec, conv_width, CONV_MOST, "taps of the convolution"),
    FLAG(mamba_spec, conv_bias, "the convolution has a bias"),
};
static const struct schema mamba2_schema = SCHEMA(mamba2_fields, "mamba2", mamba_spec);

static const struct field deltanet_fields[] = {
    REQUIRED(deltanet_spec, key_heads, HEADS_MOST, "query and key heads"),
    REQUIRED(deltanet_spec, value_heads, HEADS_MOST, "value heads, each with a state"),
    REQUIRED(deltanet_spec, key_head_dim, WIDTH_MOST, "width of a query and key head"),
    REQUIRED(deltanet_spec, value_head_dim, WIDTH_MOST, "width of a value head"),
    REQUIRED(deltanet_spec, conv_width, CONV_MOST, "taps of the convolution"),
};
static const struct schema deltanet_schema = SCHEMA(deltanet_fields, "gated_deltanet", deltanet_spec);

static const struct field mlstm_fields[] = {
    REQUIRED(mlstm_spec, heads, HEADS_MOST, "heads, each with a matrix memory"),
    REQUIRED(mlstm_spec, qk_head_dim, WIDTH_MOST, "width of a query and key head"),
    REQUIRED(mlstm_spec, v_head_dim, WIDTH_MOST, "width of a value head"),
    OPTIONAL(mlstm_spec, chunk, WIDTH_MOST, "tokens of a prefill chunk; 0: the kernels' own"),
};
static const struct schema mlstm_schema = SCHEMA(mlstm_fields, "mlstm", mlstm_spec);

static const struct field dense_fields[] = {
    REQUIRED(dense_spec, intermediate, WIDTH_MOST, "width between the up and down projections"),
    FLAG(dense_spec, gated, "a gate projection beside the up projection (SwiGLU, GeGLU)"),
    FLAG(dense_spec, bias, "the projections have biases"),
    FLAG(dense_spec, sub_norm, "a norm over the intermediate, before the down projection"),
};
static const struct schema dense_schema = SCHEMA(dense_fields, "dense", dense_spec);

static const struct field moe_fields[] = {
    REQUIRED(moe_spec, experts, EXPERTS_MOST, "routed experts"),
    REQUIRED(moe_spec, top_k, EXPERTS_MOST, "routed experts that a token goes to"),
    REQUIRED(moe_spec, intermediate, WIDTH_MOST, "width of one routed expert"),
    OPTIONAL(moe_spec, shared_intermediate, WIDTH_MOST, "width of all shared experts together; 0: none"),
    OPTIONAL(moe_spec, latent, WIDTH_MOST,
             "width that the routed experts read and write, projected from hidden and back (LatentMoE, "
             "arXiv:2601.18089); 0: hidden, without projections"),
    FLAG(moe_spec, gated, "experts have a gate projection beside the up projection"),
    FLAG(moe_spec, bias, "the routed experts' projections, and those of their latent, have biases"),
    FLAG(moe_spec, router_bias, "a bias or score correction of one value per expert"),
    FLAG(moe_spec, shared_gate, "a scalar sigmoid gate on the shared experts"),
};
static const struct schema moe_schema = SCHEMA(moe_fields, "moe", moe_spec);

/* A block as it is written; struct block_spec has the kinds instead of the pointers. */
struct block_form {
    const char *like;
    struct attention_spec *attention;
    struct cross_attention_spec *cross_attention;
    struct mla_spec *mla;
    struct mamba_spec *mamba1;
    struct mamba_spec *mamba2;
    struct deltanet_spec *gated_deltanet;
    struct mlstm_spec *mlstm;
    struct dense_spec *dense;
    struct moe_spec *moe;
    int norms;
    struct source_location where;
};

#define PART(member, nested, text)                                                                           \
    {                                                                                                        \
        .key = #member, .kind = FIELD_OBJECT_PTR, .offset = offsetof(struct block_form, member),             \
        .object = &(nested), .doc = text                                                                     \
    }

static const struct field block_fields[] = {
    {.key = "like",
     .kind = FIELD_STRING,
     .offset = offsetof(struct block_form, like),
     .doc = "another block that this one starts from; null takes a key of it away"},
    PART(attention, attention_schema, "mixer: softmax attention"),
    PART(mla, mla_schema, "mixer: multi-head latent attention (arXiv:2405.04434)"),
    PART(mamba1, mamba1_schema, "mixer: Mamba (arXiv:2312.00752)"),
    PART(mamba2, mamba2_schema, "mixer: Mamba-2 (arXiv:2405.21060)"),
    PART(gated_deltanet, deltanet_schema, "mixer: gated DeltaNet (arXiv:2412.06464)"),
    PART(mlstm, mlstm_schema, "mixer: the matrix memory of xLSTM (arXiv:2405.04517)"),
    PART(cross_attention, cross_attention_schema,
         "after the mixer: attention to the encoder's output (decoder layers of a model with an encoder)"),
    PART(dense, dense_schema, "feed-forward: one network for all tokens"),
    PART(moe, moe_schema, "feed-forward: a mixture of experts"),
    OPTIONAL(block_form, norms, NORMS_MOST,
             "norms of the model's width in the block; 0: one before the mixer, one before the feed-forward, "
             "one before cross_attention"),
};

const struct schema block_schema = {
    .name = "block",
    .size = sizeof(struct block_form),
    .fields = block_fields,
    .count = sizeof block_fields / sizeof block_fields[0],
    .where_offset = offsetof(struct block_form, where),
};

static struct source_location place(const struct yaml_node *node, const char *path)
{
    const struct yaml_node *found = yaml_path(node, path);
    return found != NULL ? found->where : node->where;
}

/* Reports that `key` of the block is not what `rule` says. */
static bool refuse(struct reader *reader, const struct yaml_node *node, const char *block, const char *key,
                   int found, const char *rule)
{
    return diag_error(reader->diag, place(node, key), "blocks.%s.%s: found %d, expected %s", block, key,
                      found, rule);
}

static bool check_attention(struct reader *reader, const struct yaml_node *node,
                            const struct block_spec *block)
{
    const struct attention_spec *spec = &block->attention;
    const char *name = block->name;
    struct arena *arena = reader->arena;
    bool ok = true;
    if (spec->heads % spec->kv_heads != 0)
        ok = refuse(reader, node, name, "attention.kv_heads", spec->kv_heads,
                    arena_printf(arena, "a divisor of heads (%d)", spec->heads));
    if (spec->rotary_dim > spec->head_dim)
        ok = refuse(reader, node, name, "attention.rotary_dim", spec->rotary_dim,
                    arena_printf(arena, "at most head_dim (%d)", spec->head_dim));
    if (spec->rotary_dim % 2 != 0)
        ok = refuse(reader, node, name, "attention.rotary_dim", spec->rotary_dim,
                    "an even number: RoPE turns pairs");
    if (spec->qk_norm_all_heads && !spec->qk_norm)
        ok = diag_error(reader->diag, place(node, "attention.qk_norm_all_heads"),
                        "blocks.%s.attention.qk_norm_all_heads: there is no qk_norm", name);
    if (spec->parallel && block->ffn == FFN_NONE)
        ok = diag_error(reader->diag, place(node, "attention.parallel"),
                        "blocks.%s.attention.parallel: the block has no feed-forward to run in parallel with",
                        name);
    if (spec->parallel && block->cross_attention.heads > 0)
        ok = diag_error(reader->diag, place(node, "attention.parallel"),
                        "blocks.%s.attention.parallel: cross_attention comes between attention and "
                        "feed-forward, so they cannot run in parallel",
                        name);
    return ok;
}

static bool check_mla(struct reader *reader, const struct yaml_node *node, const struct block_spec *block)
{
    const struct mla_spec *spec = &block->mla;
    const struct indexer_spec *indexer = spec->indexer;
    const char *name = block->name;
    bool ok = true;
    if (spec->qk_rope_head_dim % 2 != 0)
        ok = refuse(reader, node, name, "mla.qk_rope_head_dim", spec->qk_rope_head_dim,
                    "an even number: RoPE turns pairs");
    if (indexer != NULL && spec->q_lora_rank == 0)
        ok = diag_error(reader->diag, place(node, "mla.indexer"),
                        "blocks.%s.mla.indexer: its queries come from the compressed query; give q_lora_rank",
                        name);
    if (indexer != NULL && indexer->head_dim < spec->qk_rope_head_dim)
        ok = refuse(reader, node, name, "mla.indexer.head_dim", indexer->head_dim,
                    arena_printf(reader->arena, "at least qk_rope_head_dim (%d): RoPE turns that part of it",
                                 spec->qk_rope_head_dim));
    return ok;
}

static bool check_mamba2(struct reader *reader, const struct yaml_node *node, const struct block_spec *block)
{
    const struct mamba_spec *spec = &block->mamba;
    bool ok = true;
    if (spec->inner % spec->heads != 0)
        ok = refuse(reader, node, block->name, "mamba2.heads", spec->heads,
                    arena_printf(reader->arena, "a divisor of inner (%d)", spec->inner));
    if (spec->heads % spec->groups != 0)
        ok = refuse(reader, node, block->name, "mamba2.groups", spec->groups,
                    arena_printf(reader->arena, "a divisor of heads (%d)", spec->heads));
    return ok;
}

static bool check_deltanet(struct reader *reader, const struct yaml_node *node,
                           const struct block_spec *block)
{
    const struct deltanet_spec *spec = &block->deltanet;
    if (spec->value_heads % spec->key_heads == 0)
        return true;
    return refuse(reader, node, block->name, "gated_deltanet.key_heads", spec->key_heads,
                  arena_printf(reader->arena, "a divisor of value_heads (%d)", spec->value_heads));
}

static bool check_moe(struct reader *reader, const struct yaml_node *node, const struct block_spec *block)
{
    const struct moe_spec *spec = &block->moe;
    bool ok = true;
    if (spec->top_k > spec->experts)
        ok = refuse(reader, node, block->name, "moe.top_k", spec->top_k,
                    arena_printf(reader->arena, "at most experts (%d)", spec->experts));
    if (spec->shared_gate && spec->shared_intermediate == 0)
        ok = diag_error(reader->diag, place(node, "moe.shared_gate"),
                        "blocks.%s.moe.shared_gate: there are no shared experts; give shared_intermediate",
                        block->name);
    return ok;
}

static bool check_block(struct reader *reader, const struct yaml_node *node, const struct block_spec *block)
{
    bool ok = true;
    if (block->mixer == MIXER_ATTENTION)
        ok = check_attention(reader, node, block);
    if (block->mixer == MIXER_MLA)
        ok = check_mla(reader, node, block);
    if (block->mixer == MIXER_MAMBA2)
        ok = check_mamba2(reader, node, block);
    if (block->mixer == MIXER_GATED_DELTANET)
        ok = check_deltanet(reader, node, block);
    if (block->ffn == FFN_MOE)
        ok = check_moe(reader, node, block) && ok;
    return ok;
}

static void copy_mixer(const struct block_form *form, struct block_spec *block)
{
    block->mixer = MIXER_NONE;
    if (form->attention != NULL) {
        block->mixer = MIXER_ATTENTION;
        block->attention = *form->attention;
    } else if (form->mla != NULL) {
        block->mixer = MIXER_MLA;
        block->mla = *form->mla;
    } else if (form->mamba1 != NULL) {
        block->mixer = MIXER_MAMBA1;
        block->mamba = *form->mamba1;
    } else if (form->mamba2 != NULL) {
        block->mixer = MIXER_MAMBA2;
        block->mamba = *form->mamba2;
    } else if (form->gated_deltanet != NULL) {
        block->mixer = MIXER_GATED_DELTANET;
        block->deltanet = *form->gated_deltanet;
    } else if (form->mlstm != NULL) {
        block->mixer = MIXER_MLSTM;
        block->mlstm = *form->mlstm;
    }
}

static void copy_ffn(const struct block_form *form, struct block_spec *block)
{
    block->ffn = FFN_NONE;
    if (form->dense != NULL) {
        block->ffn = FFN_DENSE;
        block->dense = *form->dense;
    } else if (form->moe != NULL) {
        block->ffn = FFN_MOE;
        block->moe = *form->moe;
    }
}

static bool check_kinds(struct reader *reader, const struct block_form *form, const char *name)
{
    int mixers = (form->attention != NULL) + (form->mla != NULL) + (form->mamba1 != NULL) +
                 (form->mamba2 != NULL) + (form->gated_deltanet != NULL) + (form->mlstm != NULL);
    int ffns = (form->dense != NULL) + (form->moe != NULL);
    bool ok = true;
    if (mixers > 1)
        ok = diag_error(reader->diag, form->where,
                        "blocks.%s: found %d mixers, expected at most one of attention, mla, mamba1, mamba2, "
                        "gated_deltanet, mlstm",
                        name, mixers);
    if (ffns > 1)
        ok = diag_error(reader->diag, form->where,
                        "blocks.%s: found dense and moe, expected at most one feed-forward", name);
    if (mixers + ffns == 0)
        ok = diag_error(reader->diag, form->where,
                        "blocks.%s: found neither a mixer nor a feed-forward, expected at least one", name);
    return ok;
}

static bool read_block(struct reader *reader, const struct yaml_node *node, const char *name,
                       struct block_spec *block)
{
    struct block_form form = {0};
    const char *path = arena_printf(reader->arena, "blocks.%s", name);
    if (path == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    if (!schema_read(reader, &block_schema, node, path, &form) || !check_kinds(reader, &form, name))
        return false;
    *block = (struct block_spec){.name = name, .norms = form.norms, .where = form.where};
    if (form.cross_attention != NULL)
        block->cross_attention = *form.cross_attention;
    copy_mixer(&form, block);
    copy_ffn(&form, block);
    return check_block(reader, node, block);
}

static const char *suggest_key(struct arena *arena, const struct yaml_node *map, const char *name)
{
    const char **names = ARENA_ARRAY(arena, const char *, map->children + 1);
    size_t count = 0;
    if (names == NULL)
        return NULL;
    for (const struct yaml_node *entry = map->first; entry != NULL; entry = entry->next)
        names[count++] = entry->key;
    return suggest_nearest(name, names, count);
}

/* The block's own keys laid over those of the block it is like, which may be like another. NULL with an
 * error. */
static const struct yaml_node *resolve_like(struct reader *reader, const struct yaml_node *map,
                                            const struct yaml_node *block, int depth)
{
    const struct yaml_node *like = yaml_get(block, "like");
    if (like == NULL || like->kind != YAML_SCALAR || yaml_is_null(like))
        return block;
    if (depth == LIKE_MOST) {
        diag_error(reader->diag, like->where, "blocks.%s.like: more than %d steps, or a circle", block->key,
                   LIKE_MOST);
        return NULL;
    }
    const struct yaml_node *parent = yaml_get(map, like->scalar);
    if (parent == NULL) {
        const char *nearest = suggest_key(reader->arena, map, like->scalar);
        diag_error(reader->diag, like->where, "blocks.%s.like: unknown block \"%s\"%s%s%s", block->key,
                   like->scalar, nearest ? ", did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
        return NULL;
    }
    parent = resolve_like(reader, map, parent, depth + 1);
    if (parent == NULL)
        return NULL;
    const struct yaml_node *merged = yaml_merge(reader->arena, parent, block);
    if (merged == NULL)
        diag_error(reader->diag, block->where, "out of memory");
    return merged;
}

bool blocks_read(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (node->kind != YAML_MAP || node->children == 0)
        return diag_error(reader->diag, node->where, "blocks: expected a map of names to blocks");
    if (node->children > BLOCKS_MOST)
        return diag_error(reader->diag, node->where, "blocks: found %zu, expected at most %d", node->children,
                          BLOCKS_MOST);
    struct block_spec *blocks = ARENA_ARRAY(reader->arena, struct block_spec, node->children);
    if (blocks == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    size_t count = 0;
    bool ok = true;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        const struct yaml_node *whole = resolve_like(reader, node, entry, 0);
        ok = whole != NULL && read_block(reader, whole, entry->key, &blocks[count]) && ok;
        count++;
    }
    struct block_spec **items = member;
    *items = blocks;
    *(size_t *)(void *)(items + 1) = count;
    return ok;
}

int block_index(const struct block_spec *blocks, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(blocks[i].name, name) == 0)
            return (int)i;
    return -1;
}

const char *block_suggestion(struct arena *arena, const struct block_spec *blocks, size_t count,
                             const char *name)
{
    const char **names = ARENA_ARRAY(arena, const char *, count + 1);
    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        names[i] = blocks[i].name;
    return suggest_nearest(name, names, count);
}
