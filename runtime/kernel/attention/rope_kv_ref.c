/* References of rope_kv's two halves: pair i turns by pos * base^(-2i / rope_dim) / factors[i]; keys and values go into
 * the cache. */
#include "iface.h"
#include "kernel/reference.h"

#include <math.h>

void pv_ref_rope(const struct pv_ref_rope *a, float *x)
{
    const size_t half = a->rope_dim / 2;
    const double amplitude = a->amplitude > 0.0f ? (double)a->amplitude : 1.0;
    for (size_t t = 0; t < a->n_tokens; t++)
        for (size_t h = 0; h < a->n_heads; h++)
            for (size_t i = 0; i < half; i++) {
                float *head = x + (t * a->n_heads + h) * a->head_dim;
                float *p0 = a->kind == PV_ROPE_NEOX ? head + i : head + 2 * i;
                float *p1 = a->kind == PV_ROPE_NEOX ? p0 + half : p0 + 1;
                const double exponent = -2.0 * (double)i / a->rope_dim;
                const double angle = (double)(a->rows ? a->rows[t].pos : a->pos + t) *
                                     pow((double)a->freq_base, exponent) /
                                     (a->factors ? (double)a->factors[i] : 1.0);
                const double x0 = (double)*p0, x1 = (double)*p1;
                *p0 = (float)(amplitude * (x0 * cos(angle) - x1 * sin(angle)));
                *p1 = (float)(amplitude * (x0 * sin(angle) + x1 * cos(angle)));
            }
}

void pv_ref_kv_write(const struct pv_ref_attention *a, const float *rows, float *cache)
{
    for (size_t t = 0; t < a->n_tokens; t++)
        for (size_t h = 0; h < a->n_kv_heads; h++) {
            const size_t pos = a->rows ? a->rows[t].pos : a->pos + t,
                         first = a->rows ? (size_t)a->rows[t].seq * a->n_kv_heads : 0;
            float *cell = cache + ((first + h) * a->n_ctx + pos) * a->head_stride;
            if (pos >= a->n_ctx)
                continue;
            for (size_t i = 0; i < a->head_stride; i++)
                cell[i] = i < a->head_dim ? rows[(t * a->n_kv_heads + h) * a->head_dim + i] : 0.0f;
        }
}
