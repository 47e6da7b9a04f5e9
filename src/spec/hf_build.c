#include "spec/hf_build.h"

#include <limits.h>
#include <string.h>

enum { TURN_MOST = 24, RUN_PRICE = 3 }; /* the longest turn of a run; what a run costs, in names */

bool hf_block(struct hf_build *build, const char *name, const struct block_spec *block)
{
    struct model *model = build->model;
    if (block_index(build->blocks, model->block_count, name) >= 0)
        return true;
    if (model->block_count == BLOCKS_MOST)
        return diag_error(build->config.diag, (struct source_location){build->config.file->name, 0, 0},
                          "more than %d kinds of layers", BLOCKS_MOST);
    build->blocks[model->block_count] = *block;
    build->blocks[model->block_count++].name = name;
    return true;
}

bool hf_layer(struct hf_build *build, const char *name, const struct block_spec *block)
{
    if (build->layers == LAYERS_MOST)
        return diag_error(build->config.diag, (struct source_location){build->config.file->name, 0, 0},
                          "more than %d layers", LAYERS_MOST);
    if (!hf_block(build, name, block))
        return false;
    build->pattern[build->layers++] = block_index(build->blocks, build->model->block_count, name);
    return true;
}

/* How often the `turn` layers at `at` come in a row. */
static int repeats(const int *pattern, int layers, int at, int turn)
{
    int times = 1;
    while (at + (times + 1) * turn <= layers &&
           memcmp(pattern + at, pattern + at + times * turn, (size_t)turn * sizeof *pattern) == 0)
        times++;
    return times;
}

static bool add_run(struct arena *arena, const struct model *model, const int *pattern, int turn, int times,
                    struct layer_run *run)
{
    const char **names = ARENA_ARRAY(arena, const char *, (size_t)turn);
    if (names == NULL)
        return false;
    for (int i = 0; i < turn; i++)
        names[i] = model->blocks[pattern[i]].name;
    *run = (struct layer_run){.blocks = {names, (size_t)turn}, .times = times};
    return true;
}

/* Dynamic programming from the last layer: the cheapest spelling of what is left is a turn, repeated, and the
 * cheapest spelling of the rest. Of equal ones that whose first run spans more. NULL: out of memory. */
static struct layer_run *spell(struct arena *arena, const struct model *model, const int *pattern, int layers,
                               size_t *count)
{
    struct choice {
        int price, turn, times;
    } *best = ARENA_ARRAY(arena, struct choice, (size_t)layers + 1);
    struct layer_run *runs = ARENA_ARRAY(arena, struct layer_run, (size_t)layers + 1);
    *count = 0;
    if (best == NULL || runs == NULL)
        return NULL;
    for (int at = layers - 1; at >= 0; at--) {
        best[at].price = INT_MAX;
        for (int turn = 1; turn <= TURN_MOST && at + turn <= layers; turn++)
            for (int times = repeats(pattern, layers, at, turn); times >= 1; times--) {
                int price = RUN_PRICE + turn + best[at + turn * times].price;
                bool wider = turn * times > best[at].turn * best[at].times;
                if (price < best[at].price || (price == best[at].price && wider))
                    best[at] = (struct choice){price, turn, times};
            }
    }
    for (int at = 0; at < layers; at += best[at].turn * best[at].times)
        if (!add_run(arena, model, pattern + at, best[at].turn, best[at].times, &runs[(*count)++]))
            return NULL;
    return runs;
}

bool hf_runs(struct arena *arena, struct model *model, const int *pattern, int layers)
{
    model->runs = spell(arena, model, pattern, layers, &model->run_count);
    return model->runs != NULL;
}

bool hf_stacks(struct arena *arena, const struct hf_build *build)
{
    struct model *model = build->model;
    int encoder = build->encoder_layers;
    if (encoder > 0) {
        model->encoder_runs = spell(arena, model, build->pattern, encoder, &model->encoder_run_count);
        if (model->encoder_runs == NULL)
            return false;
    }
    return hf_runs(arena, model, build->pattern + encoder, build->layers - encoder);
}
