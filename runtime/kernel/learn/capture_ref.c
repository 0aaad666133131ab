/* Reference of capture. */
#include "base/bits.h"
#include "kernel/reference.h"

#include <math.h>

/* The product is one float multiplication here and on the device, so the bits can be compared exactly. */
void pv_ref_capture(const float *a, const float *norm, uint32_t n_tokens, uint32_t d_ffn, float tau,
                    float *contribution, uint32_t *bits)
{
    const size_t words = pv_bit_words(d_ffn);
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t w = 0; w < words; w++)
            bits[t * words + w] = 0;
        for (size_t j = 0; j < d_ffn; j++) {
            const float c = fabsf(a[t * d_ffn + j]) * norm[j];
            contribution[t * d_ffn + j] = c;
            if (c > tau)
                pv_bit_set(bits + t * words, j);
        }
    }
}
