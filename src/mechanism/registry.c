#include "mechanism/mechanism.h"

#include <string.h>

/* One line each. */
/* clang-format off */
extern const struct mechanism
    activation_quantization,
    activation_sparsity,
    adapters,
    auxiliary_model,
    batching,
    block_diffusion,
    block_sparse_prefill,
    custom_hardware,
    decode_elimination,
    disaggregation,
    expert_offload,
    host_overhead,
    kernel_variant,
    kv_eviction,
    kv_low_rank,
    kv_merging,
    kv_offload,
    kv_quantization,
    kv_rematerialization,
    kv_sparsity,
    layer_skipping,
    low_bit_gemm,
    mixed_batch_scheduling,
    moe_routing,
    multi_token_generation,
    multimodal_tokens,
    operator_offload,
    overlap,
    paged_memory,
    prompt_compression,
    recurrent_state,
    shared_prefix,
    sparse_attention_reads,
    speculative_decoding,
    tensor_parallel,
    token_budget,
    token_pruning,
    weight_compression,
    weight_offload,
    weight_pruning,
    weight_quantization,
    workflow;

const struct mechanism *const mechanisms[] = {
    &activation_quantization,
    &activation_sparsity,
    &adapters,
    &auxiliary_model,
    &batching,
    &block_diffusion,
    &block_sparse_prefill,
    &custom_hardware,
    &decode_elimination,
    &disaggregation,
    &expert_offload,
    &host_overhead,
    &kernel_variant,
    &kv_eviction,
    &kv_low_rank,
    &kv_merging,
    &kv_offload,
    &kv_quantization,
    &kv_rematerialization,
    &kv_sparsity,
    &layer_skipping,
    &low_bit_gemm,
    &mixed_batch_scheduling,
    &moe_routing,
    &multi_token_generation,
    &multimodal_tokens,
    &operator_offload,
    &overlap,
    &paged_memory,
    &prompt_compression,
    &recurrent_state,
    &shared_prefix,
    &sparse_attention_reads,
    &speculative_decoding,
    &tensor_parallel,
    &token_budget,
    &token_pruning,
    &weight_compression,
    &weight_offload,
    &weight_pruning,
    &weight_quantization,
    &workflow,
};
/* clang-format on */
const size_t mechanism_count = sizeof mechanisms / sizeof *mechanisms;

const struct mechanism *mechanism_find(const char *name)
{
    for (size_t i = 0; i < mechanism_count; i++)
        if (strcmp(mechanisms[i]->name, name) == 0)
            return mechanisms[i];
    return NULL;
}
