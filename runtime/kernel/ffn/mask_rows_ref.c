/* Reference of mask_rows. */
#include "base/bits.h"
#include "kernel/reference.h"

void pv_ref_mask_rows(float *a, const uint32_t *bits, const uint32_t *cluster, uint32_t n_tokens,
                      uint32_t d_ffn)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t j = 0; j < d_ffn; j++)
            if (!pv_bit_get(bits + cluster[t] * pv_bit_words(d_ffn), j))
                a[t * d_ffn + j] = 0.0f;
}
