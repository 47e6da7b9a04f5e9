#include "exec/formats/sources.h"

#include <sys/stat.h>

struct weights *weights_open(struct arena *arena, struct diag *diag, const char *path)
{
    struct stat status;
    bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    return folder ? safetensors_open(arena, diag, path) : gguf_open(arena, diag, path);
}
