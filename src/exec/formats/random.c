/* Weights that no one trained: the shapes, types and sizes of a model, seeded values. A value depends on the
 * seed, its tensor and its row only, so that any number of threads makes the same model. */
#include "exec/formats/roles.h"
#include "exec/formats/table.h"

#include "base/parallel.h"
#include "base/random.h"
#include "exec/kernels/blocks.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64, PIECE = 256, ROWS_A_CHUNK = 16 };

/* What is made: tensors in the order of their rows, so that threads share all rows evenly. */
struct making {
    struct weights *weights;
    struct diag *diag;
    enum weight_type type;
    uint64_t seed;
    struct filling {
        struct tensor tensor;
        enum role_fill fill;
        size_t first_row;
    } * fillings;
    size_t count, capacity;
    size_t rows, bytes;
    char *memory; /* NULL: sizes are being added up */
};

/* ---- numbers ---- */

/* About normal: the sum of four uniform values of 16 bits, each of variance (2^32 - 1) / 12, so that nothing
 * lies beyond 3.5 deviations. */
static void fill_normal(uint64_t *state, float deviation, size_t n, float *values)
{
    const float scale = deviation / (float)(2 * 65536 * 0.28867513459481287), middle = 2 * 65535;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = random_bits(state);
        int32_t sum =
            (int32_t)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
        values[i] = scale * ((float)sum - middle);
    }
}

/* The bias whose softplus is spread evenly in the logarithm over [0.001, 0.1], as Mamba initialises it
 * (arXiv:2312.00752, section 3.6). */
static float dt_bias(uint64_t *state)
{
    double dt = 0.001 * pow(100, random_unit(state));
    return (float)(dt + log(-expm1(-dt)));
}

/* Values [at, at + n) of a row. */
static void fill(const struct filling *filling, uint64_t *state, size_t at, size_t n, float *values)
{
    float deviation = (float)(1 / sqrt((double)filling->tensor.cols));
    switch (filling->fill) {
    case FILL_NORMAL:
        fill_normal(state, deviation, n, values);
        return;
    case FILL_ONE:
    case FILL_ZERO:
        for (size_t i = 0; i < n; i++)
            values[i] = filling->fill == FILL_ONE ? 1 : 0;
        return;
    case FILL_STATES: /* A = -1, -2, ... (S4D-real, as Mamba has it) */
        for (size_t i = 0; i < n; i++)
            values[i] = -(float)(at + i + 1);
        return;
    case FILL_HEADS: /* A in (-16, -1], one a head (arXiv:2405.21060) */
        for (size_t i = 0; i < n; i++)
            values[i] = (float)(-1 - 15 * random_unit(state));
        return;
    case FILL_DT:
        for (size_t i = 0; i < n; i++)
            values[i] = dt_bias(state);
        return;
    }
}

static void make_row(const struct making *making, const struct filling *filling, size_t tensor, size_t row)
{
    float values[PIECE];
    const struct tensor *made = &filling->tensor;
    char *to = (char *)(uintptr_t)tensor_row(made, row);
    uint64_t state = making->seed ^ 0x5851f42d4c957f2d * (tensor + 1);
    state = random_bits(&state) ^ 0x2545f4914f6cdd1d * (row + 1);
    for (size_t at = 0; at < made->cols; at += PIECE) {
        size_t n = made->cols - at < PIECE ? made->cols - at : PIECE;
        fill(filling, &state, at, n, values);
        weights_encode(made->type, values, n, to + weight_row_bytes(made->type, at));
    }
}

static void make_rows(void *context, size_t from, size_t to)
{
    const struct making *making = context;
    size_t low = 0, high = making->count;
    while (high - low > 1) { /* the last tensor that begins at or before `from` */
        size_t middle = low + (high - low) / 2;
        if (making->fillings[middle].first_row <= from)
            low = middle;
        else
            high = middle;
    }
    for (size_t row = from; row < to; row++) {
        while (row - making->fillings[low].first_row >= making->fillings[low].tensor.rows)
            low++;
        make_row(making, &making->fillings[low], low, row - making->fillings[low].first_row);
    }
}

/* ---- tensors ---- */

static bool check(const struct making *making, const struct role_shape *shape, enum weight_type type)
{
    const struct weight_layout *layout = &weight_layouts[type];
    if (shape->rows == 0 || shape->cols == 0)
        return weights_error(making->weights, making->diag, "layer %d: %s has no values", shape->layer,
                             tensor_role_name(shape->role));
    if (shape->cols % layout->block_values != 0)
        return weights_error(making->weights, making->diag,
                             "layer %d: %s: rows of %zu values are no multiple of the %zu of a block of %s",
                             shape->layer, tensor_role_name(shape->role), shape->cols, layout->block_values,
                             layout->name);
    size_t row = weight_row_bytes(type, shape->cols);
    if (shape->rows > (SIZE_MAX / 4 - making->bytes) / row)
        return weights_error(making->weights, making->diag, "the weights are too large");
    return true;
}

/* First adds up, then, once there is memory, puts the tensors in it. */
static bool add(void *context, const struct role_shape *shape)
{
    struct making *making = context;
    enum weight_type type = shape->linear ? making->type : WEIGHT_F32;
    if (!check(making, shape, type))
        return false;
    size_t at = making->bytes;
    size_t bytes = shape->rows * weight_row_bytes(type, shape->cols);
    making->bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (making->memory == NULL) {
        making->count++;
        return true;
    }
    struct filling *filling = &making->fillings[making->count++];
    *filling = (struct filling){.tensor = {.name = tensor_role_name(shape->role),
                                           .type = type,
                                           .rows = shape->rows,
                                           .cols = shape->cols,
                                           .data = making->memory + at},
                                .fill = shape->fill,
                                .first_row = making->rows};
    making->rows += shape->rows;
    return weights_put(making->weights, making->diag, shape->role, shape->layer, shape->part,
                       shape->part_count, &filling->tensor);
}

static bool make(struct making *making)
{
    struct weights *weights = making->weights;
    if (!weights_table_slots(weights, making->diag) ||
        !model_roles(&weights->model, weights->path, making->diag, add, making))
        return false;
    making->fillings = ARENA_ARRAY(weights->arena, struct filling, making->count);
    if (making->fillings == NULL)
        return weights_error(weights, making->diag, "out of memory");
    making->memory = weights_memory(weights, making->diag, making->bytes);
    making->count = making->bytes = 0;
    if (making->memory == NULL || !model_roles(&weights->model, weights->path, making->diag, add, making))
        return false;
    parallel_for(making->rows, ROWS_A_CHUNK, make_rows, making);
    return true;
}

struct weights *weights_random(struct arena *arena, struct diag *diag, const struct model *model,
                               enum weight_type type, uint64_t seed)
{
    struct weights *weights =
        weights_table_new(arena, diag, model->name != NULL ? model->name : "a random model");
    if (weights == NULL)
        return NULL;
    weights->model = *model;
    struct making making = {.weights = weights, .diag = diag, .type = type, .seed = seed};
    if (make(&making))
        return weights;
    weights_close(weights);
    return NULL;
}
