/* Networks that read tokens beside the model to steer its cache: the part of auxiliary_model about caches.
 * Described in auxiliary_readers.c. */
#ifndef RAFTER_MECHANISM_AUXILIARY_READERS_H
#define RAFTER_MECHANISM_AUXILIARY_READERS_H

#include "mechanism/mechanism.h"

struct auxiliary_readers {
    double hidden;     /* inner width of a retaining head in each layer; 0: none */
    double gate_width; /* of an attention gate before each layer's; 0: none */
    double gate_head;  /* of each of its heads */
    double parameters; /* of an encoder that reads each prompt once; 0: none */
    const char *draft; /* a model that reads the prompt before; "": none */
};

bool auxiliary_readers_on_generation(struct rewrite *rewrite, const struct auxiliary_readers *readers);
bool auxiliary_readers_on_ops(struct rewrite *rewrite, const struct auxiliary_readers *readers);

#endif
