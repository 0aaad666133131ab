/* Line charts as SVG: a plot with axes and ticks, a legend at its right. */
#ifndef PV_LAB_REPORT_CHART_H
#define PV_LAB_REPORT_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include "cli/console.h"

enum { CHART_POINTS = 256, CHART_SERIES = 20 };

struct chart_series {
    char label[80];
    const char *colour; /* "#rrggbb" */
    bool dashed;
    double x[CHART_POINTS], y[CHART_POINTS]; /* x ascending; points that are no numbers, or not above 0 on a
                                                logarithmic axis, are left out */
    uint32_t n;
};
struct chart {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    bool x_percent, y_percent; /* values are shares, ticks are shown times 100 */
    double y_floor;            /* logarithmic y: lower values are drawn here; 0: none */
    struct chart_series series[CHART_SERIES];
    uint32_t n_series;
};
/* A colour that is told apart from the others of small `i`, also by the colour-blind (Okabe and Ito). */
const char *chart_colour(uint32_t i);
/* The new series, NULL if there is no room. */
struct chart_series *chart_add(struct chart *chart, const char *label, const char *colour, bool dashed);
void chart_point(struct chart_series *series, double x, double y);
/* Writes the file; a message is logged on failure. */
PV_MUST_USE enum pv_status chart_write(struct console *console, const struct chart *chart, const char *path);

#endif
