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
        stream->lane_flops += (CORE_EXP_FLOPS + CORE_DIVISION_FLOPS - 1) * prepared->op->stream.exponentials;
    stream->clocks_s = prepared->op->stream.clocks * unit_clock_s(target);
    const struct stream_work *work = &prepared->op->stream;
    /* one core samples for all sequences */
    stream->values_row =
        prepared->op->kind == OP_SAMPLE ? work->written : greater(work->written, work->read / 2);
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

/* What a stream touches, level by level. */
struct passage {
    double lanes_s;         /* of all that is touched, if nothing else had to be waited for */
    double slower;          /* times that one unit takes longer, where it works alone */
    double touched;         /* bytes; what is written where it was read counts once */
    double seconds;         /* so far: each level's part at the slower of lanes and level */
    double lanes_part;      /* of the seconds: where the lanes were the slower */
    double shared, fetched; /* bytes out of the shared cache, and out of memory */
};

/* `touched` bytes come from a level, of which `written` are written there, and `others` are moved besides. */
static void pass_level(struct passage *passage, double touched, double written, double others, double rate,
                       double write_back)
{
    double lanes = passage->touched > 0 ? touched / passage->touched * passage->lanes_s : 0;
    double level = passage->slower * ((touched + others) / rate + written * write_back);
    passage->seconds += greater(lanes, level);
    passage->lanes_part += lanes > level ? lanes : 0;
}

/* Each level's part of what is read comes from there, fetched while the lanes work on what came before.
 * Products are dealt to cores by columns, streams by rows: of what the operator before has left in the cores'
 * own caches a core finds its own part there, and asks others for theirs. What is written apart from what was
 * read is in no core's own cache any more since it was last used. */
static struct passage pass_levels(const struct target *target, const struct stream_cost *stream, double rows,
                                  double lanes_s, double slower, double others, double resident)
{
    double written = rows * stream->written_bytes, in_place = rows * stream->in_place_bytes;
    double apart = written - in_place, read = resident - written, touched = read + apart;
    struct passage passage = {.lanes_s = lanes_s, .slower = slower, .touched = touched};
    double share = read > 0 ? in_place / read : 0; /* written of what is read */
    double mine = stream->repeated ? 1 : 1.0 / target->units;
    double beta = stream->beta, nearer = 0;
    for (int i = 0; i < target->own_count; i++) {
        const struct own_cache *own = &target->own[i];
        double kept = greater(kept_bytes(own->capacity, read, stream->repeated), nearer);
        double here = mine * (kept - nearer), there = (1 - mine) * (kept - nearer);
        pass_level(&passage, here, here * share, 0, beta * own->bandwidth, own->write_back / beta);
        pass_level(&passage, there, there * share, 0, beta * target->peer_bandwidth, 0);
        nearer = kept;
    }
    double left = touched - nearer, missing = lesser(missing_bytes(target, touched), left);
    double left_written = (read - nearer) * share + apart, part = left > 0 ? missing / left : 0;
    pass_level(&passage, left - missing, (1 - part) * left_written, 0, beta * target->cache_bandwidth,
               target->cache_write_back / beta);
    passage.shared = left - missing;
    passage.fetched = missing + others;
    passage.slower = slower > 1 ? target->memory_slower : 1;
    pass_level(&passage, missing, part * left_written, others, stream->memory_rate,
               target->memory_write_back / beta);
    return passage;
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
    double lanes_s = greater(units * rows * stream->lane_flops / stream->lane_rate, rows * stream->clocks_s);
    cost->use[RESOURCE_VECTOR] = lanes_s;
    double shared = bytes, fetched = cost->memory_bytes;
    if (target->own_count > 0) {
        struct passage passage =
            pass_levels(target, stream, rows, lanes_s, units, bytes - resident, resident);
        enum resource slowest = passage.lanes_part > passage.seconds / 2 ? RESOURCE_VECTOR
                                : cost->memory_bytes > 0                 ? RESOURCE_MEMORY
                                                                         : RESOURCE_CACHE;
        cost->use[slowest] = passage.seconds;
        shared = passage.shared;
        fetched = passage.fetched;
    }
    cost->use[RESOURCE_CACHE] = greater(cost->use[RESOURCE_CACHE], shared / stream->cache_rate);
    cost->use[RESOURCE_MEMORY] = greater(cost->use[RESOURCE_MEMORY], fetched / stream->memory_rate);
    cost->floor[RESOURCE_VECTOR] = cost->flops / target->vector_flops;
    cost->floor[RESOURCE_CACHE] = shared / target->cache_bandwidth;
    cost->floor[RESOURCE_MEMORY] = fetched / target->memory_bandwidth;
    cost_finish(target, prepared->format, solo ? 0 : stream->fixed, cost);
}
