/* The low-rank router: scores = W (B z) + b, B [rank][d], W [K][rank]. B is the best map of its rank for the
 * scores of a trained linear router over the z there are (lowrank_map.h), its rows scaled to unit length and
 * rounded to float16; W and b are trained on B z as the linear router was on z. */
#ifndef PV_LEARN_ALGO_ROUTER_ROUTER_LOWRANK_H
#define PV_LEARN_ALGO_ROUTER_ROUTER_LOWRANK_H

#include "learn/algo/router/router.h"

/* Tries ranks d/16, d/8 and d/4 (at most K) and keeps the first that costs at most a point of held-out
 * accuracy against `linear`, or the last. params and data are those that `linear` was trained with.
 * PV_ERR_NOMEM (not logged), PV_ERR_INTERRUPTED; nothing is to be freed then. */
PV_MUST_USE enum pv_status pv_router_train_lowrank(const struct pv_router_params *params,
                                                   const struct pv_router_data *data,
                                                   const struct pv_router *linear,
                                                   const struct pv_steps *steps, struct pv_router *out);

#endif
