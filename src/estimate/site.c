/* What a site pays and emits, unless --set site.* says otherwise. */
#include "estimate/estimate.h"

#include <stddef.h>

const struct site site_default = {
    .electricity = 0.10, /* USD/kWh; unverified: of the order of US industrial prices */
    .carbon = 0.445, /* kg/kWh: world average of electricity in 2024 (IEA, Electricity 2025), from memory */
    .pue = 1.3,      /* unverified: between hyperscale (1.1) and the industry's average (about 1.55) */
    .lifetime =
        3 * 365.25 * 86400 /* s; three years, as cloud prices of accelerators are commonly written off */
};

static const struct field fields[] = {
    {.key = "electricity",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct site, electricity),
     .dimension = DIM_USD_PER_KWH,
     .min = 0,
     .max = 100,
     .fallback = "0.10 USD/kWh",
     .doc = "price of electricity"},
    {.key = "carbon",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct site, carbon),
     .dimension = DIM_KG_PER_KWH,
     .min = 0,
     .max = 10,
     .fallback = "0.445 kg/kWh",
     .doc = "CO2 equivalent of a kWh"},
    {.key = "pue",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct site, pue),
     .dimension = DIM_NONE,
     .min = 1,
     .max = 10,
     .fallback = "1.3",
     .doc = "facility energy over device energy"},
    {.key = "lifetime",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct site, lifetime),
     .dimension = DIM_SECONDS,
     .min = 1,
     .max = 1e12,
     .fallback = "26298 h",
     .doc = "time over which a bought device is written off"},
};
const struct schema site_schema = {
    .name = "site", .size = sizeof(struct site), .fields = fields, .count = sizeof fields / sizeof *fields};
