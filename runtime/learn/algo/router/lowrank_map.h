/* The best rank-r stand-in for a linear map on data: W z ~ A B z, least mean square over z with second moment
 * C. A holds the first r eigenvectors of W C W^T and B = A^T W (C = 1 gives the truncated SVD: Eckart and
 * Young, 1936). Found by subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4), in
 * float32. */
#ifndef PV_LEARN_ALGO_ROUTER_LOWRANK_MAP_H
#define PV_LEARN_ALGO_ROUTER_LOWRANK_MAP_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_lowrank {
    uint32_t n_rows, n_cols, rank;
    float *a_t; /* [rank][n_rows] */
    float *b_t; /* [n_cols][rank] */
};
struct pv_lowrank_params {
    const float *w;      /* [n_rows][n_cols] */
    const float *moment; /* C [n_cols][n_cols]; NULL: 1 */
    uint32_t n_rows, n_cols;
    uint32_t rank; /* cut to min(n_rows, n_cols) */
    uint32_t n_threads;
    uint64_t seed;
};
/* PV_ERR_NOMEM; nothing is to be freed then. */
PV_MUST_USE enum pv_status pv_lowrank_find(const struct pv_lowrank_params *params, struct pv_lowrank *out);
void pv_lowrank_free(struct pv_lowrank *map); /* safe on a zeroed struct */
/* h [rank] = B z. */
void pv_lowrank_project(const struct pv_lowrank *map, const float *z, float *h);
/* y [n_rows] = A h. */
void pv_lowrank_expand(const struct pv_lowrank *map, const float *h, float *y);

/* Mean of z z^T over rows (at most a few thousand, evenly taken) of float16 z [n][d]; malloc'ed [d][d], NULL
 * without memory. */
float *pv_lowrank_moment(const uint16_t *z, uint32_t d, const uint32_t *rows, size_t n_rows,
                         uint32_t n_threads);

#endif
