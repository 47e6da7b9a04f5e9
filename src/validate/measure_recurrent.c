/* Recurrences of gated DeltaNet and Mamba-1, and convolutions: heads or channels shared by the threads,
 * states of sequences in `bulk`. */
#include "exec/kernels/recurrent.h"
#include "exec/kernels/small.h"
#include "validate/measuring.h"

enum { CONV_WIDTH = 4, MAMBA_STATE = 16, MAMBA_GRAIN = 16 };

enum recurrent_kernel { DELTA_RULE, MAMBA1_SCAN, CAUSAL_CONV1D };
static const char *const kernel_names[] = {"gated_delta_rule", "mamba1_scan", "causal_conv1d"};

struct recurrent_shape {
    enum recurrent_kernel kernel;
    int key_heads, value_heads, key_dim, dim; /* Mamba-1: a head of one value a channel, keys are its state */
    int sequences, tokens;
    size_t sets; /* copies of the states that take turns */
};

struct sharing {
    struct measuring *measuring;
    const struct recurrent_shape *shape;
    float *states;
};

static size_t channels_of(const struct recurrent_shape *shape)
{
    return (size_t)(2 * shape->key_heads + shape->value_heads) * (size_t)shape->dim;
}

static size_t state_floats(const struct recurrent_shape *shape)
{
    return (size_t)shape->sequences * (size_t)shape->value_heads * (size_t)shape->key_dim *
           (size_t)shape->dim;
}

static size_t a_floats(const struct recurrent_shape *shape)
{
    return shape->kernel == MAMBA1_SCAN ? state_floats(shape) / (size_t)shape->sequences : 0;
}

static void run_conv(const struct sharing *sharing, size_t from, size_t to)
{
    const struct recurrent_shape *shape = sharing->shape;
    const struct measuring *measuring = sharing->measuring;
    size_t channels = channels_of(shape);
    struct conv1d conv = {(int)channels, CONV_WIDTH, measuring->x, NULL};
    for (int s = 0; s < shape->sequences; s++) {
        size_t first = (size_t)s * (size_t)shape->tokens * channels;
        conv1d_silu(measuring->isa, &conv, measuring->fresh + first, channels, shape->tokens, (int)from,
                    (int)to, sharing->states + (size_t)s * channels * (CONV_WIDTH - 1), measuring->y + first);
    }
}

static void run_delta(const struct sharing *sharing, size_t from, size_t to)
{
    const struct recurrent_shape *shape = sharing->shape;
    const struct measuring *measuring = sharing->measuring;
    size_t stride = channels_of(shape), keys = (size_t)shape->key_heads * (size_t)shape->dim;
    size_t values = (size_t)shape->value_heads * (size_t)shape->dim;
    const struct delta_rule rule = {shape->key_heads, shape->value_heads, shape->dim, shape->dim, false};
    const float *gates = measuring->x + measuring->x_floats - (1 << 16); /* decays and betas in (-1, 1) */
    for (int s = 0; s < shape->sequences; s++) {
        const float *q = measuring->fresh + (size_t)s * (size_t)shape->tokens * stride;
        delta_rule(measuring->isa, &rule, q, q + keys, q + 2 * keys, stride, gates, gates, shape->tokens,
                   (int)from, (int)to, sharing->states + (size_t)s * values * (size_t)shape->dim,
                   measuring->y + (size_t)s * (size_t)shape->tokens * values, values);
    }
}

/* x, z and dt [tokens][inner] one behind the other; A is as large as one sequence's states. */
static void run_mamba(const struct sharing *sharing, size_t from, size_t to)
{
    const struct recurrent_shape *shape = sharing->shape;
    const struct measuring *measuring = sharing->measuring;
    size_t inner = (size_t)shape->value_heads, values = (size_t)(shape->sequences * shape->tokens) * inner;
    const float *a = sharing->states + (size_t)shape->sequences * inner * MAMBA_STATE;
    const struct mamba_scan scan = {(int)inner, MAMBA_STATE, a, measuring->x};
    for (int s = 0; s < shape->sequences; s++) {
        size_t first = (size_t)s * (size_t)shape->tokens * inner;
        const float *x = measuring->fresh + first, *bc = measuring->x;
        float *dt = measuring->fresh + 2 * values + first;
        for (size_t t = 0; t < (size_t)shape->tokens; t++)
            softplus_values(measuring->isa, dt + t * inner + from, to - from);
        mamba_scan(measuring->isa, &scan, x, dt, x + values, inner, bc, bc + MAMBA_STATE,
                   2 * (size_t)MAMBA_STATE, shape->tokens, (int)from, (int)to,
                   sharing->states + (size_t)s * inner * MAMBA_STATE, measuring->y + first);
    }
}

static void run_share(void *context, int thread, int threads)
{
    const struct sharing *sharing = context;
    const struct recurrent_shape *shape = sharing->shape;
    size_t from, to;
    static void (*const runs[])(const struct sharing *, size_t, size_t) = {run_delta, run_mamba, run_conv};
    bool conv = shape->kernel == CAUSAL_CONV1D;
    size_t grain = conv ? 64 : shape->kernel == MAMBA1_SCAN ? MAMBA_GRAIN : 1;
    team_share(conv ? channels_of(shape) : (size_t)shape->value_heads, grain, thread, threads, &from, &to);
    if (from < to)
        runs[shape->kernel](sharing, from, to);
}

/* The inputs come from the operators before. */
static void produce_inputs(struct measuring *measuring, const struct trial *trial)
{
    const struct recurrent_shape *shape = trial->shape;
    bool mamba = shape->kernel == MAMBA1_SCAN;
    measure_produce(measuring, (size_t)shape->sequences * (size_t)shape->tokens,
                    mamba ? (size_t)shape->value_heads : channels_of(shape), mamba ? 3 : 1);
}

static bool run_recurrent(struct measuring *measuring, struct trial *trial, struct diag *diag)
{
    (void)diag;
    const struct recurrent_shape *shape = trial->shape;
    struct sharing sharing = {measuring, shape,
                              (float *)(void *)measuring_next(
                                  measuring, (state_floats(shape) + a_floats(shape)) * sizeof(float), 64)};
    team_run(measuring->team, run_share, &sharing);
    return true;
}

static bool add_trial(struct measuring *measuring, struct trial *trial, const struct recurrent_shape *shape)
{
    struct recurrent_shape *own = ARENA_NEW(measuring->arena, struct recurrent_shape);
    if (!own)
        return false;
    *own = *shape;
    bool conv = shape->kernel == CAUSAL_CONV1D, step = shape->tokens == 1;
    own->sets = conv ? 1 : measuring->bulk_bytes / (state_floats(shape) * sizeof(float));
    own->sets = own->sets > 0 ? own->sets : 1;
    *trial = (struct trial){.run = run_recurrent, .produce = produce_inputs, .shape = own};
    trial->cells =
        arena_printf(measuring->arena, "%s,%s,%d,%d,%d,%d,%d,%d,%d,%d,%zu", kernel_names[shape->kernel],
                     step ? "generation" : "context", shape->sequences, step ? 128 : shape->tokens, 2048,
                     CONV_WIDTH, shape->key_heads, shape->key_dim, shape->value_heads, shape->dim, own->sets);
    return trial->cells != NULL;
}

/* A kernel with these heads and their values. */
struct recurrent_form {
    enum recurrent_kernel kernel;
    int key_heads, value_heads, key_dim, dim;
};

bool measure_recurrences(struct measuring *measuring, struct diag *diag, const char *device,
                         const char *source, struct text *csv)
{
    static const struct recurrent_form forms[] = {
        {DELTA_RULE, 16, 32, 128, 128},         {DELTA_RULE, 16, 16, 128, 128},
        {MAMBA1_SCAN, 1, 1536, MAMBA_STATE, 1}, {MAMBA1_SCAN, 1, 4096, MAMBA_STATE, 1},
        {CAUSAL_CONV1D, 16, 32, 128, 128},      {CAUSAL_CONV1D, 16, 16, 128, 128},
        {CAUSAL_CONV1D, 4, 4, 128, 128},
    };
    static const int loads[][2] = {{1, 1}, {4, 1}, {16, 1}, {1, 16}, {1, 64}, {2, 128}, {2, 1}, {4, 32}};
    enum {
        FORMS = sizeof forms / sizeof *forms,
        LOADS = sizeof loads / sizeof *loads,
        TRIALS = FORMS * LOADS
    };
    struct trial trials[TRIALS];
    size_t count = 0;
    float *states = (float *)(void *)measuring->bulk;
    for (size_t i = 0; i < measuring->bulk_bytes / sizeof *states; i++)
        states[i] = -0.25F; /* as A below 0: states do not grow */
    text_add(csv,
             "device,source,kernel_source,phase,batch_size,seq_len,d_model,d_conv,num_k_heads,head_k_dim,"
             "num_v_heads,head_v_dim,state_sets,time_us\n");
    for (int f = 0; f < FORMS; f++)
        for (int l = 0; l < LOADS; l++) {
            const struct recurrent_form *form = &forms[f];
            struct recurrent_shape shape = {.kernel = form->kernel,
                                            .key_heads = form->key_heads,
                                            .value_heads = form->value_heads,
                                            .key_dim = form->key_dim,
                                            .dim = form->dim,
                                            .sequences = loads[l][0],
                                            .tokens = loads[l][1]};
            if (!add_trial(measuring, &trials[count++], &shape))
                return diag_error(diag, NOWHERE, "out of memory");
        }
    return measure_trials(measuring, diag, trials, count, device, source, csv);
}
