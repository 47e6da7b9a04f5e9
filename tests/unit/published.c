/* Predictions against published measurements (validation/published), none of which any parameter was tuned
 * to. The table goes to docs/validation.md and README.md; RAFTER_UPDATE_GOLDEN=1 rewrites the former. */
#include "base/file.h"
#include "base/text.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char metric[32];
    double batch, prompt, output, measured;
};

static double predict(const struct row *row)
{
    /* the benchmark ran past LLaMA's trained context of 2048 */
    static const char *settings[] = {"model.max_context=4096"};
    struct question question = {.model = "llama-7b",
                                .device = "a100-80gb-sxm",
                                .software = "trtllm",
                                .batch = row->batch,
                                .prompt = row->prompt,
                                .output = row->output,
                                .settings = {settings, 1}};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    double ttft_ms = 1e3 * asked.answer.ttft_s, rate = asked.answer.throughput_tokens_per_s;
    asked_free(&asked);
    return strcmp(row->metric, "ttft_ms") == 0 ? ttft_ms : rate;
}

static void add_row(struct text *out, const struct row *row, double *sum)
{
    double predicted = predict(row), error = predicted / row->measured - 1;
    bool ttft = strcmp(row->metric, "ttft_ms") == 0;
    text_printf(out, "| batch %g, %g in, %g out | %s | %g | %.*f | %+.1f%% |\n", row->batch, row->prompt,
                row->output, ttft ? "TTFT, ms" : "tokens/s", row->measured, ttft ? 1 : 0, predicted,
                100 * error);
    *sum += fabs(error);
}

static const char *read_text(struct arena *arena, struct diag *diag, const char *path)
{
    size_t length;
    const char *text = file_read(arena, diag, path, 1 << 22, &length);
    cr_assert(text != NULL, "%s", diag_first_error(diag));
    return text;
}

static double add_table(struct arena *arena, struct diag *diag, struct text *table)
{
    const char *line = read_text(arena, diag, SOURCE_DIR "/validation/published/trtllm-llama-7b-a100.csv");
    double sum = 0;
    int rows = 0;
    text_add(table, "| LLaMA-7B fp16, one A100 80 GB, TensorRT-LLM | metric | measured | rafter | error |\n"
                    "|---|---|---|---|---|\n");
    for (; *line; line += strcspn(line, "\n") + 1) {
        struct row row;
        if (sscanf(line, "%31[^,],%lf,%lf,%lf,%lf", row.metric, &row.batch, &row.prompt, &row.output,
                   &row.measured) != 5)
            continue; /* comments and the header */
        add_row(table, &row, &sum);
        rows++;
    }
    cr_assert_eq(rows, 6);
    text_printf(table, "| mean absolute error | | | | %.1f%% |\n", 100 * sum / rows);
    return sum / rows;
}

Test(published, tensorrt_llm_llama_7b_on_a100)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct text table = {0}, document = {0};
    double error = add_table(arena, &diag, &table);
    cr_expect(error <= 0.10, "mean absolute error %.1f%%", 100 * error);
    text_printf(&document,
                "# Predictions against measurements\n\nWritten by tests/unit/published.c from "
                "validation/published.\n\n%s",
                table.data);
    if (getenv("RAFTER_UPDATE_GOLDEN"))
        cr_assert(file_write(&diag, SOURCE_DIR "/docs/validation.md", document.data, document.length), "%s",
                  diag_first_error(&diag));
    cr_expect(strcmp(read_text(arena, &diag, SOURCE_DIR "/docs/validation.md"), document.data) == 0,
              "docs/validation.md is stale: make golden rewrites it");
    cr_expect(strstr(read_text(arena, &diag, SOURCE_DIR "/README.md"), table.data) != NULL,
              "README.md does not show the current table (docs/validation.md)");
    text_free(&table);
    text_free(&document);
    arena_free(arena);
}
