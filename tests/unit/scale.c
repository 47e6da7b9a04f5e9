/* Devices that are like another but for one figure. */
#include "analyse/scale.h"
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct question plain = {.model = "llama-3.1-8b", .device = "h100-sxm", .devices = 8};

Test(scale, every_figure_scales_and_nothing_else)
{
    struct analyst analyst;
    struct device_figure figures[FIGURES_MOST];
    analyst_open(&analyst);
    struct question question = with_system(&analyst, plain);
    const struct device *before = question.system->members[0].device;
    size_t count = device_figures(analyst.arena, before, figures);
    cr_assert_gt(count, 20);
    for (size_t i = 0; i < count; i++) {
        const struct system *scaled = system_scaled(analyst.arena, question.system, &figures[i], 0.5);
        cr_assert_not_null(scaled);
        for (size_t j = 0; j < count; j++) {
            double was = figure_value(before, &figures[j]),
                   is = figure_value(scaled->members[0].device, &figures[j]);
            /* an efficiency stops at its bounds */
            bool right = i != j ? is == was : figures[i].kind == FIGURE_SCALAR ? is < was : is == 0.5 * was;
            cr_expect(right, "%s halved: %s was %g, is %g", figures[i].name, figures[j].name, was, is);
        }
    }
    analyst_close(&analyst);
}

Test(scale, the_original_is_left_alone)
{
    struct analyst analyst;
    struct device_figure figures[FIGURES_MOST];
    double values[FIGURES_MOST];
    analyst_open(&analyst);
    struct question question = with_system(&analyst, plain);
    const struct device *device = question.system->members[0].device;
    size_t count = device_figures(analyst.arena, device, figures);
    for (size_t i = 0; i < count; i++)
        values[i] = figure_value(device, &figures[i]);
    for (size_t i = 0; i < count; i++)
        system_scaled(analyst.arena, question.system, &figures[i], 3);
    for (size_t i = 0; i < count; i++)
        cr_expect(figure_value(device, &figures[i]) == values[i], "%s", figures[i].name);
    analyst_close(&analyst);
}

Test(scale, efficiencies_keep_to_their_bounds)
{
    struct analyst analyst;
    struct device_figure figures[FIGURES_MOST];
    analyst_open(&analyst);
    struct question question = with_system(&analyst, plain);
    const struct device *device = question.system->members[0].device;
    size_t count = device_figures(analyst.arena, device, figures);
    for (size_t i = 0; i < count; i++) {
        if (figures[i].kind != FIGURE_SCALAR)
            continue;
        const struct scalar_declaration *declared = &families[figures[i].family].scalars[figures[i].scalar];
        const struct system *much = system_scaled(analyst.arena, question.system, &figures[i], 1e9);
        cr_expect_leq(figure_value(much->members[0].device, &figures[i]), declared->max, "%s",
                      figures[i].name);
    }
    analyst_close(&analyst);
}

/* Twice the bandwidth by a scaled copy is twice the bandwidth by --set. */
Test(scale, is_what_set_does)
{
    struct analyst analyst;
    struct device_figure figures[FIGURES_MOST];
    struct answer answer;
    const char *reason, *setting[] = {"hardware.tiers.hbm.bandwidth=6.704 TB/s"};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm", .settings = {setting, 1}};
    analyst_open(&analyst);
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    question.settings.count = 0;
    question = with_system(&analyst, question);
    const struct device *device = question.system->members[0].device;
    size_t count = device_figures(analyst.arena, device, figures);
    for (size_t i = 0; i < count; i++)
        if (strcmp(figures[i].name, "tiers.hbm.bandwidth") == 0)
            question.system = system_scaled(analyst.arena, question.system, &figures[i],
                                            6.704e12 / figure_value(device, &figures[i]));
    cr_assert(evaluate(&analyst.evaluator, &question, &answer, NULL, &reason), "%s", reason);
    cr_expect(close_to(answer.tpot_s, asked.answer.tpot_s, 1e-9), "%g %g", answer.tpot_s,
              asked.answer.tpot_s);
    asked_free(&asked);
    analyst_close(&analyst);
}
