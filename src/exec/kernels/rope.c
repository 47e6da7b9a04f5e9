#include "exec/kernels/lane_kernels.h"

#include <math.h>

/* In double: a position of a million times a frequency of one leaves no digits of the angle in fp32. */
void rope_table(const struct rope *rope, int position, float *table)
{
    int half = rope->n / 2;
    for (int i = 0; i < half; i++) {
        double angle = (double)position * (double)rope->frequencies[i];
        table[i] = (float)(cos(angle) * (double)rope->magnitude);
        table[half + i] = (float)(sin(angle) * (double)rope->magnitude);
    }
}

void rope_heads(enum isa isa, const struct rope *rope, const float *table, float *heads, int count,
                size_t head_dim)
{
    lane_kernels(isa)->rope_heads(rope, table, heads, count, head_dim);
}

void rope_heads_plain(const struct rope *rope, int position, float *heads, int count, size_t head_dim)
{
    size_t half = (size_t)rope->n / 2;
    for (int h = 0; h < count; h++)
        for (size_t i = 0; i < half; i++) {
            float *x = heads + (size_t)h * head_dim;
            float *a = rope->interleaved ? x + 2 * i : x + i;
            float *b = rope->interleaved ? a + 1 : a + half;
            double angle = (double)position * (double)rope->frequencies[i];
            double c = cos(angle) * (double)rope->magnitude, s = sin(angle) * (double)rope->magnitude;
            double rotated_a = *a * c - *b * s, rotated_b = *a * s + *b * c;
            *a = (float)rotated_a;
            *b = (float)rotated_b;
        }
}
