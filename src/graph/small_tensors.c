/* Parameters beside the matrices, tables and norms that operators read: attention sinks, biases by
 * distance, of convolutions and of routers, decays and skips of recurrences. They take memory; reading them
 * is left out (0.1% of a layer at most). With them the weights add up to the model's parameters.
 * Multi-token-prediction layers are left out on purpose: serving without speculation on them does not load
 * them. */
#include "graph/build.h"

static double mixer_values(const struct block_spec *block, double tp)
{
    const struct mamba_spec *mamba = &block->mamba;
    double inner = mamba->inner / tp, groups = mamba->groups > tp ? mamba->groups / tp : 1;
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return block->attention.sinks ? block->attention.heads / tp : 0;
    case MIXER_MAMBA1: /* A, D, the convolution's bias */
        return inner * mamba->state + inner + (mamba->conv_bias ? inner : 0);
    case MIXER_MAMBA2: /* A, D and dt's bias, the convolution's bias over x, B and C */
        return 3 * mamba->heads / tp + (mamba->conv_bias ? inner + 2 * groups * mamba->state : 0);
    case MIXER_GATED_DELTANET: /* A and dt's bias */
        return 2 * block->deltanet.value_heads / tp;
    default:
        return 0;
    }
}

static double small_values(const struct graph *graph, int block)
{
    const struct model *model = graph->model;
    double tp = graph->parallel.tp;
    if (block == OUTSIDE_LAYERS) /* an untied head has its bias beside it; heads have their relative biases */
        return (model->head_bias && model->tied_embeddings ? model->vocab / tp : 0) +
               model_relative_values(model) / tp;
    const struct block_spec *spec = &model->blocks[block];
    bool router_bias = spec->ffn == FFN_MOE && spec->moe.router_bias;
    return mixer_values(spec, tp) + (router_bias ? spec->moe.experts : 0);
}

void add_small_tensors(struct graph *graph, int block)
{
    double values = small_values(graph, block);
    if (values <= 0)
        return;
    int index = graph_add_buffer(graph, "small_tensors", BUFFER_WEIGHTS, block);
    if (graph->failed)
        return;
    graph->buffers[index].type = graph->types.activations;
    graph->buffers[index].rows = 1;
    graph->buffers[index].cols = values;
}
