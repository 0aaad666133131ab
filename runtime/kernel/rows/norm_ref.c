/* Reference of norm: mean and squared differences in two passes. */
#include "kernel/reference.h"

#include <math.h>

void pv_ref_norm(const struct pv_ref_norm *a, const float *x, float *out)
{
    for (size_t t = 0; t < a->n_rows; t++) {
        const float *row = x + t * a->n_cols;
        double mean = 0.0, sum = 0.0;
        for (size_t i = 0; a->layer && i < a->n_cols; i++)
            mean += (double)row[i] / a->n_cols;
        for (size_t i = 0; i < a->n_cols; i++)
            sum += ((double)row[i] - mean) * ((double)row[i] - mean);
        const double f = 1.0 / sqrt(sum / a->n_cols + (double)a->eps);
        for (size_t i = 0; i < a->n_cols; i++) {
            const double v =
                ((double)row[i] - mean) * f * (double)a->weight[i] + (a->bias ? (double)a->bias[i] : 0.0);
            float *to = out + t * a->n_cols + i;
            *to = (float)(a->accumulate ? (double)*to + v : v);
        }
    }
}
