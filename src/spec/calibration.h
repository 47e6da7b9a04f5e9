/* Calibrated scalars: what a roofline does not know about a device and its kernels. Each belongs to (device,
 * software, operator family, element types); at most 8 a family, each a physical quantity with bounds.
 * Efficiencies are against data-sheet (or published microbenchmark) rates, so that they carry over between
 * devices. */
#ifndef RAFTER_SPEC_CALIBRATION_H
#define RAFTER_SPEC_CALIBRATION_H

#include "spec/schema.h"
#include "spec/element_type.h"

enum family {
    FAMILY_GEMM,
    FAMILY_MOE,
    FAMILY_ATTENTION_PREFILL,
    FAMILY_ATTENTION_DECODE,
    FAMILY_MLA_PREFILL,
    FAMILY_MLA_DECODE,
    FAMILY_RECURRENT,   /* Mamba, gated DeltaNet, mLSTM */
    FAMILY_CONV,        /* the short convolutions before them */
    FAMILY_ELEMENTWISE, /* norms, activations, RoPE, KV writes, look-ups, routing, sampling, type conversion
                         */
    FAMILY_COLLECTIVE,  /* NCCL, RCCL */
    FAMILY_ALL_REDUCE_KERNEL, /* kernels of an inference engine that read their peers' memory */
    FAMILY_TRANSFER,
    FAMILY_COUNT
};

enum { SCALARS_MOST = 8 };

/* The scalars of a family, by position. */
enum gemm_scalar {
    GEMM_T0,
    GEMM_BETA,
    GEMM_EPS,
    GEMM_LAMBDA,
    GEMM_OMEGA,
    GEMM_DEQUANT,
    GEMM_SPLIT,
    GEMM_ROW,
};
enum moe_scalar { MOE_T0, MOE_BETA, MOE_EPS, MOE_LAMBDA, MOE_OMEGA, MOE_DEQUANT, MOE_TALL, MOE_ROOM };
enum prefill_scalar {
    PREFILL_T0,
    PREFILL_BETA,
    PREFILL_EPS,
    PREFILL_OMEGA,
    PREFILL_LANES,
    PREFILL_PACK,
    PREFILL_SINGLE,
    PREFILL_WRITE
};
enum attention_scalar { ATTENTION_T0, ATTENTION_BETA, ATTENTION_EPS, ATTENTION_OMEGA, ATTENTION_SPLIT };
/* The first five are those of attention, in its order. */
enum decode_scalar {
    DECODE_T0,
    DECODE_BETA,
    DECODE_EPS,
    DECODE_OMEGA,
    DECODE_SPLIT,
    DECODE_LAMBDA,
    DECODE_LANES,
    DECODE_LANE_OMEGA
};
enum elementwise_scalar { ELEMENTWISE_T0, ELEMENTWISE_BETA, ELEMENTWISE_EPS };
enum recurrent_scalar {
    RECURRENT_T0,
    RECURRENT_BETA,
    RECURRENT_EPS,
    RECURRENT_OMEGA,
    RECURRENT_LAUNCH,
    RECURRENT_LAMBDA,
    RECURRENT_SCAN
};
enum conv_scalar { CONV_T0, CONV_BETA, CONV_LAMBDA, CONV_ROW, CONV_EPS };
/* Transfers have the first three. */
enum link_scalar {
    LINK_T0,
    LINK_BETA,
    LINK_ALPHA,
    LINK_FILL,
    LINK_FLAGGED,
    LINK_START,
    LINK_HOP,
    LINK_IN_SWITCH
};
enum peer_scalar { PEER_T0, PEER_BETA, PEER_STAGE, PEER_SIGNAL };

/* How the second operand (weights, KV cache) is stored, as far as it decides which kernel runs: its number
 * format, for fp8 whether a scale per block makes it another kernel, for experts of fp4 whether Marlin has
 * repacked them, for integers whether scales of groups are themselves scaled (ggml's k-quants). */
enum operand {
    OPERAND_ANY = FORMAT_NONE,
    OPERAND_FP8_BLOCK = FORMAT_COUNT, /* below it: enum number_format */
    OPERAND_FP4_MARLIN,
    OPERAND_INT8_K,
    OPERAND_INT4_K,
    OPERAND_COUNT
};
enum operand operand_of(const struct element_type *type);
enum operand operand_of_marlin(const struct element_type *type); /* of weights that Marlin multiplies */
/* What stands for a k-quant where it was not measured itself: blocks of its number format. Others: itself. */
enum operand operand_alike(enum operand operand);
const char *operand_name(enum operand operand); /* "any", "int4", "fp8-block" */

/* Declares one scalar: for checks, docs and fits. */
struct scalar_declaration {
    const char *name; /* "beta" */
    enum dimension dimension;
    double min, max; /* the bounds physics sets */
    double fallback; /* what it is when no calibration says: the ideal value (efficiency 1, no overhead) */
    double start;    /* where a fit begins */
    const char *doc;
    bool doubling; /* takes powers of two only: fits try one after the other */
};

struct family_declaration {
    const char *name; /* "gemm", "attention-decode" */
    struct scalar_declaration scalars[SCALARS_MOST];
    int count;
};

/* All FAMILY_COUNT families, indexed by enum family. */
extern const struct family_declaration families[FAMILY_COUNT];

enum provenance { PROVENANCE_NONE, PROVENANCE_FAMILY_DEFAULT, PROVENANCE_INHERITED, PROVENANCE_FITTED };

/* A block of scalars as a description holds it. */
struct calibration {
    const char *software; /* name of a software profile, or "*" for any */
    const char *version;  /* of it; NULL: any */
    int family;           /* enum family */
    int format;           /* enum number_format the kernel computes in; FORMAT_NONE: any */
    int operand;          /* enum operand it reads; OPERAND_ANY: any */
    int provenance;       /* enum provenance; a device that gets the block by `extends` sees INHERITED for
                             FITTED */
    double values[SCALARS_MOST];
    double standard_errors[SCALARS_MOST];            /* 0: not known */
    double correlations[SCALARS_MOST][SCALARS_MOST]; /* of the errors: [i][j], j < i; 0: none known */
    bool given[SCALARS_MOST];
    double residual;   /* standard deviation of log(measured / predicted); a fit writes that of the normal
                          distribution whose 90% interval holds 90% of its samples. 0: not known */
    double parameters; /* standard deviation of log(predicted) that the scalars' own uncertainty causes: delta
                          method over the fit's covariance, root mean square over its samples */
    int samples;
    const char *source;
    const char *date;
    struct source_location where;
};

extern const struct schema calibration_schema;

/* Reads a list of blocks with their scalars, for FIELD_CUSTOM: member is a `struct calibration *` directly
 * followed by its `size_t` count. Scalars left out take their fallback. Two blocks for one (software,
 * version, family, format, operand) are refused. */
bool calibrations_read(struct reader *reader, const struct yaml_node *node, void *member);

/* The largest standard deviation of a logarithm that a description may state: nothing is known then. */
enum { SIGMA_MOST = 10 };

/* Half of a two-sided 90% interval in standard deviations: the normal distribution's 95% quantile. */
#define SIGMAS_90 1.6448536269514722

/* Standard deviation of log(measured / predicted) with the scalars' own uncertainty; 0: not known. */
double calibration_sigma(const struct calibration *calibration);

const char *provenance_name(enum provenance provenance);

#endif
