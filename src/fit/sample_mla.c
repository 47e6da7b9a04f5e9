/* Rows of mla.csv: the attention core of DeepSeek-V3 on one rank. Prefill: `isl` tokens attend causally with
 * expanded keys of 128 + 64 values and values of 128. Decode: one token attends to isl + step tokens in the
 * latent space: 512 + 64 values a token, shared by all heads. (Dimensions: DeepSeek-V3's config.json.) */
#include "fit/sample_row.h"

#include <string.h>

enum { NOPE = 128, ROPE = 64, VALUE = 128, LATENT = 512 };

static void read_mla(struct sample_row *row)
{
    static const char *const shape[] = {"num_heads", NULL};
    double heads = row_number(row, "num_heads", 1), batch = row_number(row, "batch_size", 1);
    double prompt = row_number(row, "isl", 1), step = row_number(row, "step", 0);
    bool decode = strcmp(row_text(row, "phase"), "decode") == 0;
    struct element_type q = row_type(row, "mla_dtype"), kv = row_type(row, "kv_cache_dtype");
    struct op *op = graph_add_op(row->graph, OP_NAME_ATTENTION, OP_ATTENTION, OUTSIDE_LAYERS);
    int cache = graph_add_buffer(row->graph, "kv_latent", BUFFER_KV, OUTSIDE_LAYERS);
    if (row->graph->failed)
        return;
    row->graph->buffers[cache].type = kv;
    row->graph->buffers[cache].elements = LATENT + ROPE;
    op->cache = cache;
    op->reads_cache = decode;
    op->attention = (struct attention_work){.heads = heads,
                                            .kv_heads = decode ? 1 : heads,
                                            .qk_dim = (decode ? LATENT : NOPE) + ROPE,
                                            .v_dim = decode ? LATENT : VALUE,
                                            .latent = decode,
                                            .mla = true,
                                            .q_type = q};
    if (row_text(row, "kv_sets")[0] != '\0')
        op->attention.kv_sets = row_number(row, "kv_sets", 1);
    if (!decode && strcmp(row_text(row, "kv_written"), "0") !=
                       0) { /* queries' and keys' rotated parts read and written, the latents written */
        op->attention.setup_bytes =
            (2 * heads * ROPE + heads * ROPE + LATENT + ROPE) * element_bytes_each(&q) +
            (LATENT + ROPE) * element_bytes_each(&kv);
    }
    op->regime = row->regime = decode ? REGIME_DECODE : REGIME_PREFILL;
    row->sample->segment = (struct segment){.sequences = batch,
                                            .new_tokens = decode ? 1 : prompt,
                                            .context = decode ? prompt + step - 1 : 0,
                                            .mask = MASK_CAUSAL};
    if (segment_regime(&row->sample->segment) != row->regime)
        row_skip(row, "decode without cached tokens");
    row->dtype = strcmp(q.name, kv.name) == 0 ? row_text(row, "mla_dtype")
                                              : arena_printf(row->arena, "%s/%s", row_text(row, "mla_dtype"),
                                                             row_text(row, "kv_cache_dtype"));
    row->sample->kernel = row_text(row, "kernel_source");
    row_shape(row, shape);
}

static const char *const columns[] = {"phase",      "mla_dtype", "kv_cache_dtype", "num_heads",
                                      "batch_size", "isl",       "step",           NULL};
const struct sample_schema mla_samples = {"mla", columns, read_mla};
