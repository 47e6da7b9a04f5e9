/* Cached tokens between the device and its host: t = t0 + fixed + bytes / (beta * efficiency * rate), where
 * the mechanism that puts the cache there knows the link or the memory, and t0 and beta are those of
 * transfers. */
#include "cost/prepared.h"

bool fetch_prepare(struct prepared_op *prepared, struct diag *diag)
{
    const struct fetch_work *work = &prepared->op->fetch;
    prepared->family = FAMILY_TRANSFER;
    if (!(work->rate > 0) || !(work->efficiency > 0))
        return diag_error(diag, NOWHERE, "%s: nothing to fetch over", prepared->op->name);
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    bool ideal = prepared->target->ideal;
    prepared->transfer.beta = ideal ? 1 : efficiency(scalars[LINK_BETA]) * work->efficiency;
    prepared->transfer.fixed = ideal ? 0 : greater(scalars[LINK_T0], 0) + work->fixed;
    return true;
}

void fetch_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                struct op_cost *cost)
{
    const struct op *op = prepared->op;
    const struct fetch_work *work = &op->fetch;
    double share = sequence_share(op, segments, count), tokens = 0, sequences = 0;
    for (int i = 0; i < count; i++) {
        const struct segment *segment = &segments[i];
        if (!(segment_regime(segment) & op->regime) || !(segment->sequences > 0))
            continue;
        double each = work->of_new ? segment->new_tokens : kept_of(&work->kept, segment->context);
        tokens += share * segment->sequences * each;
        sequences += share * segment->sequences;
    }
    if (!(sequences > 0))
        return;
    double bytes = tokens * work->token_bytes;
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = bytes;
    cost->floor[RESOURCE_LINK] = bytes / work->rate;
    cost->use[RESOURCE_LINK] = cost->floor[RESOURCE_LINK] / prepared->transfer.beta;
    cost_finish(prepared->target, FORMAT_NONE, prepared->transfer.fixed, cost);
}
