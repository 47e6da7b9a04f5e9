/* The KV cache stored in another type: fewer bytes to keep and to read; values are converted in the attention
 * kernel on their way to the multiply units. */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct kv_quantization_parameters {
    struct element_type type;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_quantization_parameters *p = parameters;
    if (rewrite->model->generation == GENERATION_MASKED_DIFFUSION)
        return diag_error(rewrite->diag, NOWHERE,
                          "kv_quantization: %s is a masked-diffusion model, which caches nothing",
                          rewrite->model->id);
    rewrite->types->kv = p->type;
    return true;
}

static const struct field fields[] = {
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct kv_quantization_parameters, type),
     .required = true,
     .doc = "element type of cached keys and values"},
};
static const struct schema schema = {.name = "kv_quantization",
                                     .size = sizeof(struct kv_quantization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_quantization;
const struct mechanism kv_quantization = {
    .name = "kv_quantization",
    .summary = "cached keys and values in fewer bits",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_quantization_parameters),
    .on_model = on_model,
};
