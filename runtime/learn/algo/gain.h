/* What each cluster's mask keeps of a token's energy: what routing the token there is worth.
 *
 * gain[i][k] = sum of c_ij^2 over mask k, divided by the mean of sum_j c_j^2 over the training rows, so that
 * the mean gain of a router is about the share of energy it keeps. A router trained on gains (router.h) errs
 * where erring is cheap: a wrong cluster costs the contribution that its mask lacks, no more. */
#ifndef PV_LEARN_ALGO_GAIN_H
#define PV_LEARN_ALGO_GAIN_H

#include "learn/algo/masks.h"

enum { PV_GAIN_TILE = 32 };

struct pv_gain {
    const struct pv_sparse *x; /* borrowed */
    uint32_t n_clusters, n_tiles;
    float *tiles; /* [n_tiles][F][PV_GAIN_TILE] 1 where the cluster's mask has the neuron */
    float scale;
};
/* rows->x must outlive it; the others need not. The mean is over `rows`; no rows: gains are sums of c_j^2. */
PV_MUST_USE enum pv_status pv_gain_init(struct pv_gain *gain, const struct pv_rows *rows,
                                        const struct pv_mask_lists *lists);
void pv_gain_free(struct pv_gain *gain); /* safe on a zeroed struct */

/* out[i][t] = gain of rows[i] in cluster tile * PV_GAIN_TILE + t; 0 beyond the last cluster. */
void pv_gain_tile(const struct pv_gain *gain, uint32_t tile, const uint32_t *rows, size_t n_rows, float *out);
/* Gain of one row in cluster k, and in a mask of all neurons. */
double pv_gain_of(const struct pv_gain *gain, size_t row, uint32_t k);
double pv_gain_whole(const struct pv_gain *gain, size_t row);
/* The masks as a matrix [K][F] of float16 zeros and ones. */
void pv_gain_masks(const struct pv_gain *gain, uint16_t *out);

/* cluster[i] of every row of x: argmax_k of the sum of c_ij^2 over mask k less threshold / energy->scale,
 * what a neuron is worth at the budget's edge (masks.h), for each neuron of the mask; ties to the lowest k.
 * `lists` are what the energies and the threshold gave; a cluster without rows in the energies gets none.
 * PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_gain_regroup(const struct pv_sparse *x, const struct pv_mask_lists *lists,
                                           const struct pv_energy *energy, float threshold,
                                           uint32_t n_threads, uint16_t *cluster);

#endif
