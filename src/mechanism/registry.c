#include "mechanism/mechanism.h"

#include <string.h>

extern const struct mechanism weight_quantization, activation_quantization, kv_quantization, low_bit_gemm,
    shared_prefix, speculative_decoding;

const struct mechanism *const mechanisms[] = {
    &activation_quantization, &kv_quantization,      &low_bit_gemm,
    &shared_prefix,           &speculative_decoding, &weight_quantization,
};
const size_t mechanism_count = sizeof mechanisms / sizeof *mechanisms;

const struct mechanism *mechanism_find(const char *name)
{
    for (size_t i = 0; i < mechanism_count; i++)
        if (strcmp(mechanisms[i]->name, name) == 0)
            return mechanisms[i];
    return NULL;
}
