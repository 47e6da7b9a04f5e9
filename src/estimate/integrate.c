#include "estimate/integrate.h"

#include <math.h>
#include <stdbool.h>

enum { EXACT_MOST = 6, DEPTH_MOST = 7 };

/* A tenth of the 0.1% that the whole decode must be right to: chords that bend less are taken as they are. */
static const double tolerance = 1e-4;

struct integration {
    integrand value;
    void *context;
    struct node *nodes;
    int count;
    double sum;
};

static void take(struct integration *integration, double x, double weight, double value)
{
    if (integration->count < NODES_MOST)
        integration->nodes[integration->count++] = (struct node){x, weight, value};
    integration->sum += weight * value;
}

static void take_simpson(struct integration *integration, double a, double b, double fa, double fm, double fb)
{
    double width = b - a;
    take(integration, a, width / 6, fa);
    take(integration, (a + b) / 2, width * 4 / 6, fm);
    take(integration, b, width / 6, fb);
}

static void integrate(struct integration *integration, double a, double b, double fa, double fb, int depth)
{
    double m = (a + b) / 2;
    double fm = integration->value(integration->context, m);
    double bend = fabs(fm - (fa + fb) / 2);
    bool room = integration->count + 3 * (DEPTH_MOST + 1) < NODES_MOST;
    if (bend <= tolerance * fabs(fm) || depth == DEPTH_MOST || b - a < 2 || !room) {
        take_simpson(integration, a, b, fa, fm, fb);
        return;
    }
    integrate(integration, a, m, fa, fm, depth + 1);
    integrate(integration, m, b, fm, fb, depth + 1);
}

int sum_over_cycles(integrand value, void *context, double count, const double *breaks, int break_count,
                    struct node nodes[NODES_MOST], double *sum)
{
    struct integration integration = {.value = value, .context = context, .nodes = nodes};
    if (count <= EXACT_MOST && count == floor(count)) {
        for (int i = 0; i < count; i++)
            take(&integration, i, 1, value(context, i));
        *sum = integration.sum;
        return integration.count;
    }
    double from = -0.5, end = count - 0.5;
    double fa = value(context, from);
    while (from < end) {
        double to = end;
        for (int i = 0; i < break_count; i++)
            if (breaks[i] > from && breaks[i] < to)
                to = breaks[i];
        double fb = value(context, to);
        integrate(&integration, from, to, fa, fb, 0);
        from = to;
        fa = fb;
    }
    *sum = integration.sum;
    return integration.count;
}
