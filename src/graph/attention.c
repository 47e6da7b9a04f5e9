/* Attention layers: MHA, GQA, MQA, with windows, gates, QK norms; fused or as three kernels. */
#include "graph/build.h"

/* What one rank holds of the heads. KV heads fewer than ranks are replicated. */
struct shard {
    double heads, kv_heads, qk_dim, v_dim;
    double q_width, k_width, v_width; /* columns of the projections */
};

static struct shard shard_heads(const struct graph *graph, const struct attention_spec *spec)
{
    int tp = graph->parallel.tp;
    struct shard shard = {.qk_dim = spec->head_dim,
                          .v_dim = spec->v_head_dim ? spec->v_head_dim : spec->head_dim};
    shard.heads = spec->heads / (double)tp;
    shard.kv_heads = spec->kv_heads > tp ? spec->kv_heads / (double)tp : 1;
    shard.q_width = shard.heads * shard.qk_dim * (spec->output_gate ? 2 : 1);
    shard.k_width = shard.kv_heads * shard.qk_dim;
    shard.v_width = shard.kv_heads * shard.v_dim;
    return shard;
}

static void add_projections(struct graph *graph, int block, const struct attention_spec *spec,
                            const struct shard *shard)
{
    double hidden = graph->model->hidden, rows = attention_share(graph);
    if (graph->software->fuse_qkv) {
        double width = shard->q_width + shard->k_width + shard->v_width;
        add_linear(graph, OP_NAME_QKV_PROJ, block, width, hidden, spec->qkv_bias)->rows_factor = rows;
        return;
    }
    add_linear(graph, OP_NAME_Q_PROJ, block, shard->q_width, hidden, spec->qkv_bias)->rows_factor = rows;
    add_linear(graph, OP_NAME_K_PROJ, block, shard->k_width, hidden, spec->qkv_bias)->rows_factor = rows;
    add_linear(graph, OP_NAME_V_PROJ, block, shard->v_width, hidden, spec->qkv_bias)->rows_factor = rows;
}

/* A norm over each head of q and of k with weights of a head, or over all heads of each. */
static void add_qk_norm(struct graph *graph, int block, const struct attention_spec *spec,
                        const struct shard *shard)
{
    double heads = shard->heads + shard->kv_heads;
    struct op *norm = add_norm(graph, OP_NAME_QK_NORM, block, shard->qk_dim, heads, false);
    norm->rows_factor = attention_share(graph);
    norm->stream.in_place = norm->stream.written;
    norm_set_values(graph, norm, shard->qk_dim * (spec->qk_norm_all_heads ? heads : 2));
}

/* RoPE turns pairs of values: 4 multiplies and 2 adds a pair, so 3 FLOPs a value. */
enum { ROPE_FLOPS = 3 };

static void add_rope_and_cache(struct graph *graph, int block, const struct attention_spec *spec,
                               const struct shard *shard, int cache)
{
    double rows = attention_share(graph);
    double rotated = spec->rotary_dim * (shard->heads + shard->kv_heads);
    double cached = shard->k_width + shard->v_width;
    double q = shard->heads * shard->qk_dim;
    if (graph->software->fuse_rope_cache && cache != BUFFER_NONE) {
        const char *name = rotated > 0 ? OP_NAME_ROPE_KV_WRITE : OP_NAME_KV_WRITE;
        struct op *op = add_stream(graph, name, OP_ELEMENTWISE, block, (rotated > 0 ? q : 0) + cached,
                                   rotated > 0 ? q : 0, ROPE_FLOPS * rotated);
        op->rows_factor = rows;
        op->stream.in_place = op->stream.written;
        op->cache = cache;
        op->writes_cache = true;
        return;
    }
    if (rotated > 0) {
        double values = q + shard->k_width;
        struct op *op =
            add_stream(graph, OP_NAME_ROPE, OP_ELEMENTWISE, block, values, values, ROPE_FLOPS * rotated);
        op->rows_factor = rows;
        op->stream.in_place = values;
    }
    if (cache == BUFFER_NONE)
        return;
    struct op *op = add_stream(graph, OP_NAME_KV_WRITE, OP_ELEMENTWISE, block, cached, 0, 0);
    op->rows_factor = rows;
    op->cache = cache;
    op->writes_cache = true;
}

/* Old frameworks grow the cache by concatenation and repeat K and V to all heads: each pass moves all of it.
 */
static void add_cache_passes(struct graph *graph, int block, const struct shard *shard)
{
    double cached = shard->k_width + shard->v_width, rows = attention_share(graph);
    if (graph->software->copy_kv) {
        struct op *op = add_stream(graph, OP_NAME_KV_COPY, OP_ELEMENTWISE, block, cached, cached, 0);
        op->rows = ROWS_CONTEXT;
        op->rows_factor = rows;
        op->regime = REGIME_DECODE;
    }
    if (graph->software->expand_gqa && shard->heads > shard->kv_heads) {
        struct op *op = add_stream(graph, OP_NAME_KV_REPEAT, OP_ELEMENTWISE, block, cached,
                                   cached * shard->heads / shard->kv_heads, 0);
        op->rows = ROWS_CONTEXT;
        op->rows_factor = rows;
    }
}

/* Kernels of an eager framework between QK^T and PV, each reading and writing every score: scaling, adding
 * the mask, softmax in fp32, and for narrower types one to fp32 and one back. */
static void split_softmax(struct attention_work *work)
{
    enum { WIDE = 4 };
    double each = element_bytes_each(&work->q_type), narrow = each < WIDE;
    work->score_passes = 3 + 2 * narrow;
    work->score_bytes = 4 * each + 2 * WIDE + narrow * 2 * (each + WIDE);
}

void add_attention_core(struct graph *graph, int block, const struct attention_names *names,
                        const struct attention_work *work, int cache)
{
    const struct {
        const char *name;
        enum attention_part part;
    } fused[] = {{names->fused, PART_FUSED}},
      split[] = {{names->qk, PART_QK}, {names->softmax, PART_SOFTMAX}, {names->pv, PART_PV}};
    bool flash = graph->software->flash_attention;
    for (int i = 0; i < (flash ? 1 : 3); i++) {
        struct op *op = graph_add_op(graph, flash ? fused[0].name : split[i].name, OP_ATTENTION, block);
        op->cache = cache;
        op->reads_cache = cache != BUFFER_NONE; /* else K and V are activations */
        op->attention = *work;
        op->attention.part = flash ? PART_FUSED : split[i].part;
        if (op->attention.part == PART_SOFTMAX && graph->software->eager_softmax)
            split_softmax(&op->attention);
        op->rows_factor = attention_share(graph);
    }
}

static void add_core(struct graph *graph, int block, const struct attention_spec *spec,
                     const struct shard *shard, int cache)
{
    static const struct attention_names names = {OP_NAME_ATTENTION, OP_NAME_ATTENTION_QK,
                                                 OP_NAME_ATTENTION_SOFTMAX, OP_NAME_ATTENTION_PV};
    bool expanded = graph->software->expand_gqa;
    const struct attention_work work = {.heads = shard->heads,
                                        .kv_heads = expanded ? shard->heads : shard->kv_heads,
                                        .qk_dim = shard->qk_dim,
                                        .v_dim = shard->v_dim,
                                        .window = spec->window,
                                        .q_type = graph->types.activations};
    add_attention_core(graph, block, &names, &work, cache);
}

void build_attention(struct graph *graph, int block)
{
    const struct attention_spec *spec = &graph->model->blocks[block].attention;
    struct shard shard = shard_heads(graph, spec);
    double hidden = graph->model->hidden, rows = attention_share(graph);
    double out = shard.heads * shard.v_dim;

    add_projections(graph, block, spec, &shard);
    if (spec->qk_norm)
        add_qk_norm(graph, block, spec, &shard);
    int cache = BUFFER_NONE;
    bool once = model_encodes(graph->model, block); /* an encoder's tokens come once, together */
    if (graph->model->generation != GENERATION_MASKED_DIFFUSION && !once) /* which runs all in each step */
        cache = add_kv_buffer(graph, "kv_cache", block, shard.k_width + shard.v_width, spec->window);
    add_rope_and_cache(graph, block, spec, &shard, cache);
    add_cache_passes(graph, block, &shard);
    add_core(graph, block, spec, &shard, cache);
    if (spec->output_gate) /* sigmoid: 4 FLOPs, and the product */
        add_stream(graph, OP_NAME_ATTENTION_GATE, OP_ELEMENTWISE, block, 2 * out, out, 5 * out)->rows_factor =
            rows;
    if (spec->sub_norm)
        add_norm(graph, OP_NAME_ATTENTION_SUB_NORM, block, out, 1, false)->rows_factor = rows;
    add_linear(graph, OP_NAME_O_PROJ, block, hidden, out, spec->o_bias)->rows_factor = rows;
}
