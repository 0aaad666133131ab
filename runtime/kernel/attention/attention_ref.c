/* Reference of attention: a plain two-pass softmax for each query and head. */
#include "iface.h"
#include "kernel/reference.h"

#include <math.h>

/* One query of one head over n positions of its keys and values, which lie head_stride apart. */
static void attend(const struct pv_ref_attention *a, const float *q, const float *k, const float *v, size_t n,
                   double *scores, float *out)
{
    const double scale = a->scale > 0.0f ? (double)a->scale : 1.0 / sqrt((double)a->head_dim);
    double top = -INFINITY, total = 0.0;
    for (size_t p = 0; p < n; p++) {
        double dot = 0.0;
        for (size_t i = 0; i < a->head_dim; i++)
            dot += (double)q[i] * (double)k[p * a->head_stride + i];
        scores[p] = dot * scale;
        if (a->softcap > 0.0f)
            scores[p] = (double)a->softcap * tanh(scores[p] / (double)a->softcap);
        top = scores[p] > top ? scores[p] : top;
    }
    for (size_t p = 0; p < n; p++) {
        scores[p] = exp(scores[p] - top);
        total += scores[p];
    }
    for (size_t i = 0; i < a->head_dim; i++) {
        double sum = 0.0;
        for (size_t p = 0; p < n; p++)
            sum += scores[p] * (double)v[p * a->head_stride + i];
        out[i] = (float)(sum / total);
    }
}

void pv_ref_attention(const struct pv_ref_attention *a, const float *q, const float *cache_k,
                      const float *cache_v, double *scores, float *out)
{
    const size_t per_kv = a->n_heads / a->n_kv_heads;
    for (size_t t = 0; t < a->n_tokens; t++)
        for (size_t h = 0; h < a->n_heads; h++) {
            const size_t at = (t * a->n_heads + h) * a->head_dim;
            const size_t first_head = a->rows ? (size_t)a->rows[t].seq * a->n_kv_heads : 0;
            const size_t first = (first_head + h / per_kv) * a->n_ctx * a->head_stride;
            const size_t last = a->rows ? a->rows[t].pos : a->pos + t;
            const size_t sees = last + 1 < a->n_ctx ? last + 1 : a->n_ctx;
            const size_t skips = a->window > 0 && sees > a->window ? sees - a->window : 0;
            const size_t from = first + skips * a->head_stride;
            attend(a, q + at, cache_k + from, cache_v + from, sees - skips, scores, out + at);
        }
}
