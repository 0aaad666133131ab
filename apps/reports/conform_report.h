/* What a conformance run leaves: one JSON object, from which every other form is written. Shape:
 *   {"parvin", "devices": [{"name", "driver", "uuid", "type", "vulkan", "seed", "quick", "passed", "failed",
 *    "skipped", "seconds", "variants": {NAME: {"passed", "failed", "skipped"}}, "kernels": {likewise,
 * "worst"}, "rows": [{"kernel", "case", "variant", "seed", "result", "fault", "error", "tolerance", "detail",
 * "reproduce"}], and after a comparison
 * "against", "changes": [TEXT...]}]} */
#ifndef PV_APPS_REPORTS_CONFORM_REPORT_H
#define PV_APPS_REPORTS_CONFORM_REPORT_H

#include "cli/app.h"
#include "cli/output.h"

json_t *conform_report_device(const struct pv_device_info *info, uint64_t seed, bool quick);
/* Adds a row to a device's report. `reproduce` NULL: not for this row. */
void conform_report_row(json_t *device, const struct pv_conform_row *row, uint64_t seed,
                        const char *reproduce);
/* Takes out the rows that passed. */
void conform_report_shorten(json_t *report);
void conform_report_tallies(const json_t *device, FILE *to);

PV_MUST_USE enum pv_status conform_report_junit(struct console *console, const char *path,
                                                const json_t *report);
PV_MUST_USE enum pv_status conform_report_markdown(struct console *console, const char *path,
                                                   const json_t *report);
/* docs/devices.md from every saved report (*.json) of a folder, by name. */
PV_MUST_USE enum pv_status conform_report_folder(struct console *console, const char *folder, FILE *to);

#endif
