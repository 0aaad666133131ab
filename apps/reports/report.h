/* The tables that more than one subcommand prints. */
#ifndef PV_APPS_REPORTS_REPORT_H
#define PV_APPS_REPORTS_REPORT_H

#include "cli/app.h"
#include "cli/output.h"

/* The modes of `parvin eval`: all with clusters, dense alone without. Returns how many. */
uint32_t report_eval_modes(bool with_clusters, const enum pv_ffn_mode **modes);
void report_eval(const struct pv_eval_result *result, bool layers);
void report_eval_json(const struct pv_eval_result *result, json_t *object);

void report_bench_head(void);
void report_bench_row(const struct pv_bench_row *row);
json_t *report_bench_json(const char *device, const struct pv_bench_row *row);

/* One device in words: name, driver, plan; all capabilities if `all`. */
void report_device(const struct pv_context *context, uint32_t index, bool all);

#endif
