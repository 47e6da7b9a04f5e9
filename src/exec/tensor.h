/* Tensors of weights as files hold them: rows of `cols` values, packed by the type, rows one after the other.
 */
#ifndef RAFTER_EXEC_TENSOR_H
#define RAFTER_EXEC_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weight_type {
    WEIGHT_F32,
    WEIGHT_F16,
    WEIGHT_BF16,
    WEIGHT_Q8_0, /* ggml's blocks: kernels/blocks.h */
    WEIGHT_Q4_0,
    WEIGHT_Q4_K,
    WEIGHT_Q6_K,
    /* met in files beside the others; without products of their own, multiplied as fp32 */
    WEIGHT_Q4_1,
    WEIGHT_Q5_0,
    WEIGHT_Q5_1,
    WEIGHT_Q5_K,
    WEIGHT_TYPE_COUNT
};

struct weight_layout {
    const char *name;    /* an element type's name: "fp32", "q8_0" */
    uint32_t ggml_type;  /* ggml's number for it */
    size_t block_values; /* values of a block: 1, 32, 256 */
    size_t block_bytes;
};
extern const struct weight_layout weight_layouts[WEIGHT_TYPE_COUNT];

/* Bytes of a row; cols must be a multiple of the type's block_values. */
static inline size_t weight_row_bytes(enum weight_type type, size_t cols)
{
    return cols / weight_layouts[type].block_values * weight_layouts[type].block_bytes;
}

/* A matrix [rows][cols], or a vector with rows 1. The data may lie in a mapped file: do not write. */
struct tensor {
    const char *name; /* of the file, for messages */
    enum weight_type type;
    size_t rows, cols;
    const void *data; /* aligned to the block's first member at least as the file has it: maybe to 1 byte */
};

/* Row r. */
static inline const void *tensor_row(const struct tensor *tensor, size_t r)
{
    return (const char *)tensor->data + r * weight_row_bytes(tensor->type, tensor->cols);
}

/* The type of an element type's name ("f16", "fp16", "q8_0"), WEIGHT_TYPE_COUNT when there is none. */
enum weight_type weight_type_parse(const char *name);

#endif
