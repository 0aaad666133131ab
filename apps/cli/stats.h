/* Statistics of benchmarks. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <stdint.h>

/* The median of n values, which are sorted. */
double stats_median(double *values, uint32_t n);
/* Their mean, and the deviation of a sample: 0 of one. */
double stats_mean(const double *values, uint32_t n, double *deviation);

#endif
