/* What does it take to serve Llama-3.1-8B on one H100? One answer, then a sweep over batch sizes on a plan.
 *
 *     cc -Iinclude examples/estimate.c librafter.a $(pkg-config --libs gsl yaml-0.1 jansson) -lm -o estimate
 */
#include "rafter.h"

#include <stdio.h>

static int sweep(rafter *handle, const rafter_question *question)
{
    rafter_plan *plan = rafter_plan_new(handle, question);
    if (plan == NULL)
        return 0;
    printf("%8s %12s %12s %16s\n", "batch", "TTFT ms", "TPOT ms", "tokens/s");
    for (double batch = 1; batch <= 256; batch *= 4) {
        rafter_answer answer;
        rafter_status status = rafter_plan_estimate(plan, batch, question->prompt, question->output, &answer);
        if (status == RAFTER_ERROR)
            break;
        printf("%8.0f %12.2f %12.3f %16.1f%s\n", batch, 1e3 * answer.ttft_s, 1e3 * answer.tpot_s,
               answer.throughput_tokens_per_s, status == RAFTER_NO ? "  does not fit" : "");
    }
    rafter_plan_free(plan);
    return 1;
}

int main(void)
{
    rafter *handle = rafter_open(NULL);
    rafter_question question = RAFTER_QUESTION_INIT;
    rafter_answer answer;
    if (handle == NULL)
        return 2;
    question.model = "llama-3.1-8b";
    question.device = "h100-sxm";
    question.batch = 8;
    question.prompt = 1024;
    question.output = 256;
    rafter_status status = rafter_estimate(handle, &question, &answer);
    if (status == RAFTER_ERROR || !sweep(handle, &question)) {
        fprintf(stderr, "%s\n", rafter_error(handle));
        rafter_close(handle);
        return 2;
    }
    printf("batch 8: %.1f ms to the first token (90%% sure: %.1f to %.1f), %.2f GB of %.2f GB, %s\n",
           1e3 * answer.ttft_s, 1e3 * answer.ttft_low_s, 1e3 * answer.ttft_high_s, answer.total_bytes / 1e9,
           answer.capacity_bytes / 1e9, answer.fits ? "fits" : "does not fit");
    rafter_close(handle);
    return (int)status;
}
