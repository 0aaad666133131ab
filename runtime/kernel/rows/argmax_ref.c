/* Reference of argmax. */
#include "kernel/reference.h"

#include <math.h>

uint32_t pv_ref_argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    bool found = false;
    for (uint32_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (!found || x[i] > x[best])) {
            best = i;
            found = true;
        }
    return best;
}
