/* How many answers a second: full estimates on a resolved plan, plans resolved, and the process as a whole.
 * Rounds of each are interleaved, so that a machine whose speed drifts slows all of them; medians are
 * reported. */
#include "support/ask.h"
#include "rafter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9, ESTIMATES = 20000, PLANS = 2000, PROCESSES = 10 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static rafter_question question(void)
{
    rafter_question q = RAFTER_QUESTION_INIT;
    q.model = "llama-3-70b";
    q.device = "h100-sxm";
    q.software = "vllm";
    q.tp = 8;
    q.batch = 16;
    q.prompt = 1024;
    q.output = 256;
    return q;
}

/* Batch, prompt and output change every time. */
static double time_estimates(rafter_plan *plan, double *sum)
{
    double start = now();
    for (int i = 0; i < ESTIMATES; i++) {
        rafter_answer answer = {.struct_size = sizeof answer};
        if (rafter_plan_estimate(plan, 1 + i % 64, 100 + i % 3001, 16 + i % 1009, &answer) == RAFTER_ERROR)
            exit(2);
        *sum += answer.ttft_s + answer.tpot_s;
    }
    return (now() - start) / ESTIMATES;
}

static double time_plans(rafter *handle)
{
    double start = now();
    for (int i = 0; i < PLANS; i++) {
        rafter_question q = question();
        q.tp = 1 << i % 4;
        rafter_plan *plan = rafter_plan_new(handle, &q);
        if (!plan) {
            fprintf(stderr, "%s\n", rafter_error(handle));
            exit(2);
        }
        rafter_plan_free(plan);
    }
    return (now() - start) / PLANS;
}

static double time_processes(void)
{
    double start = now();
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout))
                _exit(3);
            execl("./rafter", "rafter", "estimate", "-m", "llama-3-70b", "-d", "h100-sxm", "--tp", "8",
                  "--json", (char *)NULL);
            _exit(3);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
            exit(2);
    }
    return (now() - start) / PROCESSES;
}

static void report(const char *what, double seconds, double wanted, const char *unit)
{
    double rate = 1 / seconds;
    printf("%-34s %10.3f us   %10.0f %-12s %5.2fx of the %.0f wanted\n", what, 1e6 * seconds, rate, unit,
           rate / wanted, wanted);
}

int main(void)
{
    setenv("RAFTER_PATH", SOURCE_DIR, 1); /* for the processes */
    rafter *handle = rafter_open(NULL);
    rafter_question q = question();
    rafter_plan *plan = handle ? rafter_plan_new(handle, &q) : NULL;
    if (!plan) {
        fprintf(stderr, "%s\n", handle ? rafter_error(handle) : "out of memory");
        return 2;
    }
    double estimates[ROUNDS], plans[ROUNDS], processes[ROUNDS], sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        estimates[i] = time_estimates(plan, &sum);
        plans[i] = time_plans(handle);
        processes[i] = time_processes();
    }
    printf("Llama-3-70B on 8 x H100, TP=8; medians of %d interleaved rounds (checksum %.6g)\n", ROUNDS, sum);
    report("full estimate on a resolved plan", median(estimates, ROUNDS), 100000, "estimates/s");
    report("plan resolved by name", median(plans, ROUNDS), 20000, "plans/s");
    report("process start to answer", median(processes, ROUNDS), 100, "processes/s");
    rafter_close(handle);
    return 0;
}
