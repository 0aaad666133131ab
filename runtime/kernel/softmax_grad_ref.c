/* Gradient of the cross-entropy, in double arithmetic. */
#include <math.h>

#include "kernel/reference.h"

void pv_ref_softmax_grad(const float *scores, const uint32_t *targets, uint32_t n_tokens, uint32_t n_clusters,
                         float scale, float *gradient_t)
{
    for (size_t t = 0; t < n_tokens; t++) {
        const float *x = scores + t * n_clusters;
        double top = -INFINITY, sum = 0.0;

        for (size_t k = 0; k < n_clusters; k++)
            top = fmax(top, (double)x[k]);
        for (size_t k = 0; k < n_clusters; k++)
            sum += exp((double)x[k] - top);
        for (size_t k = 0; k < n_clusters; k++)
            gradient_t[k * n_tokens + t] =
                (float)((double)scale * (exp((double)x[k] - top) / sum - (k == targets[t] ? 1.0 : 0.0)));
    }
}
