/* The down-projection of a low-rank router: h = B z, of fewer numbers than z has. */
#ifndef PV_LEARN_ALGO_ROUTER_DOWN_PROJECTION_H
#define PV_LEARN_ALGO_ROUTER_DOWN_PROJECTION_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_down_projection {
    uint32_t rank, d_model;
    uint16_t *weight; /* B [rank][d] float16, as the device reads it */
    float *weight_t;  /* [d][rank] the same numbers */
};
/* Room for a B; its numbers are zero. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_down_create(struct pv_down_projection *down, uint32_t rank, uint32_t d_model);
/* weight_t again, after `weight` was filled. */
void pv_down_transpose(struct pv_down_projection *down);
void pv_down_free(struct pv_down_projection *down); /* safe on a zeroed struct */
/* h [rank] = B z. */
void pv_down_project(const struct pv_down_projection *down, const float *z, float *h);
/* *h = malloc'ed float16 [n_rows][rank], B z of rows[i] (NULL: row i) of float16 z [][d]. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_down_rows(const struct pv_down_projection *down, const uint16_t *z,
                                        const uint32_t *rows, size_t n_rows, uint32_t n_threads,
                                        uint16_t **h);

#endif
