#include "exec/kernels/attention_plan.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    ITEMS_A_THREAD = 8, /* that work is cut into where sequences and heads are few */
    SPLIT_KEYS = 256,   /* the least that an item of a cut row block has */
    LINE = 64           /* bytes that pieces of scratch are aligned to */
};

/* Rows of a block of `rows` that are cut into blocks as even as tiles allow. */
static int block_rows(int rows)
{
    int blocks = (rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
    int each = (rows + blocks - 1) / blocks;
    return (each + ATTENTION_TILE - 1) / ATTENTION_TILE * ATTENTION_TILE;
}

/* The whole block of rows [from, to), with the keys that they see. */
static struct attention_item block_item(const struct attention *attention, int sequence, int head, int from,
                                        int to)
{
    struct attention_item item = {.sequence = sequence, .head = head, .row_from = from, .row_to = to};
    item.key_from = attention_first_key(attention, attention_position(attention, &item, from));
    item.key_to = attention_position(attention, &item, to - 1) + 1;
    int tiles = (to - from + ATTENTION_TILE - 1) / ATTENTION_TILE;
    item.cost = (double)tiles * ATTENTION_TILE * (item.key_to - item.key_from);
    return item;
}

/* Calls use(state, item) for each block of a call. */
static void each_block(const struct attention *attention,
                       void (*use)(void *state, const struct attention_item *item), void *state)
{
    for (int s = 0; s < attention->count; s++) {
        int rows = attention->sequences[s].new_tokens * attention_group(attention);
        int step = rows > 0 ? block_rows(rows) : 1;
        for (int head = 0; head < attention->k->heads; head++)
            for (int from = 0; from < rows; from += step) {
                int to = rows - from < step ? rows : from + step;
                struct attention_item item = block_item(attention, s, head, from, to);
                use(state, &item);
            }
    }
}

/* What a call comes to; then, with `plan`, its items written. */
struct sizing {
    const struct attention *attention;
    double cost, target; /* target: of one item; 0 while it is not known */
    size_t items, merges, partial_floats;
    struct attention_plan *plan;
    float *partials;
};

static int pieces_of(const struct sizing *sizing, const struct attention_item *block)
{
    int keys = block->key_to - block->key_from, most = keys / SPLIT_KEYS;
    double wanted = sizing->target > 0 ? ceil(block->cost / sizing->target) : 1;
    int pieces = wanted < most ? (int)wanted : most;
    return pieces > 1 ? pieces : 1;
}

static void add_cost(void *state, const struct attention_item *block)
{
    struct sizing *sizing = (struct sizing *)state;
    sizing->cost += block->cost;
}

static void add_size(void *state, const struct attention_item *block)
{
    struct sizing *sizing = (struct sizing *)state;
    size_t pieces = (size_t)pieces_of(sizing, block), rows = (size_t)(block->row_to - block->row_from);
    sizing->items += pieces;
    if (pieces > 1) {
        sizing->merges++;
        sizing->partial_floats += pieces * rows * ((size_t)sizing->attention->v_dim + ATTENTION_PARTIAL);
    }
}

static void add_items(void *state, const struct attention_item *block)
{
    struct sizing *sizing = (struct sizing *)state;
    struct attention_plan *plan = sizing->plan;
    int pieces = pieces_of(sizing, block), keys = block->key_to - block->key_from;
    size_t rows = (size_t)(block->row_to - block->row_from);
    if (pieces > 1)
        plan->merges[plan->merge_count++] = (struct attention_merge){plan->item_count, pieces};
    for (int i = 0; i < pieces; i++) {
        struct attention_item *item = &plan->items[plan->item_count];
        *item = *block;
        item->key_from = block->key_from + (int)((int64_t)keys * i / pieces);
        item->key_to = block->key_from + (int)((int64_t)keys * (i + 1) / pieces);
        item->cost = block->cost / pieces;
        if (pieces > 1) {
            item->partial = sizing->partials;
            sizing->partials += rows * ((size_t)sizing->attention->v_dim + ATTENTION_PARTIAL);
        }
        plan->order[plan->item_count++] = item;
    }
}

static int by_cost(const void *a, const void *b)
{
    const struct attention_item *x = *(struct attention_item *const *)a;
    const struct attention_item *y = *(struct attention_item *const *)b;
    if (x->cost != y->cost)
        return x->cost > y->cost ? -1 : 1;
    return (x > y) - (x < y);
}

/* Hands out pieces of one block of memory; with base NULL it only counts. */
struct carver {
    char *base;
    size_t used;
};

static void *carve(struct carver *carver, size_t count, size_t size)
{
    char *piece = carver->base ? carver->base + carver->used : NULL;
    carver->used += (count * size + LINE - 1) / LINE * LINE;
    return piece;
}

static float *carve_floats(struct carver *carver, size_t count)
{
    return (float *)carve(carver, count, sizeof(float));
}

static void carve_room(struct carver *carver, const struct attention *attention, struct attention_room *room)
{
    size_t dim = attention_padded(attention->k->dim), v_dim = attention_padded(attention->v_dim);
    room->q = carve_floats(carver, ATTENTION_ROWS * dim);
    room->keys = carve_floats(carver, ATTENTION_KEYS * dim);
    room->turned = carve_floats(carver, ATTENTION_KEYS * dim);
    room->values = carve_floats(carver, ATTENTION_KEYS * v_dim);
    room->scores = carve_floats(carver, (size_t)ATTENTION_PASS * ATTENTION_KEYS);
    room->out = carve_floats(carver, ATTENTION_ROWS * v_dim);
    room->greatest = carve_floats(carver, ATTENTION_ROWS);
    room->sums = carve_floats(carver, (size_t)ATTENTION_ROWS * ATTENTION_PAD);
}

static void carve_plan(struct carver *carver, struct sizing *sizing, int threads, struct attention_plan *plan)
{
    plan->items = (struct attention_item *)carve(carver, sizing->items, sizeof *plan->items);
    plan->order = (struct attention_item **)carve(carver, sizing->items, sizeof(struct attention_item *));
    plan->merges = (struct attention_merge *)carve(carver, sizing->merges, sizeof *plan->merges);
    plan->rooms = (struct attention_room *)carve(carver, (size_t)threads, sizeof *plan->rooms);
    sizing->partials = carve_floats(carver, sizing->partial_floats);
    for (int t = 0; t < threads; t++) {
        struct attention_room counted;
        carve_room(carver, sizing->attention, carver->base ? &plan->rooms[t] : &counted);
    }
}

static bool grow(struct attention_scratch *scratch, size_t bytes, struct diag *diag)
{
    if (bytes <= scratch->capacity)
        return true;
    void *larger = aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE);
    if (!larger)
        return diag_error(diag, NOWHERE, "attention: no memory for %zu bytes of scratch", bytes);
    free(scratch->bytes);
    scratch->bytes = larger;
    scratch->capacity = bytes;
    return true;
}

bool attention_plan(const struct attention *attention, int threads, struct attention_scratch *scratch,
                    struct attention_plan *plan, struct diag *diag)
{
    struct sizing sizing = {.attention = attention, .plan = plan};
    each_block(attention, add_cost, &sizing);
    sizing.target = sizing.cost / ((double)threads * ITEMS_A_THREAD);
    each_block(attention, add_size, &sizing);
    if (sizing.items > INT_MAX)
        return diag_error(diag, NOWHERE, "attention: %zu pieces of work are more than a step may have",
                          sizing.items);
    *plan = (struct attention_plan){0};
    struct carver carver = {0};
    carve_plan(&carver, &sizing, threads, plan);
    if (!grow(scratch, carver.used, diag))
        return false;
    carver = (struct carver){.base = (char *)scratch->bytes};
    carve_plan(&carver, &sizing, threads, plan);
    each_block(attention, add_items, &sizing);
    qsort(plan->order, (size_t)plan->item_count, sizeof(struct attention_item *), by_cost);
    return true;
}

void attention_scratch_free(struct attention_scratch *scratch)
{
    free(scratch->bytes);
    *scratch = (struct attention_scratch){0};
}
