/* Rows of attention.csv: fused attention of `batch` sequences that each attend to `context` tokens, the new
 * ones included. Where a column kv_written does not say 0, prefills were timed with the kernel before, which
 * writes new K and V into the cache; in software that fuses RoPE with that write it also reads Q, K and V and
 * writes Q, K and V in the type they are multiplied in. */
#include "fit/sample_row.h"

#include <stdlib.h>
#include <string.h>

static void add_setup(const struct sample_row *row, struct attention_work *work,
                      const struct element_type *new_type, const struct element_type *kv)
{
    double queries = work->heads * work->qk_dim, keys = work->kv_heads * work->qk_dim;
    double read = element_bytes_each(new_type), written = element_bytes_each(kv);
    work->setup_values = keys;
    work->setup_bytes = 2 * keys * (read + written);
    if (row->graph->software->fuse_rope_cache) {
        work->setup_values += queries + keys;
        work->setup_bytes += queries * read + (queries + 2 * keys) * written;
    }
}

/* The TensorRT-LLM rows before version 1.3 were taken on a cache made for keys only, in which the values'
 * blocks fall on keys' (collector/trtllm/collect_attn.py of ai-dynamo/aiconfigurator: CacheType.SELFKONLY):
 * half of what is read is distinct. The version is where measured times change (1.0.0 reads 1.7 times DRAM's
 * rate, 1.3.0rc20 does not). */
static bool keys_only(struct sample_row *row)
{
    const char *version = strrchr(row_text(row, "source"), ' ');
    return strcmp(row_text(row, "kernel"), "torch_flow") == 0 && version && strtod(version, NULL) < 1.3;
}

static void read_attention(struct sample_row *row)
{
    static const char *const shape[] = {"heads", "kv_heads", "head_dim", "window", NULL};
    double heads = row_number(row, "heads", 1), kv_heads = row_number(row, "kv_heads", 1);
    double dim = row_number(row, "head_dim", 1), window = row_number(row, "window", 0);
    double batch = row_number(row, "batch", 1), tokens = row_number(row, "new_tokens", 1);
    double context = row_number(row, "context", tokens);
    struct element_type q = row_type(row, "dtype"), kv = row_type(row, "kv_dtype");
    struct op *op = graph_add_op(row->graph, OP_NAME_ATTENTION, OP_ATTENTION, OUTSIDE_LAYERS);
    int cache = graph_add_buffer(row->graph, "kv_cache", BUFFER_KV, OUTSIDE_LAYERS);
    if (row->graph->failed)
        return;
    row->graph->buffers[cache].type = kv;
    row->graph->buffers[cache].elements = 2 * kv_heads * dim;
    op->cache = cache;
    op->reads_cache = true;
    op->attention = (struct attention_work){
        .heads = heads, .kv_heads = kv_heads, .qk_dim = dim, .v_dim = dim, .window = window, .q_type = q};
    op->attention.one_cache = keys_only(row);
    row->sample->segment = (struct segment){
        .sequences = batch, .new_tokens = tokens, .context = context - tokens, .mask = MASK_CAUSAL};
    if (kv_heads > heads)
        row_skip(row, "more KV heads than heads");
    bool decode = strcmp(row_text(row, "phase"), "decode") == 0;
    struct element_type new_type = row_type_named(row, "bf16"); /* as projections leave them */
    if (row_text(row, "kv_sets")[0] != '\0')
        op->attention.kv_sets = row_number(row, "kv_sets", 1);
    if (!decode && strcmp(row_text(row, "kv_written"), "0") != 0)
        add_setup(row, &op->attention, &new_type, &kv);
    op->regime = row->regime = decode ? REGIME_DECODE : REGIME_PREFILL;
    if (segment_regime(&row->sample->segment) != row->regime)
        row_skip(row, decode ? "decode without cached tokens" : "a prefill of few tokens on cached ones");
    row->dtype = strcmp(q.name, kv.name) == 0
                     ? row_text(row, "dtype")
                     : arena_printf(row->arena, "%s/%s", row_text(row, "dtype"), row_text(row, "kv_dtype"));
    row->sample->kernel = row_text(row, "kernel");
    row_shape(row, shape);
}

static const char *const columns[] = {"phase", "dtype",    "kv_dtype", "batch",  "new_tokens", "context",
                                      "heads", "kv_heads", "head_dim", "window", NULL};
const struct sample_schema attention_samples = {"attention", columns, read_attention};
