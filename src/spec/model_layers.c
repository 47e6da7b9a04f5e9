#include "spec/model_layers.h"

#include "spec/model_block.h"

#include <stdlib.h>
#include <string.h>

static const struct field run_fields[] = {
    {.key = "block",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct layer_run, blocks),
     .doc = "the block that is repeated; or blocks"},
    {.key = "blocks",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct layer_run, blocks),
     .doc = "the blocks that are repeated, in turn"},
    {.key = "times",
     .kind = FIELD_INT,
     .offset = offsetof(struct layer_run, times),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = LAYERS_MOST,
     .fallback = "1",
     .doc = "how often"},
};

const struct schema layer_run_schema = {
    .name = "run of layers",
    .size = sizeof(struct layer_run),
    .fields = run_fields,
    .count = sizeof run_fields / sizeof run_fields[0],
    .where_offset = offsetof(struct layer_run, where),
};

static bool read_run(struct reader *reader, const struct yaml_node *node, struct layer_run *run)
{
    if (yaml_get(node, "block") != NULL && yaml_get(node, "blocks") != NULL)
        return diag_error(reader->diag, node->where, "layers: found block and blocks, expected one of them");
    if (!schema_read(reader, &layer_run_schema, node, "layers", run))
        return false;
    if (run->blocks.count == 0)
        return diag_error(reader->diag, node->where, "layers: a run without blocks; give block or blocks");
    return true;
}

/* `layers: 32`: the block is filled in by layers_resolve, when blocks are known. */
static bool read_number(struct reader *reader, const struct yaml_node *node, struct layer_run *run)
{
    char *end = NULL;
    long layers = strtol(node->scalar, &end, 10);
    if (end == node->scalar || *end != '\0' || layers < 1 || layers > LAYERS_MOST)
        return diag_error(reader->diag, node->where,
                          "layers: found \"%s\", expected a number from 1 to %d or runs such as "
                          "{block: name, times: 32}",
                          node->scalar, LAYERS_MOST);
    run->times = (int)layers;
    run->where = node->where;
    return true;
}

static bool read_list(struct reader *reader, const struct yaml_node *node, struct layer_run *runs)
{
    bool ok = true;
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next)
        ok = read_run(reader, item, runs++) && ok;
    return ok;
}

bool layers_read(struct reader *reader, const struct yaml_node *node, void *member)
{
    size_t count = node->kind == YAML_LIST ? node->children : 1;
    if (count == 0 || count > LAYERS_MOST)
        return diag_error(reader->diag, node->where, "layers: found %zu runs, expected 1 to %d", count,
                          LAYERS_MOST);
    struct layer_run *runs = ARENA_ARRAY(reader->arena, struct layer_run, count);
    if (runs == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    struct layer_run **items = member;
    *items = runs;
    *(size_t *)(void *)(items + 1) = count;
    if (node->kind == YAML_SCALAR)
        return read_number(reader, node, runs);
    return node->kind == YAML_LIST ? read_list(reader, node, runs) : read_run(reader, node, runs);
}

/* The runs of one key of the model: its layers, or its encoder's. */
struct stack {
    const char *key;
    struct layer_run *runs;
    size_t count;
};

/* A bare number of layers means the only block. */
static bool fill_only_block(struct reader *reader, const struct model *model, const struct stack *stack)
{
    if (stack->count == 0 || stack->runs[0].blocks.count > 0)
        return true;
    struct layer_run *run = &stack->runs[0];
    if (model->block_count != 1)
        return diag_error(reader->diag, run->where,
                          "%s: a bare number needs a model with one block, found %zu; write runs such as "
                          "{block: %s, times: %d}",
                          stack->key, model->block_count, model->blocks[0].name, run->times);
    const char **name = ARENA_NEW(reader->arena, const char *);
    if (name == NULL)
        return diag_error(reader->diag, run->where, "out of memory");
    *name = model->blocks[0].name;
    run->blocks = (struct string_list){name, 1};
    return true;
}

/* Adds to *layers. */
static bool count_layers(struct reader *reader, const struct stack *stack, int *layers)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct layer_run *run = &stack->runs[i];
        if (run->blocks.count > LAYERS_MOST ||
            (size_t)*layers + run->blocks.count * (size_t)run->times > LAYERS_MOST)
            return diag_error(reader->diag, run->where, "%s: more than %d in all", stack->key, LAYERS_MOST);
        *layers += (int)run->blocks.count * run->times;
    }
    return true;
}

/* Where the i-th block name of a run is written. */
static struct source_location name_place(const struct yaml_node *layers, size_t run, size_t name)
{
    const struct yaml_node *item = layers;
    if (layers->kind == YAML_LIST)
        for (item = layers->first; run > 0 && item->next != NULL; run--)
            item = item->next;
    const struct yaml_node *names = yaml_get(item, "blocks");
    if (names == NULL)
        names = yaml_get(item, "block");
    if (names == NULL)
        return item->where;
    if (names->kind != YAML_LIST || names->first == NULL)
        return names->where;
    const struct yaml_node *found = names->first;
    for (; name > 0 && found->next != NULL; name--)
        found = found->next;
    return found->where;
}

static bool unknown_block(struct reader *reader, const struct yaml_node *node, const struct model *model,
                          const struct stack *stack, size_t run, size_t name)
{
    const char *found = stack->runs[run].blocks.items[name];
    const char *nearest = block_suggestion(reader->arena, model->blocks, model->block_count, found);
    return diag_error(reader->diag, name_place(yaml_get(node, stack->key), run, name),
                      "%s: unknown block \"%s\"%s%s%s", stack->key, found, nearest ? ", did you mean \"" : "",
                      nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Writes one turn of a run at pattern and repeats it. Returns the layers written, 0 for an unknown block. */
static size_t spell_run(struct reader *reader, const struct yaml_node *node, const struct model *model,
                        const struct stack *stack, size_t at, unsigned char *pattern)
{
    const struct layer_run *run = &stack->runs[at];
    size_t turn = run->blocks.count;
    bool ok = true;
    for (size_t i = 0; i < turn; i++) {
        int block = block_index(model->blocks, model->block_count, run->blocks.items[i]);
        if (block < 0)
            ok = unknown_block(reader, node, model, stack, at, i);
        pattern[i] = (unsigned char)(block < 0 ? 0 : block);
    }
    for (int time = 1; time < run->times; time++)
        memcpy(pattern + (size_t)time * turn, pattern, turn);
    return ok ? turn * (size_t)run->times : 0;
}

static bool spell_stack(struct reader *reader, const struct yaml_node *node, const struct model *model,
                        const struct stack *stack, unsigned char *pattern)
{
    bool ok = true;
    for (size_t i = 0; i < stack->count; i++) {
        ok = spell_run(reader, node, model, stack, i, pattern) > 0 && ok;
        pattern += stack->runs[i].blocks.count * (size_t)stack->runs[i].times;
    }
    return ok;
}

static bool check_used(struct reader *reader, const struct model *model)
{
    bool ok = true;
    for (size_t i = 0; i < model->block_count; i++) {
        const struct block_spec *block = &model->blocks[i];
        bool predicts = model->mtp != NULL && strcmp(model->mtp->block, block->name) == 0;
        if (model->block_layers[i] == 0 && !predicts)
            ok = diag_error(reader->diag, block->where, "blocks.%s: no layer uses it", block->name);
    }
    return ok;
}

bool layers_resolve(struct reader *reader, const struct yaml_node *node, struct model *model)
{
    const struct stack encoder = {"encoder_layers", model->encoder_runs, model->encoder_run_count};
    const struct stack decoder = {"layers", model->runs, model->run_count};
    if (!fill_only_block(reader, model, &encoder) || !fill_only_block(reader, model, &decoder) ||
        !count_layers(reader, &encoder, &model->encoder_layers))
        return false;
    model->layers = model->encoder_layers;
    if (!count_layers(reader, &decoder, &model->layers))
        return false;
    model->pattern = ARENA_ARRAY(reader->arena, unsigned char, (size_t)model->layers);
    model->block_layers = ARENA_ARRAY(reader->arena, int, model->block_count);
    if (model->pattern == NULL || model->block_layers == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    bool ok = spell_stack(reader, node, model, &encoder, model->pattern);
    if (!spell_stack(reader, node, model, &decoder, model->pattern + model->encoder_layers) || !ok)
        return false;
    for (int i = 0; i < model->layers; i++)
        model->block_layers[model->pattern[i]]++;
    return check_used(reader, model);
}
