#include "validate/measuring.h"

const char *const sample_schema_names[SAMPLE_SCHEMAS] = {"gemm",        "attention", "mla",
                                                         "elementwise", "moe",       "linear_attention"};

bool measure_kernels(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                     struct text csv[SAMPLE_SCHEMAS])
{
    static bool (*const measures[SAMPLE_SCHEMAS])(struct measuring *, struct diag *, const char *,
                                                  const char *, struct text *) = {
        [SAMPLES_GEMM] = measure_gemms, [SAMPLES_ATTENTION] = measure_attentions,
        [SAMPLES_MLA] = measure_mlas,   [SAMPLES_STREAM] = measure_streams,
        [SAMPLES_MOE] = measure_moes,   [SAMPLES_RECURRENT] = measure_recurrences,
    };
    for (int i = 0; i < SAMPLE_SCHEMAS; i++) {
        if (!measures[i](measuring, diag, device, source, &csv[i]))
            return false;
        measure_rates_again(measuring);
    }
    return true;
}
