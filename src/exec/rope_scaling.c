#include "exec/rope_scaling.h"

#include <math.h>

static const double two_pi = 6.283185307179586;

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* The pair that turns `turns` times over the context that the model was trained on (arXiv:2309.00071, 3.2).
 */
static double pair_of_turns(const struct hyper *hyper, int n, double base, double turns)
{
    return n * log(hyper->rope_original_context / (turns * two_pi)) / (2 * log(base));
}

/* YaRN: pairs that turn often keep their frequency, those that turn less than once are interpolated, a ramp
 * lies between. */
static void scale_yarn(const struct hyper *hyper, int n, double base, double *frequencies)
{
    enum { BETA_SLOW = 1, BETA_FAST = 32 }; /* the paper's, for models whose files leave them out */
    double slow = hyper->rope_low > 0 ? hyper->rope_low : BETA_SLOW;
    double fast = hyper->rope_high > 0 ? hyper->rope_high : BETA_FAST;
    double first = fmax(floor(pair_of_turns(hyper, n, base, fast)), 0);
    double last = fmin(ceil(pair_of_turns(hyper, n, base, slow)), n - 1);
    double width = last > first ? last - first : 0.001; /* a step */
    for (int i = 0; i < n / 2; i++) {
        double ramp = clamp((i - first) / width, 0, 1);
        frequencies[i] *= ramp / hyper->rope_factor + (1 - ramp);
    }
}

/* Llama 3.1's: as YaRN's in the wavelength, between context / high and context / low. */
static void scale_llama3(const struct hyper *hyper, int n, double *frequencies)
{
    for (int i = 0; i < n / 2; i++) {
        double turns = hyper->rope_original_context * frequencies[i] / two_pi;
        double kept = clamp((turns - hyper->rope_low) / (hyper->rope_high - hyper->rope_low), 0, 1);
        frequencies[i] *= kept + (1 - kept) / hyper->rope_factor;
    }
}

static double magnitude(const struct hyper *hyper)
{
    if (hyper->rope_scaling != ROPE_YARN && hyper->rope_scaling != ROPE_LONG)
        return 1;
    if (hyper->rope_magnitude > 0)
        return hyper->rope_magnitude;
    if (hyper->rope_factor <= 1)
        return 1;
    if (hyper->rope_scaling == ROPE_YARN)
        return 0.1 * log((double)hyper->rope_factor) + 1; /* arXiv:2309.00071, 3.4 */
    double factor = hyper->rope_factor, context = hyper->rope_original_context;
    return sqrt(1 + log(factor) / log(context)); /* arXiv:2402.13753, Phi-3 */
}

double rope_frequencies(const struct hyper *hyper, int n, bool local, const float *factors,
                        double *frequencies)
{
    bool own_base = local && hyper->rope_theta_local > 0;
    double base = own_base ? hyper->rope_theta_local : hyper->rope_theta;
    for (int i = 0; i < n / 2; i++)
        frequencies[i] = pow(base, -2.0 * i / n);
    if (own_base)
        return 1;
    for (int i = 0; factors != NULL && i < n / 2; i++)
        frequencies[i] /= factors[i];
    if (hyper->rope_scaling == ROPE_LINEAR)
        for (int i = 0; i < n / 2; i++)
            frequencies[i] /= hyper->rope_factor;
    if (hyper->rope_scaling == ROPE_YARN)
        scale_yarn(hyper, n, base, frequencies);
    if (hyper->rope_scaling == ROPE_LLAMA3 && factors == NULL)
        scale_llama3(hyper, n, frequencies);
    return magnitude(hyper);
}
