#include "cli/inquiry.h"
#include "report/elasticities.h"

#include <math.h>

/* The hardware figures that matter most, a tenth better: scalars cannot be bought, prices are what is paid.
 */
static bool is_for_sale(const struct elasticity *one)
{
    return one->figure.kind != FIGURE_SCALAR && one->figure.kind != FIGURE_PRICE &&
           one->figure.kind != FIGURE_TDP && one->figure.kind != FIGURE_IDLE;
}

static bool is_a_time(const struct elasticity *one)
{
    return one->figure.kind == FIGURE_LINK_LATENCY || one->figure.kind == FIGURE_LAUNCH_HOST;
}

static void add_purchases(struct inquiry *inquiry, struct sensitivity_report *report)
{
    const struct sensitivity *sensitivity = report->sensitivity;
    for (size_t i = 0; i < sensitivity->count && report->purchase_count < PURCHASES_MOST; i++) {
        const struct elasticity *one = &sensitivity->list[i];
        struct purchase purchase = {.of = one, .factor = is_a_time(one) ? 0.9 : 1.1};
        struct answer answer;
        if (!is_for_sale(one) || !answer_scaled(&inquiry->evaluator, inquiry->session->arena,
                                                &inquiry->question, &one->figure, purchase.factor, &answer))
            continue;
        for (int m = 0; m < METRIC_COUNT; m++)
            purchase.ratios[m] =
                metric_of(&answer, (enum metric)m) / metric_of(&sensitivity->answer, (enum metric)m);
        report->purchases[report->purchase_count++] = purchase;
    }
}

static enum exit_status put(struct inquiry *inquiry, const struct sensitivity_report *report)
{
    enum { TOP_SHOWN = 15 };
    struct session *session = inquiry->session;
    bool shown = session->format == OUTPUT_TEXT || session->format == OUTPUT_MARKDOWN;
    size_t top = option_given(&session->options, OPTION_TOP)
                     ? (size_t)option_number(&session->options, OPTION_TOP)
                 : shown ? TOP_SHOWN
                         : FIGURES_MOST;
    inquiry_entitle(inquiry, &inquiry->question, 1);
    if (session->format == OUTPUT_JSON)
        return inquiry_put_json(inquiry, sensitivity_json(&inquiry->asked, report, top));
    if (session->format == OUTPUT_CSV)
        return session_put(session, sensitivity_table(report, top, session->arena));
    sensitivity_text(&inquiry->asked, report, top, session->arena, &session->out);
    return STATUS_YES;
}

static enum exit_status answer(struct inquiry *inquiry)
{
    struct session *session = inquiry->session;
    struct sensitivity measured;
    struct sensitivity_report report = {.sensitivity = &measured};
    if (!inquiry_read_system(inquiry) ||
        !sensitivity(&inquiry->evaluator, session->arena, &session->diag, &inquiry->question, &measured))
        return STATUS_BAD;
    add_purchases(inquiry, &report);
    progress_end(&inquiry->progress);
    return put(inquiry, &report);
}

static enum exit_status run(struct session *session)
{
    struct inquiry inquiry;
    enum exit_status status = inquiry_open(&inquiry, session) ? answer(&inquiry) : STATUS_BAD;
    inquiry_close(&inquiry);
    return status;
}

const struct command command_sensitivity = {
    .name = "sensitivity",
    .summary = "what a percent more of each hardware figure and calibrated scalar changes",
    .operands = "",
    .details =
        "Elasticities, d ln(metric) / d ln(figure), by central differences of one percent: -0.9 under TPOT\n"
        "says that one percent more of the figure takes 0.9% off the time per token. Beside each stands the\n"
        "share of each phase's time in operators that the figure's resource binds.\n",
    .examples = "  rafter sensitivity -m llama-3.1-8b -d h100-sxm --batch 8\n"
                "  rafter sensitivity -m mixtral-8x7b -d a100-80gb-sxm -n 4 -w chat --json\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT | OPTION_BIT(OPTION_TOP)},
    .run = run,
};
