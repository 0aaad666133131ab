/* Every question is a pass over the rows: a table has hundreds. */
#include "lab/sweep/sweep_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void sweep_table_free(struct sweep_table *table)
{
    free(table->rows);
    free(table->layers);
    free(table->text);
    *table = (struct sweep_table){0};
}

static bool same(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

const struct pv_sweep_row *sweep_find(const struct sweep_table *table, const char *method, uint32_t k,
                                      double density, bool judged)
{
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (!strcmp(row->method, method) && (!k || !row->clustered || row->n_clusters == k) &&
            (density <= 0 || same(row->density_target, density)) && (judged || isfinite(row->ppl)))
            return row;
    }
    return NULL;
}

const struct pv_sweep_row *sweep_judged(const struct sweep_table *table, const char *method, uint32_t k,
                                        enum pv_sweep_own masks)
{
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (row->own_masks == masks && row->n_clusters == k && !strcmp(row->method, method))
            return row;
    }
    return NULL;
}

uint32_t sweep_clusters(const struct sweep_table *table, uint32_t *out, uint32_t most)
{
    uint32_t n = 0;
    for (;;) { /* the smallest that is larger than the last */
        uint32_t next = UINT32_MAX;
        for (uint32_t i = 0; i < table->n_rows; i++)
            if (table->rows[i].n_clusters > (n ? out[n - 1] : 0) && table->rows[i].n_clusters < next)
                next = table->rows[i].n_clusters;
        if (next == UINT32_MAX || n == most)
            return n;
        out[n++] = next;
    }
}

uint32_t sweep_densities(const struct sweep_table *table, double *out, uint32_t most)
{
    uint32_t n = 0;
    for (;;) {
        double next = 2;
        for (uint32_t i = 0; i < table->n_rows; i++) {
            const double density = table->rows[i].density_target;
            if (isfinite(table->rows[i].ppl) && density > (n ? out[n - 1] + 1e-9 : 0) && density < next)
                next = density;
        }
        if (next > 1 || n == most)
            return n;
        out[n++] = next;
    }
}

static double log_rise(double rise)
{
    return log(rise > 1e-5 ? rise : 1e-5);
}

double sweep_rise_at(const struct sweep_table *table, const char *method, uint32_t k, double bytes,
                     int *beyond)
{
    const struct pv_sweep_row *below = NULL, *above = NULL;
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (strcmp(row->method, method) != 0 || (k && row->clustered && row->n_clusters != k) ||
            !isfinite(row->ppl))
            continue;
        if (row->bytes <= bytes && (!below || row->bytes > below->bytes))
            below = row;
        if (row->bytes >= bytes && (!above || row->bytes < above->bytes))
            above = row;
    }
    *beyond = !below ? -1 : !above ? 1 : 0;
    if (!below || !above)
        return below ? below->rise : above ? above->rise : (double)NAN;
    const double span = above->bytes - below->bytes, share = span > 0 ? (bytes - below->bytes) / span : 0;
    return exp((1 - share) * log_rise(below->rise) + share * log_rise(above->rise));
}
