/* Claims: predicted against published on logarithmic axes, one point each, coloured by family. */
#ifndef RAFTER_PLOT_CLAIMS_CHART_H
#define RAFTER_PLOT_CLAIMS_CHART_H

#include "analyse/claims.h"

/* Scored claims with a prediction and values above 0 are drawn, others counted in a note. false with an error
 * in diag: nothing to draw, memory, a file that cannot be written. */
bool plot_claims(const struct claim_result *results, size_t count, const char *path, struct diag *diag);

#endif
