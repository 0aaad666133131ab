/* What the reports of conformance runs and of compile-only runs share: who the device is, and reading them back. */
#ifndef PV_APPS_REPORTS_DEVICE_REPORT_H
#define PV_APPS_REPORTS_DEVICE_REPORT_H

#include "cli/app.h"
#include "cli/output.h"

/* Sets "name", "driver", "uuid", "type" and "vulkan". */
void device_report_identity(json_t *device, const struct pv_device_info *info);
/* The string of a key, "" if there is none; valid as long as the object. */
const char *device_report_text(const json_t *object, const char *key);
/* Text within a cell of a Markdown table, which a bar would end. */
void device_report_cell(FILE *to, const char *text);
/* Appends the devices of every saved report at `path` (a file, or a folder of *.json, by name) to `all`, without
 * control characters. PV_ERR_IO or PV_ERR_FORMAT, with a message. */
PV_MUST_USE enum pv_status device_report_load(struct console *console, const char *path, json_t *all);

#endif
