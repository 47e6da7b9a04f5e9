/* The JSON of the program itself: valid, with every key of the contract (docs/schemas.md), and adding up. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Runs the program with --json; its status in *status. */
static json_t *run(const char *arguments, int *status)
{
    const char *program = getenv("RAFTER");
    char line[1024];
    snprintf(line, sizeof line, "RAFTER_PATH='%s' '%s' %s --json", SOURCE_DIR,
             program ? program : SOURCE_DIR "/rafter", arguments);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    json_error_t error;
    json_t *json = json_loadf(pipe, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    int ended = pclose(pipe);
    *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    cr_assert_not_null(json, "%s: %s at line %d", arguments, error.text, error.line);
    return json;
}

static json_t *answer(const char *arguments)
{
    int status;
    json_t *json = run(arguments, &status);
    cr_assert_leq(status, 1, "%s: status %d", arguments, status);
    return json;
}

static double number(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    cr_assert_not_null(value, "no %s", key);
    cr_assert(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static void expect_known(const json_t *json, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_geq(number(json, keys[i]), 0, "%s", keys[i]);
}

#define KNOWN(json, ...)                                                                                     \
    expect_known(json, (const char *const[]){__VA_ARGS__},                                                   \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void check_op(const json_t *op)
{
    static const char *const bounds[] = {"compute", "memory:", "link:", "host", "latency"};
    const char *bound = json_string_value(json_object_get(op, "bound"));
    cr_assert(json_is_string(json_object_get(op, "name")) && json_is_string(json_object_get(op, "kind")));
    KNOWN(op, "count", "flops", "bytes", "time_s", "exposed_s", "percent_of_roof");
    cr_expect_leq(number(op, "percent_of_roof"), 100.0 + 1e-9, "%s", json_dumps(op, 0));
    bool known = false;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        known = known || strncmp(bound, bounds[i], strlen(bounds[i])) == 0;
    cr_expect(known, "bound %s", bound);
}

/* Exposed times and host gaps sum to the phase. */
static void check_phase(const json_t *json, const char *name)
{
    const json_t *phase = json_object_get(json, name), *op;
    double sum = number(phase, "host_gap_s");
    size_t index;
    KNOWN(phase, "time_s", "flops", "bytes");
    json_array_foreach(json_object_get(phase, "ops"), index, op)
    {
        check_op(op);
        sum += number(op, "exposed_s");
    }
    cr_expect_float_eq(sum, number(phase, "time_s"), 1e-9 * sum + 1e-15, "%s: %g of %g", name, sum,
                       number(phase, "time_s"));
}

static void check_memory(const json_t *memory)
{
    double parts = number(memory, "weights_bytes") + number(memory, "kv_bytes") +
                   number(memory, "activation_bytes") + number(memory, "reserved_bytes");
    cr_expect_float_eq(parts, number(memory, "total_bytes"), 1e-9 * parts);
    cr_expect_eq(json_is_true(json_object_get(memory, "fits")),
                 number(memory, "total_bytes") <= number(memory, "capacity_bytes"));
}

static void check_interval(const json_t *json, const char *key)
{
    const json_t *pair = json_object_get(json_object_get(json, "interval"), key);
    cr_assert_eq(json_array_size(pair), 2);
    double low = json_number_value(json_array_get(pair, 0)),
           high = json_number_value(json_array_get(pair, 1));
    cr_expect(low <= number(json, key) && number(json, key) <= high, "%s", key);
}

Test(cli_json, the_contract_of_estimate)
{
    json_t *json = answer("estimate -m llama-3.1-8b -d h100-sxm --batch 8 --prompt 512 --output 65");
    KNOWN(json, "schema_version", "ttft_s", "latency_s", "tpot_s", "throughput_tokens_per_s",
          "throughput_tokens_per_s_per_device", "energy_j", "cost_usd", "energy_j_per_output_token",
          "cost_usd_per_million_output_tokens", "devices");
    cr_expect_str_eq(json_string_value(json_object_get(json, "software")), "vllm");
    cr_expect(json_is_string(json_object_get(json, "calibration")));
    cr_expect(json_is_array(json_object_get(json, "warnings")));
    cr_expect_float_eq(number(json, "tpot_s"), (number(json, "latency_s") - number(json, "ttft_s")) / 64,
                       1e-12);
    cr_expect_float_eq(number(json, "throughput_tokens_per_s"), 8 * 65 / number(json, "latency_s"), 1e-6);
    cr_expect_float_eq(number(json, "energy_j_per_output_token"), number(json, "energy_j") / (8 * 65), 1e-9);
    cr_expect_float_eq(number(json, "cost_usd_per_million_output_tokens"),
                       number(json, "cost_usd") / (8 * 65) * 1e6, 1e-9);
    cr_expect_float_eq(number(json_object_get(json, "interval"), "level"), 0.9, 1e-12);
    check_interval(json, "ttft_s");
    check_interval(json, "tpot_s");
    check_memory(json_object_get(json, "memory"));
    check_phase(json, "prefill");
    check_phase(json, "decode");
    json_decref(json);
}

Test(cli_json, phases_add_up_everywhere)
{
    static const char *const questions[] = {
        "estimate -m llama-3-70b -d 8xh100 --batch 16",
        "estimate -m llama-3-70b -d h100-sxm --tp 4 --pp 2 --batch 16",
        "estimate -m mixtral-8x7b -d h100-sxm -n 8 --ep 8 --batch 64",
        "estimate -m deepseek-v3 -d 8xh200 --batch 8 --weights fp8",
        "estimate -m mamba-2.8b -d a100-80gb-sxm",
        "estimate -m llada-8b -d h100-sxm --output 64",
        "estimate -m qwen3-next-80b-a3b -d h200-sxm -n 2 -s hf-eager",
        "estimate -m llama-3.1-70b -d 8xh100 --with speculative-chain",
        "estimate -m llama-3.1-8b -d epyc-9654 -s llama-cpp --weights q4_k",
    };
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        json_t *json = answer(questions[i]);
        check_memory(json_object_get(json, "memory"));
        check_phase(json, "prefill");
        check_phase(json, "decode");
        json_decref(json);
    }
}

Test(cli_json, what_is_unknown_is_null)
{
    json_t *json = answer("estimate -m llama-3.1-8b -d h100-sxm --output 1");
    cr_expect(json_is_null(json_object_get(json, "tpot_s")));
    cr_expect_eq(json_array_size(json_object_get(json_object_get(json, "decode"), "ops")), 0);
    check_phase(json, "prefill");
    json_decref(json);
    json = answer("estimate -m llama-3.1-8b -d neupims-npu -s ideal");
    cr_expect(json_is_null(json_object_get(json, "cost_usd")));
    json_decref(json);
}

Test(cli_json, a_no_is_an_answer)
{
    int status;
    json_t *json = run("estimate -m llama-3-70b -d h100-sxm", &status);
    cr_expect_eq(status, 1);
    cr_expect(json_is_false(json_object_get(json_object_get(json, "memory"), "fits")));
    cr_expect_eq(number(json_object_get(json, "would_fit"), "devices"), 2);
    json_decref(json);
}

Test(cli_json, other_commands)
{
    static const char *const commands[] = {
        "ops -m llama-2-7b -d rtx-a6000",
        "ops -m llama-2-7b -d rtx-a6000 --phase decode",
        "compare -m llama-3.1-8b -d h100-sxm,l40s",
        "list hardware",
        "list types",
        "list mechanisms",
        "show h100-sxm",
        "show llama-3.1-8b",
        "show q4_k",
        "show kv_quantization",
        "explain ttft_s -m llama-3.1-8b -d h100-sxm",
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        json_decref(answer(commands[i]));
}

Test(cli_json, ratios_are_to_the_first)
{
    json_t *json = answer("compare -m llama-3.1-8b -d h100-sxm,a100-80gb-sxm");
    const json_t *variants = json_object_get(json, "variants");
    const json_t *first = json_array_get(variants, 0), *second = json_array_get(variants, 1);
    double ratio = number(json_object_get(second, "answer"), "ttft_s") /
                   number(json_object_get(first, "answer"), "ttft_s");
    cr_expect_eq(number(json_object_get(first, "ratios"), "ttft_s"), 1);
    cr_expect_float_eq(number(json_object_get(second, "ratios"), "ttft_s"), ratio, 1e-12);
    json_decref(json);
}
