/* Reference of soft_cap. */
#include "kernel/reference.h"

#include <math.h>

void pv_ref_soft_cap(float *y, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)cap * tanh((double)y[i] / (double)cap));
}
