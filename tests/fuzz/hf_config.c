/* Configs of the Hugging Face Hub: any bytes give a checked model whose text reads back, or errors. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/gguf_header.h"
#include "spec/model_import.h"

enum { ARENA_BYTES = 256 << 20 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    if (gguf_is(bytes, size))
        return 0;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    struct text yaml = {0};
    struct model model;
    struct parameter_count count;
    bool ok = model_import_bytes(arena, &diag, "fuzz", bytes, size, NULL, &model, &yaml);
    check(ok == (diag.errors == 0));
    if (ok) {
        model_parameters(&model, &count);
        check(count.total >= count.text && count.text > 0 && count.total < 1e300);
        check(yaml.data != NULL && strlen(yaml.data) == yaml.length);
        check(model.layers >= 1 && model.layers <= 1000);
    }
    text_free(&yaml);
    arena_free(arena);
    return 0;
}
