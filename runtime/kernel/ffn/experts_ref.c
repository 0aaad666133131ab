/* References of the choice of experts and of their weights. */
#include <float.h>
#include <math.h>

#include "kernel/reference.h"

static double gate(enum pv_gating gating, double score, double best)
{
    return gating == PV_GATING_SIGMOID ? 1.0 / (1.0 + exp(-score)) : exp(score - best);
}

/* NaN is the lowest. */
static double rank_of(float score)
{
    return score >= -FLT_MAX ? (double)score : -(double)FLT_MAX;
}

void pv_ref_top_experts(const float *scores, const struct pv_ref_experts *e, uint32_t *chosen, float *weights)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < e->n_experts; i++)
        weights[i] = 0.0f;
    for (uint32_t k = 0; k < e->n_used; k++) { /* a chosen expert is marked by its weight until the end */
        uint32_t best = e->n_experts;
        for (uint32_t i = 0; i < e->n_experts; i++)
            if (!(weights[i] > 0.0f) && (best == e->n_experts || rank_of(scores[i]) > rank_of(scores[best])))
                best = i;
        weights[best] = 1.0f;
        chosen[k] = best;
        sum += gate(e->gating, rank_of(scores[best]), rank_of(scores[chosen[0]]));
    }
    for (uint32_t k = 0; k < e->n_used; k++)
        weights[chosen[k]] =
            (float)(gate(e->gating, rank_of(scores[chosen[k]]), rank_of(scores[chosen[0]])) / sum);
}

void pv_ref_scale_experts(const float *weights, uint32_t n_neurons, const uint32_t *list, uint32_t n,
                          float *a)
{
    for (uint32_t r = 0; r < n; r++)
        a[r] = (float)((double)a[r] * (double)weights[(list ? list[r] : r) / n_neurons]);
}
