/* Networks that run beside the model to steer it.
 *   hidden      a retaining head in each layer: from a token's own Q, K and V to `hidden` values to a score
 * for each KV head (Locret arXiv:2410.01805): 2 hidden ((heads + 2 KV heads) d + KV heads) FLOPs a token, on
 * new tokens of the prompt and of each step gate_width  an attention of that width over the prompt before
 * each layer's, that flags what to keep (Attention-Gate arXiv:2410.12876) parameters  an encoder or
 * classifier that reads each prompt once: 2 FLOPs a parameter and token, its weights read once a prefill
 *   draft       a model of the catalogue that reads the prompt before the model does, to score its tokens;
 * its weights and cache stay in memory */
#include "mechanism/auxiliary_readers.h"

#include "mechanism/kv_cache.h"

bool auxiliary_readers_on_generation(struct rewrite *rewrite, const struct auxiliary_readers *p)
{
    if (p->draft == NULL || p->draft[0] == '\0')
        return true;
    if (rewrite->draft)
        return diag_error(rewrite->diag, NOWHERE, "auxiliary_model: the stack has a draft model already");
    if (rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "auxiliary_model: a masked-diffusion model has no prefill to look ahead of");
    rewrite->draft = p->draft;
    rewrite->generation->draft_prefills = true;
    return true;
}

/* Behind what writes the cache; *added: ops. */
static bool add_retaining_head(struct rewrite *rewrite, const struct auxiliary_readers *p, int at,
                               const struct attention_work *work)
{
    double width = work->heads * work->qk_dim + work->kv_heads * (work->qk_dim + work->v_dim);
    return kv_linear(rewrite, at, OP_NAME_RETAINING_DOWN, work->kv_heads, p->hidden) &&
           kv_linear(rewrite, at, OP_NAME_RETAINING_UP, p->hidden, width);
}

static bool add_gate(struct rewrite *rewrite, const struct auxiliary_readers *p, int at)
{
    struct graph *graph = rewrite->graph;
    struct op *core =
        graph_insert_op(graph, at + 1, OP_NAME_GATE_ATTENTION, OP_ATTENTION, graph->ops[at].block);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
    core->regime = REGIME_PREFILL;
    core->rows_factor = 1.0 / graph->parallel.dp;
    double heads = p->gate_width / p->gate_head;
    core->attention = (struct attention_work){.heads = heads,
                                              .kv_heads = heads,
                                              .qk_dim = p->gate_head,
                                              .v_dim = p->gate_head,
                                              .q_type = graph->types.activations};
    struct op *project = kv_linear(rewrite, at, OP_NAME_GATE_QKV, 3 * p->gate_width, graph->model->hidden);
    if (project == NULL)
        return false;
    project->regime = REGIME_PREFILL;
    return true;
}

static const struct attention_work *work_of(const struct graph *graph, int cache)
{
    for (int i = 0; i < graph->op_count; i++)
        if (kv_attends(&graph->ops[i]) && graph->ops[i].cache == cache)
            return &graph->ops[i].attention;
    return NULL;
}

/* One linear layer of all its weights stands for it: 2 FLOPs a parameter and token, `side` wide so that its
 * shape is no extreme one. */
static bool add_reader(struct rewrite *rewrite, double parameters)
{
    enum { SIDE = 1024 };
    struct op *op = kv_linear(rewrite, 0, OP_NAME_AUXILIARY, parameters / SIDE, SIDE);
    if (op == NULL)
        return false;
    op->block = OUTSIDE_LAYERS;
    op->regime = REGIME_PREFILL;
    op->on_first_stage = true;
    struct buffer *buffer = &rewrite->graph->buffers[op->weights];
    buffer->block = OUTSIDE_LAYERS;
    buffer->on_first_stage = true;
    return true;
}

bool auxiliary_readers_on_ops(struct rewrite *rewrite, const struct auxiliary_readers *p)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; (p->hidden > 0 || p->gate_width > 0) && i < graph->op_count; i++) {
        if (!kv_writes(graph, &graph->ops[i]))
            continue;
        const struct attention_work *found = work_of(graph, graph->ops[i].cache);
        if (found == NULL)
            continue;
        struct attention_work work = *found;
        int before = graph->op_count;
        if (p->gate_width > 0 && !add_gate(rewrite, p, i))
            return false;
        if (p->hidden > 0 && !add_retaining_head(rewrite, p, i, &work))
            return false;
        i += graph->op_count - before;
    }
    return !(p->parameters > 0) || add_reader(rewrite, p->parameters);
}
