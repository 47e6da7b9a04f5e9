/* Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): K and V are up-projections of a cached latent.
 * Long prompts expand the latent; decode absorbs the up-projections into the query and the output, and
 * attends to the latent itself as one shared KV head. With an indexer (sparse attention) prefill does so too:
 * each query has tokens of its own, which kernels gather as latents (FlashMLA's sparse kernels), while
 * expanding frameworks mask what was not picked. */
#include "graph/build.h"

struct mla_shard {
    double heads, nope, rope, value, latent;
};

static void add_query(struct graph *graph, int block, const struct mla_spec *spec,
                      const struct mla_shard *shard)
{
    double hidden = graph->model->hidden, rows = attention_share(graph);
    double width = shard->heads * (shard->nope + shard->rope);
    if (spec->q_lora_rank == 0) {
        add_linear(graph, OP_NAME_Q_PROJ, block, width, hidden, false)->rows_factor = rows;
        return;
    }
    add_linear(graph, OP_NAME_MLA_Q_DOWN, block, spec->q_lora_rank, hidden, false)->rows_factor = rows;
    add_norm(graph, OP_NAME_MLA_Q_NORM, block, spec->q_lora_rank, 1, false)->rows_factor = rows;
    add_linear(graph, OP_NAME_MLA_Q_UP, block, width, spec->q_lora_rank, false)->rows_factor = rows;
    if (spec->indexer != NULL)
        add_index_query(graph, block, spec);
}

static int add_latent(struct graph *graph, int block, const struct mla_spec *spec,
                      const struct mla_shard *shard)
{
    double hidden = graph->model->hidden, rows = attention_share(graph);
    double cached = shard->latent + shard->rope;
    double q_rope = shard->heads * shard->rope;
    add_linear(graph, OP_NAME_MLA_KV_DOWN, block, cached, hidden, false)->rows_factor = rows;
    if (spec->indexer != NULL)
        add_index_inputs(graph, block, spec);
    add_norm(graph, OP_NAME_MLA_KV_NORM, block, shard->latent, 1, false)->rows_factor = rows;
    int cache = add_kv_buffer(graph, "kv_latent", block, cached, 0);
    struct op *op = add_stream(graph, OP_NAME_ROPE_KV_WRITE, OP_ELEMENTWISE, block, q_rope + cached, q_rope,
                               3 * (q_rope + shard->rope));
    op->rows_factor = rows;
    op->stream.in_place = q_rope;
    op->cache = cache;
    op->writes_cache = true;
    return cache;
}

static struct op *add_mla_core(struct graph *graph, int block, const struct mla_shard *shard, int cache,
                               enum regime regime, bool absorbed)
{
    struct op *op = graph_add_op(graph, OP_NAME_ATTENTION, OP_ATTENTION, block);
    op->regime = regime;
    op->cache = cache;
    op->reads_cache = absorbed; /* the expanded K and V are activations */
    op->rows_factor = attention_share(graph);
    op->attention.mla = true;
    op->attention.latent = absorbed;
    op->attention.heads = shard->heads;
    op->attention.kv_heads = absorbed ? 1 : shard->heads;
    op->attention.qk_dim = (absorbed ? shard->latent : shard->nope) + shard->rope;
    op->attention.v_dim = absorbed ? shard->latent : shard->value;
    op->attention.q_type = graph->types.activations;
    return op;
}

/* One product per head with its slice of the up-projection. */
static void add_absorbed(struct graph *graph, const char *name, int block, enum regime regime, double n,
                         double k, double heads, int weights)
{
    struct op *op = graph_add_op(graph, name, OP_GEMM, block);
    op->regime = regime;
    op->weights = weights;
    op->rows_factor = attention_share(graph);
    op->gemm.n = n;
    op->gemm.k = k;
    op->gemm.batch = heads;
    op->gemm.a_type = op->gemm.c_type = graph->types.activations;
}

/* Attention to all heads' K and V, made of the latents. Returns the up-projection's buffer. */
static int build_expanded(struct graph *graph, int block, const struct mla_shard *shard, int cache,
                          enum regime regime)
{
    struct op *expand = add_linear(graph, OP_NAME_MLA_KV_UP, block,
                                   shard->heads * (shard->nope + shard->value), shard->latent, false);
    int weights = expand->weights;
    expand->rows = ROWS_CONTEXT; /* a chunk on cached context expands the cached latents too */
    expand->rows_factor = attention_share(graph);
    expand->regime = regime;
    add_mla_core(graph, block, shard, cache, regime, false);
    return weights;
}

/* The up-projection's buffer where only the absorbed products read it. */
static int add_up_projection(struct graph *graph, int block, const struct mla_shard *shard)
{
    int weights = graph_add_buffer(graph, OP_NAME_MLA_KV_UP, BUFFER_WEIGHTS, block);
    if (graph->failed)
        return weights;
    graph->buffers[weights].type = graph->types.weights;
    graph->buffers[weights].rows = shard->heads * (shard->nope + shard->value);
    graph->buffers[weights].cols = shard->latent;
    return weights;
}

/* What absorbed queries are multiplied by: the up-projection as it stands, or the software's transposed copy.
 */
static int turned_projection(struct graph *graph, int block, const struct mla_shard *shard, int weights)
{
    const struct element_type *stored = &graph->types.weights, *turned = &graph->software->turned_type;
    bool plain =
        stored->format == FORMAT_FP32 || stored->format == FORMAT_BF16 || stored->format == FORMAT_FP16;
    if (turned->name[0] == '\0')
        return weights;
    int copy = graph_add_buffer(graph, OP_NAME_MLA_Q_ABSORB, BUFFER_WEIGHTS, block);
    if (graph->failed)
        return weights;
    graph->buffers[copy].type = plain ? *stored : *turned;
    graph->buffers[copy].rows = shard->heads * shard->nope;
    graph->buffers[copy].cols = shard->latent;
    return copy;
}

/* Attention to the latents: all that a query may see, or the `selected` ones that its indexer picks. */
static void build_absorbed(struct graph *graph, int block, const struct mla_shard *shard, int cache,
                           enum regime regime, double selected, int weights)
{
    add_absorbed(graph, OP_NAME_MLA_Q_ABSORB, block, regime, shard->latent, shard->nope, shard->heads,
                 turned_projection(graph, block, shard, weights));
    add_mla_core(graph, block, shard, cache, regime, true)->attention.selected = selected;
    add_absorbed(graph, OP_NAME_MLA_V_UP, block, regime, shard->value, shard->latent, shard->heads, weights);
}

void build_mla(struct graph *graph, int block)
{
    const struct mla_spec *spec = &graph->model->blocks[block].mla;
    struct mla_shard shard = {.heads = spec->heads / (double)graph->parallel.tp,
                              .nope = spec->qk_nope_head_dim,
                              .rope = spec->qk_rope_head_dim,
                              .value = spec->v_head_dim,
                              .latent = spec->kv_lora_rank};
    double rows = attention_share(graph);
    bool absorb = graph->software->absorb_mla;

    add_query(graph, block, spec, &shard);
    int cache = add_latent(graph, block, spec, &shard), weights;
    if (spec->indexer != NULL)
        add_indexer(graph, block, spec);
    if (absorb && spec->indexer != NULL) {
        weights = add_up_projection(graph, block, &shard);
        build_absorbed(graph, block, &shard, cache, REGIME_ANY, spec->indexer->top_k, weights);
    } else {
        weights = build_expanded(graph, block, &shard, cache, absorb ? REGIME_PREFILL : REGIME_ANY);
        if (absorb)
            build_absorbed(graph, block, &shard, cache, REGIME_DECODE, 0, weights);
    }
    add_linear(graph, OP_NAME_O_PROJ, block, graph->model->hidden, shard.heads * shard.value, false)
        ->rows_factor = rows;
}
