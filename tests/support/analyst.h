/* For tests: an evaluator over the shipped catalogue. */
#ifndef RAFTER_TESTS_ANALYST_H
#define RAFTER_TESTS_ANALYST_H

#include "analyse/evaluate.h"

struct analyst {
    struct arena *arena;
    struct diag diag;
    struct catalogue catalogue;
    struct evaluator evaluator; /* points into the struct: it must not move */
};

void analyst_open(struct analyst *analyst);
void analyst_close(struct analyst *analyst);

/* The question with its device read, as what varies devices needs it; fails the test when it is wrong. */
struct question with_system(struct analyst *analyst, struct question question);

#endif
