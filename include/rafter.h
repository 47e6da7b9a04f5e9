/* rafter: what an LLM costs to serve, from C.
 *
 *     rafter *r = rafter_open(NULL);
 *     rafter_question q = RAFTER_QUESTION_INIT;
 *     q.model = "llama-3.1-8b"; q.device = "h100-sxm"; q.batch = 8; q.prompt = 1024; q.output = 256;
 *     rafter_answer a;
 *     if (rafter_estimate(r, &q, &a) != RAFTER_OK) fprintf(stderr, "%s\n", rafter_error(r));
 *     else printf("%g s to the first token\n", a.ttft_s);
 *     rafter_close(r);
 *
 * All figures are SI: seconds, bytes, FLOP, joules. Errors are fractions. A `rafter` handle and its plans
 * belong to one thread at a time; different handles are independent. */
#ifndef RAFTER_H
#define RAFTER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RAFTER_API __attribute__((visibility("default")))
#else
#define RAFTER_API
#endif

/* Raised by one when the structs below change incompatibly. Structs start with struct_size, so that a newer
 * library can tell an older caller's. */
#define RAFTER_ABI_VERSION 1

/* The library's RAFTER_ABI_VERSION and its version text ("0.1.0"). */
RAFTER_API int rafter_abi_version(void);
RAFTER_API const char *rafter_version(void);

typedef struct rafter rafter;
typedef struct rafter_plan rafter_plan;

typedef enum {
    RAFTER_OK = 0,
    RAFTER_NO = 1,   /* answered, and the answer is no: it does not fit in memory */
    RAFTER_ERROR = 2 /* bad input: rafter_error() says what, where, and what was expected */
} rafter_status;

/* Opens the catalogues. data_path: folders that hold hardware/, models/ ..., separated by ':', searched
 * first; NULL: RAFTER_PATH, the user's, then the installed ones. NULL only when memory is out. */
RAFTER_API rafter *rafter_open(const char *data_path);
RAFTER_API void rafter_close(rafter *handle); /* frees its plans too; NULL is allowed */

/* The last call's messages, a line each, or "". Valid until the next call on the handle. */
RAFTER_API const char *rafter_error(const rafter *handle);

/* A question. Strings are names (or paths of YAML files); NULL and 0 mean: not given. */
typedef struct {
    size_t struct_size;
    const char *model;                      /* required */
    const char *device;                     /* required: a device or a system */
    const char *software;                   /* default "vllm" */
    const char *workload;                   /* default: none; then batch 1, prompt 1024, output 128 */
    int devices;                            /* how many; default: the system's, or 1 */
    int tp, pp, ep, dp;                     /* parallel degrees; default: tp takes what the others leave */
    int sequence_parallel;                  /* 0 or 1 */
    int micro_batches;                      /* 0: as many as pipeline stages */
    double batch;                           /* sequences over the whole system */
    double prompt, output;                  /* tokens */
    const char *weights, *activations, *kv; /* element types: "int4-g128", "fp8", ... */
    const char *const *techniques;          /* names, in order */
    size_t technique_count;
    const char *const *settings; /* "key=value", as --set */
    size_t setting_count;
    int threads; /* cores at work of each device, one thread a core; 0: all */
} rafter_question;

#define RAFTER_QUESTION_INIT                                                                                 \
    {                                                                                                        \
        .struct_size = sizeof(rafter_question)                                                               \
    }

/* The answer. NaN: unknown (a device without a price, TPOT of a single token). Memory: per device, worst
 * rank. Energy, cost, throughput: of the whole batch over the system. */
typedef struct {
    size_t struct_size;
    double ttft_s;    /* until the first tokens of all `batch` prompts, prefilled together, are out */
    double tpot_s;    /* (latency_s - ttft_s) / (output - 1) */
    double latency_s; /* until the last token */
    double ttft_low_s, ttft_high_s, tpot_low_s, tpot_high_s; /* 90% interval */
    double throughput_tokens_per_s;                          /* batch * output / latency_s */
    double weights_bytes, kv_bytes, activation_bytes, reserved_bytes, total_bytes, capacity_bytes;
    int fits;
    int devices;
    double energy_j;
    double cost_usd;
    double carbon_kg;
} rafter_answer;

/* Answers a question. RAFTER_OK, RAFTER_NO (answer filled, fits == 0) or RAFTER_ERROR. answer->struct_size is
 * set. */
RAFTER_API rafter_status rafter_estimate(rafter *handle, const rafter_question *question,
                                         rafter_answer *answer);

/* The full answer with its operator tables as JSON (docs/schemas.md), to be freed with rafter_free. NULL:
 * error. */
RAFTER_API char *rafter_estimate_json(rafter *handle, const rafter_question *question);
RAFTER_API void rafter_free(void *memory);

/* A plan is a question resolved once: names looked up, types chosen, kernels tabulated. Estimating on it
 * takes microseconds and allocates nothing. NULL: error. */
RAFTER_API rafter_plan *rafter_plan_new(rafter *handle, const rafter_question *question);
RAFTER_API void rafter_plan_free(rafter_plan *plan); /* NULL is allowed */

/* The answer for another batch and other lengths on the plan: batch >= 1 sequences, prompt >= 1, output >= 1
 * tokens. RAFTER_ERROR when they are out of range or exceed the model's context. */
RAFTER_API rafter_status rafter_plan_estimate(rafter_plan *plan, double batch, double prompt, double output,
                                              rafter_answer *answer);

#ifdef __cplusplus
}
#endif

#endif
