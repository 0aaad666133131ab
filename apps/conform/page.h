/* A run on one page, to attach to a bug, and what changed since a saved one. */
#ifndef PV_APPS_CONFORM_PAGE_H
#define PV_APPS_CONFORM_PAGE_H

#include "cli/output.h"

/* Markdown: which device and driver, what was tried, what is wrong and in which kernels, the commands that repeat it,
 * and the changes, if any. `report` as in reports/conform_report.h. */
PV_MUST_USE enum pv_status conform_page_write(struct console *console, const char *path,
                                              const json_t *report);

/* Compares a device's report with that of its name among the saved ones (device_report_load; `path` is for the message), or
 * with the only one there. Adds "against", the saved driver, and "changes": [TEXT...]. PV_ERR_IO, with a message. */
PV_MUST_USE enum pv_status conform_page_compare(struct console *console, const char *path,
                                                const json_t *saved, json_t *device);
/* The changes as a list; nothing where nothing was compared. */
void conform_page_changes(const json_t *device, FILE *to);

#endif
