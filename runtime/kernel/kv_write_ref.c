/* Reference of kv_write. */
#include "kernel/reference.h"

void pv_ref_kv_write(const struct pv_ref_attention *a, const float *rows, float *cache)
{
    for (size_t t = 0; t < a->n_tokens && a->pos + t < a->n_ctx; t++)
        for (size_t h = 0; h < a->n_kv_heads; h++) {
            float *cell = cache + (h * a->n_ctx + a->pos + t) * a->head_stride;
            for (size_t i = 0; i < a->head_stride; i++)
                cell[i] = i < a->head_dim ? rows[(t * a->n_kv_heads + h) * a->head_dim + i] : 0.0f;
        }
}
