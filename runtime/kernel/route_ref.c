/* Reference of the router's choice, for one token and for each row of a batch. */
#include "kernel/reference.h"

#include <math.h>

uint32_t pv_ref_route(const float *scores, uint32_t n, float *margin)
{
    const uint32_t best = pv_ref_argmax(scores, n);
    double second = -INFINITY;
    for (uint32_t k = 0; k < n; k++)
        if (k != best && (double)scores[k] > second)
            second = (double)scores[k];
    *margin = isinf(second) ? 0.0f : (float)((double)scores[best] - second);
    return best;
}
