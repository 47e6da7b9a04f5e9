#include "cli/options.h"

/* Upper bounds keep counts in int and products in double; no deployment comes near them. */
#define TEXT(name, letter, group, value, help)                                                               \
    {                                                                                                        \
        name, letter, VALUE_TEXT, false, DIM_NONE, 0, 0, group, value, help                                  \
    }
#define TEXTS(name, group, value, help)                                                                      \
    {                                                                                                        \
        name, 0, VALUE_TEXT, true, DIM_NONE, 0, 0, group, value, help                                        \
    }
#define COUNT(name, letter, most, group, help)                                                               \
    {                                                                                                        \
        name, letter, VALUE_NUMBER, false, DIM_COUNT, 1, most, group, "N", help                              \
    }
#define TOKENS(name, group, help)                                                                            \
    {                                                                                                        \
        name, 0, VALUE_NUMBER, false, DIM_TOKENS, 1, 1e8, group, "N", help                                   \
    }
#define LIMIT(name, dimension, most, value, help)                                                            \
    {                                                                                                        \
        name, 0, VALUE_NUMBER, false, dimension, 1e-9, most, GROUP_LIMIT, value, help                        \
    }
#define SWITCH(name, letter, group, help)                                                                    \
    {                                                                                                        \
        name, letter, VALUE_NONE, false, DIM_NONE, 0, 0, group, "", help                                     \
    }

const struct option option_table[OPTION_COUNT] = {
    [OPTION_MODEL] =
        TEXT("model", 'm', GROUP_QUESTION, "NAME", "the model: a name, a Hugging Face name or a YAML file"),
    [OPTION_DEVICE] = TEXT("device", 'd', GROUP_QUESTION, "NAME", "the device or system it runs on"),
    [OPTION_DEVICES] =
        COUNT("devices", 'n', 65536, GROUP_QUESTION, "how many of the device (default: 1, or the system's)"),
    [OPTION_THREADS] = COUNT("threads", 0, 1024, GROUP_QUESTION,
                             "cores at work of each device, one thread a core (default: all)"),
    [OPTION_SOFTWARE] = TEXT("software", 's', GROUP_QUESTION, "NAME", "the serving software (default: vllm)"),
    [OPTION_WORKLOAD] =
        TEXT("workload", 'w', GROUP_QUESTION, "NAME", "batch and lengths by name: chat, rag, code ..."),
    [OPTION_BATCH] =
        COUNT("batch", 'b', 1e7, GROUP_QUESTION, "sequences at once over all devices (default: 1)"),
    [OPTION_PROMPT] = TOKENS("prompt", GROUP_QUESTION, "prompt tokens of a sequence (default: 1024)"),
    [OPTION_OUTPUT] = TOKENS("output", GROUP_QUESTION, "output tokens of a sequence (default: 128)"),
    [OPTION_TP] =
        COUNT("tp", 0, 65536, GROUP_PARALLEL, "tensor parallel degree (default: all devices left over)"),
    [OPTION_PP] = COUNT("pp", 0, 64, GROUP_PARALLEL, "pipeline stages (default: 1)"),
    [OPTION_EP] = COUNT("ep", 0, 65536, GROUP_PARALLEL, "expert parallel degree (default: 1)"),
    [OPTION_DP] = COUNT("dp", 0, 65536, GROUP_PARALLEL, "data-parallel attention groups (default: 1)"),
    [OPTION_SP] =
        SWITCH("sp", 0, GROUP_PARALLEL, "sequence parallel: norms and residuals on a share of the tokens"),
    [OPTION_MICRO_BATCHES] = COUNT("micro-batches", 0, 65536, GROUP_PARALLEL,
                                   "pipeline micro-batches (default: as many as stages)"),
    [OPTION_EXPERT_SKEW] = {"expert-skew", 0, VALUE_NUMBER, false, DIM_NONE, 0, 4, GROUP_PARALLEL, "S",
                            "exponent of the experts' popularity (default: 0, balanced)"},
    [OPTION_WEIGHTS] =
        TEXT("weights", 0, GROUP_TECHNIQUE, "TYPE", "element type of the weights: fp8, int4-g128 ..."),
    [OPTION_ACTIVATIONS] = TEXT("activations", 0, GROUP_TECHNIQUE, "TYPE", "element type of the activations"),
    [OPTION_KV] = TEXT("kv", 0, GROUP_TECHNIQUE, "TYPE", "element type of the KV cache"),
    [OPTION_WITH] =
        TEXTS("with", GROUP_TECHNIQUE, "TECHNIQUE", "a technique from the catalogue; repeat to stack"),
    [OPTION_SET] = {"set", 0, VALUE_SETTING, true, DIM_NONE, 0, 0, GROUP_TECHNIQUE, "KEY=VALUE",
                    "change one figure: hardware.power.tdp=600W; repeatable"},
    [OPTION_NO_RESIDENCY] =
        SWITCH("no-residency", 0, GROUP_TECHNIQUE, "caches keep nothing between operators"),
    [OPTION_MAX_TTFT] = LIMIT("max-ttft", DIM_SECONDS, 1e6, "TIME", "time to the first token at most: 500ms"),
    [OPTION_MAX_TPOT] = LIMIT("max-tpot", DIM_SECONDS, 1e6, "TIME", "time per output token at most: 50ms"),
    [OPTION_MAX_LATENCY] =
        LIMIT("max-latency", DIM_SECONDS, 1e9, "TIME", "time to the last token at most: 30s"),
    [OPTION_MAX_COST] =
        LIMIT("max-cost", DIM_USD, 1e9, "USD", "cost per million output tokens at most: 1.5USD"),
    [OPTION_MAX_MEMORY] = LIMIT("max-memory", DIM_BYTES, 1e15, "SIZE",
                                "memory of a device at most: 40GiB (default: all it has)"),
    [OPTION_MIN_THROUGHPUT] =
        LIMIT("min-throughput", DIM_NONE, 1e12, "N", "tokens/s of all devices together at least"),
    [OPTION_OBJECTIVE] =
        TEXT("objective", 0, GROUP_LIMIT, "WHAT",
             "what is best: throughput (default), latency, ttft, tpot, cost, memory, energy"),
    [OPTION_FAMILY] =
        TEXT("family", 0, GROUP_SAMPLES, "NAME",
             "only this family: of operators gemm, attention-decode ...; of techniques kv_eviction ..."),
    [OPTION_SOURCE] = TEXT("source", 0, GROUP_SAMPLES, "NAME",
                           "only samples of this software: vllm, or with its version \"vllm 0.14.0\""),
    [OPTION_DTYPE] =
        TEXT("dtype", 0, GROUP_SAMPLES, "TYPE", "only samples of this type, as the file has it: fp8_block"),
    [OPTION_FOLDS] = SWITCH("folds", 0, GROUP_SAMPLES,
                            "fit on each of five fixed folds of the rows in turn, test on the other four"),
    [OPTION_HOLD_OUT] = TEXT("hold-out", 0, GROUP_SAMPLES, "WHAT",
                             "shapes: fit on four fifths of the shapes, test on the fifth, five times"),
    [OPTION_FIT_ROWS] = COUNT("fit-rows", 0, 1e6, GROUP_SAMPLES,
                              "fit on N rows spread evenly over each source and type, test on the rest"),
    [OPTION_FIT_ON] = TEXT("fit-on", 0, GROUP_SAMPLES, "NAME",
                           "fit on the rows of this other device; rates are those of --device"),
    [OPTION_MAX_MAPE] = {"max-mape", 0, VALUE_NUMBER, false, DIM_FRACTION, 1e-9, 1, GROUP_LIMIT, "ERROR",
                         "mean absolute error of each family, type and source at most: 8.5%"},
    [OPTION_ROWS_OUT] =
        TEXT("rows-out", 0, GROUP_REPORT, "FILE", "write every row with its prediction as CSV"),
    [OPTION_ROWS_IN] = TEXT("rows-in", 0, GROUP_SAMPLES, "FILE",
                            "predict runs measured earlier (--rows-out) again instead of running them"),
    [OPTION_QUICK] = SWITCH("quick", 0, GROUP_SAMPLES, "fewer sizes and shorter runs: about 15 s"),
    [OPTION_SAMPLES] =
        TEXT("samples", 0, GROUP_REPORT, "FOLDER", "keep the samples there: gemm.csv, attention.csv ..."),
    [OPTION_TOP] = COUNT("top", 0, 100000, GROUP_REPORT, "rows at most"),
    [OPTION_PHASE] = TEXT("phase", 0, GROUP_REPORT, "PHASE", "only this phase: prefill, decode"),
    [OPTION_EXPLAIN] =
        TEXT("explain", 0, GROUP_REPORT, "METRIC", "the formula, inputs and sources behind a figure"),
    [OPTION_INTERVAL_METHOD] = TEXT("interval-method", 0, GROUP_REPORT, "METHOD",
                                    "how sure: delta (default, at no cost) or sampling (many answers)"),
    [OPTION_DRAWS] = COUNT("draws", 0, 1000000, GROUP_REPORT, "answers that are sampled (default: 1000)"),
    [OPTION_SEED] = COUNT("seed", 0, 2147483647, GROUP_REPORT, "of what is drawn at random (default: 1)"),
    [OPTION_RANDOM_SEED] = {"random-seed", 0, VALUE_NUMBER, false, DIM_COUNT, 0, 2147483647, GROUP_QUESTION,
                            "N", "make the weights up: random values of this seed"},
    [OPTION_PROMPT_TEXT] = TEXT("text", 0, GROUP_QUESTION, "TEXT", "the prompt, for the model's tokenizer"),
    [OPTION_TEXT_FILE] =
        TEXT("text-file", 0, GROUP_QUESTION, "FILE", "the prompt from a file, byte for byte"),
    [OPTION_SPECIAL] =
        SWITCH("special", 0, GROUP_QUESTION, "read control tokens in the prompt's text: <|im_start|>user"),
    [OPTION_TOKEN_IDS] = TEXT("token-ids", 0, GROUP_QUESTION, "N,N...", "the prompt as token ids: 1,300,17"),
    [OPTION_CHUNK] = TOKENS("chunk", GROUP_QUESTION,
                            "tokens of a step: prompts in chunks beside decodes (default: whole prompts)"),
    [OPTION_TEMPERATURE] = {"temperature", 0, VALUE_NUMBER, false, DIM_NONE, 0, 100, GROUP_QUESTION, "T",
                            "of sampling; 0: the most likely token (default)"},
    [OPTION_TOP_K] = COUNT("top-k", 0, 1e8, GROUP_QUESTION, "sample among the N most likely tokens"),
    [OPTION_TOP_P] = {"top-p", 0, VALUE_NUMBER, false, DIM_FRACTION, 1e-6, 1, GROUP_QUESTION, "P",
                      "sample among the likeliest tokens of this probability together"},
    [OPTION_LOGITS] = TEXT("logits", 0, GROUP_REPORT, "FILE",
                           "write the logits after each token as a NumPy file: float32 [tokens, vocabulary]"),
    [OPTION_TRACE] =
        TEXT("trace", 0, GROUP_REPORT, "FILE", "write a trace of all operators for Perfetto or Chrome"),
    [OPTION_TOKENIZER] =
        TEXT("tokenizer", 0, GROUP_REPORT, "FILE", "take the tokenizer of this GGUF file along"),
    [OPTION_NAME] = TEXT("name", 0, GROUP_REPORT, "NAME",
                         "what an imported model is called; owner/name is its Hugging Face repository too"),
    [OPTION_STATUS] = TEXT("status", 0, GROUP_SAMPLES, "STATUS",
                           "only claims that are computed, input, baseline or not-computable"),
    [OPTION_TECHNIQUES] = SWITCH("techniques", 0, GROUP_TECHNIQUE,
                                 "all techniques that have an answer here, each beside the baseline"),
    [OPTION_LOSSLESS] =
        SWITCH("lossless", 0, GROUP_LIMIT, "only techniques that leave the model's outputs as they are"),
    [OPTION_DEPTH] = COUNT("depth", 0, 3, GROUP_LIMIT, "techniques of a stack at most (default: 3)"),
    [OPTION_CLAIMS_FILE] =
        TEXT("file", 0, GROUP_SAMPLES, "FILE", "claims of this technique file, which need not be installed"),
    [OPTION_JSON] = SWITCH("json", 0, GROUP_REPORT, "print JSON"),
    [OPTION_CSV] = SWITCH("csv", 0, GROUP_REPORT, "print CSV"),
    [OPTION_MARKDOWN] = SWITCH("markdown", 0, GROUP_REPORT, "print Markdown"),
    [OPTION_FILE] = TEXT("output-file", 'o', GROUP_REPORT, "FILE",
                         "write to a file; .json, .csv and .md choose the format"),
    [OPTION_HELP] = SWITCH("help", 'h', GROUP_REPORT, "this page"),
};
