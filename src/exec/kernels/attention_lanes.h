/* Attention in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_LANES_H
#define RAFTER_EXEC_KERNELS_ATTENTION_LANES_H

#include "exec/kernels/attention_block_lanes.h"
#include "exec/kernels/attention_stream_lanes.h"

static void lanes_attention_item(const struct attention *attention, const struct attention_item *item,
                                 struct attention_room *room)
{
    if (attention_streams(attention, item))
        attention_stream(attention, item, room);
    else
        attention_block(attention, item, room);
}

#endif
