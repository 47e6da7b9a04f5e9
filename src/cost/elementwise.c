/* Streams: norms, elementwise, gathers, routing, sampling, transforms. Each row is read, a few lane FLOPs are
 * done on it, and it is written: t = t0 + max( memory bytes / (beta BW), all bytes / (beta BW_cache), FLOPs /
 * (eps lane rate) ) What the operator before has just written is still in the cache as far as it fits
 * (missing_bytes), on stacks that keep each row on one core (own_rows) in the cores' own caches as far as
 * it fits those, and the shared cache moves the rest; rows of a table (gathers with weights), the KV cache
 * and parameters come from memory. Where the software runs small operators on one core (solo_values), that
 * core has its share of the rates only, and nothing is started. */
#include "cost/prepared.h"

static void set_row_bytes(struct stream_cost *stream, const struct op *op, const struct graph *graph)
{
    const struct stream_work *work = &op->stream;
    double *bytes = stream->row_bytes;
    double read = element_row_bytes(&work->read_type, work->read),
           written = element_row_bytes(&work->write_type, work->written);
    bool table = op->kind == OP_GATHER && op->weights != BUFFER_NONE;
    bool whole_cache =
        op->rows == ROWS_CONTEXT; /* copies and expansions of the KV cache: nothing of it is fresh */
    bytes[table ? BYTES_WEIGHTS : whole_cache ? BYTES_KV_READ : BYTES_ACTIVATIONS] += read;
    bytes[whole_cache ? BYTES_KV_WRITE : BYTES_ACTIVATIONS] += written;
    if (op->cache != BUFFER_NONE && !graph->buffers[op->cache].per_sequence) {
        double token = buffer_token_bytes(&graph->buffers[op->cache]);
        bytes[BYTES_KV_READ] += op->reads_cache ? token : 0;
        bytes[BYTES_KV_WRITE] += op->writes_cache ? token : 0;
        if (op->writes_cache && op->cache_more != BUFFER_NONE)
            bytes[BYTES_KV_WRITE] += buffer_token_bytes(&graph->buffers[op->cache_more]);
    }
    stream->resident_row_bytes = bytes[BYTES_ACTIVATIONS];
    stream->fixed_bytes = work->fixed_read * work->fixed_read_bytes_each;
    stream->token_bytes = element_row_bytes(&work->write_type, work->token_written);
}

void stream_prepare(struct prepared_op *prepared, const struct graph *graph)
{
    const struct target *target = prepared->target;
    struct stream_cost *stream = &prepared->stream;
    prepared->family = FAMILY_ELEMENTWISE;
    prepared->format = target->activation_type.format;
    prepared->matrix = false;
    prepared->peak = target->vector_flops;
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    double beta = efficiency(scalars[ELEMENTWISE_BETA]);
    stream->fixed = greater(scalars[ELEMENTWISE_T0], 0) +
                    prepared->op->stream.start_clocks * unit_clock_s(target) * target->units;
    stream->memory_rate = beta * target->memory_bandwidth;
    stream->cache_rate = beta * target->cache_bandwidth;
    stream->beta = beta;
    stream->lane_rate = efficiency(scalars[ELEMENTWISE_EPS]) * target->vector_flops;
    stream->flops = prepared->op->stream.flops;
    stream->lane_flops = stream->flops;
    if (target->device->class == CLASS_CPU) /* others have units for them beside the lanes */
        stream->lane_flops += (EXP_FLOPS - 1) * prepared->op->stream.exponentials;
    stream->clocks_s = prepared->op->stream.clocks * unit_clock_s(target);
    stream->values_row = greater(prepared->op->stream.written, prepared->op->stream.read / 2);
    const struct stream_work *work = &prepared->op->stream;
    stream->written_bytes = element_row_bytes(&work->write_type, work->written);
    stream->in_place_bytes = element_row_bytes(&work->write_type, work->in_place);
    stream->repeated = target->repeated && !work->produced;
    set_row_bytes(stream, prepared->op, graph);
}

/* Of `touched` bytes those that a level finds again: in a model half of what it holds, as in missing_bytes;
 * of a benchmark that walks them in a circle what gemm_memory.c says. */
static double kept_bytes(double capacity, double touched, bool repeated)
{
    if (!repeated)
        return lesser(touched, capacity / 2);
    return touched * (1 - cyclic_miss_share(touched, capacity));
}

/* s through caches at their full rates. Resident rows come from the nearest level that holds what they touch;
 * a row written where it was read counts once. Products are dealt to cores by columns, streams by rows: of
 * what the operator before has left in the cores' own caches a core finds its own part there, and the others'
 * behind the shared cache. */
static double cache_seconds(const struct target *target, const struct stream_cost *stream, double rows,
                            double bytes, double resident)
{
    if (target->own_count == 0)
        return bytes / target->cache_bandwidth;
    double written = rows * stream->written_bytes, touched = resident - rows * stream->in_place_bytes;
    double read = touched > 0 ? (resident - written) / touched : 0;
    double mine = stream->repeated ? 1 : 1 - read * (1 - 1.0 / target->units);
    double left = touched, nearer = 0, seconds = 0;
    for (int i = 0; i < target->own_count; i++) {
        const struct own_cache *own = &target->own[i];
        double kept = greater(kept_bytes(own->capacity, touched, stream->repeated), nearer);
        double here = mine * (kept - nearer);
        double part = touched > 0 ? here / touched : 0;
        seconds += here / own->bandwidth + part * written * own->write_back;
        nearer = kept;
        left -= here;
    }
    double part = touched > 0 ? left / touched : 0;
    return seconds + (bytes - resident + left) / target->cache_bandwidth +
           part * written * target->cache_write_back;
}

void stream_cost(const struct prepared_op *prepared, double rows, double tokens, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct stream_cost *stream = &prepared->stream;
    double bytes = stream->fixed_bytes, listed = tokens * stream->token_bytes;
    cost->launches = 1;
    cost->flops = rows * stream->flops;
    for (int i = 0; i < BYTE_CLASS_COUNT; i++) {
        cost->bytes[i] = rows * stream->row_bytes[i];
        bytes += cost->bytes[i];
    }
    cost->bytes[BYTES_ACTIVATIONS] += listed;
    bytes += listed;
    cost->bytes[BYTES_WEIGHTS] += stream->fixed_bytes;
    double resident = rows * stream->resident_row_bytes + listed;
    cost->memory_bytes = greater(bytes - resident, 0) + missing_bytes(target, resident);
    if (target->ideal) {
        ideal_cost(target, prepared->format, false, target->vector_flops, cost);
        return;
    }
    bool solo =
        target->software->solo_values > 0 && rows * stream->values_row <= target->software->solo_values;
    double units = solo ? target->units : 1; /* times longer on one of them */
    double cache_s = cache_seconds(target, stream, rows, bytes, resident);
    cost->use[RESOURCE_VECTOR] =
        greater(units * rows * stream->lane_flops / stream->lane_rate, rows * stream->clocks_s);
    cost->use[RESOURCE_CACHE] =
        target->own_count > 0 ? units * cache_s / stream->beta : bytes / stream->cache_rate;
    cost->use[RESOURCE_MEMORY] = cost->memory_bytes / stream->memory_rate;
    if (target->own_count > 0)
        cost->use[RESOURCE_VECTOR] += cost->use[RESOURCE_CACHE];
    cost->floor[RESOURCE_VECTOR] = cost->flops / target->vector_flops;
    cost->floor[RESOURCE_CACHE] = cache_s;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    cost_finish(target, prepared->format, solo ? 0 : stream->fixed, cost);
}
