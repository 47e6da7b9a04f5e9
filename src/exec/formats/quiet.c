#include "exec/formats/quiet.h"

#include "spec/model_import.h"

bool model_import_quietly(struct arena *arena, struct diag *diag, const char *path, const char *bytes,
                          size_t length, struct model *model)
{
    struct diag own = {.arena = diag->arena};
    struct text yaml = {0};
    bool read = model_import_bytes(arena, &own, path, bytes, length, NULL, model, &yaml);
    text_free(&yaml);
    for (const struct diag_message *message = own.first; message != NULL; message = message->next)
        if (message->severity == SEVERITY_ERROR)
            diag_error(diag, message->where, "%s", message->text);
    return read;
}
