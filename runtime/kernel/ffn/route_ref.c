/* Reference of the router's choice, for one token and for each row of a batch, and of the union of two. */
#include "kernel/reference.h"

#include <float.h>
#include <math.h>

#include "base/bits.h"

uint32_t pv_ref_route(const float *scores, uint32_t n, float *margin)
{
    const uint32_t best = pv_ref_argmax(scores, n);
    double second = -INFINITY;
    for (uint32_t k = 0; k < n; k++)
        if (k != best && (double)scores[k] > second)
            second = (double)scores[k];
    *margin = isinf(second) ? 0.0f : (float)((double)scores[best] - second);
    return best;
}

void pv_ref_best_two(const float *scores, uint32_t n, uint32_t best[2])
{
    best[0] = best[1] = pv_ref_argmax(scores, n);
    for (uint32_t k = 0; k < n; k++) {
        const bool none = best[1] == best[0];
        if (k != best[0] && scores[k] >= -FLT_MAX && (none || scores[k] > scores[best[1]]))
            best[1] = k;
    }
}

void pv_ref_union(const uint32_t *masks, const uint32_t best[2], uint32_t d_ffn, uint32_t *bits)
{
    const size_t words = pv_bit_words(d_ffn);
    for (size_t w = 0; w < words; w++)
        bits[w] = masks[best[0] * words + w] | masks[best[1] * words + w];
}

uint32_t pv_ref_union_list(const uint32_t *bits, uint32_t d_ffn, uint32_t *list)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < d_ffn; j++)
        if (pv_bit_get(bits, j))
            list[n++] = j;
    return n;
}
