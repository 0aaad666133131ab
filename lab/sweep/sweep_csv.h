/* A sweep's results as a CSV file: written a row at a time, so that what was measured stays, and read back to make
 * the report from. The first line names the columns; every row repeats what holds for all. An empty field is a number
 * that does not apply. */
#ifndef PV_LAB_SWEEP_SWEEP_CSV_H
#define PV_LAB_SWEEP_SWEEP_CSV_H

#include <stdio.h>
#include "lab/sweep/sweep_table.h"

void sweep_write_head(FILE *file, uint32_t n_layers);
void sweep_write_row(FILE *file, const char *model, const char *device, const struct pv_sweep_info *info,
                     const struct pv_sweep_row *row);
/* The file may be anybody's: rows of other lengths than the first line, rows that disagree about what holds for all,
 * and values out of their column's range are PV_ERR_FORMAT, logged with file and line. Free with sweep_table_free
 * if PV_OK. */
PV_MUST_USE enum pv_status sweep_read(const struct pv_log *log, const char *path, struct sweep_table *out);

#endif
