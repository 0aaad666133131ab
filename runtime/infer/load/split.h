/* Which layers go to which device: a pure rule, and the measurement that feeds it. */
#ifndef PV_INFER_LOAD_SPLIT_H
#define PV_INFER_LOAD_SPLIT_H

#include "vk/device.h"

/* Splits n_layers into n_stages contiguous ranges in proportion to weight[i] (> 0; NULL: equal), each at
 * least one layer, none more than room[i] layers (NULL: no limit). begin has n_stages + 1 entries, stage i
 * owns [begin[i], begin[i+1]). 1 <= n_stages <= n_layers. False if the room does not suffice: begin is then
 * undefined. */
bool pv_split_layers(uint32_t n_layers, uint32_t n_stages, const double *weight, const uint32_t *room,
                     uint32_t *begin);
/* Bytes a second the device reads in a matrix-vector product of a layer's kind, which is what decode waits
 * for: the best of a few runs over 4 MiB of float16. */
PV_MUST_USE enum pv_status pv_measure_matvec(struct pv_device *device, double *bytes_per_s);

#endif
