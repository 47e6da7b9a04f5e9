/* Scales are found by least squares: for a few trial scales the values are rounded, then the scale (and the
 * minimum) that fit these roundings best are solved for, and the trial with the least squared error wins.
 * Four values at a time, in vectors that every compiler target has. */
#include "exec/kernels/blocks_k.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    LANES = 4,
    Q4_GROUP = 32,
    Q4_GROUPS = 8,
    Q4_MOST = 15,
    Q5_MOST = 31,
    Q4_SCALE_MOST = 63,
    Q6_GROUP = 16,
    Q6_GROUPS = 16,
    Q6_ZERO = 32,
    Q6_SCALE_MOST = 128,
    TRIALS = 5
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int masks __attribute__((vector_size(LANES * sizeof(int))));

/* Steps that a trial makes of the range, above or below those that there are. */
static const float trials[TRIALS] = {0, -0.8F, -0.4F, 0.4F, 0.8F};

/* ---- four values ---- */

static float sum(lanes values)
{
    return values[0] + values[1] + values[2] + values[3];
}

static lanes load(const float *values)
{
    lanes loaded;
    memcpy(&loaded, values, sizeof loaded);
    return loaded;
}

static lanes all(float value)
{
    return (lanes){value, value, value, value};
}

static lanes choose(masks mask, lanes yes, lanes no)
{
    return (lanes)(((masks)yes & mask) | ((masks)no & ~mask));
}

static lanes clamp(lanes value, float least, float most)
{
    value = choose(value > all(least), value, all(least));
    return choose(value < all(most), value, all(most));
}

/* To whole numbers, of equals the even one; |values| < 2^22. */
static lanes nearest(lanes values)
{
    const lanes shift = all(0x1.8p23F);
    return (values + shift) - shift;
}

static float inverse(float value)
{
    return fabsf(value) >= FLT_MIN ? 1 / value : 0;
}

/* ---- q4_K and q5_K ---- */

void q4_k_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min)
{
    /* four bytes of scales, four of minima, four of the low halves of the later groups' scales and minima */
    const uint8_t *mins = scales + 4, *halves = scales + 8;
    if (j < 4) {
        *scale = scales[j] & 63;
        *min = mins[j] & 63;
        return;
    }
    int k = j - 4;
    *scale = (uint8_t)((halves[k] & 15) | scales[k] >> 6 << 4);
    *min = (uint8_t)(halves[k] >> 4 | mins[k] >> 6 << 4);
}

static void set_scale_min(uint8_t *scales, int j, uint8_t scale, uint8_t min)
{
    uint8_t *mins = scales + 4, *halves = scales + 8;
    if (j < 4) {
        scales[j] |= scale;
        mins[j] |= min;
        return;
    }
    int k = j - 4;
    halves[k] = (uint8_t)((scale & 15) | (min & 15) << 4);
    scales[k] |= (uint8_t)(scale >> 4 << 6);
    mins[k] |= (uint8_t)(min >> 4 << 6);
}

/* values ~ scale q - min, both at least 0. */
struct line {
    float scale, min, error;
};

/* The best line for the roundings at `steps` a unit above `least`, of which there are `most`. */
static struct line fit_line(const float *values, float least, float steps, float most, float sum_x,
                            float sum_xx)
{
    const float n = Q4_GROUP;
    lanes q1 = all(0), qq = all(0), qx = all(0);
    for (int i = 0; i < Q4_GROUP; i += LANES) {
        lanes x = load(values + i), q = clamp(nearest((x - least) * steps), 0, most);
        q1 += q;
        qq += q * q;
        qx += q * x;
    }
    float sum_q = sum(q1), sum_qq = sum(qq), sum_qx = sum(qx);
    float determinant = n * sum_qq - sum_q * sum_q;
    float scale = 0, offset = sum_x / n;
    if (determinant > 0) {
        scale = (n * sum_qx - sum_q * sum_x) / determinant;
        offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant;
    }
    if (offset > 0) {
        offset = 0;
        scale = sum_qq > 0 ? sum_qx / sum_qq : 0;
    }
    scale = scale > 0 ? scale : 0;
    float error = sum_xx + scale * scale * sum_qq + n * offset * offset +
                  2 * (scale * offset * sum_q - scale * sum_qx - offset * sum_x);
    return (struct line){scale, -offset, error};
}

static struct line best_line(const float *values, float steps_most)
{
    float least = 0, most = values[0];
    lanes x1 = all(0), xx = all(0);
    for (int i = 0; i < Q4_GROUP; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    if (!(most > least))
        return (struct line){0, -least, 0};
    for (int i = 0; i < Q4_GROUP; i += LANES) {
        x1 += load(values + i);
        xx += load(values + i) * load(values + i);
    }
    struct line best = {0};
    for (int trial = 0; trial < TRIALS; trial++) {
        float steps = (steps_most + trials[trial]) * inverse(most - least);
        struct line line = fit_line(values, least, steps, steps_most, sum(x1), sum(xx));
        if (trial == 0 || line.error < best.error)
            best = line;
    }
    return best;
}

/* 6 bits of value / unit. */
static uint8_t six_bits(float value, float unit)
{
    float ratio = nearest(all(value * inverse(unit)))[0];
    return (uint8_t)(ratio > Q4_SCALE_MOST ? Q4_SCALE_MOST : ratio > 0 ? ratio : 0);
}

/* Groups share bytes in pairs: the first of a pair has the low halves. Fifth bits have a byte for value i of
 * all groups. */
static void pack_group(const float *values, float scale, float min, int j, float most, uint8_t *bytes,
                       uint8_t *high)
{
    float steps = inverse(scale);
    for (int i = 0; i < Q4_GROUP; i += LANES) {
        lanes q = clamp(nearest((load(values + i) + min) * steps), 0, most);
        for (int lane = 0; lane < LANES; lane++) {
            int step = (int)q[lane];
            bytes[i + lane] |= (uint8_t)((step & Q4_MOST) << (j % 2 == 1 ? 4 : 0));
            if (high != NULL)
                high[i + lane] |= (uint8_t)(step >> 4 << j);
        }
    }
}

/* What q4_K and q5_K begin with; behind it q5_K has its fifth bits, then both their low ones. */
struct lead {
    uint16_t d, dmin;
    uint8_t scales[12];
};

_Static_assert(sizeof(struct lead) == offsetof(struct block_q4_k, q) &&
                   sizeof(struct lead) == offsetof(struct block_q5_k, high),
               "both types begin alike");

/* high NULL: 4 bits. Both are zero. */
static struct lead encode_groups(const float *values, uint8_t *low, uint8_t *high)
{
    struct line lines[Q4_GROUPS];
    float scale_most = 0, min_most = 0, most = high != NULL ? Q5_MOST : Q4_MOST;
    for (int j = 0; j < Q4_GROUPS; j++) {
        lines[j] = best_line(values + (size_t)j * Q4_GROUP, most);
        scale_most = lines[j].scale > scale_most ? lines[j].scale : scale_most;
        min_most = lines[j].min > min_most ? lines[j].min : min_most;
    }
    float scale_unit = scale_most / Q4_SCALE_MOST, min_unit = min_most / Q4_SCALE_MOST;
    struct lead lead = {.d = float_to_half(scale_unit), .dmin = float_to_half(min_unit)};
    float d = half_to_float(lead.d), dmin = half_to_float(lead.dmin);
    for (int j = 0; j < Q4_GROUPS; j++) {
        uint8_t scale = six_bits(lines[j].scale, scale_unit), min = six_bits(lines[j].min, min_unit);
        set_scale_min(lead.scales, j, scale, min);
        pack_group(values + (size_t)j * Q4_GROUP, d * scale, dmin * min, j, most,
                   low + (size_t)(j / 2) * Q4_GROUP, high);
    }
    return lead;
}

static void decode_groups(const void *block, const uint8_t *low, const uint8_t *high, float *values)
{
    struct lead lead; /* aligned */
    memcpy(&lead, block, sizeof lead);
    float d = half_to_float(lead.d), dmin = half_to_float(lead.dmin);
    for (int j = 0; j < Q4_GROUPS; j++) {
        uint8_t scale, min;
        q4_k_scale_min(lead.scales, j, &scale, &min);
        const uint8_t *bytes = low + (size_t)(j / 2) * Q4_GROUP;
        int shift = j % 2 == 1 ? 4 : 0;
        for (int i = 0; i < Q4_GROUP; i++) {
            int q = bytes[i] >> shift & 15;
            if (high != NULL)
                q |= (high[i] >> j & 1) << 4;
            values[j * Q4_GROUP + i] = d * scale * (float)q - dmin * min;
        }
    }
}

void encode_q4_k(const float *values, void *block)
{
    struct block_q4_k made = {0};
    struct lead lead = encode_groups(values, made.q, NULL);
    memcpy(&made, &lead, sizeof lead);
    memcpy(block, &made, sizeof made);
}

void decode_q4_k(const void *block, float *values)
{
    decode_groups(block, (const uint8_t *)block + offsetof(struct block_q4_k, q), NULL, values);
}

void encode_q5_k(const float *values, void *block)
{
    struct block_q5_k made = {0};
    struct lead lead = encode_groups(values, made.q, made.high);
    memcpy(&made, &lead, sizeof lead);
    memcpy(block, &made, sizeof made);
}

void decode_q5_k(const void *block, float *values)
{
    const uint8_t *bytes = block;
    decode_groups(block, bytes + offsetof(struct block_q5_k, q), bytes + offsetof(struct block_q5_k, high),
                  values);
}

/* ---- q6_K ---- */

/* The scale whose multiples -32 ... 31 fit a group best. Trials that reach beyond the farthest value keep it;
 * those that stay below cut it off. */
static float best_scale(const float *values)
{
    float far = 0, best = 0, most = -1;
    for (int i = 0; i < Q6_GROUP; i++)
        far = fabsf(values[i]) > fabsf(far) ? values[i] : far;
    if (!(fabsf(far) >= FLT_MIN))
        return 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        float steps = -(Q6_ZERO + trials[trial]) / far;
        lanes qq = all(0), qx = all(0);
        for (int i = 0; i < Q6_GROUP; i += LANES) {
            lanes x = load(values + i), q = clamp(nearest(x * steps), -Q6_ZERO, Q6_ZERO - 1);
            qq += q * q;
            qx += q * x;
        }
        /* the squared error is sum x^2 less this */
        float gain = sum(qx) * sum(qx) / sum(qq);
        if (gain > most) {
            most = gain;
            best = sum(qx) / sum(qq);
        }
    }
    return best;
}

/* The places of value i of 256: 128 values take 64 bytes of low and 32 of high bits. */
static void set_q6(struct block_q6_k *block, int i, int q)
{
    int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    block->low[half * 64 + quarter % 2 * 32 + l] |= (uint8_t)((q & 15) << (quarter / 2 * 4));
    block->high[half * 32 + l] |= (uint8_t)(q >> 4 << (quarter * 2));
}

static int get_q6(const struct block_q6_k *block, int i)
{
    int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    int low = block->low[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
    int high = block->high[half * 32 + l] >> (quarter * 2) & 3;
    return low | high << 4;
}

void encode_q6_k(const float *values, void *block)
{
    float scales[Q6_GROUPS], far = 0;
    for (int j = 0; j < Q6_GROUPS; j++) {
        scales[j] = best_scale(values + (size_t)j * Q6_GROUP);
        far = fabsf(scales[j]) > fabsf(far) ? scales[j] : far;
    }
    float unit = far / -Q6_SCALE_MOST, per_unit = inverse(unit);
    struct block_q6_k made = {.d = float_to_half(unit)};
    float d = half_to_float(made.d);
    for (int j = 0; j < Q6_GROUPS; j++) {
        made.scales[j] =
            (int8_t)clamp(nearest(all(scales[j] * per_unit)), -Q6_SCALE_MOST, Q6_SCALE_MOST - 1)[0];
        float steps = inverse(d * made.scales[j]);
        for (int i = 0; i < Q6_GROUP; i += LANES) {
            int at = j * Q6_GROUP + i;
            lanes q = clamp(nearest(load(values + at) * steps), -Q6_ZERO, Q6_ZERO - 1);
            for (int lane = 0; lane < LANES; lane++)
                set_q6(&made, at + lane, (int)q[lane] + Q6_ZERO);
        }
    }
    memcpy(block, &made, sizeof made);
}

void decode_q6_k(const void *block, float *values)
{
    struct block_q6_k own;
    memcpy(&own, block, sizeof own);
    float d = half_to_float(own.d);
    for (int i = 0; i < BLOCK_K; i++) {
        int group = i / Q6_GROUP;
        values[i] = d * own.scales[group] * (float)(get_q6(&own, i) - Q6_ZERO);
    }
}
