/* Graphs of calls: the requests that one question of a user turns into. Declared by the workflow mechanism,
 * costed by estimate/calls.c. */
#ifndef RAFTER_MECHANISM_CALLS_H
#define RAFTER_MECHANISM_CALLS_H

#include "spec/schema.h"

enum { CALLS_MOST = 12, TURNS_MOST = 256 };

/* One call, for each of the user's requests. */
struct call {
    const char *name;
    struct string_list after; /* names of calls before it, which it waits for */
    double count;             /* like calls beside each other, in one batch */
    bool sampled;             /* `samples` times as many */
    int turns;                /* one behind the other */
    double growth;            /* of a turn's output, what the next turn reads on top of its prompt */
    bool keeps_cache;         /* what the turn before read and wrote is cached for the next */
    double share;             /* of the user's requests that come to it */
    const char *model;        /* NULL: the question's */
    const char *device;       /* NULL: the question's devices */
    int devices;              /* of that kind; 0: as the device says */
    double prompt;            /* tokens; 0: prompt_factor of the question's */
    double prompt_factor;
    double reads;  /* of each output of the calls it waits for, what it reads on top */
    bool paired;   /* it reads one output of each of them, not those of all their like calls */
    double output; /* tokens; 0: output_factor of the question's */
    double output_factor;
    bool shared_prompt; /* the `count` calls of a request read one prompt, which is computed and kept once */
    double cached;      /* share of the prompt that earlier calls have left in the cache */
    double wait;        /* s before each turn that no model runs: retrieval, tools, networks */
};

struct call_graph {
    const struct call *calls;
    int count;
    double samples;
    unsigned after[CALLS_MOST]; /* bits of the calls that each waits for, all of them earlier in the list */
};

#endif
