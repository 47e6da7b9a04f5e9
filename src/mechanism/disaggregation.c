/* Prompts are computed on one pool and decoded on another, so that neither waits for the other (Splitwise
 * arXiv:2311.18677). The KV cache of each prompt crosses a link: layer by layer behind the layers'
 * computation, or all of it when the prefill is done. estimate/pools.c has the steady state. */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct disaggregation_parameters {
    const char *decode_device;
    double prefill_pools;
    double decode_pools;
    double bandwidth;
    bool by_layer;
    double exposed;
};

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct disaggregation_parameters *p = parameters;
    const struct generation *generation = rewrite->generation;
    const struct request *request = rewrite->request;
    if (generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "disaggregation: a masked-diffusion model has no prefill to part from its decodes");
    if (request && (request->mixing.chunk_tokens > 0 || request->mixing.group_tokens > 0))
        return diag_error(rewrite->diag, NOWHERE,
                          "disaggregation: prompts and decodes run on different pools, so that no step mixes "
                          "them: leave out mixed_batch_scheduling");
    rewrite->pools = (struct pool_split){.given = true,
                                         .decode_device = p->decode_device,
                                         .prefill_pools = p->prefill_pools,
                                         .decode_pools = p->decode_pools,
                                         .bandwidth = p->bandwidth,
                                         .by_layer = p->by_layer,
                                         .exposed = p->exposed};
    return true;
}

static const struct field fields[] = {
    {.key = "decode_device",
     .kind = FIELD_STRING,
     .offset = offsetof(struct disaggregation_parameters, decode_device),
     .doc = "device or system of a decode pool; default: as the question's, which computes prompts"},
    QUANTITY_FIELD(disaggregation_parameters, prefill_pools, DIM_COUNT, 1, 1e6, "1",
                   "pools that compute prompts, each of the question's devices"),
    QUANTITY_FIELD(disaggregation_parameters, decode_pools, DIM_COUNT, 1, 1e6, "1",
                   "pools that decode, each with a batch of its own"),
    QUANTITY_FIELD(disaggregation_parameters, bandwidth, DIM_BYTES_PER_SECOND, 0, 1e15, "0 B/s",
                   "of a device's link to the other pool; 0: the device's network"),
    BOOL_FIELD(
        disaggregation_parameters, by_layer, "true",
        "each layer's part is sent while the next one computes; false: all of it when the prefill is done"),
    QUANTITY_FIELD(disaggregation_parameters, exposed, DIM_SECONDS, 0, 1e3, "0 s",
                   "of synchronising the pools, for each request"),
};
static const struct schema schema = {.name = "disaggregation",
                                     .size = sizeof(struct disaggregation_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"exposed", NULL};

extern const struct mechanism disaggregation;
const struct mechanism disaggregation = {
    .name = "disaggregation",
    .summary = "prompts on one pool of devices, decodes on another, the KV cache sent between them",
    .lossless = true,
    .other_work = true, /* the other pool is devices more */
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct disaggregation_parameters),
    .on_generation = on_generation,
};
