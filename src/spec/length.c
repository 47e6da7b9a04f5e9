/* Lengths in tokens: reading them, and what estimates need of a distribution: mean, longest, equally likely
 * strata. */
#include "spec/length.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MOST 1e8
/* A log-normal whose 95th percentile is further from its median needs a `max`: its mean would be made by
 * lengths that no model accepts. */
#define SPREAD_MOST 100.0

static bool read_tokens(struct reader *reader, const struct yaml_node *node, const char *what, double *tokens)
{
    char error[256];
    if (node->kind != YAML_SCALAR)
        return diag_error(reader->diag, node->where, "%s: expected a count of tokens such as 512", what);
    if (!quantity_parse(node->scalar, DIM_TOKENS, tokens, error, sizeof error))
        return diag_error(reader->diag, node->where, "%s: %s", what, error);
    if (*tokens < 1 || *tokens > TOKENS_MOST)
        return diag_error(reader->diag, node->where, "%s: found %s, expected 1 to 100000000 tokens", what,
                          node->scalar);
    return true;
}

static bool read_uniform(struct reader *reader, const struct yaml_node *node, struct length *length)
{
    length->kind = DISTRIBUTION_UNIFORM;
    if (node->kind != YAML_LIST || node->children != 2)
        return diag_error(reader->diag, node->where,
                          "uniform: expected [shortest, longest] such as [64, 512]");
    if (!read_tokens(reader, node->first, "uniform", &length->low) ||
        !read_tokens(reader, node->first->next, "uniform", &length->high))
        return false;
    if (length->low > length->high)
        return diag_error(reader->diag, node->where, "uniform: the shortest is above the longest");
    return true;
}

static const struct field lognormal_fields[] = {
    {.key = "median",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct length, median),
     .required = true,
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = TOKENS_MOST,
     .doc = "half of the lengths are below"},
    {.key = "p95",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct length, p95),
     .required = true,
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = TOKENS_MOST,
     .doc = "95% of the lengths are below"},
    {.key = "min",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct length, low),
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = TOKENS_MOST,
     .fallback = "1",
     .doc = "shorter lengths count as this"},
    {.key = "max",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct length, high),
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = TOKENS_MOST,
     .doc = "longer lengths count as this"},
};

const struct schema lognormal_schema = {"lognormal", sizeof(struct length), lognormal_fields,
                                        sizeof lognormal_fields / sizeof lognormal_fields[0], 0};

static bool read_lognormal(struct reader *reader, const struct yaml_node *node, struct length *length)
{
    if (!schema_read(reader, &lognormal_schema, node, "lognormal", length))
        return false;
    length->kind = DISTRIBUTION_LOGNORMAL;
    if (length->p95 < length->median)
        return diag_error(reader->diag, node->where, "lognormal: p95 is below the median");
    if (length->high > 0 && length->high < length->low)
        return diag_error(reader->diag, node->where, "lognormal: max is below min");
    if (length->high == 0 && length->p95 > SPREAD_MOST * length->median)
        return diag_error(reader->diag, node->where, "lognormal: p95 above %.0f times the median needs a max",
                          SPREAD_MOST);
    return true;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static bool read_values(struct reader *reader, const struct yaml_node *node, struct length *length)
{
    length->kind = DISTRIBUTION_LIST;
    if (node->kind != YAML_LIST || node->children == 0)
        return diag_error(reader->diag, node->where, "list: expected lengths such as [100, 200, 400]");
    length->list = ARENA_ARRAY(reader->arena, double, node->children);
    if (length->list == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next)
        if (!read_tokens(reader, item, "list", &length->list[length->list_count++]))
            return false;
    qsort(length->list, length->list_count, sizeof(double), ascending);
    return true;
}

bool length_read(struct reader *reader, const struct yaml_node *node, void *member)
{
    struct length *length = member;
    *length = (struct length){.where = node->where};
    if (node->kind == YAML_SCALAR && !yaml_is_null(node))
        return read_tokens(reader, node, node->key, &length->value);
    const struct yaml_node *only = node->kind == YAML_MAP && node->children == 1 ? node->first : NULL;
    if (only != NULL && strcmp(only->key, "uniform") == 0)
        return read_uniform(reader, only, length);
    if (only != NULL && strcmp(only->key, "lognormal") == 0)
        return read_lognormal(reader, only, length);
    if (only != NULL && strcmp(only->key, "list") == 0)
        return read_values(reader, only, length);
    return diag_error(
        reader->diag, node->where,
        "%s: expected a count of tokens or one of {uniform: [64, 512]}, {lognormal: {median: 200, p95: "
        "1000}}, {list: [100, 200]}",
        node->key);
}

/* ln(p95 / median) = z95 * sigma, z95 the normal distribution's 95% quantile. */
static double lognormal_sigma(const struct length *length)
{
    return log(length->p95 / length->median) / gsl_cdf_ugaussian_Pinv(0.95);
}

/* Integral of median * exp(sigma z) * phi(z) from z0 to z1: completing the square moves the normal by sigma.
 */
static double lognormal_part(double median, double sigma, double z0, double z1)
{
    if (!(z1 > z0))
        return 0;
    double mass = gsl_cdf_ugaussian_P(z1 - sigma) - gsl_cdf_ugaussian_P(z0 - sigma);
    return median * exp(sigma * sigma / 2) * mass;
}

/* Mean of the log-normal, held within [low, high], between its quantiles p0 and p1. */
static double lognormal_mean(const struct length *length, double p0, double p1)
{
    double sigma = lognormal_sigma(length);
    double low = length->low, high = length->high > 0 ? length->high : INFINITY;
    if (!(sigma > 0))
        return fmin(fmax(length->median, low), high);
    double z_low = low > 0 ? log(low / length->median) / sigma : -INFINITY;
    double z_high = isinf(high) ? INFINITY : log(high / length->median) / sigma;
    double z0 = p0 > 0 ? gsl_cdf_ugaussian_Pinv(p0) : -INFINITY;
    double z1 = p1 < 1 ? gsl_cdf_ugaussian_Pinv(p1) : INFINITY;
    double below = fmax(0, gsl_cdf_ugaussian_P(fmin(z1, z_low)) - p0);
    double above = isinf(high) ? 0 : fmax(0, p1 - gsl_cdf_ugaussian_P(fmax(z0, z_high)));
    double between = lognormal_part(length->median, sigma, fmax(z0, z_low), fmin(z1, z_high));
    return (low * below + between + (above > 0 ? high * above : 0)) / (p1 - p0);
}

/* Mean of a sorted list between its quantiles p0 and p1, values on the edges by their share. */
static double list_mean(const struct length *length, double p0, double p1)
{
    double n = (double)length->list_count;
    double from = p0 * n, to = p1 * n, sum = 0;
    for (size_t i = (size_t)from; i < length->list_count && (double)i < to; i++)
        sum += length->list[i] * (fmin(to, (double)i + 1) - fmax(from, (double)i));
    return sum / (to - from);
}

/* Mean of the part of the distribution between the quantiles p0 < p1. */
static double stratum_mean(const struct length *length, double p0, double p1)
{
    switch (length->kind) {
    case DISTRIBUTION_FIXED:
        return length->value;
    case DISTRIBUTION_UNIFORM:
        return length->low + (length->high - length->low) * (p0 + p1) / 2;
    case DISTRIBUTION_LOGNORMAL:
        return lognormal_mean(length, p0, p1);
    case DISTRIBUTION_LIST:
        return list_mean(length, p0, p1);
    }
    return 0;
}

static int strata_count(const struct length *length)
{
    if (length->kind == DISTRIBUTION_FIXED)
        return 1;
    if (length->kind == DISTRIBUTION_UNIFORM && length->low == length->high)
        return 1;
    if (length->kind == DISTRIBUTION_LOGNORMAL && length->median == length->p95)
        return 1;
    if (length->kind == DISTRIBUTION_LIST && length->list_count < STRATA_MOST)
        return (int)length->list_count;
    return STRATA_MOST;
}

int length_strata(const struct length *length, double strata[STRATA_MOST])
{
    int count = strata_count(length);
    for (int i = 0; i < count; i++)
        strata[i] = stratum_mean(length, (double)i / count, (double)(i + 1) / count);
    return count;
}

double length_mean(const struct length *length)
{
    return stratum_mean(length, 0, 1);
}

double length_max(const struct length *length)
{
    switch (length->kind) {
    case DISTRIBUTION_FIXED:
        return length->value;
    case DISTRIBUTION_UNIFORM:
        return length->high;
    case DISTRIBUTION_LOGNORMAL:
        if (length->high > 0)
            return length->high;
        return fmax(length->low,
                    length->median * exp(lognormal_sigma(length) * gsl_cdf_ugaussian_Pinv(0.999)));
    case DISTRIBUTION_LIST:
        return length->list[length->list_count - 1];
    }
    return 0;
}
