/* What a model takes on a device, and which layers go where. */
#ifndef PV_INFER_PLACE_H
#define PV_INFER_PLACE_H

#include "infer/engine.h"
#include "parvin/placement.h"

/* Bytes of layer `index` on a device: weights and, with clusters, masks and router. */
uint64_t pv_layer_bytes(const struct pv_engine *engine, uint32_t index);
/* Embedding and output matrix and final norm, as far as a stage holds them. */
uint64_t pv_stage_other_bytes(const struct pv_engine *engine, bool has_embed, bool has_output);
/* The KV cache of one layer, and a session's other buffers on a stage, under a device's plan. */
uint64_t pv_layer_kv_bytes(const struct pv_engine *engine, const struct pv_plan *plan);
uint64_t pv_stage_scratch_bytes(const struct pv_engine *engine, const struct pv_plan *plan, bool has_output);
/* Rows of logits a session makes at once. */
uint32_t pv_logit_rows(const struct pv_engine *engine);

/* Fills first_layer and n_layers of the opened stages, and `out`. */
PV_MUST_USE enum pv_status pv_place_stages(struct pv_engine *engine, struct pv_placement *out);

#endif
