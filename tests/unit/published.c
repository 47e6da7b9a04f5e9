/* Predictions against published measurements (validation/published), none of which any parameter was tuned
 * to. The tables go to docs/validation.md, the first to README.md too; RAFTER_UPDATE_GOLDEN=1 rewrites the
 * former. */
#include "base/file.h"
#include "base/text.h"
#include "support/analyst.h"
#include "validate/answers.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct analyst analyst;
static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    analyst_open(&analyst);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
    analyst_close(&analyst);
}

TestSuite(published, .init = set_up, .fini = tear_down);

static struct published_rows predicted(const char *file)
{
    struct published_rows list;
    cr_assert(
        published_read(&list, arena, &diag, arena_printf(arena, SOURCE_DIR "/validation/published/%s", file)),
        "%s", diag_first_error(&diag));
    for (size_t i = 0; i < list.count; i++)
        cr_assert(published_predict(&list.rows[i], &analyst.evaluator, &diag), "%s", diag_first_error(&diag));
    return list;
}

static const char *metric_words(const char *metric)
{
    if (strcmp(metric, "ttft_ms") == 0)
        return "TTFT, ms";
    return strcmp(metric, "tokens_per_s") == 0 ? "tokens/s" : "tokens/s a device";
}

static double add_row(struct text *out, const struct published_row *row, bool whole)
{
    const struct question *question = &row->question;
    double error = row->predicted / row->measured - 1;
    if (whole)
        text_printf(out, "| %s, %d x %s, %s ", question->model, question->devices, question->device,
                    question->weights);
    text_printf(out, "| batch %g, %g in, %g out | %s | %g | %.*f | %+.1f%% |\n", question->batch,
                question->prompt, question->output, metric_words(row->metric), row->measured,
                row->predicted < 1000 ? 1 : 0, row->predicted, 100 * error);
    return fabs(error);
}

static double add_six(struct text *table)
{
    struct published_rows list = predicted("trtllm-llama-7b-a100.csv");
    double sum = 0;
    cr_assert_eq(list.count, 6);
    text_add(table, "| LLaMA-7B fp16, one A100 80 GB, TensorRT-LLM | metric | measured | rafter | error |\n"
                    "|---|---|---|---|---|\n");
    for (size_t i = 0; i < list.count; i++)
        sum += add_row(table, &list.rows[i], false);
    text_printf(table, "| mean absolute error | | | | %.1f%% |\n", 100 * sum / 6);
    return sum / 6;
}

static void add_static(struct text *table)
{
    struct published_rows list = predicted("trtllm-0.6-static.csv");
    double sum = 0;
    text_add(table,
             "| TensorRT-LLM 0.5 and 0.6, static batches | run | metric | measured | rafter | error |\n"
             "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < list.count; i++)
        sum += add_row(table, &list.rows[i], true);
    text_printf(table, "| mean absolute error | | | | | %.1f%% |\n", 100 * sum / (double)list.count);
}

static const char *read_text(const char *path)
{
    size_t length;
    const char *text = file_read(arena, &diag, path, 1 << 22, &length);
    cr_assert(text != NULL, "%s", diag_first_error(&diag));
    return text;
}

Test(published, tables_are_current)
{
    struct text six = {0}, document = {0};
    double error = add_six(&six);
    cr_expect(error <= 0.10, "mean absolute error %.1f%%", 100 * error);
    text_printf(
        &document,
        "# Predictions against measurements\n\nWritten by tests/unit/published.c from validation/published "
        "and validation/recorded.\n\n## Whole runs that others published\n\nNo parameter was tuned to "
        "them; `rafter validate suite validation/published.yaml` runs them.\n\n%s\n",
        six.data);
    add_static(&document);
    text_add(&document, "\n");
    text_add(&document, read_text(SOURCE_DIR "/validation/recorded/operators.md"));
    text_add(&document, "\n");
    text_add(&document, read_text(SOURCE_DIR "/validation/recorded/executor.md"));
    if (getenv("RAFTER_UPDATE_GOLDEN"))
        cr_assert(file_write(&diag, SOURCE_DIR "/docs/validation.md", document.data, document.length), "%s",
                  diag_first_error(&diag));
    cr_expect(strcmp(read_text(SOURCE_DIR "/docs/validation.md"), document.data) == 0,
              "docs/validation.md is stale: make golden rewrites it");
    cr_expect(strstr(read_text(SOURCE_DIR "/README.md"), six.data) != NULL,
              "README.md does not show the current table (docs/validation.md)");
    text_free(&six);
    text_free(&document);
}

static void expect_refused(const char *text, const char *part)
{
    char path[] = "/tmp/published-XXXXXX";
    int descriptor = mkstemp(path);
    struct published_rows list;
    cr_assert(descriptor >= 0);
    diag = (struct diag){.arena = arena};
    cr_assert(file_write(&diag, path, text, strlen(text)));
    cr_expect_not(published_read(&list, arena, &diag, path), "%s", text);
    cr_expect(strstr(diag_first_error(&diag), part) != NULL, "%s", diag_first_error(&diag));
    remove(path);
}

#define HEADER "model,device,software,devices,types,batch,prompt,output,metric,measured\n"

Test(published, bad_rows_are_refused)
{
    expect_refused("", "empty");
    expect_refused("model,device\n", "software");
    expect_refused(HEADER "a,b,c,1,fp16,0,1,1,ttft_ms,1\n", ":2:14");
    expect_refused(HEADER "a,b,c,1,fp16,1,1,1,ttft,1\n", "ttft_ms");
    expect_refused(HEADER "a,b,c,1,fp16,1,1,1,ttft_ms,nan\n", "measured");
    expect_refused(HEADER "a,b,c,one,fp16,1,1,1,ttft_ms,1\n", "devices");
}

Test(published, a_question_without_an_answer_names_its_row)
{
    struct published_row row = {
        .question = {.model = "no-such-model", .device = "h100-sxm", .batch = 1, .prompt = 1, .output = 1},
        .metric = "ttft_ms",
        .measured = 1,
        .where = {"x.csv", 7, 1}};
    cr_expect_not(published_predict(&row, &analyst.evaluator, &diag));
    cr_expect(strstr(diag_first_error(&diag), "x.csv:7") != NULL, "%s", diag_first_error(&diag));
}
