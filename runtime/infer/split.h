/* Which layers go to which device. Pure. */
#ifndef PV_INFER_SPLIT_H
#define PV_INFER_SPLIT_H

#include <stdint.h>

/* Splits n_layers into n_stages contiguous ranges in proportion to weight[i] (> 0; NULL: equal), each at
 * least one layer while there are enough; begin has n_stages + 1 entries, stage i owns [begin[i],
 * begin[i+1]). */
void pv_split_layers(uint32_t n_layers, uint32_t n_stages, const double *weight, uint32_t *begin);

#endif
