#include "exec/kernels/attention_item.h"

/* One score; the row's values are decoded anew each time, so that no memory is needed. */
enum { PLAIN_DIM_MOST = 4096 };

static double plain_score(const struct attention *attention, const struct attention_item *item, int row,
                          int key, float *decoded)
{
    const struct kv_pool *k = attention->k;
    const float *q = attention_q(attention, item, row);
    kv_decode_row(k->type, kv_row(k, &attention->sequences[item->sequence].cache, item->head, key),
                  (size_t)k->dim, decoded);
    double score = 0;
    for (int i = 0; i < k->dim; i++)
        score += (double)q[i] * decoded[i];
    score *= attention->scale;
    double cap = attention->softcap;
    return cap > 0 ? cap * tanh(score / cap) : score;
}

static void plain_row(const struct attention *attention, const struct attention_item *item, int row)
{
    const struct kv_pool *v = attention->v;
    double out[PLAIN_DIM_MOST] = {0}, greatest = -INFINITY, sum = 0;
    float decoded[PLAIN_DIM_MOST];
    int position = attention_position(attention, item, row);
    int first = attention_first_key(attention, position);
    double sink = attention->sinks ? attention->sinks[attention_head(attention, item, row)] : -INFINITY;
    for (int key = first; key <= position; key++)
        greatest = fmax(greatest, plain_score(attention, item, row, key, decoded));
    greatest = fmax(greatest, sink);
    for (int key = first; key <= position; key++) {
        double p = exp(plain_score(attention, item, row, key, decoded) - greatest);
        kv_decode_row(v->type, kv_row(v, &attention->sequences[item->sequence].cache, item->head, key),
                      (size_t)v->dim, decoded);
        sum += p;
        for (int i = 0; i < attention->v_dim; i++)
            out[i] += p * decoded[i];
    }
    sum += exp(sink - greatest);
    float *to = attention_out(attention, item, row);
    for (int i = 0; i < attention->v_dim; i++)
        to[i] = (float)(out[i] / sum);
}

void attention_plain(const struct attention *attention)
{
    if (attention->k->dim > PLAIN_DIM_MOST || attention->v->dim > PLAIN_DIM_MOST)
        return;
    for (int s = 0; s < attention->count; s++)
        for (int head = 0; head < attention->k->heads; head++) {
            struct attention_item item = {.sequence = s, .head = head};
            int rows = attention->sequences[s].new_tokens * attention_group(attention);
            for (int row = 0; row < rows; row++)
                plain_row(attention, &item, row);
        }
}
