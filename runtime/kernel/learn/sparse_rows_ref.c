/* Sparse rows spread out, in plain loops. */
#include "base/half.h"
#include "kernel/reference.h"

void pv_ref_sparse_rows(const uint32_t *offset, const uint32_t *entries, const float *scale,
                        uint32_t n_tokens, uint32_t n_cols, bool energy, float *x)
{
    for (size_t i = 0; i < (size_t)n_tokens * n_cols; i++)
        x[i] = 0.0f;
    for (size_t t = 0; t < n_tokens; t++) {
        for (uint32_t p = offset[t]; p < offset[t + 1]; p++) {
            const float root = pv_half_to_float((uint16_t)(entries[p] >> 16)), c = root * root;

            x[t * n_cols + (entries[p] & 0xffffu)] = scale[t] * (energy ? c * c : root);
        }
    }
}
