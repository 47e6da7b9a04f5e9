/* Recurrent layers: how long the chunks of the chunkwise prefill are, and what the states are kept in. Within
 * a chunk of C tokens work grows with C squared, between chunks the state is read and updated once a chunk:
 * FLOPs per token and head are about C (dk + dv) + 4 dk dv (xLSTM 7B, arXiv:2503.13427), bytes of states
 * dk dv / C. */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct recurrent_state_parameters {
    int chunk_tokens;
    struct element_type state_type;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct recurrent_state_parameters *p = parameters;
    if (p->state_type.name[0] != '\0')
        rewrite->types->state = p->state_type;
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct recurrent_state_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool met = false;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (op->kind != OP_RECURRENT)
            continue;
        if (p->chunk_tokens > 0 && op->recurrent.kind == RECURRENCE_MAMBA1)
            return diag_error(rewrite->diag, NOWHERE,
                              "recurrent_state: %s has Mamba-1 layers, which scan token by token: chunks do "
                              "not apply",
                              graph->model->id);
        if (p->chunk_tokens > 0)
            op->recurrent.chunk = p->chunk_tokens;
        met = true;
    }
    return met || diag_error(rewrite->diag, NOWHERE, "recurrent_state: %s has no recurrent layers",
                             graph->model->id);
}

static const struct field fields[] = {
    {.key = "chunk_tokens",
     .kind = FIELD_INT,
     .offset = offsetof(struct recurrent_state_parameters, chunk_tokens),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 65536,
     .fallback = "0",
     .doc = "of a prefill chunk; 0: the model's"},
    TYPE_FIELD(recurrent_state_parameters, state_type,
               "element type that states are kept in; left out: the model's"),
};
static const struct schema schema = {.name = "recurrent_state",
                                     .size = sizeof(struct recurrent_state_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism recurrent_state;
const struct mechanism recurrent_state = {
    .name = "recurrent_state",
    .summary = "chunks of recurrent layers' prefill, the type of their states",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct recurrent_state_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
