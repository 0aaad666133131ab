/* Reference of embed. */
#include "kernel/reference.h"

void pv_ref_embed(const struct pv_ref_matrix *table, const uint32_t *tokens, uint32_t n_tokens, float scale,
                  float *out)
{
    const size_t d = table->n_cols;
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < d; i++)
            out[t * d + i] = tokens[t] < table->n_rows ? scale * table->w[tokens[t] * d + i] : 0.0f;
}
