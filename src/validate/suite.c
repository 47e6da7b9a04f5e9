#include "validate/suite.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const struct enum_name modes[] = {{"calibrated", MODE_CALIBRATED}, {"folds", MODE_FOLDS},
                                         {"shapes", MODE_SHAPES},         {"rows", MODE_ROWS},
                                         {"transfer", MODE_TRANSFER},     {NULL, 0}};

/* [least, most], fractions */
static bool read_range(struct reader *reader, const struct yaml_node *node, void *member)
{
    double *range = member;
    char error[256];
    const struct yaml_node *low = node->first, *high = low ? low->next : NULL;
    if (node->kind != YAML_LIST || node->children != 2 || low->kind != YAML_SCALAR ||
        high->kind != YAML_SCALAR)
        return diag_error(reader->diag, node->where, "coverage: expected two fractions such as [0.85, 0.95]");
    if (!quantity_parse(low->scalar, DIM_FRACTION, &range[0], error, sizeof error) ||
        !quantity_parse(high->scalar, DIM_FRACTION, &range[1], error, sizeof error))
        return diag_error(reader->diag, node->where, "coverage: %s", error);
    if (range[0] < 0 || range[0] >= range[1] || range[1] > 1)
        return diag_error(reader->diag, node->where,
                          "coverage: found %g to %g, expected a range within 0 to 1", range[0], range[1]);
    return true;
}

#define FRACTION(name, most, words)                                                                          \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY, .offset = offsetof(struct suite_check, name),                  \
        .dimension = DIM_FRACTION, .min = 1e-6, .max = most, .doc = words                                    \
    }
#define NAME(member, words)                                                                                  \
    {                                                                                                        \
        .key = #member, .kind = FIELD_STRING, .offset = offsetof(struct suite_check, member), .doc = words   \
    }

static const struct field check_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct suite_check, name),
     .required = true,
     .doc = "what is checked"},
    {.key = "samples",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct suite_check, samples),
     .doc = "CSV files of measured times (docs/calibration.md), from the suite's folder; a check whose files "
            "are "
            "not there is reported, not passed"},
    NAME(answers,
         "in their place a CSV file of published figures of whole runs, each predicted by an estimate"),
    NAME(device, "whose rows are predicted; of answers, without it: all"),
    NAME(family, "only this operator family, or families whose names begin with the word"),
    NAME(source, "only this software and version, or all versions of the software"),
    NAME(dtype, "only these element types, as the file has them"),
    NAME(variant, "judge only these rows: balanced, skewed, a kernel ..."),
    {.key = "mode",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct suite_check, mode),
     .names = modes,
     .fallback = "calibrated",
     .doc = "calibrated: as the device is; folds: fitted on one of five fixed folds of the rows, tested on "
            "the rest; "
            "shapes: fitted on four fifths of the shapes, tested on the fifth; rows: fitted on `fit_rows` "
            "rows, tested "
            "on the rest; transfer: fitted on the rows of `fit_on`"},
    {.key = "fit_rows",
     .kind = FIELD_INT,
     .offset = offsetof(struct suite_check, fit_rows),
     .min = 1,
     .max = 1e6,
     .fallback = "200",
     .doc = "rows that mode `rows` fits on, spread evenly"},
    NAME(fit_on, "device whose rows mode `transfer` learns from"),
    FRACTION(max_mape, 10, "mean absolute error allowed, of each source and type"),
    FRACTION(max_mape_above_100us, 10, "the same over rows that took 100 us and more"),
    FRACTION(max_above_folds, 10,
             "mean absolute error allowed beyond that of mode `folds`: 0.03 is three points"),
    {.key = "coverage",
     .kind = FIELD_CUSTOM,
     .offset = offsetof(struct suite_check, coverage),
     .custom = read_range,
     .doc = "[from, to]: share of rows that must lie inside their 90% interval"},
};

static const struct schema check_schema = {.name = "check",
                                           .size = sizeof(struct suite_check),
                                           .fields = check_fields,
                                           .count = COUNT_OF(check_fields),
                                           .where_offset = offsetof(struct suite_check, where)};

static const struct field suite_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct suite, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "checks",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct suite, checks),
     .required = true,
     .object = &check_schema,
     .doc = "what is checked, in order"},
};

const struct schema suite_schema = {.name = "suite",
                                    .size = sizeof(struct suite),
                                    .fields = suite_fields,
                                    .count = COUNT_OF(suite_fields),
                                    .where_offset = offsetof(struct suite, where)};

/* What a schema cannot say. */
static bool check_sense(struct diag *diag, const struct suite_check *check)
{
    if ((check->samples.count == 0) == !check->answers)
        return diag_error(diag, check->where, "expected `samples` with at least one file, or `answers`");
    if (!check->answers && !check->device)
        return diag_error(diag, check->where, "device: whose samples are predicted is missing");
    if (check->answers &&
        (check->family || check->source || check->dtype || check->variant || check->fit_on ||
         check->mode != MODE_CALIBRATED || check->max_mape_above_100us > 0 || check->max_above_folds > 0 ||
         check->coverage[1] > 0))
        return diag_error(diag, check->where, "answers take `device` and `max_mape` only");
    if ((check->mode == MODE_TRANSFER) != (check->fit_on != NULL))
        return diag_error(diag, check->where,
                          check->fit_on ? "fit_on is for `mode: transfer`"
                                        : "mode transfer: fit_on: DEVICE is missing");
    if (!(check->max_mape > 0) && !(check->max_mape_above_100us > 0) && !(check->max_above_folds > 0) &&
        !(check->coverage[1] > 0))
        return diag_error(
            diag, check->where,
            "nothing is judged: expected max_mape, max_mape_above_100us, max_above_folds or coverage");
    return true;
}

const struct suite *suite_read(struct arena *arena, struct diag *diag, const char *path)
{
    struct suite *suite = schema_read_file(arena, diag, path, &suite_schema);
    if (!suite)
        return NULL;
    suite->path = path;
    const struct suite_check *checks = suite->checks.items;
    bool ok = suite->checks.count > 0 || diag_error(diag, suite->where, "checks: expected at least one");
    for (size_t i = 0; i < suite->checks.count; i++)
        ok = check_sense(diag, &checks[i]) && ok;
    return ok ? suite : NULL;
}
