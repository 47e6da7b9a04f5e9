/* Calibrated scalars: what a roofline does not know about a device and its kernels. Each belongs to (device,
 * software, operator family, number format); at most 8 a family, each a physical quantity with bounds.
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
    FAMILY_RECURRENT,   /* Mamba, gated DeltaNet, mLSTM, their convolutions */
    FAMILY_ELEMENTWISE, /* norms, activations, RoPE, KV writes, look-ups, routing, sampling, type conversion
                         */
    FAMILY_COLLECTIVE,
    FAMILY_TRANSFER,
    FAMILY_COUNT
};

enum { SCALARS_MOST = 8 };

/* The scalars of a family, by position. GEMM and MOE share theirs. */
enum gemm_scalar { GEMM_T0, GEMM_BETA, GEMM_EPS, GEMM_LAMBDA, GEMM_OMEGA, GEMM_DEQUANT };
enum attention_scalar { ATTENTION_T0, ATTENTION_BETA, ATTENTION_EPS, ATTENTION_OMEGA, ATTENTION_SPLIT };
enum elementwise_scalar { ELEMENTWISE_T0, ELEMENTWISE_BETA, ELEMENTWISE_EPS };
enum recurrent_scalar { RECURRENT_T0, RECURRENT_BETA, RECURRENT_EPS, RECURRENT_OMEGA };
enum link_scalar { LINK_T0, LINK_BETA, LINK_ALPHA };

/* Declares one scalar: for checks, docs and fits. */
struct scalar_declaration {
    const char *name; /* "beta" */
    enum dimension dimension;
    double min, max; /* the bounds physics sets */
    double fallback; /* what it is when no calibration says: the ideal value (efficiency 1, no overhead) */
    const char *doc;
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
    int family;           /* enum family */
    int format;           /* enum number_format the kernel computes in; FORMAT_NONE: any */
    int provenance;       /* enum provenance; a device that gets the block by `extends` sees INHERITED for
                             FITTED */
    double values[SCALARS_MOST];
    double standard_errors[SCALARS_MOST]; /* 0: not known */
    bool given[SCALARS_MOST];
    double residual; /* standard deviation of log(measured / predicted); 0: not known */
    int samples;
    const char *source;
    const char *date;
    struct source_location where;
};

extern const struct schema calibration_schema;

/* Reads a list of blocks with their scalars, for FIELD_CUSTOM: member is a `struct calibration *` directly
 * followed by its `size_t` count. Scalars left out take their fallback. Two blocks for one (software, family,
 * format) are refused. */
bool calibrations_read(struct reader *reader, const struct yaml_node *node, void *member);

const char *provenance_name(enum provenance provenance);

#endif
