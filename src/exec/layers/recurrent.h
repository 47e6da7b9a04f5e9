/* What the recurrent mixers share. */
#ifndef RAFTER_EXEC_LAYERS_RECURRENT_H
#define RAFTER_EXEC_LAYERS_RECURRENT_H

#include "exec/kernels/recurrent.h"
#include "exec/runner_parts.h"

/* The layer's convolution over `channels` and room for the inputs that it remembers. */
bool load_conv(struct loading *loading, struct layer *layer, int channels, int width, bool bias,
               struct conv1d *conv);

/* x, y [rows][channels]: each sequence's rows behind what it had before. */
void step_conv(struct stepping *step, const struct layer *layer, const struct conv1d *conv, const float *x,
               float *y);

float softplus(float x);

#endif
