/* Gradient of the cross-entropy and of the expected gain, in double arithmetic. */
#include <math.h>

#include "kernel/reference.h"

void pv_ref_softmax_grad(const struct pv_ref_softmax_grad *a, float *gradient_t)
{
    for (size_t t = 0; t < a->n_tokens; t++) {
        const float *x = a->scores + t * a->n_clusters;
        const float *gains = a->gains ? a->gains + t * a->n_clusters : NULL;
        double top = -INFINITY, sum = 0.0, mean = 0.0;

        for (size_t k = 0; k < a->n_clusters; k++)
            top = fmax(top, (double)x[k]);
        for (size_t k = 0; k < a->n_clusters; k++)
            sum += exp((double)x[k] - top);
        for (size_t k = 0; k < a->n_clusters && gains; k++)
            mean += exp((double)x[k] - top) / sum * (double)gains[k];
        for (size_t k = 0; k < a->n_clusters; k++) {
            const double p = exp((double)x[k] - top) / sum, one = k == a->targets[t] ? 1.0 : 0.0;
            const double regret = gains ? p * (mean - (double)gains[k]) : 0.0;

            gradient_t[k * a->n_tokens + t] =
                (float)((double)a->scale * ((double)a->share * (p - one) + regret));
        }
    }
}
