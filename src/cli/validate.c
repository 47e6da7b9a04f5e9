#include "cli/validate.h"

#include "base/suggest.h"

#include <string.h>

static const struct subject {
    const char *name;
    enum exit_status (*run)(struct session *session);
} subjects[] = {
    {"samples", validate_samples_command},
    {"executor", validate_executor_command},
    {"suite", validate_suite_command},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static enum exit_status run(struct session *session)
{
    const char *names[SUBJECTS];
    const char *word = session->options.operand_count > 0 ? session->options.operands[0] : NULL;
    if (!word)
        return session_refuse(
            session, "validate what? samples FILE.csv..., executor [SUITE.yaml], or suite FILE.yaml...");
    for (size_t i = 0; i < SUBJECTS; i++) {
        names[i] = subjects[i].name;
        if (strcmp(word, names[i]) == 0)
            return subjects[i].run(session);
    }
    const char *nearest = suggest_nearest(word, names, SUBJECTS);
    if (nearest)
        return session_refuse(session, "cannot validate \"%.80s\"; did you mean %s?", word, nearest);
    return session_refuse(session, "cannot validate \"%.80s\"; there are samples, executor and suite", word);
}

const struct command command_validate = {
    .name = "validate",
    .summary = "predictions against measured times",
    .operands = "samples FILE.csv... | executor [SUITE.yaml] | suite FILE.yaml...",
    .details = "samples  predicts a device's rows of the files and reports the errors by family, types and "
               "source: as\n"
               "         the device is calibrated, or, by --folds, --hold-out, --fit-rows and --fit-on, from "
               "fits on\n"
               "         other rows. bias is the mean of predicted / measured - 1, \"in 90%\" the share of "
               "rows inside\n"
               "         their 90% interval. Exits with 1 when an error is above --max-mape, with 2 when no "
               "row could\n"
               "         be predicted.\n"
               "executor runs models on this machine, as the suite (validation/executor/matrix.yaml) says, "
               "and compares "
               "each phase\n"
               "         and operator with the estimate for -d (hardware/local.yaml, which `rafter measure` "
               "writes).\n"
               "         Exits with 1 when an error is above what the suite allows.\n"
               "suite    runs the checks of files such as validation/operators-a100.yaml. Those whose "
               "samples are not\n"
               "         there are reported and not passed. Exits with 1 when one fails, with 2 when none "
               "could run.\n",
    .examples = "  rafter validate samples gemm.csv -d h100-sxm --max-mape 8.5%\n"
                "  rafter validate samples attention.csv -d a100-80gb-sxm --folds --source vllm --json\n"
                "  rafter validate samples gemm.csv -d h100-sxm --fit-on a100-80gb-sxm --rows-out rows.csv\n"
                "  rafter validate executor validation/executor/short.yaml -d hardware/local.yaml\n"
                "  rafter validate suite validation/*.yaml\n",
    .rules = {.allowed = OPTIONS_SAMPLES | OPTIONS_FORMAT | OPTIONS_VALIDATION,
              .operands_most = OPERANDS_MOST,
              .operand = "samples, executor or suite, and files"},
    .run = run,
};
