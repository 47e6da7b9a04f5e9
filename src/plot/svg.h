/* Smaller SVG: cairo's, without what readers would assume anyway. */
#ifndef RAFTER_PLOT_SVG_H
#define RAFTER_PLOT_SVG_H

#include "base/text.h"

/* Rounds coordinates to a hundredth of a point and drops style properties that have their initial value. Half
 * of the size is left. false when memory is out. For charts: all text is glyphs, so that nothing of a user's
 * is changed. */
bool svg_compact(struct text *svg);

#endif
