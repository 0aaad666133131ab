/* What only the evaluation may know, computed on the host from true contributions. */
#ifndef PV_INFER_EVAL_ORACLE_H
#define PV_INFER_EVAL_ORACLE_H

#include "infer/session.h"

/* cluster[t] = the pattern's own assignment. PV_ERR_UNSUPPORTED if the file has no centroids. */
PV_MUST_USE enum pv_status pv_oracle_assign(struct pv_session *s, uint32_t layer, const float *contribution,
                                            uint32_t n, uint32_t *cluster);
/* bits[t] = the n_keep neurons of largest contribution (ties: lowest index). */
PV_MUST_USE enum pv_status pv_oracle_top(const float *contribution, uint32_t n, uint32_t d_ffn,
                                         uint32_t n_keep, uint32_t *bits);

#endif
