#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/intervals.h"
#include "report/answer.h"

static enum exit_status put_result(struct session *session, const struct result *result)
{
    const struct fitting *fitting = session_fitting(session, result);
    switch (session->format) {
    case OUTPUT_JSON:
        return json_add(&session->out, answer_json(result, fitting))
                   ? STATUS_YES
                   : session_refuse(session, "out of memory");
    case OUTPUT_CSV:
        return session_put(session, answer_csv(&result, NULL, 1, session->arena));
    case OUTPUT_MARKDOWN:
        answer_markdown(result, fitting, session->arena, &session->out);
        return STATUS_YES;
    case OUTPUT_TEXT:
        break;
    }
    answer_text(result, fitting, session->colour, session->arena, &session->out);
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    struct question question;
    if (!session_question(session, &question))
        return STATUS_BAD;
    if (option_given(&session->options, OPTION_EXPLAIN))
        return explain_metric(session, &question, option_text(&session->options, OPTION_EXPLAIN));
    struct result *result = session_estimate(session, &question);
    if (result == NULL || !intervals_as_asked(session, &question, result) ||
        put_result(session, result) == STATUS_BAD)
        return STATUS_BAD;
    return result_accepted(result) ? STATUS_YES : STATUS_NO;
}

const struct command command_estimate = {
    .name = "estimate",
    .summary = "latency, throughput, memory, energy and cost of a model on devices",
    .operands = "",
    .details = "Exits with 1 when it does not fit in memory or misses an objective of the workload.\n",
    .examples = "  rafter estimate -m llama-3.1-8b -d h100-sxm --batch 8 --prompt 1024 --output 256\n"
                "  rafter estimate -m llama-3-70b -d h100-sxm -n 8 -w chat --weights fp8 --kv fp8\n"
                "  rafter estimate -m llama-3.1-8b -d rtx-4090 -s llama-cpp --weights q4_k --explain tpot_s\n"
                "  rafter estimate -m mixtral-8x7b -d a100-80gb-sxm -n 2 --json -o answer.json\n"
                "  rafter estimate -m qwen3-8b -d l40s --interval-method sampling --seed 7\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT | OPTION_BIT(OPTION_EXPLAIN) | OPTIONS_INTERVAL},
    .run = run,
};
