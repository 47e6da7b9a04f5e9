/* What a run says: its text or tokens, how fast it was, and where the time went. */
#include "cli/run.h"

#include "report/answer.h"
#include "report/human.h"
#include "report/json.h"
#include "report/table.h"
#include "report/tone.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- roofs ---- */

/* OP/s of products with weights of a type, in the fastest arithmetic that does for them (kernels/gemm.h). */
static double peak_of(enum weight_type type, double rows, const struct run_roofs *roofs)
{
    double fp32 = roofs->peak[ARITHMETIC_F32];
    if (type == WEIGHT_F32 || type > WEIGHT_Q6_K)
        return fp32;
    if (type == WEIGHT_F16 || type == WEIGHT_BF16)
        return rows > GEMV_ROWS_MOST ? fmax(fp32, roofs->peak[ARITHMETIC_BF16]) : fp32;
    return fmax(fp32, roofs->peak[ARITHMETIC_INT8]);
}

/* Seconds that the phase's work takes at best: at the peaks of its arithmetic or at memory's bandwidth. */
static double roof_seconds(const struct phase_times *phase, const struct run_roofs *roofs)
{
    double bandwidth = fmax(roofs->read_bandwidth[0], roofs->read_bandwidth[1]);
    double rows = phase->tokens / phase->steps;
    double compute = phase->work.other_flops / roofs->peak[ARITHMETIC_F32];
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++)
        compute += phase->work.linear_flops[type] / peak_of((enum weight_type)type, rows, roofs);
    return fmax(compute, (phase->work.weight_bytes + phase->work.cache_bytes) / bandwidth);
}

static double share_of_roof(const struct phase_times *phase, const struct run_roofs *roofs)
{
    return phase->steps > 0 ? roof_seconds(phase, roofs) / phase->seconds : NAN;
}

static double rate(const struct phase_times *phase)
{
    return phase->steps > 0 ? phase->tokens / phase->seconds : NAN;
}

/* ---- tokens ---- */

static const char *generated_text(struct session *session, const struct run_input *input,
                                  const struct generated *generation, int sequence)
{
    struct text text = {0};
    if (input->tokenizer == NULL)
        return NULL;
    for (int i = 0; i < generation->counts[sequence]; i++)
        tokenizer_decode(input->tokenizer, generation->tokens[sequence][i], &text);
    const char *copy = arena_strndup(session->arena, text.data != NULL ? text.data : "",
                                     text.data != NULL ? text.length : 0);
    text_free(&text);
    return copy;
}

/* Text as it is, without what would speak to a terminal. */
static void put_generated(struct session *session, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        size_t control = *at == '\n' || *at == '\t' ? 0 : text_control_length(at);
        if (control == 0)
            text_addn(&session->out, at, 1);
        else
            at += control - 1;
    }
}

static void put_tokens(struct session *session, const struct run_output *output)
{
    const struct generated *generation = output->generation;
    for (int s = 0; s < output->input->request.sequences; s++) {
        const char *text = generated_text(session, output->input, generation, s);
        if (text != NULL)
            put_generated(session, text);
        for (int i = 0; text == NULL && i < generation->counts[s]; i++)
            text_printf(&session->out, "%s%d", i > 0 ? "," : "", generation->tokens[s][i]);
        text_add(&session->out, "\n");
    }
}

/* ---- tables ---- */

static int by_time(const void *a, const void *b)
{
    double difference = ((const struct op_time *)b)->seconds - ((const struct op_time *)a)->seconds;
    return (difference > 0) - (difference < 0);
}

static void add_columns(struct table *table, bool phases)
{
    if (phases)
        table_column(table, "phase", "phase", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "name", "operator", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "count", "count", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "time_s", "time", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "share", "share", SIDE_RIGHT, COLUMN_BOTH);
}

static void add_rows(struct table *table, struct arena *arena, const char *name,
                     const struct phase_times *phase)
{
    struct phase_times sorted = *phase;
    qsort(sorted.ops, (size_t)sorted.op_count, sizeof sorted.ops[0], by_time);
    for (int i = 0; i < sorted.op_count; i++) {
        const struct op_time *op = &sorted.ops[i];
        table_row(table, TONE_PLAIN);
        if (name != NULL)
            table_text(table, name);
        table_text(table, op->name);
        table_number(table, op->count, human(arena, HUMAN_NUMBER, op->count));
        table_number(table, op->seconds, human(arena, HUMAN_SECONDS, op->seconds));
        table_number(table, op->seconds / phase->seconds, human_percent(arena, op->seconds / phase->seconds));
    }
}

static enum exit_status put_phase(struct session *session, const struct run_output *output, const char *name,
                                  const struct phase_times *phase)
{
    struct arena *arena = session->arena;
    bool markdown = session->format == OUTPUT_MARKDOWN;
    if (phase->steps == 0)
        return STATUS_YES;
    tone_printf(&session->out, session->colour, TONE_STRONG, "\n%s%s", markdown ? "## " : "", name);
    text_printf(&session->out, "%s%s, %s tokens in %s, %s of the roof\n%s", markdown ? "\n\n" : ": ",
                human(arena, HUMAN_TOKENS_PER_SECOND, rate(phase)), human(arena, HUMAN_NUMBER, phase->tokens),
                human(arena, HUMAN_SECONDS, phase->seconds),
                human_percent(arena, share_of_roof(phase, &output->roofs)), markdown ? "\n" : "");
    struct table *table = table_new(arena);
    add_columns(table, false);
    add_rows(table, arena, NULL, phase);
    return session_put(session, table);
}

static enum exit_status put_text(struct session *session, const struct run_output *output)
{
    struct arena *arena = session->arena;
    const struct run_input *input = output->input;
    double bandwidth = fmax(output->roofs.read_bandwidth[0], output->roofs.read_bandwidth[1]);
    put_tokens(session, output);
    text_printf(&session->out, "\n%s, weights %s (%s), KV cache %s, %d thread%s of %s, reading at %s\n",
                input->name, weight_layouts[input->type].name,
                human(arena, HUMAN_BYTES, weights_bytes(input->weights)), output->kv, output->threads,
                output->threads == 1 ? "" : "s", output->isa,
                human(arena, HUMAN_BYTES_PER_SECOND, bandwidth));
    if (put_phase(session, output, "prefill", &output->generation->prefill) != STATUS_YES)
        return STATUS_BAD;
    return put_phase(session, output, "decode", &output->generation->decode);
}

static enum exit_status put_csv(struct session *session, const struct run_output *output)
{
    struct table *table = table_new(session->arena);
    add_columns(table, true);
    add_rows(table, session->arena, "prefill", &output->generation->prefill);
    add_rows(table, session->arena, "decode", &output->generation->decode);
    return session_put(session, table);
}

/* ---- JSON ---- */

static json_t *phase_times_json(const struct phase_times *phase, const struct run_roofs *roofs)
{
    json_t *object = json_object(), *ops = json_array();
    if (phase->steps == 0) {
        json_decref(object);
        json_decref(ops);
        return json_null();
    }
    json_object_set_new(object, "tokens", json_count(phase->tokens));
    json_object_set_new(object, "steps", json_integer(phase->steps));
    json_object_set_new(object, "time_s", json_figure(phase->seconds));
    json_object_set_new(object, "tokens_per_s", json_figure(rate(phase)));
    json_object_set_new(object, "percent_of_roof", json_figure(100 * share_of_roof(phase, roofs)));
    for (int i = 0; i < phase->op_count; i++) {
        json_t *op = json_object();
        json_object_set_new(op, "name", json_text(phase->ops[i].name));
        json_object_set_new(op, "count", json_count(phase->ops[i].count));
        json_object_set_new(op, "time_s", json_figure(phase->ops[i].seconds));
        json_array_append_new(ops, op);
    }
    json_object_set_new(object, "ops", ops);
    return object;
}

static json_t *ids_json(const struct generated *generation, int sequence)
{
    json_t *ids = json_array();
    for (int i = 0; i < generation->counts[sequence]; i++)
        json_array_append_new(ids, json_integer(generation->tokens[sequence][i]));
    return ids;
}

/* Of one sequence as they are, of several as arrays of theirs. */
static void add_generated(struct session *session, const struct run_output *output, json_t *object)
{
    const struct run_input *input = output->input;
    int sequences = input->request.sequences;
    json_t *ids = sequences > 1 ? json_array() : ids_json(output->generation, 0);
    json_t *texts =
        sequences > 1 ? json_array() : json_text(generated_text(session, input, output->generation, 0));
    for (int s = 0; sequences > 1 && s < sequences; s++) {
        json_array_append_new(ids, ids_json(output->generation, s));
        json_array_append_new(texts, json_text(generated_text(session, input, output->generation, s)));
    }
    json_object_set_new(object, "token_ids", ids);
    json_object_set_new(object, "text", texts);
}

static double generated_tokens(const struct run_output *output)
{
    double sum = 0;
    for (int s = 0; s < output->input->request.sequences; s++)
        sum += output->generation->counts[s];
    return sum;
}

/* null: the processor has none of that kind. */
static json_t *peaks_json(const struct run_roofs *roofs)
{
    static const char *const names[] = {
        [ARITHMETIC_F32] = "fp32", [ARITHMETIC_BF16] = "bf16", [ARITHMETIC_INT8] = "int8"};
    json_t *object = json_object();
    for (int a = 0; a < ARITHMETIC_COUNT; a++)
        json_object_set_new(object, names[a], json_figure(roofs->peak[a] > 0 ? roofs->peak[a] : NAN));
    return object;
}

static json_t *run_json(struct session *session, const struct run_output *output)
{
    const struct run_input *input = output->input;
    const struct run_roofs *roofs = &output->roofs;
    json_t *object = json_object(), *bandwidth = json_array();
    json_object_set_new(object, "schema_version", json_integer(SCHEMA_VERSION));
    json_object_set_new(object, "model", json_text(input->name));
    json_object_set_new(object, "weights", json_text(weight_layouts[input->type].name));
    json_object_set_new(object, "weight_bytes", json_count(weights_bytes(input->weights)));
    json_object_set_new(object, "kv", json_text(output->kv));
    json_object_set_new(object, "threads", json_integer(output->threads));
    json_object_set_new(object, "isa", json_text(output->isa));
    json_object_set_new(object, "scheduler", json_text(output->scheduler));
    json_object_set_new(object, "batch", json_integer(input->request.sequences));
    json_object_set_new(object, "prompt_tokens",
                        json_count((double)input->longest * input->request.sequences));
    json_object_set_new(object, "output_tokens", json_count(generated_tokens(output)));
    add_generated(session, output, object);
    json_array_append_new(bandwidth, json_figure(roofs->read_bandwidth[0]));
    json_array_append_new(bandwidth, json_figure(roofs->read_bandwidth[1]));
    json_object_set_new(object, "read_bandwidth_bytes_per_s", bandwidth);
    json_object_set_new(object, "arithmetic_peak_ops_per_s", peaks_json(roofs));
    json_object_set_new(object, "prefill", phase_times_json(&output->generation->prefill, roofs));
    json_object_set_new(object, "decode", phase_times_json(&output->generation->decode, roofs));
    return object;
}

enum exit_status run_report(struct session *session, const struct run_output *output)
{
    switch (session->format) {
    case OUTPUT_JSON:
        return json_add(&session->out, run_json(session, output)) ? STATUS_YES
                                                                  : session_refuse(session, "out of memory");
    case OUTPUT_CSV:
        return put_csv(session, output);
    case OUTPUT_TEXT:
    case OUTPUT_MARKDOWN:
        break;
    }
    return put_text(session, output);
}
