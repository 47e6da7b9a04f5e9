/* A piece of attention that one thread works on: some rows of one sequence's KV head times a range of keys.
 *
 * Rows of a KV head are its group's query heads of each new token: row = token * group + head of the group,
 * so that tokens and with them the number of keys seen never fall from row to row. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_ITEM_H
#define RAFTER_EXEC_KERNELS_ATTENTION_ITEM_H

#include "exec/kernels/attention.h"

#include <math.h>

enum {
    ATTENTION_TILE = 6,   /* rows whose sums one kernel keeps in registers */
    ATTENTION_PASS = 8,   /* most rows that have scores at once */
    ATTENTION_ROWS = 132, /* most of an item: keys converted once serve so many rows */
    ATTENTION_KEYS = 64,  /* converted at once */
    ATTENTION_PAD = 16    /* floats that a row's length is rounded up to: lanes of the widest vectors */
};

struct attention_item {
    int sequence, head;   /* head: of KV heads */
    int row_from, row_to; /* at most ATTENTION_ROWS */
    int key_from, key_to; /* those that some row sees */
    float *partial;       /* [rows][ATTENTION_PARTIAL + v_dim]: greatest score, sum, values; NULL: all keys */
    double cost;          /* rows times keys, for the order of work */
};

enum { ATTENTION_PARTIAL = 2 };

/* One thread's room; lengths in floats, dim and v_dim rounded up to ATTENTION_PAD. */
struct attention_room {
    float *q;        /* [ATTENTION_ROWS][dim] scaled */
    float *keys;     /* [ATTENTION_KEYS][dim] */
    float *turned;   /* [dim][ATTENTION_KEYS] */
    float *values;   /* [ATTENTION_KEYS][v_dim] */
    float *scores;   /* [ATTENTION_PASS][ATTENTION_KEYS] */
    float *out;      /* [ATTENTION_ROWS][v_dim], divided by nothing */
    float *greatest; /* [ATTENTION_ROWS] */
    float *sums;     /* [ATTENTION_ROWS][ATTENTION_PAD], one for each lane */
};

static inline size_t attention_padded(int n)
{
    return ((size_t)n + ATTENTION_PAD - 1) / ATTENTION_PAD * ATTENTION_PAD;
}

static inline int attention_group(const struct attention *attention)
{
    return attention->heads / attention->k->heads;
}

/* The position of a row's token in its sequence. */
static inline int attention_position(const struct attention *attention, const struct attention_item *item,
                                     int row)
{
    const struct attention_rows *rows = &attention->sequences[item->sequence];
    return rows->cache.tokens - rows->new_tokens + row / attention_group(attention);
}

/* The first key that the token at `position` sees; the last one is itself. */
static inline int attention_first_key(const struct attention *attention, int position)
{
    return attention->window > 0 && position >= attention->window ? position - attention->window + 1 : 0;
}

static inline int attention_head(const struct attention *attention, const struct attention_item *item,
                                 int row)
{
    int group = attention_group(attention);
    return item->head * group + row % group;
}

static inline const float *attention_q(const struct attention *attention, const struct attention_item *item,
                                       int row)
{
    size_t token =
        (size_t)attention->sequences[item->sequence].first_row + (size_t)(row / attention_group(attention));
    return attention->q + token * attention->q_stride +
           (size_t)attention_head(attention, item, row) * (size_t)attention->k->dim;
}

static inline float *attention_out(const struct attention *attention, const struct attention_item *item,
                                   int row)
{
    size_t token =
        (size_t)attention->sequences[item->sequence].first_row + (size_t)(row / attention_group(attention));
    return attention->out + token * attention->out_stride +
           (size_t)attention_head(attention, item, row) * (size_t)attention->v_dim;
}

/* Writes a row that has seen all its keys: values / (sum + the sink's part). */
static inline void attention_finish_row(const struct attention *attention, const struct attention_item *item,
                                        int row, float greatest, float sum, const float *values)
{
    float scale = 1.0F;
    if (attention->sinks) {
        float sink = attention->sinks[attention_head(attention, item, row)];
        float shift = sink > greatest ? sink : greatest;
        scale = expf(greatest - shift);
        sum = sum * scale + expf(sink - shift);
    }
    float *out = attention_out(attention, item, row);
    for (int i = 0; i < attention->v_dim; i++)
        out[i] = values[i] * (scale / sum);
}

#endif
