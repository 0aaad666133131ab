/* Queries, keys and values of a layer on the device: one product where their types allow it. */
#ifndef PV_INFER_LOAD_WEIGHTS_QKV_H
#define PV_INFER_LOAD_WEIGHTS_QKV_H

#include "infer/load/engine.h"

/* Fills the layer's qkv and qkv_bias; on failure what is there is for pv_qkv_destroy. */
PV_MUST_USE enum pv_status pv_qkv_upload(struct pv_device *device, const struct pv_model_layer *model,
                                         struct pv_layer *layer);
void pv_qkv_destroy(struct pv_layer *layer); /* safe on a zeroed layer */
uint64_t pv_qkv_bias_bytes(const struct pv_model_layer *model);

#endif
