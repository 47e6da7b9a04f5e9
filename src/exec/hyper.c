#include "exec/hyper.h"

struct hyper hyper_default(void)
{
    return (struct hyper){
        .norm_eps = 1e-5F,
        .activation = ACTIVATION_SILU,
        .rope_theta = 10000,
        .rope_scaling = ROPE_PLAIN,
        .rope_factor = 1,
        .embedding_scale = 1,
        .residual_scale = 1,
        .logit_scale = 1,
        .route_normalise = true,
        .route_scale = 1,
    };
}
