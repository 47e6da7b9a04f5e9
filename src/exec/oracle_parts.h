/* The oracle's pieces: a model's formulas in double, one sequence at a time, nothing kept between calls. Rows
 * are tokens; all arrays are [tokens][width] and live in the arena. */
#ifndef RAFTER_EXEC_ORACLE_PARTS_H
#define RAFTER_EXEC_ORACLE_PARTS_H

#include "exec/weights.h"

struct oracle {
    const struct weights *weights;
    const struct model *model;
    const struct hyper *hyper;
    struct arena *arena;
    struct diag *diag;
    size_t tokens;
    int layer;
};

/* Zeros. All of these return NULL with diag; those that take NULL pass it on. */
double *oracle_new(struct oracle *oracle, size_t values);

/* A vector or a whole matrix as doubles; NULL without diag: there is none. */
double *oracle_values(struct oracle *oracle, enum tensor_role role, int part);

/* x W^T + bias: [tokens][out]. bias ROLE_COUNT: none; added where the weights have it. */
double *oracle_linear(struct oracle *oracle, enum tensor_role role, enum tensor_role bias, int part,
                      const double *x, size_t out, size_t in);

/* The model's norm of `count` rows of n, in place; with a bias where there is one (bias ROLE_COUNT: none). */
void oracle_norm(struct oracle *oracle, enum tensor_role weight, enum tensor_role bias, double *x,
                 size_t count, size_t n);
/* The same, always RMS and without the 1 that Gemma adds. */
void oracle_rms_norm(double *x, const double *weight, double eps, size_t n);

void oracle_rope(struct oracle *oracle, double *head, int n, int position, bool local);
double oracle_sigmoid(double x);
double oracle_softplus(double x);
double oracle_activate(enum activation activation, double x);
void oracle_softmax(double *x, size_t n);

/* in [tokens][hidden], the same shape out. */
double *oracle_attention(struct oracle *oracle, const struct attention_spec *spec, const double *in);
double *oracle_mla(struct oracle *oracle, const struct mla_spec *spec, const double *in);
double *oracle_mamba1(struct oracle *oracle, const struct mamba_spec *spec, const double *in);
double *oracle_mamba2(struct oracle *oracle, const struct mamba_spec *spec, const double *in);
double *oracle_deltanet(struct oracle *oracle, const struct deltanet_spec *spec, const double *in);
double *oracle_dense(struct oracle *oracle, const struct dense_spec *spec, const double *in);
double *oracle_moe(struct oracle *oracle, const struct moe_spec *spec, const double *in);

#endif
