/* Masks from contribution energy, one budget over all layers and clusters.
 *
 * Energy e_lkj = mean of c_j^2 over the rows of cluster k: what the layer's output loses on average, in
 * squared length, when neuron j is left out of mask k (its column of W_down taken as orthogonal to the
 * others). Taking the neuron costs use_lk / n, the share of rows that compute it. Value per cost is e_lkj
 * whatever the use, so the best masks for a budget are those of one threshold: M_lk = { j : scale_l * e_lkj >
 * T }, with T the lowest that keeps the expected density, mean over layers, within the target. */
#ifndef PV_LEARN_ALGO_MASKS_H
#define PV_LEARN_ALGO_MASKS_H

#include "infer/eval/mask_score.h"
#include "learn/algo/sparse.h"
#include "parvin/status.h"

/* Energies of one layer. */
struct pv_energy {
    uint32_t n_clusters, n_cols; /* K, F */
    float *mean;                 /* [K][F] */
    uint64_t *use;               /* [K] rows */
    double total;                /* mean over rows of sum_j c_j^2 */
    double scale;                /* weight of this layer against the others, 1 at first */
};
/* Over `rows`; row r of x is in cluster[r]. A cluster that no row has gets the mean over all rows. */
PV_MUST_USE enum pv_status pv_energy_init(struct pv_energy *energy, const struct pv_rows *rows,
                                          const uint16_t *cluster, uint32_t n_clusters, uint32_t n_threads);
void pv_energy_free(struct pv_energy *energy); /* safe on a zeroed struct */

/* scale_l = 1 / (total_0 + ... + total_l): an error counts relative to what the layers so far have added to
 * the residual stream. n_layers in order from the first. */
void pv_energy_scale(struct pv_energy *layers, uint32_t n_layers);

/* The lowest threshold whose density is at most `density`; *reached is the density it gives. */
PV_MUST_USE enum pv_status pv_energy_threshold(const struct pv_energy *layers, uint32_t n_layers,
                                               double density, uint32_t n_threads, float *threshold,
                                               double *reached);

/* Neuron lists of one layer, ascending within a cluster. */
struct pv_mask_lists {
    uint32_t n_clusters, n_cols;
    uint32_t *offset;  /* [K + 1] */
    uint16_t *neurons; /* [offset[K]] */
    double density;    /* expected over the rows of the energies */
};
PV_MUST_USE enum pv_status pv_mask_lists_choose(struct pv_mask_lists *lists, const struct pv_energy *energy,
                                                float threshold);
/* The n neurons of highest mean of each cluster, ties to the lowest; fewer where fewer are above 0. */
PV_MUST_USE enum pv_status pv_mask_lists_top(struct pv_mask_lists *lists, const struct pv_energy *energy,
                                             uint32_t n);
void pv_mask_lists_free(struct pv_mask_lists *lists); /* safe on a zeroed struct */

/* Adds to `score` how the masks do on rows; energies are those of the patterns. */
PV_MUST_USE enum pv_status pv_mask_lists_judge(const struct pv_mask_lists *lists, const struct pv_rows *rows,
                                               const uint16_t *cluster, struct pv_mask_score *score);

/* Lists [n_layers] of all layers for one budget; what they were is freed. A density of 1 is every neuron, also
 * those that were never active. */
struct pv_mask_budget {
    double density;  /* to stay within */
    double reached;  /* expected over the rows of the energies */
    float threshold; /* scale * energy of the masks' neurons is above it */
};
PV_MUST_USE enum pv_status pv_mask_lists_spend(struct pv_mask_lists *lists, const struct pv_energy *energies,
                                               uint32_t n_layers, uint32_t n_threads,
                                               struct pv_mask_budget *budget);

#endif
