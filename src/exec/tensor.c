#include "exec/tensor.h"

#include "spec/element_type.h"

#include <string.h>

/* ggml's numbers and block sizes: ggml.h and ggml-common.h of https://github.com/ggml-org/ggml. */
const struct weight_layout weight_layouts[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F32] = {"fp32", 0, 1, 4},       [WEIGHT_F16] = {"fp16", 1, 1, 2},
    [WEIGHT_BF16] = {"bf16", 30, 1, 2},     [WEIGHT_Q8_0] = {"q8_0", 8, 32, 34},
    [WEIGHT_Q4_0] = {"q4_0", 2, 32, 18},    [WEIGHT_Q4_K] = {"q4_k", 12, 256, 144},
    [WEIGHT_Q6_K] = {"q6_k", 14, 256, 210}, [WEIGHT_Q4_1] = {"q4_1", 3, 32, 20},
    [WEIGHT_Q5_0] = {"q5_0", 6, 32, 22},    [WEIGHT_Q5_1] = {"q5_1", 7, 32, 24},
    [WEIGHT_Q5_K] = {"q5_k", 13, 256, 176},
};

enum weight_type weight_type_parse(const char *name)
{
    struct element_type element;
    if (!element_type_parse(name, &element))
        return WEIGHT_TYPE_COUNT;
    int type = 0;
    while (type < WEIGHT_TYPE_COUNT && strcmp(weight_layouts[type].name, element.name) != 0)
        type++;
    return (enum weight_type)type;
}
