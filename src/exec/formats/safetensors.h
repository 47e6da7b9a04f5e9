/* safetensors files (https://github.com/huggingface/safetensors): 8 bytes, little-endian, of the header's
 * length; a JSON object of tensors, {"dtype", "shape", "data_offsets": [from, to)}, and "__metadata__"; the
 * data, from which offsets count. */
#ifndef RAFTER_EXEC_FORMATS_SAFETENSORS_H
#define RAFTER_EXEC_FORMATS_SAFETENSORS_H

#include "exec/tensor.h"

#include "base/arena.h"
#include "base/diag.h"

struct safetensor {
    struct tensor tensor; /* type WEIGHT_TYPE_COUNT: one of `dtype`, which is not run */
    const char *dtype;
    int dimensions;
};

struct safetensors {
    struct safetensor *tensors;
    size_t count;
};

/* Bounds: the reference implementation's of the header, and of names. */
enum { SAFETENSORS_HEADER_MOST = 100000000, SAFETENSORS_NAME_MOST = 256, SAFETENSORS_DIMENSIONS_MOST = 8 };

/* Reads a file that lies in memory; tensors point into it. All sizes and offsets are checked. false with
 * diag. */
bool safetensors_parse(struct safetensors *file, struct arena *arena, struct diag *diag, const char *name,
                       const char *bytes, size_t length);

/* The names of the files that an index (model.safetensors.index.json) names, each once, sorted. false with
 * diag: no such object, a name that leads out of the folder. */
bool safetensors_index(struct arena *arena, struct diag *diag, const char *name, const char *text,
                       size_t length, const char ***files, size_t *count);

#endif
