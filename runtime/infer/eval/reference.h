/* The whole forward pass on the host in plain loops, double accumulation, dense or masked: what the devices
 * are held against. Slow by design (no cache, no threads); for tiny models and short texts. */
#ifndef PV_INFER_EVAL_REFERENCE_H
#define PV_INFER_EVAL_REFERENCE_H

#include "format/clusters/cluster_file.h"
#include "format/model/model.h"

/* logits [n][n_vocab] of tokens at positions 0..n-1. clusters NULL: dense; else each token computes the masks
 * of its router's n_best clusters, 1 or 2. */
PV_MUST_USE enum pv_status pv_reference_forward(const struct pv_model *model,
                                                const struct pv_clusters *clusters, uint32_t n_best,
                                                const uint32_t *tokens, uint32_t n, float *logits);

#endif
