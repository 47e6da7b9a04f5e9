#include "spec/software.h"

#include "spec/source_notes.h"

COUNT_FOLLOWS(struct software, calibrations, calibration_count);
COUNT_FOLLOWS(struct software, sources, source_count);

/* Bounds that catch a wrong unit. */
#define HOST_MOST     60.0 /* s */
#define RESERVED_MOST 1e13 /* bytes */

#define FLAG(member, text)                                                                                   \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct software, member), .doc = text         \
    }
#define FLAG_ON(member, text)                                                                                \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct software, member), .fallback = "true", \
        .doc = text                                                                                          \
    }
#define HOST_TIME(member, text)                                                                              \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct software, member),                 \
        .dimension = DIM_SECONDS, .min = 0, .max = HOST_MOST, .doc = text                                    \
    }
#define RESERVED(member, text)                                                                               \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct software, member),                 \
        .dimension = DIM_BYTES, .min = 0, .max = RESERVED_MOST, .doc = text                                  \
    }

static const struct enum_name kernel_names[] = {{"portable", KERNELS_PORTABLE}, {"flash", KERNELS_FLASH},
                                                {"trtllm", KERNELS_TRTLLM},     {"masked", KERNELS_MASKED},
                                                {"whole", KERNELS_WHOLE},       {NULL, 0}};

static const struct enum_name expert_kernel_names[] = {
    {"library", EXPERTS_LIBRARY}, {"marlin", EXPERTS_MARLIN}, {NULL, 0}};

static const struct field software_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct software, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "version",
     .kind = FIELD_STRING,
     .offset = offsetof(struct software, version),
     .doc = "that it describes"},
    {.key = "extends",
     .kind = FIELD_STRING,
     .offset = offsetof(struct software, extends),
     .doc = "the description that this one changes"},
    {.key = "aliases",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct software, aliases),
     .doc = "other names"},
    FLAG(ideal, "no overheads and no efficiencies: every operator at data-sheet rates"),
    FLAG(graph_capture, "decode steps run as one captured graph: no launch per kernel"),
    FLAG(graph_capture_prefill, "prefill steps too"),
    HOST_TIME(launch_host,
              "host time of one launch outside a graph, framework included; left out: the device's"),
    HOST_TIME(host_per_step, "scheduling, batching and detokenising of each step"),
    HOST_TIME(host_per_sequence, "more of it for each sequence of the step"),
    HOST_TIME(host_per_request, "tokenising, admission and HTTP of each request; delays its first token"),
    HOST_TIME(host_per_step_parallel, "added to host_per_step where a step is handed to several processes"),
    HOST_TIME(host_per_sequence, "more of it for each sequence of the step"),
    HOST_TIME(mask_per_sequence, "to make the mask of a sequence's allowed tokens, each step"),
    FLAG(async_masks, "masks are made beside the device's work instead of between steps"),
    FLAG(async_host, "host_per_step runs beside the device's work instead of between steps"),
    HOST_TIME(kernel_gap, "between two dependent captured kernels, beyond the kernels' own fixed time"),
    FLAG(fuse_qkv, "one GEMM for q, k and v"),
    FLAG(fuse_gate_up, "one GEMM for gate and up"),
    FLAG(fuse_norm_add, "the residual is added inside the norm"),
    FLAG(fuse_rope_cache, "one kernel for RoPE and the KV write"),
    FLAG(fuse_activation, "one kernel for silu(gate) * up rather than two"),
    FLAG_ON(flash_attention, "scores stay on chip; false: three kernels through memory"),
    FLAG(eager_softmax, "unfused, and each operation on the scores a kernel of its own: scaling, mask, to "
                        "fp32, softmax, back"),
    FLAG(static_cache, "the KV cache has its final length from the first step on, all of it is read"),
    FLAG(masked_attention, "prefill attention takes its mask from memory: no block of scores is left out"),
    FLAG(pad_prompts, "a batch is padded to its longest prompt"),
    FLAG(all_logits, "prefill computes logits at every position of the prompt"),
    FLAG(custom_all_reduce, "one-shot kernels for small messages instead of the library's rings"),
    FLAG(copy_kv, "the KV cache grows by concatenation: each step reads and rewrites it"),
    FLAG(expand_gqa, "K and V are repeated to all heads in memory before attention"),
    FLAG_ON(absorb_mla, "MLA's decode attends in the latent space"),
    {.key = "activation_type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct software, activation_type),
     .doc = "what it carries activations in; left out: the model's type"},
    {.key = "turned_type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct software, turned_type),
     .doc = "MLA: it keeps a transposed copy of the keys' up-projection, of quantised weights in this type; "
            "left "
            "out: no copy"},
    FLAG(quantizes_embedding, "--weights also changes the embedding table and the output head"),
    FLAG(wide_small_weights, "dt's projection and the shared experts' gate stay in the activations' type"),
    FLAG(integer_products, "weights of integers are multiplied by activations that the product itself makes "
                           "8-bit integers of"),
    {.key = "gemv_rows",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, gemv_rows),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 65536,
     .doc = "products of up to so many rows go without tiles; 0: whichever is faster"},
    {.key = "panel_columns",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, panel_columns),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 65536,
     .doc = "columns of weights that products of more rows unpack at a time; 0: tiles"},
    {.key = "panel_rows",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, panel_rows),
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = 65536,
     .fallback = "512",
     .doc = "rows multiplied by unpacked columns before they are unpacked again"},
    FLAG(bf16_products,
         "products of more rows round fp32 activations to bf16 for 16-bit weights where bf16 is "
         "faster"),
    FLAG(scan_recurrences, "recurrences go token by token in prefill too, not in chunks"),
    {.key = "attention_tile",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, attention_tile),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 65536,
     .doc = "KV tokens in whole numbers of which prefill attention works; 0: 16 KB of K"},
    {.key = "solo_values",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, solo_values),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 1e9,
     .doc = "operators between products that write at most so many values run on one core; 0: none"},
    FLAG(own_rows, "a core works on the same rows in each operator, so that its own caches keep them"),
    {.key = "attention_kernels",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct software, attention_kernels),
     .names = kernel_names,
     .fallback = "portable",
     .doc = "whose decode attention kernels run; they differ in how they split the KV cache"},
    {.key = "expert_kernels",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct software, expert_kernels),
     .names = expert_kernel_names,
     .fallback = "library",
     .doc =
         "whose kernels multiply 4-bit float experts with 16-bit activations: the library's own or Marlin's"},
    RESERVED(context_bytes, "device context and libraries, per device"),
    RESERVED(collective_bytes, "communication buffers, per device when there is more than one"),
    RESERVED(graph_bytes, "captured graphs, per device"),
    {.key = "memory_utilization",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct software, memory_utilization),
     .dimension = DIM_FRACTION,
     .min = 0.01,
     .max = 1,
     .fallback = "1",
     .doc = "fraction of device memory that it lets itself use"},
    {.key = "kv_block_tokens",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, kv_block_tokens),
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = 65536,
     .fallback = "1",
     .doc = "tokens of a KV page; 1: no pages"},
    {.key = "prefill_chunk_tokens",
     .kind = FIELD_INT,
     .offset = offsetof(struct software, prefill_chunk_tokens),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e8,
     .doc = "longest chunk that activations are sized for; 0: the whole prompt"},
    {.key = "calibrated_as",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct software, calibrated_as),
     .doc = "other profiles whose calibrations fit this one, best first"},
    {.key = "calibration",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct software, calibrations),
     .custom = calibrations_read,
     .doc = "blocks of calibrated scalars that hold on any device; see calibration"},
    {.key = "sources",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct software, sources),
     .custom = source_notes_read,
     .doc = "where figures come from"},
};

const struct schema software_schema = {
    .name = "software",
    .size = sizeof(struct software),
    .fields = software_fields,
    .count = sizeof software_fields / sizeof software_fields[0],
    .where_offset = offsetof(struct software, where),
};

bool software_read(struct reader *reader, const struct yaml_node *node, const char *id,
                   struct software *software)
{
    *software = (struct software){0};
    if (!schema_read(reader, &software_schema, node, "", software))
        return false;
    software->id = id;
    return true;
}
