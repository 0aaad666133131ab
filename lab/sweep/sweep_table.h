/* A sweep's rows, and the questions that report and charts ask of them. */
#ifndef PV_LAB_SWEEP_SWEEP_TABLE_H
#define PV_LAB_SWEEP_SWEEP_TABLE_H

#include "lab/sweep/sweep.h"

struct sweep_table {
    const char *model, *device; /* these and the rows' texts are in `text` */
    struct pv_sweep_info info;
    struct pv_sweep_row *rows; /* [n_rows] at least one; the layers' numbers are in `layers` */
    uint32_t n_rows;
    char *text;
    double *layers; /* [n_rows][2][n_layers] */
};
void sweep_table_free(struct sweep_table *table);

/* The row of a clustering that was judged by these masks; NULL: none. */
const struct pv_sweep_row *sweep_judged(const struct sweep_table *table, const char *method, uint32_t k,
                                        enum pv_sweep_own masks);
/* The row of a method; density 0 and k 0 match any, and rows that were only judged count if `judged`. NULL: none. */
const struct pv_sweep_row *sweep_find(const struct sweep_table *table, const char *method, uint32_t k,
                                      double density, bool judged);
/* The distinct values of K, ascending, and of the densities that were run; at most `most`. */
uint32_t sweep_clusters(const struct sweep_table *table, uint32_t *out, uint32_t most);
uint32_t sweep_densities(const struct sweep_table *table, double *out, uint32_t most);
/* Rise over dense at a number of bytes a token, between a method's measured points (logarithms in between); the
 * nearest point beyond them, with *beyond set: -1 below the fewest bytes measured, 1 above the most. NAN without
 * points. */
double sweep_rise_at(const struct sweep_table *table, const char *method, uint32_t k, double bytes,
                     int *beyond);

#endif
