/* A sweep's results as a CSV file: written a row at a time, so that what was measured stays, and read back to
 * make the report from. The first line names the columns; every row repeats what holds for all. */
#ifndef PV_LAB_REPORT_SWEEP_TABLE_H
#define PV_LAB_REPORT_SWEEP_TABLE_H

#include <stdio.h>
#include "cli/app.h"
#include "lab/sweep/sweep.h"

struct sweep_table {
    char model[256], device[256];
    struct pv_sweep_info info;
    struct pv_sweep_row *rows; /* method, label and the layers' numbers are owned by the table */
    uint32_t n_rows;
};

void sweep_write_head(FILE *file, uint32_t n_layers);
void sweep_write_row(FILE *file, const char *model, const char *device, const struct pv_sweep_info *info,
                     const struct pv_sweep_row *row);
/* A message is logged on failure. */
PV_MUST_USE enum pv_status sweep_read(struct console *console, const char *path, struct sweep_table *out);
void sweep_table_free(struct sweep_table *table);

/* The row of a clustering that was judged by these masks; NULL: none. */
const struct pv_sweep_row *sweep_judged(const struct sweep_table *table, const char *method, uint32_t k,
                                        enum pv_sweep_own masks);
/* The row of a method; density 0 and k 0 match any, and rows that were only judged count if `judged`. NULL:
 * none. */
const struct pv_sweep_row *sweep_find(const struct sweep_table *table, const char *method, uint32_t k,
                                      double density, bool judged);
/* The distinct values of K, ascending, and of the densities that were run; at most `most`. */
uint32_t sweep_clusters(const struct sweep_table *table, uint32_t *out, uint32_t most);
uint32_t sweep_densities(const struct sweep_table *table, double *out, uint32_t most);

/* sweep_report.c, sweep_charts.c: files in `folder`; a message is logged on failure. */
PV_MUST_USE enum pv_status sweep_write_report(struct console *console, const struct sweep_table *table,
                                              const char *folder);
PV_MUST_USE enum pv_status sweep_write_charts(struct console *console, const struct sweep_table *table,
                                              const char *folder);
/* Rise over dense at a number of bytes a token, between a method's measured points (logarithms in between);
 * the nearest point beyond them, with *beyond set: -1 below the fewest bytes measured, 1 above the most. NAN
 * without points. */
double sweep_rise_at(const struct sweep_table *table, const char *method, uint32_t k, double bytes,
                     int *beyond);

#endif
