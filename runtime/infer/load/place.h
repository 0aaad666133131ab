/* What a model takes on a device, and which layers go where. */
#ifndef PV_INFER_LOAD_PLACE_H
#define PV_INFER_LOAD_PLACE_H

#include "infer/load/engine.h"

/* The KV cache of one layer under a device's plan. */
uint64_t pv_layer_kv_bytes(const struct pv_engine *engine, const struct pv_plan *plan);
/* Fills first_layer and n_layers of the opened stages, and `out`. */
PV_MUST_USE enum pv_status pv_place_stages(struct pv_engine *engine, struct pv_placement *out);
/* Splits the layers over the stages there are and loads what they have not; PV_ERR_DEVICE_MEMORY if they do
 * not fit. */
PV_MUST_USE enum pv_status pv_engine_place(struct pv_engine *engine, struct pv_placement *placement);

#endif
