/* The answer is read off the prompt's forward pass (attention of signal tokens, a score) instead of being
 * generated, so that no step follows the prefill; layers above the one that is read need not run. */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct decode_elimination_parameters {
    double exit_depth;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct decode_elimination_parameters *p = parameters;
    struct request *request = rewrite->request;
    struct token_drops *drops = &request->drops;
    if (rewrite->generation && rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "decode_elimination: a masked-diffusion model has no prefill to read a score from");
    request->output = 1;
    if (p->exit_depth >= 1)
        return true;
    if (drops->count > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "decode_elimination.exit_depth: token_pruning sets what the upper layers see");
    *drops = (struct token_drops){.depth = {p->exit_depth}, .share = {0}, .count = 1};
    return true;
}

static const struct field fields[] = {
    QUANTITY_FIELD(decode_elimination_parameters, exit_depth, DIM_FRACTION, 0.001, 1, "1",
                   "share of the layers that run; 1: all, and the output head"),
};
static const struct schema schema = {.name = "decode_elimination",
                                     .size = sizeof(struct decode_elimination_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism decode_elimination;
const struct mechanism decode_elimination = {
    .name = "decode_elimination",
    .summary = "the answer is a score of the prompt's pass: nothing is generated",
    .other_work = true,
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct decode_elimination_parameters),
    .on_workload = on_workload,
};
