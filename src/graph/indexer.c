/* The lightning indexer of DeepSeek sparse attention: small heads with one cached key a token score every
 * token that a query may see, and attention runs over the best top_k of them.
 *
 *   score(query, token) = sum over heads h of w_h ReLU(q_h . k)
 *
 * q comes from MLA's compressed query, k (normed by a LayerNorm) and w from the layer's input; RoPE turns the
 * first qk_rope_head_dim values of q and k, a Hadamard transform spreads their outliers, and both are
 * quantised to fp8 with a scale for each 128 values, k for the cache (class Indexer of
 * https://github.com/deepseek-ai/DeepSeek-V3.2-Exp inference/model.py). Every rank of an attention group runs
 * all of it, the main heads alone are cut (vllm-project/vllm issue 53691 and pull request 46103). */
#include "graph/build.h"

#include <math.h>

void add_index_query(struct graph *graph, int block, const struct mla_spec *spec)
{
    const struct indexer_spec *indexer = spec->indexer;
    add_linear(graph, OP_NAME_INDEX_Q_PROJ, block, (double)indexer->heads * indexer->head_dim,
               spec->q_lora_rank, false)
        ->rows_factor = attention_share(graph);
}

void add_index_inputs(struct graph *graph, int block, const struct mla_spec *spec)
{
    const struct indexer_spec *indexer = spec->indexer;
    double hidden = graph->model->hidden, rows = attention_share(graph);
    add_linear(graph, OP_NAME_INDEX_K_PROJ, block, indexer->head_dim, hidden, false)->rows_factor = rows;
    struct op *weights = add_linear(graph, OP_NAME_INDEX_WEIGHTS_PROJ, block, indexer->heads, hidden, false);
    weights->rows_factor = rows;
    if (!graph->failed) /* released in bf16 where the other projections are fp8 */
        graph->buffers[weights->weights].type = graph->types.activations;
}

/* RoPE, transform and quantisation of all heads' queries and of the key, which goes to the cache. */
static void add_index_cache(struct graph *graph, int block, const struct mla_spec *spec, int cache,
                            const struct element_type *q_type)
{
    enum { ROPE_FLOPS = 3, QUANTISE_FLOPS = 3 }; /* a value: as for the main heads; |x| and max, then scale */
    const struct indexer_spec *indexer = spec->indexer;
    double q = (double)indexer->heads * indexer->head_dim, rotated = spec->qk_rope_head_dim;
    double all = q + indexer->head_dim, hadamard = log2(indexer->head_dim); /* adds a value, as an FFT's */
    struct op *op =
        add_stream(graph, OP_NAME_INDEX_ROPE_CACHE, OP_ELEMENTWISE, block, all, q,
                   ROPE_FLOPS * (indexer->heads + 1) * rotated + (hadamard + QUANTISE_FLOPS) * all);
    op->rows_factor = attention_share(graph);
    op->stream.write_type = *q_type;
    op->cache = cache;
    op->writes_cache = true;
}

static void add_index_scores(struct graph *graph, int block, const struct indexer_spec *indexer, int cache,
                             const struct element_type *q_type)
{
    struct op *op = graph_add_op(graph, OP_NAME_INDEX_SCORES, OP_ATTENTION, block);
    op->cache = cache;
    op->reads_cache = true;
    op->rows_factor = attention_share(graph);
    op->attention.part = PART_INDEX;
    op->attention.latent = true; /* there is no V */
    op->attention.heads = indexer->heads;
    op->attention.kv_heads = 1;
    op->attention.qk_dim = indexer->head_dim;
    op->attention.q_type = *q_type;
}

/* A radix selection: each score goes into a histogram and is compared with the threshold that follows. */
static void add_index_top_k(struct graph *graph, int block, const struct indexer_spec *indexer)
{
    enum { SELECT_FLOPS = 2 };
    struct op *op = add_stream(graph, OP_NAME_INDEX_TOP_K, OP_TRANSFORM, block, 1, 0, SELECT_FLOPS);
    op->rows = ROWS_PAIRS;
    op->rows_factor = attention_share(graph);
    op->stream.read_type = op->stream.write_type = element_type_of("fp32"); /* scores; 32-bit positions */
    op->stream.token_written = indexer->top_k;
}

void add_indexer(struct graph *graph, int block, const struct mla_spec *spec)
{
    const struct indexer_spec *indexer = spec->indexer;
    /* whatever the main cache holds; the queries' scales are multiplied into the heads' weights */
    struct element_type key_type = element_type_of("fp8-token"), q_type = element_type_of("fp8");
    int cache = add_kv_buffer(graph, "index_keys", block, indexer->head_dim, 0);
    struct op *norm = add_norm(graph, OP_NAME_INDEX_K_NORM, block, indexer->head_dim, 1, false);
    norm->rows_factor = attention_share(graph);
    if (graph->failed)
        return;
    graph->buffers[cache].type = key_type;
    graph->buffers[norm->weights].rows = 1;
    norm_set_values(graph, norm, 2.0 * indexer->head_dim); /* a LayerNorm: weights and biases */
    add_index_cache(graph, block, spec, cache, &q_type);
    add_index_scores(graph, block, indexer, cache, &q_type);
    add_index_top_k(graph, block, indexer);
}
