/* What 'conform --compile-only' leaves: one JSON object a device, from which every other form is written.
 * Shape:
 *   {"name", "driver", "uuid", "type", "vulkan", "compile_only": true, "compiled", "failed", "spilling",
 *    "spilling_in_plan", "seconds", "columns": [STATISTIC...], "pipelines": {VARIANT: {"SHADER CONSTANTS": [NUMBER...]}},
 *    "failures": [{"shader", "variant", "detail"}], and after a comparison "rises": [TEXT...]}
 * The columns are the driver's own statistics by its own names; a pipeline stands under the first variant
 * that needs it. What a statistic means is a table in compile_report.c. */
#ifndef PV_APPS_REPORTS_COMPILE_REPORT_H
#define PV_APPS_REPORTS_COMPILE_REPORT_H

#include "cli/app.h"
#include "cli/output.h"

json_t *compile_report_device(const struct pv_device_info *info);
void compile_report_row(json_t *device, const struct pv_compile_row *row);
/* Sets "spilling"; to be called after the last row. */
void compile_report_finish(json_t *device, double seconds);
bool compile_report_is(const json_t *device); /* of such a run, rather than a conformance run */

/* A line for each kernel: its pipelines' worst numbers. */
void compile_report_table(const json_t *device, FILE *to);
/* The same in Markdown, for several devices: one table over all, then kernels by device. */
void compile_report_markdown(const json_t *devices, FILE *to);

/* Adds "rises": what got worse since the report of a device of that name among the saved ones (device_report_load; `path` is
 * for the message). PV_ERR_FORMAT, with a message, if there is none. */
PV_MUST_USE enum pv_status compile_report_against(struct console *console, const char *path,
                                                  const json_t *saved, json_t *device);

#endif
