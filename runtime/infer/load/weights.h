/* A stage's share of the weights: loading and unloading. */
#ifndef PV_INFER_LOAD_WEIGHTS_H
#define PV_INFER_LOAD_WEIGHTS_H

#include "infer/load/engine.h"

/* Bytes of layer `index` on a device: weights and, with clusters, masks and router. */
uint64_t pv_layer_bytes(const struct pv_engine *engine, uint32_t index);
/* Embedding and output matrix and final norm, as far as a stage holds them. */
uint64_t pv_stage_other_bytes(const struct pv_engine *engine, bool has_embed, bool has_output);
/* Makes `layers` those of the stage's new range: unloads what it no longer has, keeps what it has and leaves
 * the rest to be loaded. */
PV_MUST_USE enum pv_status pv_stage_trim(struct pv_stage *stage, const struct pv_engine *engine);
/* Loads what is missing of the stage's share of the weights. After a failure it may be called again. */
PV_MUST_USE enum pv_status pv_stage_load(struct pv_stage *stage, const struct pv_engine *engine);
void pv_stage_unload(struct pv_stage *stage); /* safe on a zeroed struct; leaves the device open */

#endif
