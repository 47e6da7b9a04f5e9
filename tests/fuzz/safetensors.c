/* safetensors files and their indexes: any bytes give tensors that lie in the file, or errors. */
#include "exec/formats/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 64 << 20 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_tensors(const struct safetensors *file, const char *bytes, size_t size)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor *tensor = &file->tensors[i].tensor;
        check(tensor->rows > 0 && tensor->cols > 0 && tensor->name[0] != '\0');
        if (tensor->type == WEIGHT_TYPE_COUNT)
            continue;
        const char *from = tensor->data;
        size_t length = tensor->rows * weight_row_bytes(tensor->type, tensor->cols);
        check(from >= bytes && length <= size && from <= bytes + size - length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, **files;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    struct safetensors file;
    size_t count;
    bool ok = safetensors_parse(&file, arena, &diag, "fuzz", bytes, size);
    check(ok == (diag.errors == 0));
    if (ok)
        check_tensors(&file, bytes, size);
    if (safetensors_index(arena, &diag, "fuzz", bytes, size, &files, &count))
        for (size_t i = 0; i < count; i++)
            check(strchr(files[i], '/') == NULL && (i == 0 || strcmp(files[i - 1], files[i]) < 0));
    arena_free(arena);
    return 0;
}
