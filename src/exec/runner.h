/* The runner: a model, its weights, threads and a paged cache; one call runs a step of any mix of sequences'
 * prefill chunks and decodes. How sequences keep their cache, what attention reads of it, where weights come
 * from and what a step consists of are interfaces chosen when the runner is made. */
#ifndef RAFTER_EXEC_RUNNER_H
#define RAFTER_EXEC_RUNNER_H

#include "exec/kernels/attention.h"
#include "exec/op_clock.h"
#include "exec/weights.h"

struct runner;

/* Predictions know both from software/rafter-exec.yaml. */
enum {
    RUNNER_PAGE_TOKENS = 64,
    RUNNER_VALUES_ALONE =
        8192 /* written by one thread: about the microseconds that starting the others takes */
};

/* Gives a sequence's tokens their pages. One for each run; the paged one is cache_paged. */
struct cache_policy {
    const char *name;
    int pages; /* of each layer's pool: those that it hands out are 0 .. pages - 1 */
    /* Makes room for `tokens` more; false: there is none, and nothing has changed. */
    bool (*reserve)(void *state, int sequence, int tokens);
    /* Takes the sequence's last tokens back. */
    void (*shorten)(void *state, int sequence, int tokens);
    void (*release)(void *state, int sequence);
    /* What attention in `layer` sees of the sequence. */
    struct kv_sequence (*view)(void *state, int sequence, int layer);
    void *state;
};

/* Which of the cache's tokens attention reads; attention_reader_all reads what mask and window let it. */
struct attention_reader {
    const char *name;
    bool (*read)(void *state, struct team *team, enum isa isa, int layer, const struct attention *attention,
                 struct attention_scratch *scratch, struct diag *diag);
    void *state;
};
extern const struct attention_reader attention_reader_all;

struct runner_options {
    int threads;  /* 0: all processors */
    enum isa isa; /* at most cpu_isa() */
    enum kv_type kv;
    int page_tokens;    /* 0: RUNNER_PAGE_TOKENS */
    int sequences;      /* most at once */
    int context_tokens; /* most of a sequence, new ones included */
    int step_tokens;    /* most new tokens in one step */
    bool copy;          /* keep a second copy of the weights, in the kernels' order and huge pages */
    const struct attention_reader *reader; /* NULL: all */
    const struct cache_policy *cache;      /* NULL: cache_paged with room for `sequences` full ones */
    bool trace;
};

/* Pages of page_tokens tokens from one pool of `pages`, taken as sequences grow and given back when they are
 * forgotten; a sequence has at most context_tokens. false with diag: memory. */
bool cache_paged(struct arena *arena, struct diag *diag, int sequences, int context_tokens, int page_tokens,
                 int pages, struct cache_policy *policy);

/* What one sequence does in a step. */
struct step_part {
    int sequence; /* 0 .. sequences - 1 */
    const int *tokens;
    int count;
    int logits; /* rows of logits wanted: of the last so many tokens */
};

/* NULL with diag: an architecture that is not run here, a tensor missing or of the wrong shape, memory. */
struct runner *runner_new(struct arena *arena, struct diag *diag, const struct weights *weights,
                          const struct runner_options *options);
void runner_free(struct runner *runner);

/* Runs the parts as one step. logits [sum of parts' logits][vocab], in order. false with diag: a token out of
 * range, no room. */
bool runner_step(struct runner *runner, struct diag *diag, const struct step_part *parts, int count,
                 float *logits);

/* What a step must do at least. */
struct runner_work {
    double linear_flops[WEIGHT_TYPE_COUNT]; /* products with weights, by the type that these are stored in */
    double other_flops;                     /* attention and recurrences, in fp32 */
    double weight_bytes;                    /* of weights that the step's tokens use, each once */
    double cache_bytes;                     /* of KV rows and states */
};
/* Of a step that is about to run: contexts are those before it. */
void runner_work(const struct runner *runner, const struct step_part *parts, int count,
                 struct runner_work *work);
void runner_work_add(struct runner_work *sum, const struct runner_work *work);

int runner_context(const struct runner *runner, int sequence); /* its tokens in the cache */
void runner_forget(struct runner *runner, int sequence);       /* empties its cache */
struct op_clock *runner_clock(struct runner *runner);
struct team *runner_team(struct runner *runner);
enum isa runner_isa(const struct runner *runner);
const struct weights *runner_weights(const struct runner *runner);

/* The whole model in double, for tests: logits [count][vocab] of all positions of one sequence. */
bool oracle_logits(const struct weights *weights, struct arena *arena, struct diag *diag, const int *tokens,
                   int count, double *logits);

#endif
