/* Reference of add. */
#include "kernel/reference.h"

void pv_ref_add(float *y, const float *x, uint32_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}
