/* Quantities: numbers with units at the edges, SI doubles inside. k = 1000, Ki = 1024. */
#ifndef RAFTER_BASE_QUANTITY_H
#define RAFTER_BASE_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>

/* What a number measures. The SI unit inside is in brackets. */
enum dimension {
    DIM_NONE,     /* a plain number */
    DIM_COUNT,    /* an integer count: layers, heads, units */
    DIM_TOKENS,   /* an integer count of tokens; "128k" is refused with both readings (128000, 131072) */
    DIM_FRACTION, /* "0.92" or "92%" */
    DIM_BYTES,    /* [byte]    "80 GiB", "1.5 MB", "64 B" */
    DIM_BYTES_PER_SECOND, /* [byte/s]  "3.35 TB/s", "450 GB/s", "400 Gbit/s" */
    DIM_FLOPS,            /* [FLOP/s]  "989.4 TFLOP/s", "1979 TOP/s" */
    DIM_OPS_PER_CLOCK,    /* [1/clock] plain number */
    DIM_SECONDS,          /* [s]       "4.5 us", "12 ms", "1.2 ns", "3 h" */
    DIM_HERTZ,            /* [Hz]      "1.83 GHz" */
    DIM_WATTS,            /* [W]       "700 W" */
    DIM_JOULES_PER_BYTE,  /* [J/byte]  "31 pJ/B", "3.9 pJ/bit" */
    DIM_JOULES_PER_FLOP,  /* [J/FLOP]  "0.5 pJ/FLOP" */
    DIM_USD,              /* [USD]     "30000 USD" or "$30000" */
    DIM_USD_PER_HOUR,     /* [USD/h]   "3.99 USD/h" or "$3.99/h" */
    DIM_USD_PER_KWH,      /* [USD/kWh] "0.10 USD/kWh" */
    DIM_KG_PER_KWH,       /* [kg/kWh]  "0.445 kg/kWh", "445 g/kWh" */
    DIM_PER_SECOND,       /* [1/s]     "2.5 /s", "10 req/s" */
    DIMENSION_COUNT
};

/* Parses text as a quantity of the given dimension into SI. false, with a message (what was found, what was
 * expected, with an example) in error[error_size], on anything else: no unit where one is needed, an unknown
 * unit, inf, nan, trailing text, a bare k for tokens. Dimensions other than NONE, COUNT, TOKENS, FRACTION,
 * OPS_PER_CLOCK need a unit; 0 needs none. */
bool quantity_parse(const char *text, enum dimension dimension, double *value, char *error,
                    size_t error_size);

/* Formats an SI value for people with four significant digits and a fitting prefix: "3.352 TB/s"; "80.00 GiB"
 * is written by quantity_format_binary. quantity_parse reads back what is written. Returns buffer. */
char *quantity_format(double value, enum dimension dimension, char *buffer, size_t size);
char *quantity_format_binary(double bytes, char *buffer, size_t size);

/* An example of the dimension for messages and docs: "3.35 TB/s". */
const char *dimension_example(enum dimension dimension);
/* What it is called, with its article: "a bandwidth". */
const char *dimension_noun(enum dimension dimension);
/* Its SI unit: "byte/s". "" for plain numbers. */
const char *dimension_unit(enum dimension dimension);

#endif
