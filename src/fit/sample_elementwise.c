/* Rows of elementwise.csv: norms, activations, RoPE, sums: `rows` rows, of each of which `read` values are
 * read, `written` written, and `flops` lane FLOPs done, as graph/ counts them; operands as the run
 * before has left them, in the caches as far as they fit, or, where `produced` is 1, as the operator before
 * in a model leaves them: written by any core. */
#include "fit/sample_row.h"

#include <string.h>

static void read_elementwise(struct sample_row *row)
{
    static const char *const shape[] = {"operator", "read", "written", NULL};
    double rows = row_number(row, "rows", 1), read = row_number(row, "read", 0),
           written = row_number(row, "written", 0), flops = row_number(row, "flops", 0);
    struct element_type type = row_type(row, "dtype");
    struct op *op = graph_add_op(row->graph, OP_NAME_ACTIVATION, OP_ELEMENTWISE, OUTSIDE_LAYERS);
    op->stream = (struct stream_work){
        .read = read, .written = written, .flops = flops, .read_type = type, .write_type = type};
    if (row_text(row, "exponentials")[0] != '\0')
        op->stream.exponentials = row_number(row, "exponentials", 0);
    if (row_text(row, "in_place")[0] != '\0')
        op->stream.in_place = row_number(row, "in_place", 0);
    if (row_text(row, "produced")[0] != '\0')
        op->stream.produced = row_number(row, "produced", 0) > 0;
    op->rows_factor = 1;
    if (read + written < 1)
        row_skip(row, "an operator that moves nothing");
    row->regime = REGIME_PREFILL;
    row->sample->segment = (struct segment){.sequences = 1, .new_tokens = rows};
    row->dtype = row_text(row, "dtype");
    row->sample->variant = row->sample->kernel = row_text(row, "operator");
    row_shape(row, shape);
}

static const char *const columns[] = {"operator", "dtype", "rows", "read", "written", "flops", NULL};
const struct sample_schema elementwise_samples = {"elementwise", columns, read_elementwise};
