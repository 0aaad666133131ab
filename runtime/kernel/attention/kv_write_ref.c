/* Reference of kv_write. */
#include "kernel/reference.h"

void pv_ref_kv_write(const struct pv_ref_attention *a, const float *rows, float *cache)
{
    for (size_t t = 0; t < a->n_tokens; t++)
        for (size_t h = 0; h < a->n_kv_heads; h++) {
            const size_t pos = a->sequences ? a->pos : a->pos + t,
                         first = a->sequences ? t * a->n_kv_heads : 0;
            float *cell = cache + ((first + h) * a->n_ctx + pos) * a->head_stride;
            if (pos >= a->n_ctx)
                continue;
            for (size_t i = 0; i < a->head_stride; i++)
                cell[i] = i < a->head_dim ? rows[(t * a->n_kv_heads + h) * a->head_dim + i] : 0.0f;
        }
}
