#include "api/handle.h"

#include <string.h>

/* A copy in the arena, so that plans outlive the caller's strings. */
static bool copy_text(struct arena *arena, const char **text)
{
    if (*text == NULL)
        return true;
    *text = arena_strdup(arena, *text);
    return *text != NULL;
}

static bool copy_list(struct arena *arena, const char *const *items, size_t count, struct string_list *list)
{
    enum { ITEMS_MOST = 4096 };
    if (count > ITEMS_MOST || (count > 0 && items == NULL))
        return false;
    *list = (struct string_list){ARENA_ARRAY(arena, const char *, count + 1), count};
    for (size_t i = 0; list->items != NULL && i < count; i++) {
        list->items[i] = items[i];
        if (items[i] == NULL || !copy_text(arena, &list->items[i]))
            return false;
    }
    return list->items != NULL;
}

static bool copy_texts(struct arena *arena, struct question *question)
{
    return copy_text(arena, &question->model) && copy_text(arena, &question->device) &&
           copy_text(arena, &question->software) && copy_text(arena, &question->workload) &&
           copy_text(arena, &question->weights) && copy_text(arena, &question->activations) &&
           copy_text(arena, &question->kv);
}

static bool to_question(struct arena *arena, struct diag *diag, const rafter_question *from,
                        struct question *question)
{
    *question = (struct question){
        .model = from->model,
        .device = from->device,
        .software = from->software,
        .workload = from->workload,
        .devices = from->devices,
        .threads = from->threads,
        .parallel = {.tp = from->tp,
                     .pp = from->pp,
                     .ep = from->ep,
                     .dp = from->dp,
                     .sp = from->sequence_parallel != 0,
                     .micro_batches = from->micro_batches},
        .batch = from->batch,
        .prompt = from->prompt,
        .output = from->output,
        .weights = from->weights,
        .activations = from->activations,
        .kv = from->kv,
    };
    if (from->devices < 0)
        return diag_error(diag, NOWHERE, "devices: found %d, expected 1 or more, or 0 for the default",
                          from->devices);
    if (from->threads < 0)
        return diag_error(diag, NOWHERE, "threads: found %d, expected 1 or more, or 0 for all cores",
                          from->threads);
    if (!copy_list(arena, from->techniques, from->technique_count, &question->techniques))
        return diag_error(diag, NOWHERE, "techniques: a name is NULL, or there are more than 4096");
    if (!copy_list(arena, from->settings, from->setting_count, &question->settings))
        return diag_error(diag, NOWHERE, "settings: a text is NULL, or there are more than 4096");
    return copy_texts(arena, question) || diag_error(diag, NOWHERE, "out of memory");
}

/* An older caller's struct is shorter: what it lacks is not given. */
static bool take_question(struct diag *diag, const rafter_question *from, rafter_question *question)
{
    *question = (rafter_question)RAFTER_QUESTION_INIT;
    if (from == NULL || from->struct_size < sizeof from->struct_size || from->struct_size > sizeof *from)
        return diag_error(diag, NOWHERE,
                          "the question is NULL, not set up by RAFTER_QUESTION_INIT, or newer than the "
                          "library");
    memcpy(question, from, from->struct_size);
    return true;
}

bool handle_resolve(rafter *handle, struct arena *arena, const rafter_question *question,
                    struct resolved *resolved)
{
    struct diag diag = {.arena = arena};
    struct catalogue catalogue = handle->catalogue;
    catalogue.arena = arena; /* of what is read for this question alone */
    rafter_question taken;
    struct question asked;
    bool good = take_question(&diag, question, &taken) && to_question(arena, &diag, &taken, &asked) &&
                question_resolve(resolved, arena, &diag, &catalogue, &asked);
    handle_keep(handle, &diag);
    return good;
}
