/* Counts are whole numbers in doubles, so their sums are exact in any order. */
#include "infer/eval/mask_score.h"

void pv_mask_score_add(struct pv_mask_score *s, const uint32_t *mask, const uint32_t *pattern, const float *c,
                       uint32_t n_neurons)
{
    const size_t words = pv_bit_words(n_neurons);

    s->n_tokens += 1.0;
    s->computed += (double)pv_bit_count(mask, words);
    s->active += (double)pv_bit_count(pattern, words);
    s->hit += (double)pv_bit_count_and(mask, pattern, words);
    for (uint32_t j = 0; j < n_neurons; j++) {
        const double energy = (double)c[j] * (double)c[j];

        s->energy += energy;
        if (pv_bit_get(mask, j))
            s->energy_kept += energy;
    }
}

void pv_mask_score_merge(struct pv_mask_score *s, const struct pv_mask_score *from)
{
    s->n_tokens += from->n_tokens;
    s->computed += from->computed;
    s->active += from->active;
    s->hit += from->hit;
    s->energy += from->energy;
    s->energy_kept += from->energy_kept;
}
