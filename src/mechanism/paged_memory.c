/* How KV memory is handed out: a reservation of the longest sequence for each request, pages of some tokens,
 * or contiguous virtual memory with physical pages of some bytes mapped behind it (vAttention,
 * arXiv:2405.04437). What is held is rounded up to the unit; kernels that look pages up may be slower than
 * contiguous ones where they compute rather than wait for memory; the host prepares the block table. */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>

enum layout { LAYOUT_CONTIGUOUS, LAYOUT_PAGED, LAYOUT_VIRTUAL };

struct paged_memory_parameters {
    int layout;
    double max_tokens;
    double page_tokens;
    double page_bytes;
    double prefill_slowdown;
    double host_per_step;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct paged_memory_parameters *p = parameters;
    double needed = rewrite->request->prompt_max + rewrite->request->output;
    if (p->layout == LAYOUT_CONTIGUOUS && p->max_tokens < needed)
        return diag_error(rewrite->diag, NOWHERE,
                          "paged_memory.max_tokens: %g reserved, but a request takes %g", p->max_tokens,
                          needed);
    return true;
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct paged_memory_parameters *p = parameters;
    rewrite->software->host_per_step += p->host_per_step;
    return true;
}

/* K and V of a layer are reserved apart: a page holds tokens of one of them. */
static double tokens_of_page(const struct paged_memory_parameters *p, const struct buffer *buffer)
{
    switch (p->layout) {
    case LAYOUT_CONTIGUOUS:
        return p->max_tokens;
    case LAYOUT_PAGED:
        return p->page_tokens;
    default:
        return fmax(1, floor(p->page_bytes / (buffer_token_bytes(buffer) / 2) + 1e-9));
    }
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct paged_memory_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->buffer_count; i++) {
        struct buffer *buffer = &graph->buffers[i];
        if (buffer->class == BUFFER_KV && !buffer->per_sequence && !buffer->source)
            buffer->page_tokens = tokens_of_page(p, buffer);
    }
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].kind == OP_ATTENTION && graph->ops[i].reads_cache)
            graph->ops[i].attention.slowdown = p->prefill_slowdown;
    return true;
}

static const struct enum_name layouts[] = {
    {"contiguous", LAYOUT_CONTIGUOUS}, {"paged", LAYOUT_PAGED}, {"virtual", LAYOUT_VIRTUAL}, {NULL, 0}};

static const struct field fields[] = {
    {.key = "layout",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct paged_memory_parameters, layout),
     .names = layouts,
     .required = true,
     .doc = "the longest sequence for each request, pages of tokens, or virtual memory with physical pages"},
    QUANTITY_FIELD(paged_memory_parameters, max_tokens, DIM_TOKENS, 1, 1e9, "2048",
                   "contiguous: reserved for each request"),
    QUANTITY_FIELD(paged_memory_parameters, page_tokens, DIM_TOKENS, 1, 1e6, "16", "paged: tokens of a page"),
    QUANTITY_FIELD(paged_memory_parameters, page_bytes, DIM_BYTES, 1024, 1e12, "2 MiB",
                   "virtual: a physical page, of K or V of one layer"),
    QUANTITY_FIELD(
        paged_memory_parameters, prefill_slowdown, DIM_NONE, 1, 10, "1",
        "time of the prefill attention kernel over that of one for contiguous KV, where it computes"),
    QUANTITY_FIELD(paged_memory_parameters, host_per_step, DIM_SECONDS, 0, 10, "0 s",
                   "host time that block tables or mappings add to a step"),
};
static const struct schema schema = {.name = "paged_memory",
                                     .size = sizeof(struct paged_memory_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"prefill_slowdown", NULL};

extern const struct mechanism paged_memory;
const struct mechanism paged_memory = {
    .name = "paged_memory",
    .summary = "KV memory reserved whole, in pages, or mapped behind virtual addresses",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct paged_memory_parameters),
    .on_workload = on_workload,
    .on_software = on_software,
    .on_ops = on_ops,
};
