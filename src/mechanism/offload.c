#include "mechanism/offload.h"

#include "mechanism/rewrites.h"

#include <math.h>
#include <string.h>

/* "host, ssd": what place_find could have found. */
static const char *known_places(struct rewrite *rewrite)
{
    const struct system *system = rewrite->system;
    const struct device *device = system->members[0].device;
    const char *names = "";
    for (size_t i = 1; i < system->member_count && names; i++)
        names = arena_printf(rewrite->arena, "%s%s%s", names, names[0] ? ", " : "", system->members[i].role);
    for (size_t i = 0; i < device->tier_count && names; i++)
        if (!device->tiers[i].cache && &device->tiers[i] != device_memory(device))
            names =
                arena_printf(rewrite->arena, "%s%s%s", names, names[0] ? ", " : "", device->tiers[i].name);
    return names ? names : "";
}

bool place_find(struct rewrite *rewrite, const char *mechanism, const char *name, struct place *place)
{
    const struct system *system = rewrite->system;
    const struct device *device = system->members[0].device;
    for (size_t i = 1; i < system->member_count; i++)
        if (strcmp(system->members[i].role, name) == 0) {
            *place = (struct place){.device = (int)i, .tier = -1};
            return true;
        }
    for (size_t i = 0; i < device->tier_count; i++)
        if (!device->tiers[i].cache && &device->tiers[i] != device_memory(device) &&
            strcmp(device->tiers[i].name, name) == 0) {
            *place = (struct place){.device = 0, .tier = (int)i};
            return true;
        }
    const char *names = known_places(rewrite);
    return diag_error(rewrite->diag, NOWHERE,
                      "%s: %s has no \"%.40s\" to place anything in%s%s; ask for a system with such a member",
                      mechanism, system->id, name, names[0] ? ", only " : "", names);
}

struct op *far_transfer(struct rewrite *rewrite, int at, const char *name, enum regime regime,
                        const struct place *place, const struct reading *reading)
{
    struct graph *graph = rewrite->graph;
    bool outside = at >= graph->op_count;
    struct op *op =
        graph_insert_op(graph, at, name, OP_TRANSFER, outside ? OUTSIDE_LAYERS : graph->ops[at].block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
        return NULL;
    }
    op->regime = regime;
    op->rows = ROWS_TOKENS;
    op->device = place->device;
    op->transfer = (struct transfer_work){
        .far = true,
        .tier = place->tier,
        .request_bytes = reading ? reading->request_bytes : 0,
        .queue = reading ? reading->queue : 0,
        .bandwidth = reading ? reading->bandwidth : 0,
    };
    return op;
}

bool buffer_send_away(struct rewrite *rewrite, const char *mechanism, int index, double share,
                      const struct place *place)
{
    struct buffer *buffer = &rewrite->graph->buffers[index];
    if (buffer->away > 0)
        return diag_error(rewrite->diag, NOWHERE, "%s: another technique has placed \"%s\" already",
                          mechanism, buffer->name);
    buffer->away = share;
    buffer->away_device = place->device;
    buffer->away_tier = place->tier;
    return true;
}

static int beside_group(struct graph *graph)
{
    unsigned taken = 0;
    for (int i = 0; i < graph->op_count; i++)
        taken |= 1u << graph->ops[i].overlap_group;
    for (int group = 1; group < OVERLAP_GROUPS_MOST; group++)
        if (taken & 1u << group && graph->overlap_lanes[group] != LANES_RESOURCES)
            return group;
    return overlap_group_free(graph);
}

static bool is_named(const struct op *op, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(op->name, *names) == 0)
            return true;
    return false;
}

void run_beside(struct rewrite *rewrite, enum overlap_lanes lanes, int chunks, const char *const *names)
{
    struct graph *graph = rewrite->graph;
    int group = beside_group(graph);
    bool any = lanes == LANES_MEMBERS;
    for (int i = 0; i < graph->op_count; i++)
        any = any || is_named(&graph->ops[i], names);
    if (group == 0 || !any)
        return;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        bool moves = (op->kind == OP_TRANSFER && op->transfer.far) || op->kind == OP_HOST;
        if (op->overlap_group == 0 && (!moves || is_named(op, names)))
            op->overlap_group = group;
    }
    if (lanes > graph->overlap_lanes[group])
        graph->overlap_lanes[group] = lanes;
    if (chunks > graph->overlap_chunks[group])
        graph->overlap_chunks[group] = chunks;
}

bool is_ffn_product(const struct op *op)
{
    static const char *const names[] = {OP_NAME_GATE_UP_PROJ,
                                        OP_NAME_GATE_PROJ,
                                        OP_NAME_UP_PROJ,
                                        OP_NAME_DOWN_PROJ,
                                        OP_NAME_MOE_GATE_UP,
                                        OP_NAME_MOE_DOWN,
                                        NULL};
    return op->kind == OP_GEMM && op->block != OUTSIDE_LAYERS && is_named(op, names);
}

int first_of_block(const struct graph *graph, int block)
{
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].block == block && graph->ops[i].weights != BUFFER_NONE)
            return i;
    return -1;
}

double decode_rows(const struct rewrite *rewrite)
{
    return rewrite->request ? fmax(1, rewrite->request->batch) : 1;
}
