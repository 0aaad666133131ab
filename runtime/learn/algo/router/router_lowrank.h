/* The low-rank router: scores = W (B z) + b, B [rank][d], W [K][rank]. B is the best map of its rank for the
 * scores of a trained linear router over the z there are (predict_lowrank.h), its rows scaled to unit length
 * and rounded to float16; W and b are trained on B z as the linear router was on z. */
#ifndef PV_LEARN_ALGO_ROUTER_ROUTER_LOWRANK_H
#define PV_LEARN_ALGO_ROUTER_ROUTER_LOWRANK_H

#include "learn/algo/router/router.h"

/* B. Zeroed: there is none. */
struct pv_narrow {
    uint32_t rank, d_model;
    uint16_t *weight; /* [rank][d] float16, as the device reads it */
    float *weight_t;  /* [d][rank] the same numbers */
};
/* Room for a B; its numbers are zero. */
PV_MUST_USE enum pv_status pv_narrow_create(struct pv_narrow *narrow, uint32_t rank, uint32_t d_model);
/* weight_t again, after `weight` was filled. */
void pv_narrow_transpose(struct pv_narrow *narrow);
void pv_narrow_free(struct pv_narrow *narrow); /* safe on a zeroed struct */
/* h [rank] = B z. */
void pv_narrow_project(const struct pv_narrow *narrow, const float *z, float *h);
/* *h = malloc'ed float16 [n_rows][rank], B z of the rows of float16 z [n_rows][d]. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_narrow_rows(const struct pv_narrow *narrow, const uint16_t *z, size_t n_rows,
                                          uint32_t n_threads, uint16_t **h);

struct pv_lowrank_router {
    struct pv_narrow narrow;
    struct pv_router router; /* of width narrow.rank */
    uint16_t *h;             /* [n_rows][rank] float16 B z of all rows */
};
/* Tries ranks d/16, d/8 and d/4 (at most K) and keeps the first that costs at most a point of held-out
 * accuracy against `linear`, or the last. params and data are those that `linear` was trained with; n_rows is
 * of data->z. PV_ERR_NOMEM (not logged), PV_ERR_INTERRUPTED; nothing is to be freed then. */
PV_MUST_USE enum pv_status pv_router_train_lowrank(const struct pv_router_params *params,
                                                   const struct pv_router_data *data, size_t n_rows,
                                                   const struct pv_router *linear,
                                                   const struct pv_steps *steps,
                                                   struct pv_lowrank_router *out);
void pv_lowrank_router_free(struct pv_lowrank_router *router); /* safe on a zeroed struct */

#endif
