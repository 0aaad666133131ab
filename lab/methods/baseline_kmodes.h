/* k-modes on binary patterns (Huang, "Extensions to the k-means algorithm for clustering large data sets with
 * categorical values", 1998): a row belongs to the mode of least Hamming distance (ties: lowest k), a mode is
 * the majority vote of its rows (bit j where more than half of them have it). Modes start as distinct random
 * rows; a cluster that runs empty takes the row farthest from its own mode. The baseline of arXiv 2507.14179.
 */
#ifndef PV_LAB_METHODS_BASELINE_KMODES_H
#define PV_LAB_METHODS_BASELINE_KMODES_H

#include "learn/algo/layer.h"
#include "learn/fit/learn.h"

struct pv_kmodes_params {
    uint32_t n_clusters, n_iters; /* K; rounds at most */
    uint32_t n_threads;           /* 0: all cores */
    uint64_t seed;
};
struct pv_kmodes_result {
    uint32_t *modes; /* [K][ceil(F/32)], owned by the caller, free */
    uint32_t n_iters;
    double distance; /* mean Hamming distance of the rows at the last assignment */
};
PV_MUST_USE enum pv_status pv_kmodes(const struct pv_rows *rows, const struct pv_kmodes_params *params,
                                     const struct pv_steps *steps, struct pv_kmodes_result *out);
/* cluster[i] and, if not NULL, distance[i] of the i-th of `rows`; n_clusters and n_threads of `params` count.
 * F below 65536. */
PV_MUST_USE enum pv_status pv_kmodes_assign(const struct pv_rows *rows, const uint32_t *modes,
                                            const struct pv_kmodes_params *params, uint16_t *cluster,
                                            float *distance);

/* Fits that are measured against: of k-means of bit patterns, and of k-modes, with the neurons that are most
 * often active in a cluster. */
extern const struct pv_baseline pv_fit_kmeans, pv_fit_kmodes;

#endif
