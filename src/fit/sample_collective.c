/* Rows of collective.csv: one collective among num_gpus devices of a node. bytes is the message of a rank
 * before the operation; for all_gather the gathered whole (times fit no other reading), of which a rank holds
 * bytes / num_gpus. */
#include "fit/sample_row.h"

#include <string.h>

struct collective_name {
    const char *name;
    enum collective kind;
};

static const struct collective_name kinds[] = {{"all_reduce", COLLECTIVE_ALL_REDUCE},
                                               {"all_gather", COLLECTIVE_ALL_GATHER},
                                               {"reduce_scatter", COLLECTIVE_REDUCE_SCATTER},
                                               {"alltoall", COLLECTIVE_ALL_TO_ALL},
                                               {"all_to_all", COLLECTIVE_ALL_TO_ALL}};

static const struct collective_name *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static void read_collective(struct sample_row *row)
{
    static const char *const shape[] = {"op", "num_gpus", NULL};
    double ranks = row_number(row, "num_gpus", 2), bytes = row_number(row, "bytes", 1);
    const struct collective_name *kind = kind_of(row_text(row, "op"));
    const char *mode = row_text(row, "mode");
    if (!kind) {
        row_skip(row, "a collective other than all_reduce, all_gather, reduce_scatter and alltoall");
        return;
    }
    if (strcmp(mode, "graph") != 0)
        row_skip(row, "launched by the host: its time is the host's as much as the device's");
    struct op *op = graph_add_op(row->graph, row_text(row, "op"), OP_COLLECTIVE, OUTSIDE_LAYERS);
    bool whole = kind->kind == COLLECTIVE_ALL_GATHER;
    op->collective = (struct collective_work){.kind = kind->kind,
                                              .ranks = ranks,
                                              .bytes_per_row = 1,
                                              .narrow = strstr(row_text(row, "dtype"), "int8") != NULL};
    row->sample->segment = (struct segment){.sequences = 1, .new_tokens = whole ? bytes / ranks : bytes};
    row->regime = REGIME_PREFILL;
    row->dtype = row_text(row, "dtype");
    row->sample->variant = mode;
    row_shape(row, shape);
}

static const char *const columns[] = {"mode", "op", "dtype", "num_gpus", "bytes", NULL};
const struct sample_schema collective_samples = {"collective", columns, read_collective};
