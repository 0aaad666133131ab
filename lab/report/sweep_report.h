/* What a sweep's table is shown as: sweep.md (sweep_report.c) and charts in SVG (sweep_charts.c), written into a
 * folder that exists. A message is logged on failure. */
#ifndef PV_LAB_REPORT_SWEEP_REPORT_H
#define PV_LAB_REPORT_SWEEP_REPORT_H

#include "cli/console.h"
#include "lab/sweep/sweep_table.h"

PV_MUST_USE enum pv_status sweep_write_report(struct console *console, const struct sweep_table *table,
                                              const char *folder);
PV_MUST_USE enum pv_status sweep_write_charts(struct console *console, const struct sweep_table *table,
                                              const char *folder);
/* Names of the charts without folder and ".svg"; NULL past the last. */
const char *sweep_chart_name(uint32_t i);

#endif
