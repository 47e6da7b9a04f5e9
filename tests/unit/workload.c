#include "spec/workload.h"

#include <criterion/criterion.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(workload, .init = set_up, .fini = tear_down);

static bool read_text(const char *text, struct workload *workload)
{
    struct reader reader = {arena, &diag};
    diag = (struct diag){.arena = arena};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return workload_read(&reader, root, "test", workload);
}

static struct length prompt_of(const char *prompt)
{
    struct workload workload;
    const char *text = arena_printf(arena, "name: W\nprompt: %s\noutput: 1\n", prompt);
    cr_assert(read_text(text, &workload), "%s", diag_first_error(&diag));
    return workload.prompt;
}

Test(workload, a_workload_is_read_into_si)
{
    struct workload workload;
    cr_assert(read_text("name: W\nbatch: 32\nprompt: 512\noutput: {uniform: [64, 512]}\nshared_prefix: 100\n"
                        "cached_fraction: 25%\nslo: {ttft: 500 ms, tpot: 50 ms}\narrivals: {rate: 2 /s}\n",
                        &workload),
              "%s", diag_first_error(&diag));
    cr_assert_eq(workload.batch, 32);
    cr_assert_eq(workload.prompt.value, 512);
    cr_assert_eq(workload.output.kind, DISTRIBUTION_UNIFORM);
    cr_assert_float_eq(workload.slo.ttft, 0.5, 1e-12);
    cr_assert_eq(workload.slo.latency, 0);
    cr_assert_eq(workload.arrivals.rate, 2);
    cr_assert_eq(workload.arrivals.burstiness, 1);
    cr_assert_float_eq(workload.cached_fraction, 0.25, 1e-12);
}

Test(workload, a_fixed_length_is_one_stratum)
{
    struct length length = prompt_of("777");
    double strata[STRATA_MOST];
    cr_assert_eq(length_strata(&length, strata), 1);
    cr_assert_eq(strata[0], 777);
    cr_assert_eq(length_mean(&length), 777);
    cr_assert_eq(length_max(&length), 777);
}

/* The contract of strata: rising, inside the distribution, their mean the distribution's. */
Test(workload, strata_keep_the_mean)
{
    const char *const prompts[] = {
        "{uniform: [64, 512]}",
        "{uniform: [64, 64]}",
        "{lognormal: {median: 400, p95: 2000}}",
        "{lognormal: {median: 400, p95: 2000, max: 1024}}",
        "{lognormal: {median: 400, p95: 2000, min: 300, max: 500}}",
        "{lognormal: {median: 400, p95: 400}}",
        "{lognormal: {median: 400, p95: 40000, max: 8192}}",
        "{lognormal: {median: 400, p95: 2000, max: 100}}",
        "{list: [100, 700, 200]}",
        "{list: [9, 8, 7, 6, 5, 4, 3, 2, 1, 1000, 10]}",
    };
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
        struct length length = prompt_of(prompts[i]);
        double strata[STRATA_MOST], sum = 0;
        int count = length_strata(&length, strata);
        cr_assert(count >= 1 && count <= STRATA_MOST);
        for (int s = 0; s < count; s++) {
            cr_assert(strata[s] >= 1 && (s == 0 || strata[s] >= strata[s - 1] - 1e-9), "%s: stratum %d is %g",
                      prompts[i], s, strata[s]);
            sum += strata[s];
        }
        cr_assert_float_eq(sum / count, length_mean(&length), 1e-9 * length_mean(&length),
                           "%s: %.12g, not %.12g", prompts[i], sum / count, length_mean(&length));
        cr_assert(length_max(&length) >= length_mean(&length) * (1 - 1e-12), "%s", prompts[i]);
    }
}

/* Closed form against draws of GSL's own log-normal, clipped likewise. */
Test(workload, a_clipped_lognormal_has_the_mean_of_its_draws)
{
    struct length length = prompt_of("{lognormal: {median: 400, p95: 2000, min: 200, max: 3000}}");
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 7);
    const double sigma = log(5) / 1.6448536269514722;
    const int draws = 400000;
    double sum = 0;
    for (int i = 0; i < draws; i++)
        sum += fmin(fmax(gsl_ran_lognormal(rng, log(400), sigma), 200), 3000);
    gsl_rng_free(rng);
    cr_assert_float_eq(length_mean(&length), sum / draws, 0.01 * sum / draws, "%g, draws %g",
                       length_mean(&length), sum / draws);
}

Test(workload, a_lognormal_has_the_textbook_mean_and_tail)
{
    struct length length = prompt_of("{lognormal: {median: 400, p95: 2000}}");
    const double sigma = log(5) / 1.6448536269514722;
    /* values below one token count as one: at this median their weight is under 1e-9 */
    cr_assert_float_eq(length_mean(&length), 400 * exp(sigma * sigma / 2), 1e-3);
    cr_assert_float_eq(length_max(&length), 400 * exp(3.090232306167813 * sigma), 1e-3);
}

Test(workload, wrong_workloads_are_refused)
{
    const char *const cases[][2] = {
        {"name: W\noutput: 1\n", "prompt"},
        {"name: W\nprompt: 0\noutput: 1\n", "prompt"},
        {"name: W\nprompt: -5\noutput: 1\n", "prompt"},
        {"name: W\nprompt: 128k\noutput: 1\n", "131072"},
        {"name: W\nprompt: nan\noutput: 1\n", "prompt"},
        {"name: W\nprompt: [1, 2]\noutput: 1\n", "prompt"},
        {"name: W\nprompt: {uniform: [9, 2]}\noutput: 1\n", "uniform"},
        {"name: W\nprompt: {uniform: [9]}\noutput: 1\n", "uniform"},
        {"name: W\nprompt: {list: []}\noutput: 1\n", "list"},
        {"name: W\nprompt: {normal: [1, 2]}\noutput: 1\n", "lognormal"},
        {"name: W\nprompt: {lognormal: {median: 10}}\noutput: 1\n", "p95"},
        {"name: W\nprompt: {lognormal: {median: 10, p95: 5}}\noutput: 1\n", "p95"},
        {"name: W\nprompt: {lognormal: {median: 10, p95: 50, min: 9, max: 8}}\noutput: 1\n", "max"},
        {"name: W\nprompt: {lognormal: {median: 10, p95: 50000}}\noutput: 1\n", "max"},
        {"name: W\nprompt: 10\noutput: 1\nshared_prefix: 11\n", "shared_prefix"},
        {"name: W\nprompt: 10\noutput: 1\ncached_fraction: 2\n", "cached_fraction"},
        {"name: W\nprompt: 10\noutput: 1\nbatch: 0\n", "batch"},
        {"name: W\nprompt: 10\noutput: 1\nslo: {ttft: 5}\n", "ttft"},
    };
    struct workload workload;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_not(read_text(cases[i][0], &workload), "taken: %s", cases[i][0]);
        cr_assert(strstr(diag_first_error(&diag), cases[i][1]) != NULL, "%s: %s", cases[i][0],
                  diag_first_error(&diag));
    }
}
