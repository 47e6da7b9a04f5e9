/* `rafter run`: what is run, and what came of it. */
#ifndef RAFTER_CLI_RUN_H
#define RAFTER_CLI_RUN_H

#include "cli/session.h"
#include "exec/generate.h"
#include "exec/probe/rates.h"
#include "exec/kernels/gemm.h"
#include "exec/tokenizer.h"

struct run_input {
    struct weights *weights;
    const struct model *model;
    const char *name;            /* the model's, or the file's */
    enum weight_type type;       /* that most bytes are in */
    struct tokenizer *tokenizer; /* NULL: none */
    struct generation_request request;
    int longest; /* prompt, tokens */
};

/* Opens the weights or makes them up, and puts the prompts together. false with errors; weights may be open
 * even so. */
bool run_input_open(struct session *session, struct run_input *input);

/* What the machine does at best, just before and just after the run. */
struct run_roofs {
    double read_bandwidth[2];      /* byte/s */
    double peak[ARITHMETIC_COUNT]; /* FLOP/s, OP/s; 0: none */
};

struct run_output {
    const struct run_input *input;
    const struct generated *generation;
    struct run_roofs roofs;
    const char *kv, *isa, *scheduler;
    int threads;
};

enum exit_status run_report(struct session *session, const struct run_output *output);

#endif
