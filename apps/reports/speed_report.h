/* A model's speed as llama-bench lists it: a row a test, pp for prompts and tg for decoded tokens, mean and deviation. */
#ifndef SPEED_REPORT_H
#define SPEED_REPORT_H

#include "cli/output.h"
#include "model_bench.h"

enum speed_format { SPEED_TABLE, SPEED_MARKDOWN, SPEED_CSV };
/* Of its name: table, md or csv; NULL is table. False for any other. */
bool speed_format(const char *name, enum speed_format *out);

struct speed_report {
    const struct pv_model *model;
    const char *device;
    const struct model_bench *bench;
    double copy_gb_s; /* what the device copies; 0: not known, no shares */
};
void speed_report_print(const struct speed_report *report, enum speed_format format);
json_t *speed_report_json(const struct speed_report *report); /* an array of the same rows */

#endif
