/* What the host does beside the device: launches or captured graphs, work between steps or beside them, and
 * the masks of constrained decoding. A mask says for each sequence and step which tokens a grammar allows;
 * the host makes it on `mask_cores` cores (XGrammar, arXiv:2411.15100), the device reads it as a bit a token
 * and lowers the logits of the others. Grammars are compiled once, before the first token. */
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <string.h>

enum choice { CHOICE_KEEP, CHOICE_ON, CHOICE_OFF };

struct host_overhead_parameters {
    int graph_capture, graph_capture_prefill, async_host;
    double launch_time, step_time, request_time; /* 0: as the software has them */
    double factor;
    double mask_time, mask_cores, compile_time;
    bool mask_overlaps, mask_on_device;
};

static void choose(int choice, bool *flag)
{
    *flag = choice == CHOICE_KEEP ? *flag : choice == CHOICE_ON;
}

static void replace(double given, double factor, double *figure)
{
    *figure = factor * (given > 0 ? given : *figure);
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct host_overhead_parameters *p = parameters;
    struct software *software = rewrite->software;
    if (software->ideal)
        return diag_error(
            rewrite->diag, NOWHERE,
            "host_overhead: ideal software has no host time to change; give another --software");
    choose(p->graph_capture, &software->graph_capture);
    choose(p->graph_capture_prefill, &software->graph_capture_prefill);
    choose(p->async_host, &software->async_host);
    replace(p->launch_time, p->factor, &software->launch_host);
    replace(p->step_time, p->factor, &software->host_per_step);
    replace(p->request_time, p->factor, &software->host_per_request);
    software->host_per_request += p->compile_time;
    if (p->mask_time > 0) {
        software->mask_per_sequence = p->mask_time / p->mask_cores;
        software->async_masks = p->mask_overlaps;
    }
    return true;
}

/* One pass over the logits: a bit a token decides which stay. */
static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct host_overhead_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    for (int i = 0; p->mask_on_device && i < graph->op_count; i++) {
        if (strcmp(graph->ops[i].name, OP_NAME_SAMPLE) != 0)
            continue;
        struct op sample = graph->ops[i];
        struct op *op = graph_insert_op(graph, i, OP_NAME_LOGIT_MASK, OP_ELEMENTWISE, OUTSIDE_LAYERS);
        double bits = number_format_bits(sample.stream.read_type.format);
        op->regime = sample.regime;
        op->rows = sample.rows;
        op->rows_factor = sample.rows_factor;
        op->stream.read = sample.stream.read * (1 + 1 / bits);
        op->stream.written = op->stream.in_place = sample.stream.read;
        op->stream.flops = sample.stream.read;
        op->stream.read_type = op->stream.write_type = sample.stream.read_type;
        break;
    }
    return !graph->failed ||
           diag_error(rewrite->diag, NOWHERE, "host_overhead: more than %d operators", OPS_MOST);
}

static const struct enum_name choices[] = {
    {"keep", CHOICE_KEEP}, {"on", CHOICE_ON}, {"off", CHOICE_OFF}, {NULL, 0}};

#define CHOICE(member, text)                                                                                 \
    {                                                                                                        \
        .key = #member, .kind = FIELD_ENUM, .offset = offsetof(struct host_overhead_parameters, member),     \
        .names = choices, .fallback = "keep", .doc = text                                                    \
    }
#define HOST_TIME(member, text)                                                                              \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct host_overhead_parameters, member), \
        .dimension = DIM_SECONDS, .min = 0, .max = 1e4, .fallback = "0 s", .doc = text                       \
    }
static const struct field fields[] = {
    CHOICE(graph_capture, "decode steps run as captured graphs: on, off, or as the software has it"),
    CHOICE(graph_capture_prefill, "the same for prefill steps"),
    CHOICE(async_host, "the host's work per step runs beside the device's"),
    HOST_TIME(launch_time, "of a launch outside graphs; 0: the software's"),
    HOST_TIME(step_time, "the host's work per step; 0: the software's"),
    HOST_TIME(request_time, "before a request's first step; 0: the software's"),
    QUANTITY_FIELD(host_overhead_parameters, factor, DIM_NONE, 0, 1000, "1",
                   "of those three times; 0: there is no host time"),
    HOST_TIME(mask_time, "to make one sequence's mask of allowed tokens, each step"),
    QUANTITY_FIELD(host_overhead_parameters, mask_cores, DIM_NONE, 1, 1024, "1",
                   "that make sequences' masks at once"),
    BOOL_FIELD(host_overhead_parameters, mask_overlaps, "false",
               "masks are made while the device runs the step"),
    BOOL_FIELD(host_overhead_parameters, mask_on_device, "false",
               "the device applies them to the logits in a kernel of its own"),
    HOST_TIME(compile_time, "of the grammar, once before the first token"),
};
static const struct schema schema = {.name = "host_overhead",
                                     .size = sizeof(struct host_overhead_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"mask_time", "compile_time", NULL};

extern const struct mechanism host_overhead;
const struct mechanism host_overhead = {
    .name = "host_overhead",
    .summary = "launches, captured graphs, the host's own work, masks of constrained decoding",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct host_overhead_parameters),
    .on_software = on_software,
    .on_ops = on_ops,
};
