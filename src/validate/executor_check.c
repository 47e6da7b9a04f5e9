#include "validate/executor_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double executor_row_error(const struct executor_row *row)
{
    return row->predicted / row->measured - 1;
}

double executor_allowed(const struct executor_suite *suite, const struct executor_group_error *group)
{
    return group->op ? suite->max_op_mape : suite->max_phase_mape;
}

static bool add_row(struct executor_result *result, struct arena *arena, struct diag *diag,
                    const struct executor_row *row)
{
    if (result->count == result->capacity) {
        size_t capacity = result->capacity > 0 ? 2 * result->capacity : 256;
        struct executor_row *rows = ARENA_ARRAY(arena, struct executor_row, capacity);
        if (!rows)
            return diag_error(diag, NOWHERE, "out of memory");
        if (result->count > 0)
            memcpy(rows, result->rows, result->count * sizeof *rows);
        result->rows = rows;
        result->capacity = capacity;
    }
    result->rows[result->count++] = *row;
    return true;
}

static double seconds_of(const struct phase_times *phase, const char *op)
{
    const struct op_time *found = phase_time(phase, op);
    return found ? found->seconds : 0;
}

static bool add_phase(struct executor_result *result, struct arena *arena, struct diag *diag,
                      struct executor_row row, const struct phase_times *measured,
                      const struct phase_times *predicted)
{
    if (!(measured->seconds > 0))
        return true;
    row.measured = measured->seconds;
    row.predicted = predicted->seconds;
    row.share = 1;
    if (!add_row(result, arena, diag, &row))
        return false;
    for (int i = 0; i < measured->op_count; i++) {
        row.op = measured->ops[i].name;
        row.measured = measured->ops[i].seconds;
        row.predicted = seconds_of(predicted, row.op);
        row.share = row.measured / measured->seconds;
        if (row.measured > 0 && !add_row(result, arena, diag, &row))
            return false;
    }
    return true;
}

bool executor_result_add(struct executor_result *result, struct arena *arena, struct diag *diag,
                         const struct executor_case *run, const struct executor_times *measured,
                         const struct executor_times *predicted)
{
    struct executor_row row = {.run = run, .pace = measured->pace, .noisy = measured->runs == 0};
    result->runs++;
    result->noisy_runs += row.noisy;
    if (!add_phase(result, arena, diag, row, &measured->prefill, &predicted->prefill))
        return false;
    row.decode = true;
    return add_phase(result, arena, diag, row, &measured->decode, &predicted->decode);
}

static bool same_name(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || (a && b && strcmp(a, b) == 0);
}

static bool belongs(const struct executor_row *row, const struct executor_group_error *group)
{
    return row->decode == group->decode && same_name(row->op, group->op);
}

static bool judged(const struct executor_result *result, const struct executor_row *row)
{
    return !row->noisy && row->share >= result->suite->op_share;
}

/* A group for each phase and operator that rows have. */
static void find_groups(struct executor_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        const struct executor_row *row = &result->rows[i];
        size_t g = 0;
        while (g < result->group_count && !belongs(row, &result->groups[g]))
            g++;
        if (g == result->group_count && judged(result, row))
            result->groups[result->group_count++] =
                (struct executor_group_error){.op = row->op, .decode = row->decode};
    }
}

static void sum_group(const struct executor_result *result, struct executor_group_error *group,
                      double *errors, double *scratch)
{
    size_t count = 0;
    double share = 0;
    for (size_t i = 0; i < result->count; i++)
        if (belongs(&result->rows[i], group) && judged(result, &result->rows[i])) {
            share += result->rows[i].share;
            errors[count++] = executor_row_error(&result->rows[i]);
        }
    group->error = summarise(errors, count, scratch);
    group->share = share / (double)count;
}

/* Prefill before decode, the whole phase before its operators, these by their share. */
static int compare_groups(const void *a, const void *b)
{
    const struct executor_group_error *x = a, *y = b;
    if (x->decode != y->decode)
        return x->decode - y->decode;
    if ((x->op == NULL) != (y->op == NULL))
        return x->op == NULL ? -1 : 1;
    return (x->share < y->share) - (x->share > y->share);
}

bool executor_result_close(struct executor_result *result, struct arena *arena, struct diag *diag)
{
    double *errors = ARENA_ARRAY(arena, double, result->count + 1);
    double *scratch = ARENA_ARRAY(arena, double, result->count + 1);
    result->groups = ARENA_ARRAY(arena, struct executor_group_error, result->count + 1);
    if (!errors || !scratch || !result->groups)
        return diag_error(diag, NOWHERE, "out of memory");
    find_groups(result);
    result->passed = result->group_count > 0;
    for (size_t g = 0; g < result->group_count; g++) {
        struct executor_group_error *group = &result->groups[g];
        sum_group(result, group, errors, scratch);
        if (!(group->error.mean_absolute <= executor_allowed(result->suite, group)))
            result->passed = false;
    }
    qsort(result->groups, result->group_count, sizeof *result->groups, compare_groups);
    return true;
}
