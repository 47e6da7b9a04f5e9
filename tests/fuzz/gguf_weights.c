/* GGUF files with data: any bytes give weights whose every row lies in the file, or errors. */
#include "exec/weights.h"

#include "exec/kernels/blocks.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENA_BYTES = 256 << 20, COLS_MOST = 1 << 16 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The first and the last row of each tensor can be read. */
static void read_rows(const struct weights *weights)
{
    static float values[COLS_MOST];
    for (int layer = 0; layer < weights_model(weights)->layers; layer++)
        for (int role = 0; role < ROLE_COUNT; role++) {
            struct tensor tensor;
            if (!weights_find(weights, (enum tensor_role)role, layer, 0, &tensor) || tensor.cols > COLS_MOST)
                continue;
            check(tensor.rows > 0 && tensor.cols > 0);
            weights_decode(tensor.type, tensor_row(&tensor, 0), tensor.cols, values);
            weights_decode(tensor.type, tensor_row(&tensor, tensor.rows - 1), tensor.cols, values);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    check(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    struct weights *weights = weights_open(arena, &diag, path);
    check((weights != NULL) == (diag.errors == 0));
    if (weights != NULL)
        read_rows(weights);
    weights_close(weights);
    arena_free(arena);
    close(file);
    return 0;
}
