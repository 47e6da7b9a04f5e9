#include "graph/op.h"

#include <math.h>

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[OP_KIND_COUNT] = {
        "gemm",  "attention", "recurrent", "conv",       "norm",     "elementwise", "gather",
        "route", "sample",    "transform", "collective", "transfer", "host",        "fetch",
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
        if (totals->sequences > 0 && (op->rows_kept.tokens != 0 || op->rows_kept.share != 0))
            counted = totals->sequences * kept_of(&op->rows_kept, totals->context / totals->sequences);
        break;
    case ROWS_PAIRS: /* the fullest rank has whole sequences */
        return totals->sequences > 0
                   ? totals->pairs / totals->sequences * ceil(totals->sequences * op->rows_factor - 1e-9)
                   : 0;
    case ROWS_SOURCE:
        counted = totals->source;
        break;
    case ROWS_STEP:
        return totals->tokens > 0 ? op->rows_factor : 0;
    }
    double rows = counted * op->rows_factor;
    /* the worst rank of a split has the rounded-up share; the tolerance keeps 8 * (1/8) at 1 */
    return op->rows_factor < 1 ? ceil(rows - 1e-9) : rows;
}

double kept_of(const struct kept *kept, double context)
{
    if (kept->tokens == 0 && kept->share == 0)
        return context;
    return fmax(fmin(context, kept->tokens + kept->share * context), 0);
}

double buffer_layer_bytes(const struct buffer *buffer)
{
    double stored = buffer->stored > 0 ? buffer->stored : 1;
    return stored * buffer->copies * element_bytes(&buffer->type, buffer->rows, buffer->cols);
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
    double tokens = kept_of(&buffer->kept, buffer->window > 0 ? fmin(context, buffer->window) : context);
    if (buffer->page_tokens > 1)
        tokens = ceil(tokens / buffer->page_tokens) * buffer->page_tokens;
    return here * tokens * buffer_token_bytes(buffer);
}
