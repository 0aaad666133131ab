/* How masks of neurons meet the true patterns: sums over tokens, so that layers and blocks of tokens add up.
 *
 * precision = hit / computed, recall = hit / active, weighted recall = energy_kept / energy. Each is the share
 * of something, and the share of nothing is 1: a mask of no neurons computes none in vain (precision 1), a
 * pattern of none has nothing to miss (recall 1). So an empty mask is not charged twice: precision is what
 * costs time, and it costs none; recall is what costs quality, and there it scores 0. */
#ifndef PV_INFER_EVAL_MASK_SCORE_H
#define PV_INFER_EVAL_MASK_SCORE_H

#include "base/bits.h"

struct pv_mask_score {
    double n_tokens;
    double computed, active, hit; /* neurons: in the mask, in the pattern, in both */
    double energy, energy_kept;   /* sum of c_j^2, and of those that the mask has */
};

/* Part of a whole, 1 where there is nothing. */
static inline double pv_share(double part, double whole)
{
    return whole > 0.0 ? part / whole : 1.0;
}
static inline double pv_mask_precision(const struct pv_mask_score *s)
{
    return pv_share(s->hit, s->computed);
}
static inline double pv_mask_recall(const struct pv_mask_score *s)
{
    return pv_share(s->hit, s->active);
}
static inline double pv_mask_weighted_recall(const struct pv_mask_score *s)
{
    return pv_share(s->energy_kept, s->energy);
}

/* One token: its mask and its pattern, packed rows of n_neurons bits, and its contributions c [n_neurons]. */
void pv_mask_score_add(struct pv_mask_score *s, const uint32_t *mask, const uint32_t *pattern, const float *c,
                       uint32_t n_neurons);
/* Adds the sums of `from`. Energies of different layers are on different scales: the mean of their weighted
 * recalls is what says something of all layers, not the weighted recall of the sum. */
void pv_mask_score_merge(struct pv_mask_score *s, const struct pv_mask_score *from);

#endif
