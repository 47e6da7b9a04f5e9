/* Sampled intervals: near the delta method's where times are nearly linear, repeatable, and as wide as the
 * calibration says. */
#include "analyse/sampling.h"
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>

static const struct question plain = {.model = "llama-3.1-8b",
                                      .device = "h100-sxm",
                                      .software = "trtllm",
                                      .batch = 4,
                                      .prompt = 512,
                                      .output = 64};

struct sampled {
    struct asked asked;
    struct analyst analyst;
    struct answer answer;
};

static void open_sampled(struct sampled *sampled, const struct question *question)
{
    sampled->asked = ask(question);
    cr_assert(sampled->asked.ok, "%s", diag_first_error(&sampled->asked.diag));
    analyst_open(&sampled->analyst);
}

static void sample(struct sampled *sampled, const struct question *question, int draws, unsigned long seed)
{
    struct question asked = *question;
    struct asked *plainly = &sampled->asked;
    asked.system = question->system ? question->system : plainly->resolved.system;
    sampled->answer = plainly->answer;
    cr_assert(sample_intervals(&sampled->analyst.evaluator, plainly->arena, &plainly->diag, &asked, draws,
                               seed, &sampled->answer),
              "%s", diag_first_error(&plainly->diag));
}

static void close_sampled(struct sampled *sampled)
{
    analyst_close(&sampled->analyst);
    asked_free(&sampled->asked);
}

Test(sampling, agrees_with_the_delta_method)
{
    struct sampled sampled;
    open_sampled(&sampled, &plain);
    sample(&sampled, &plain, 4000, 1);
    const struct answer *delta = &sampled.asked.answer, *drawn = &sampled.answer;
    cr_expect_eq(drawn->interval_draws, 4000);
    cr_expect(close_to(log(drawn->tpot_interval.high / drawn->tpot_interval.low),
                       log(delta->tpot_interval.high / delta->tpot_interval.low), 0.15));
    cr_expect(drawn->ttft_interval.low < delta->ttft_s && drawn->ttft_interval.high > delta->ttft_s);
    cr_expect(drawn->tpot_interval.low < delta->tpot_s && drawn->tpot_interval.high > delta->tpot_s);
    close_sampled(&sampled);
}

Test(sampling, a_seed_is_a_result)
{
    struct sampled sampled;
    open_sampled(&sampled, &plain);
    sample(&sampled, &plain, 200, 3);
    struct interval first = sampled.answer.ttft_interval;
    sample(&sampled, &plain, 200, 3);
    cr_expect(sampled.answer.ttft_interval.low == first.low &&
              sampled.answer.ttft_interval.high == first.high);
    sample(&sampled, &plain, 200, 4);
    cr_expect(sampled.answer.ttft_interval.low != first.low);
    cr_expect(close_to(sampled.answer.ttft_interval.low, first.low, 0.1));
    close_sampled(&sampled);
}

Test(sampling, without_errors_there_is_nothing_to_draw)
{
    struct question ideal = plain;
    struct sampled sampled;
    ideal.software = "ideal";
    open_sampled(&sampled, &ideal);
    sample(&sampled, &ideal, 20, 1);
    cr_expect(close_to(sampled.answer.ttft_interval.low, sampled.answer.ttft_s, 1e-12));
    cr_expect(close_to(sampled.answer.ttft_interval.high, sampled.answer.ttft_s, 1e-12));
    close_sampled(&sampled);
}

/* A GEMM block with nothing but uncertain scalars: correlated errors that cancel give a narrower interval
 * than independent ones. */
Test(sampling, correlations_count)
{
    struct sampled sampled;
    open_sampled(&sampled, &plain);
    const struct device *shipped = sampled.asked.resolved.system->members[0].device;
    struct calibration block = {.software = "trtllm", .family = FAMILY_GEMM, .residual = 1e-6};
    double values[] = {[GEMM_T0] = 5e-6,    [GEMM_BETA] = 0.7,   [GEMM_EPS] = 0.7,
                       [GEMM_LAMBDA] = 0.7, [GEMM_OMEGA] = 2e-6, [GEMM_DEQUANT] = 0.5};
    for (int i = 0; i < 6; i++) {
        block.values[i] = values[i];
        block.given[i] = true;
    }
    block.standard_errors[GEMM_T0] = 2e-6;
    block.standard_errors[GEMM_BETA] = 0.1;
    struct device device = *shipped;
    device.calibrations = &block;
    device.calibration_count = 1;
    struct system system = *sampled.asked.resolved.system;
    struct system_member member = system.members[0];
    member.device = &device;
    system.members = &member;
    struct question question = plain;
    question.system = &system;
    double widths[3], correlations[] = {-0.95, 0, 0.95};
    for (int i = 0; i < 3; i++) {
        block.correlations[GEMM_BETA][GEMM_T0] = correlations[i];
        sample(&sampled, &question, 2000, 1);
        widths[i] = log(sampled.answer.tpot_interval.high / sampled.answer.tpot_interval.low);
    }
    /* longer overheads with more bandwidth cancel */
    cr_expect(widths[2] < widths[1] && widths[1] < widths[0], "%g %g %g", widths[0], widths[1], widths[2]);
    close_sampled(&sampled);
}
