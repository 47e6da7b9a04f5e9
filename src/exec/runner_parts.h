/* The runner's inside: layers as loaded, and a step as it passes through them. */
#ifndef RAFTER_EXEC_RUNNER_PARTS_H
#define RAFTER_EXEC_RUNNER_PARTS_H

#include "exec/kernels/gemm.h"
#include "exec/kernels/small.h"
#include "exec/runner.h"

/* Memory cut into arrays one after the other; with base NULL the same cuts only add up. */
struct workspace {
    char *base;
    size_t used;
    bool failed; /* sizes do not fit in size_t */
};
void *workspace_take(struct workspace *workspace, size_t count, size_t size);
float *workspace_floats(struct workspace *workspace, size_t rows, size_t width);

struct norm {
    const float *weight, *bias; /* weight NULL: there is none */
    float eps;
    bool layer; /* LayerNorm, else RMS */
};

/* cos and sin of every position: tables [context_tokens][rope.n]. */
struct rotary {
    struct rope rope;
    bool local;
    float *tables;
};

/* What recurrent layers keep of each sequence: [sequences][floats]. */
struct state_pool {
    size_t floats;
    float *base;
};

struct layer {
    int index;
    const struct block_spec *block;
    const struct sublayer *mixer, *ffn; /* NULL: none */
    bool parallel;                      /* both read the layer's input */
    struct norm mixer_norm, ffn_norm;
    struct norm post_mixer, post_ffn;
    struct kv_pool k, v; /* heads 0: none */
    struct state_pool conv, state;
    void *mixing, *feeding; /* what the sub-layers loaded */
};

struct stepping;
struct loading;

/* A kind of mixer or feed-forward network. */
struct sublayer {
    /* Finds its tensors and says what it keeps of each sequence. */
    bool (*load)(struct loading *loading, struct layer *layer);
    /* Takes the step's arrays, so as to count them. */
    void (*plan)(const struct runner *runner, const struct layer *layer, struct workspace *workspace);
    /* in, out [rows][hidden]. */
    bool (*run)(struct stepping *step, const struct layer *layer, const float *in, float *out);
};

extern const struct sublayer sublayer_attention, sublayer_mla, sublayer_mamba1, sublayer_mamba2,
    sublayer_deltanet, sublayer_dense, sublayer_moe;

/* Memory that goes with the runner. */
struct owned {
    void *bytes;
    size_t size;
    struct owned *next;
};

struct matrix_node {
    struct matrix *matrix;
    double share; /* of tokens that use it */
    struct matrix_node *next;
};

enum { ROTARIES_MOST = 8, SUMMANDS_MOST = 2 };

struct runner {
    struct arena *arena;
    const struct weights *weights;
    const struct model *model;
    const struct hyper *hyper;
    struct runner_options options;
    struct team *team;
    enum isa isa;
    struct cache_policy cache;
    const struct attention_reader *reader;
    struct op_clock clock;
    struct owned *owned;
    struct matrix_node *matrices;

    struct tensor embedding, positions;
    struct norm embedding_norm, final_norm;
    struct matrix head;
    struct layer *layers;
    struct rotary rotaries[ROTARIES_MOST];
    int rotary_count;
    struct gemm_scratch gemm;
    struct attention_scratch attention;

    /* of a step: rows are at most options.step_tokens, parts options.sequences */
    float *x;                     /* [rows][hidden] */
    float *normed;                /* [rows][hidden] */
    float *added[SUMMANDS_MOST];  /* [rows][hidden]: what sub-layers add to x */
    int *first_row, *before;      /* [parts] */
    int *position, *part_of;      /* [rows] */
    struct kv_sequence *views;    /* [parts] */
    struct attention_rows *spans; /* [parts] */
    struct workspace work;        /* shared by all sub-layers, one after the other */
};

struct loading {
    struct runner *runner;
    struct diag *diag;
    double share; /* of the matrices that are loaded next: tokens that use them; 1 but for experts */
};

/* ---- loading: false or NULL with diag ---- */

/* All tensors, the caches and the step's memory. The runner's options and team are set. */
bool runner_load(struct runner *runner, struct diag *diag);

void *runner_own(struct runner *runner, struct diag *diag, size_t count, size_t size);

/* A matrix [rows][cols] to multiply by; bias ROLE_COUNT: none. */
bool load_matrix(struct loading *loading, const struct layer *layer, enum tensor_role role,
                 enum tensor_role bias, int part, size_t rows, size_t cols, struct matrix *matrix);
/* Rows [from, from + count) of a tensor of `rows`. */
bool load_rows(struct loading *loading, const struct layer *layer, enum tensor_role role, size_t rows,
               size_t cols, size_t from, size_t count, struct matrix *matrix);
/* Enters a matrix among those that are packed. */
bool load_own(struct loading *loading, struct matrix *matrix);
const float *load_vector(struct loading *loading, const struct layer *layer, enum tensor_role role, size_t n);
/* The norm of a role; bias ROLE_COUNT: none. */
bool load_norm(struct loading *loading, const struct layer *layer, enum tensor_role role,
               enum tensor_role bias, size_t n, struct norm *norm);
/* The index of rotary embeddings of n values; -1 with diag. */
int load_rotary(struct loading *loading, int n, bool local);
/* Sizes of a pool; memory comes later. */
bool load_pool(struct loading *loading, int heads, int dim, struct kv_pool *pool);

/* ---- steps ---- */

struct stepping {
    struct runner *runner;
    struct diag *diag;
    const struct step_part *parts;
    int part_count;
    size_t rows;
    double now;
    struct workspace work;
};

/* The time since the last call goes to `name`. layer NULL: outside. */
void step_timed(struct stepping *step, const char *name, const struct layer *layer);

/* Runs work over [0, count), shared by the threads in multiples of grain, or by this one alone where there
 * are few values. */
typedef void step_work(void *context, size_t from, size_t to);
void step_share(struct stepping *step, step_work *work, void *context, size_t count, size_t grain,
                size_t values_each);

/* y = x W^T + bias for m rows. */
struct product step_product(const struct matrix *w, const float *x, size_t x_stride, size_t m, float *y,
                            size_t y_stride);
bool step_gemm(struct stepping *step, const struct product *products, int count);
bool step_linear(struct stepping *step, const struct matrix *w, const float *x, size_t m, float *y);

void norm_row(enum isa isa, const struct norm *norm, const float *x, size_t n, float *y);
/* In place: `count` norms of n values, norm i at x + i * stride. */
void step_norms(struct stepping *step, const struct norm *norm, float *x, size_t count, size_t stride,
                size_t n);
/* gate[i] = act(gate[i]) * up[i]; up NULL: act alone. */
void step_activate(struct stepping *step, enum activation activation, float *gate, const float *up,
                   size_t count);

/* Fills runner->views of all parts for a layer. */
void step_views(struct stepping *step, const struct layer *layer);
const float *rotary_table(const struct rotary *rotary, int position);

/* The state of a sequence in a layer. */
float *state_of(const struct state_pool *pool, int sequence);

#endif
