/* Medians, since times on a busy machine have outliers on one side only; means where others print means. */
#include "cli/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double stats_median(double *values, uint32_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

double stats_mean(const double *values, uint32_t n, double *deviation)
{
    double mean = 0.0, square = 0.0;
    for (uint32_t i = 0; i < n; i++)
        mean += values[i] / n;
    for (uint32_t i = 0; i < n; i++)
        square += (values[i] - mean) * (values[i] - mean);
    *deviation = n > 1 ? sqrt(square / (n - 1)) : 0.0;
    return mean;
}
