/* Weights of the linear layers stored in another type: fewer bytes to read, and a conversion to what the
 * device multiplies in where it has no units for the type. The embedding table and the output head stay as
 * they are unless asked, as published methods leave them (GPTQ arXiv:2210.17323, AWQ arXiv:2306.00978). */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct weight_quantization_parameters {
    struct element_type type;
    struct element_type experts;
    bool embedding;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_quantization_parameters *p = parameters;
    rewrite->types->weights = p->type;
    rewrite->types->experts = p->experts.format != FORMAT_NONE ? p->experts : p->type;
    if (p->embedding)
        rewrite->types->embedding = p->type;
    return true;
}

static const struct field fields[] = {
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct weight_quantization_parameters, type),
     .required = true,
     .doc = "element type of the linear layers' weights"},
    {.key = "experts",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct weight_quantization_parameters, experts),
     .doc = "element type of routed experts; default: as type"},
    {.key = "embedding",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct weight_quantization_parameters, embedding),
     .fallback = "false",
     .doc = "also the embedding table and the output head"},
};
static const struct schema schema = {.name = "weight_quantization",
                                     .size = sizeof(struct weight_quantization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism weight_quantization;
const struct mechanism weight_quantization = {
    .name = "weight_quantization",
    .summary = "weights of the linear layers in fewer bits",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct weight_quantization_parameters),
    .on_model = on_model,
};
