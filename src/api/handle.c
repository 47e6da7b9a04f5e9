#include "api/handle.h"

#include <stdlib.h>
#include <string.h>

#ifndef RAFTER_VERSION
#define RAFTER_VERSION "0.1.0"
#endif

int rafter_abi_version(void)
{
    return RAFTER_ABI_VERSION;
}

const char *rafter_version(void)
{
    return RAFTER_VERSION;
}

/* The caller's folders go before those of the environment. */
static bool add_roots(rafter *handle, const char *data_path)
{
    struct string_list *roots = &handle->catalogue.roots;
    size_t most = roots->count + 1;
    for (const char *c = data_path; *c != '\0'; c++)
        most += *c == ':';
    const char **items = ARENA_ARRAY(handle->arena, const char *, most);
    size_t count = 0;
    for (const char *at = data_path; items != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        if (length > 0 && (items[count++] = arena_strndup(handle->arena, at, length)) == NULL)
            return false;
        at += length + (at[length] == ':');
    }
    if (items == NULL)
        return false;
    for (size_t i = 0; i < roots->count; i++)
        items[count++] = roots->items[i];
    *roots = (struct string_list){items, count};
    return true;
}

rafter *rafter_open(const char *data_path)
{
    rafter *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return NULL;
    handle->arena = arena_new(0);
    handle->work = arena_new(0);
    if (handle->arena == NULL || handle->work == NULL) {
        rafter_close(handle);
        return NULL;
    }
    catalogue_open(&handle->catalogue, handle->arena);
    if (!catalogue_remember(&handle->catalogue) || (data_path != NULL && !add_roots(handle, data_path))) {
        rafter_close(handle);
        return NULL;
    }
    return handle;
}

void rafter_close(rafter *handle)
{
    if (handle == NULL)
        return;
    while (handle->plans != NULL)
        rafter_plan_free(handle->plans);
    catalogue_forget(&handle->catalogue);
    text_free(&handle->errors);
    arena_free(handle->spare);
    arena_free(handle->work);
    arena_free(handle->arena);
    free(handle);
}

const char *rafter_error(const rafter *handle)
{
    if (handle == NULL)
        return "no handle";
    if (handle->errors.failed)
        return "out of memory";
    return handle->errors.data != NULL ? handle->errors.data : "";
}

void handle_begin(rafter *handle)
{
    text_free(&handle->errors);
    handle->errors = (struct text){0};
    arena_reset(handle->work);
}

void handle_keep(rafter *handle, const struct diag *diag)
{
    for (const struct diag_message *message = diag->first; message != NULL; message = message->next)
        text_printf(&handle->errors, "%s%s", message == diag->first ? "" : "\n", diag_line(diag, message));
}
