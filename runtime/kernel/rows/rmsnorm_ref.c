/* Reference of rmsnorm. */
#include "kernel/reference.h"

#include <math.h>

void pv_ref_rmsnorm(const float *x, const float *weight, uint32_t n_tokens, uint32_t d, float eps, float *out)
{
    for (size_t t = 0; t < n_tokens; t++) {
        const float *row = x + t * d;
        double sum = 0.0;
        for (size_t i = 0; i < d; i++)
            sum += (double)row[i] * (double)row[i];
        const double f = 1.0 / sqrt(sum / d + (double)eps);
        for (size_t i = 0; i < d; i++)
            out[t * d + i] = (float)((double)row[i] * f * (double)weight[i]);
    }
}
