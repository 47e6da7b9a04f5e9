/* The kinds of weight sources; weights_open and weights_random (exec/weights.h) lead here. */
#ifndef RAFTER_EXEC_FORMATS_SOURCES_H
#define RAFTER_EXEC_FORMATS_SOURCES_H

#include "exec/weights.h"

/* A GGUF file. NULL with diag. */
struct weights *gguf_open(struct arena *arena, struct diag *diag, const char *path);

/* A folder with config.json and *.safetensors. NULL with diag. */
struct weights *safetensors_open(struct arena *arena, struct diag *diag, const char *path);

#endif
