/* Where weights are. */
#ifndef RAFTER_CLI_WEIGHTS_PATH_H
#define RAFTER_CLI_WEIGHTS_PATH_H

#include <stdbool.h>

/* Whether path is a folder, or a file that begins as GGUF does; else it is a model's name or description. */
bool holds_weights(const char *path);

#endif
