#include "cli/weights_path.h"

#include "spec/gguf_header.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bool holds_weights(const char *path)
{
    struct stat status;
    char magic[4] = "";
    if (stat(path, &status) != 0)
        return false;
    if (S_ISDIR(status.st_mode))
        return true;
    int file = S_ISREG(status.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return false;
    ssize_t got = read(file, magic, sizeof magic);
    close(file);
    return got == (ssize_t)sizeof magic && gguf_is(magic, sizeof magic);
}
