#include "graph/op.h"

#include <math.h>

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[OP_KIND_COUNT] = {
        "gemm",  "attention", "recurrent", "conv",       "norm",     "elementwise", "gather",
        "route", "sample",    "transform", "collective", "transfer", "host",
    };
    return names[kind];
}

double op_rows(const struct op *op, const struct step_totals *totals)
{
    double counted = 0;
    switch (op->rows) {
    case ROWS_TOKENS:
        counted = totals->tokens;
        break;
    case ROWS_SAMPLED:
        counted = totals->sampled;
        break;
    case ROWS_SEQUENCES:
        counted = totals->sequences;
        break;
    case ROWS_CONTEXT:
        counted = totals->context;
        break;
    case ROWS_PAIRS: /* the fullest rank has whole sequences */
        return totals->sequences > 0
                   ? totals->pairs / totals->sequences * ceil(totals->sequences * op->rows_factor - 1e-9)
                   : 0;
    case ROWS_SOURCE:
        counted = totals->source;
        break;
    }
    double rows = counted * op->rows_factor;
    /* the worst rank of a split has the rounded-up share; the tolerance keeps 8 * (1/8) at 1 */
    return op->rows_factor < 1 ? ceil(rows - 1e-9) : rows;
}

double buffer_layer_bytes(const struct buffer *buffer)
{
    return buffer->copies * element_bytes(&buffer->type, buffer->rows, buffer->cols);
}

double buffer_token_bytes(const struct buffer *buffer)
{
    return element_row_bytes(&buffer->type, buffer->elements);
}

double buffer_kv_bytes(const struct buffer *buffer, double sequences, double context)
{
    double here = ceil(sequences * buffer->sequence_share - 1e-9);
    if (buffer->per_sequence)
        return here * buffer_token_bytes(buffer);
    double tokens = buffer->window > 0 ? fmin(context, buffer->window) : context;
    if (buffer->page_tokens > 1)
        tokens = ceil(tokens / buffer->page_tokens) * buffer->page_tokens;
    return here * tokens * buffer_token_bytes(buffer);
}
