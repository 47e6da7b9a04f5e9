#include "cli/run.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "exec/npy.h"

#include <math.h>
#include <string.h>

static bool refuse(enum exit_status status)
{
    return status != STATUS_BAD;
}

/* ---- how it is run ---- */

static bool choose_kv(struct session *session, enum kv_type *kv)
{
    const char *name = option_text(&session->options, OPTION_KV);
    *kv = name != NULL ? kv_type_parse(name) : KV_F16;
    if (*kv != KV_TYPE_COUNT)
        return true;
    return refuse(session_refuse(session, "--kv %.80s: expected fp32, fp16, q8_0 or q4_0", name));
}

/* Tokens of a step: --chunk, or the longest prompt, with others beside it while there are not too many. */
static int step_tokens(const struct session *session, const struct run_input *input)
{
    enum { TOGETHER_MOST = 4096 };
    if (option_given(&session->options, OPTION_CHUNK))
        return (int)option_number(&session->options, OPTION_CHUNK);
    double all = (double)input->longest * input->request.sequences;
    int most = all < TOGETHER_MOST ? (int)all : TOGETHER_MOST;
    most = most < input->longest ? input->longest : most;
    return most < input->request.sequences ? input->request.sequences : most;
}

static void choose_options(const struct session *session, const struct run_input *input,
                           struct runner_options *options)
{
    double left = memory_available();
    *options = (struct runner_options){
        .threads = (int)option_number(&session->options, OPTION_THREADS),
        .isa = cpu_isa(),
        .kv = options->kv,
        .sequences = input->request.sequences,
        .context_tokens = input->longest + input->request.output_tokens,
        .step_tokens = step_tokens(session, input),
        /* a copy of the weights, where it leaves room for the cache and the step */
        .copy = weights_bytes(input->weights) * 1.25 < left,
        .trace = option_given(&session->options, OPTION_TRACE),
    };
}

static bool choose_scheduler(struct session *session, const struct runner_options *options,
                             struct scheduler *scheduler)
{
    bool chunked = option_given(&session->options, OPTION_CHUNK);
    return (chunked ? scheduler_chunked : scheduler_static)(session->arena, &session->diag,
                                                            options->step_tokens, scheduler);
}

/* ---- roofs ---- */

enum { PROBE_ROUNDS = 3 }; /* about 30 ms each */

static void probe_peaks(struct team *team, enum isa isa, struct run_roofs *roofs)
{
    for (int a = 0; a < ARITHMETIC_COUNT; a++)
        roofs->peak[a] = fmax(roofs->peak[a], arithmetic_peak(team, isa, (enum arithmetic)a, PROBE_ROUNDS));
}

/* ---- what is written beside the report ---- */

static bool write_logits(struct session *session, const struct run_input *input,
                         const struct generated *generation)
{
    const char *path = option_text(&session->options, OPTION_LOGITS);
    return path == NULL || npy_write(&session->diag, path, generation->logits, generation->logit_rows,
                                     (size_t)input->model->vocab);
}

static bool write_trace(struct session *session, struct runner *runner)
{
    const char *path = option_text(&session->options, OPTION_TRACE);
    struct text trace = {0};
    if (path == NULL)
        return true;
    op_clock_trace(runner_clock(runner), &trace);
    bool written = !trace.failed && file_write(&session->diag, path, trace.data, trace.length);
    if (trace.failed)
        session_refuse(session, "out of memory for the trace");
    text_free(&trace);
    return written;
}

/* ---- the run ---- */

static enum exit_status run_with(struct session *session, const struct run_input *input,
                                 struct runner *runner, const struct runner_options *options)
{
    struct generated generation = {0};
    struct scheduler scheduler;
    struct team *team = runner_team(runner);
    struct run_output output = {.input = input,
                                .generation = &generation,
                                .kv = kv_type_name(options->kv),
                                .isa = isa_name(options->isa),
                                .threads = team_threads(team)};
    size_t probe_size = probe_bytes();
    void *probe = buffer_new(&session->diag, probe_size);
    if (probe == NULL || !choose_scheduler(session, options, &scheduler)) {
        buffer_free(probe, probe_size);
        return STATUS_BAD;
    }
    output.scheduler = scheduler.name;
    write_bandwidth(team, probe, probe_size, 1);
    probe_peaks(team, options->isa, &output.roofs);
    weights_touch(input->weights);
    output.roofs.read_bandwidth[0] = read_bandwidth(team, probe, probe_size, PROBE_ROUNDS);
    bool ok = generate(runner, session->arena, &session->diag, &input->request, &scheduler, &generation);
    probe_peaks(team, options->isa, &output.roofs);
    output.roofs.read_bandwidth[1] = read_bandwidth(team, probe, probe_size, PROBE_ROUNDS);
    buffer_free(probe, probe_size);
    ok = ok && write_logits(session, input, &generation) && write_trace(session, runner);
    enum exit_status status = ok ? run_report(session, &output) : STATUS_BAD;
    generation_free(&generation);
    return status;
}

static enum exit_status run(struct session *session)
{
    struct run_input input;
    struct runner_options options = {0};
    struct runner *runner = NULL;
    enum exit_status status = STATUS_BAD;
    if (!choose_kv(session, &options.kv))
        return STATUS_BAD;
    if (run_input_open(session, &input)) {
        choose_options(session, &input, &options);
        runner = runner_new(session->arena, &session->diag, input.weights, &options);
    }
    if (runner != NULL)
        status = run_with(session, &input, runner, &options);
    runner_free(runner);
    weights_close(input.weights);
    return status;
}

const struct command command_run = {
    .name = "run",
    .summary = "run a model on this processor and time every operator",
    .operands = "",
    .details =
        "The model is a GGUF file, a folder with config.json and *.safetensors, or a name or description of\n"
        "the catalogue, whose weights are drawn at random (--random-seed N, default 1; --weights TYPE: "
        "fp32,\n"
        "fp16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k). Weights of files are run as they\n"
        "are. Control tokens in a prompt's text are plain characters; with --special they are read as\n"
        "what they are: <|im_start|>, [INST], </s>. The KV cache is fp16, or fp32, q8_0, q4_0. Whole\n"
        "prompts come before all decodes; with --chunk N a step has N tokens at most, decodes first.\n"
        "Percent of the roof is the least time that the phase's FLOPs at the\n"
        "arithmetic's peak or its bytes at the bandwidth of memory would take, both measured beside the\n"
        "run, over the time that it took.\n",
    .examples = "  rafter run -m model.gguf --text \"The capital of France is\" --output 32\n"
                "  rafter run -m model.gguf --special --text \"[INST] Why is the sky blue? [/INST]\"\n"
                "  rafter run -m model.gguf --special --text-file chat.txt --output 256\n"
                "  rafter run -m tinyllama-1.1b --weights q8_0 --prompt 512 --output 64\n"
                "  rafter run -m llama-3.2-1b --batch 8 --chunk 256 --kv q8_0 --json\n"
                "  rafter run -m model.gguf --token-ids 1,300,17 --output 1 --logits logits.npy\n",
    .rules = {.allowed = OPTION_BIT(OPTION_MODEL) | OPTION_BIT(OPTION_RANDOM_SEED) |
                         OPTION_BIT(OPTION_PROMPT_TEXT) | OPTION_BIT(OPTION_TEXT_FILE) |
                         OPTION_BIT(OPTION_SPECIAL) | OPTION_BIT(OPTION_TOKEN_IDS) |
                         OPTION_BIT(OPTION_PROMPT) | OPTION_BIT(OPTION_OUTPUT) | OPTION_BIT(OPTION_WEIGHTS) |
                         OPTION_BIT(OPTION_BATCH) | OPTION_BIT(OPTION_THREADS) | OPTION_BIT(OPTION_KV) |
                         OPTION_BIT(OPTION_CHUNK) | OPTION_BIT(OPTION_TEMPERATURE) |
                         OPTION_BIT(OPTION_TOP_K) | OPTION_BIT(OPTION_TOP_P) | OPTION_BIT(OPTION_SEED) |
                         OPTION_BIT(OPTION_LOGITS) | OPTION_BIT(OPTION_TRACE) | OPTIONS_FORMAT},
    .run = run,
};
