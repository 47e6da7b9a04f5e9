/* How tokens meet experts. A dense feed-forward network becomes a mixture (Read-ME arXiv:2410.19123): E
 * experts of `width` of its columns each, of which a token takes k, chosen once for all layers or by a router
 * in each. A mixture takes another number of experts a token, popularity that is skewed, or batches that are
 * put together so that a step meets `distinct` experts instead of the E (1 - (1 - k/E)^B) that chance gives.
 */
#include "mechanism/mechanism.h"
#include "mechanism/offload.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct moe_routing_parameters {
    int experts;
    double top_k;
    double width;
    double skew;
    double distinct;
    bool one_router;
};

/* The model's own blocks in place of those it shares with the catalogue. */
static bool own_blocks(struct rewrite *rewrite)
{
    struct model *model = rewrite->model;
    struct block_spec *blocks = ARENA_ARRAY(rewrite->arena, struct block_spec, model->block_count);
    if (!blocks)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    memcpy(blocks, model->blocks, model->block_count * sizeof *blocks);
    model->blocks = blocks;
    return true;
}

/* Whole loads of 128 bytes, as kernels want them. */
static int columns_of(int intermediate, double width)
{
    enum { STEP = 64 };
    double steps = fmax(1, round(intermediate * width / STEP));
    return intermediate < STEP ? (int)fmax(1, round(intermediate * width)) : (int)(steps * STEP);
}

static bool make_experts(struct rewrite *rewrite, const struct moe_routing_parameters *p)
{
    struct model *model = rewrite->model;
    bool any = false;
    if (!own_blocks(rewrite))
        return false;
    for (size_t i = 0; i < model->block_count; i++) {
        struct block_spec *block = &model->blocks[i];
        if (block->ffn != FFN_DENSE)
            continue;
        any = true;
        block->ffn = FFN_MOE;
        block->moe = (struct moe_spec){.experts = p->experts,
                                       .top_k = (int)fmax(1, p->top_k),
                                       .intermediate = columns_of(block->dense.intermediate, p->width),
                                       .gated = block->dense.gated,
                                       .bias = block->dense.bias};
    }
    return any || diag_error(rewrite->diag, NOWHERE, "moe_routing: %s has no dense layers to make experts of",
                             model->id);
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct moe_routing_parameters *p = parameters;
    if (p->experts == 0)
        return true;
    if (p->top_k > p->experts)
        return diag_error(rewrite->diag, NOWHERE, "moe_routing: a token cannot go to %g of %d experts",
                          p->top_k, p->experts);
    return make_experts(rewrite, p);
}

/* So many experts share the step's tokens evenly. */
static bool deal(struct rewrite *rewrite, struct gemm_work *work, double distinct)
{
    struct expert_load *load = ARENA_NEW(rewrite->arena, struct expert_load);
    if (!load)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    double local = fmin(distinct, work->experts) * work->local_experts / work->experts;
    load->experts = local;
    load->share = work->top_k / fmin(distinct, work->experts);
    work->dealt = load;
    work->dealt_count = 1;
    return true;
}

static bool route_product(struct rewrite *rewrite, const struct moe_routing_parameters *p,
                          struct gemm_work *work)
{
    if (p->top_k > work->experts)
        return diag_error(rewrite->diag, NOWHERE, "moe_routing: a token cannot go to %g of %g experts",
                          p->top_k, work->experts);
    if (p->top_k > 0)
        work->top_k = p->top_k;
    if (p->skew > 0)
        work->skew = p->skew;
    if (!(p->distinct > 0))
        return true;
    if (p->distinct < work->top_k)
        return diag_error(rewrite->diag, NOWHERE, "moe_routing: a token alone meets %g experts, more than %g",
                          work->top_k, p->distinct);
    return deal(rewrite, work, p->distinct);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct moe_routing_parameters *p = parameters;
    bool any = false;
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        struct op *op = &rewrite->graph->ops[i];
        bool routes = op->kind == OP_ROUTE || strcmp(op->name, OP_NAME_ROUTER) == 0;
        if (routes && p->one_router)
            op->per_layer /= fmax(1, rewrite->graph->model->layers);
        if (op->kind != OP_GEMM || !(op->gemm.experts > 0))
            continue;
        any = true;
        if (!route_product(rewrite, p, &op->gemm))
            return false;
    }
    return any || diag_error(rewrite->diag, NOWHERE,
                             "moe_routing: %s has no experts; give moe_routing.experts to make some",
                             rewrite->graph->model->id);
}

static const struct field fields[] = {
    INT_FIELD(moe_routing_parameters, experts, 0, 4096, "0",
              "experts that each dense feed-forward network becomes; 0: the model's own"),
    QUANTITY_FIELD(moe_routing_parameters, top_k, DIM_NONE, 0, 4096, "0",
                   "experts a token takes, on average; 0: the model's own, or 1"),
    FRACTION_FIELD(moe_routing_parameters, width, "0.5",
                   "of a dense network's columns, what one of the experts made of it has"),
    QUANTITY_FIELD(moe_routing_parameters, skew, DIM_NONE, 0, 4, "0",
                   "exponent of the experts' popularity; 0: the question's --expert-skew"),
    QUANTITY_FIELD(
        moe_routing_parameters, distinct, DIM_NONE, 0, 4096, "0",
        "experts that a step meets in a layer, however many tokens it has; 0: as many as chance gives"),
    BOOL_FIELD(moe_routing_parameters, one_router, "false",
               "one choice for all layers instead of one in each"),
};
static const struct schema schema = {.name = "moe_routing",
                                     .size = sizeof(struct moe_routing_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"skew", "distinct", NULL};

extern const struct mechanism moe_routing;
const struct mechanism moe_routing = {
    .name = "moe_routing",
    .summary = "how many experts tokens meet, and experts made of dense layers",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct moe_routing_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
