/* Rows of linear_attention.csv: kernels of gated DeltaNet and Mamba-1 layers. causal_conv1d_*: the depthwise
 * convolution over queries, keys and values; *gated_delta_rule*: the recurrence; mamba1_scan: of a state of
 * head_k_dim values a channel (num_v_heads, head_v_dim 1). phase context: seq_len new tokens of each of
 * batch_size sequences; generation: one token each on top of a state. */
#include "fit/sample_row.h"

#include <string.h>

enum { CHUNK = 64 }; /* of the chunkwise kernels (flash-linear-attention) */

static void read_recurrent(struct sample_row *row)
{
    static const char *const shape[] = {"d_model",     "d_conv",     "num_k_heads",   "head_k_dim",
                                        "num_v_heads", "head_v_dim", "kernel_source", NULL};
    double batch = row_number(row, "batch_size", 1), tokens = row_number(row, "seq_len", 1);
    double k_heads = row_number(row, "num_k_heads", 1), k_dim = row_number(row, "head_k_dim", 1);
    double v_heads = row_number(row, "num_v_heads", 1), v_dim = row_number(row, "head_v_dim", 1);
    double taps = row_number(row, "d_conv", 1);
    const char *kernel = row_text(row, "kernel_source");
    bool generation = strcmp(row_text(row, "phase"), "generation") == 0;
    bool conv = strstr(kernel, "conv") != NULL;
    bool mamba = strstr(kernel, "mamba1_scan") != NULL;
    if (!conv && !mamba && !strstr(kernel, "delta_rule"))
        row_skip(row, "a kernel other than causal_conv1d, gated_delta_rule and mamba1_scan");
    struct op *op = graph_add_op(row->graph, conv ? OP_NAME_CONV1D : OP_NAME_RECURRENCE,
                                 conv ? OP_CONV : OP_RECURRENT, OUTSIDE_LAYERS);
    int state = graph_add_buffer(row->graph, "state", BUFFER_KV, OUTSIDE_LAYERS);
    if (row->graph->failed)
        return;
    double channels = 2 * k_heads * k_dim + v_heads * v_dim;
    struct buffer *buffer = &row->graph->buffers[state];
    buffer->type = conv ? row->graph->types.activations : row->graph->types.state;
    buffer->elements = conv ? channels * (taps - 1) : v_heads * k_dim * v_dim;
    buffer->per_sequence = true;
    op->cache = state;
    op->reads_cache = op->writes_cache = true;
    if (conv)
        op->conv = (struct conv_work){.channels = channels, .width = taps};
    else
        op->recurrent = (struct recurrent_work){.kind = mamba ? RECURRENCE_MAMBA1 : RECURRENCE_GATED_DELTANET,
                                                .heads = v_heads,
                                                .key_dim = k_dim,
                                                .value_dim = v_dim,
                                                .chunk = CHUNK};
    if (!conv && row_text(row, "state_sets")[0] != '\0')
        op->recurrent.state_sets = row_number(row, "state_sets", 1);
    row->regime = generation ? REGIME_DECODE : REGIME_PREFILL;
    row->sample->segment = (struct segment){
        .sequences = batch, .new_tokens = generation ? 1 : tokens, .context = generation ? tokens : 0};
    row->dtype = row->graph->software->activation_type.name[0] != '\0'
                     ? row->graph->software->activation_type.name
                     : "bfloat16";
    row->sample->kernel = kernel;
    row->sample->variant = kernel;
    row_shape(row, shape);
}

static const char *const columns[] = {"kernel_source", "phase",      "batch_size",  "seq_len",    "d_conv",
                                      "num_k_heads",   "head_k_dim", "num_v_heads", "head_v_dim", NULL};
const struct sample_schema recurrent_samples = {"linear_attention", columns, read_recurrent};
