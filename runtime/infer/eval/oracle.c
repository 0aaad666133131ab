/* The evaluation's references: a token's own cluster and its own top neurons, from contributions the run
 * cannot know before it has computed them. */
#include "infer/eval/oracle.h"

#include <math.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/half.h"
#include "base/log.h"

/* Centroids [K][F] float16 of the file -> [F][K] float, so that one active neuron adds one contiguous row. */
static enum pv_status transpose_centroids(struct pv_session *s, uint32_t layer, float **out)
{
    const struct pv_clusters *c = s->engine->clusters;
    const uint16_t *src = c->layers[layer].centroids;
    const size_t n_clusters = c->info.n_clusters, d_ffn = c->info.d_ffn;
    if (!src)
        return pv_fail(
            s->engine->log, PV_ERR_UNSUPPORTED,
            "the cluster file has no centroids, so a pattern's own cluster is unknown: learn a new one");
    float *t = pv_calloc(n_clusters * d_ffn, sizeof *t);
    if (!t)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for %zu x %zu centroids", n_clusters, d_ffn);
    for (size_t k = 0; k < n_clusters; k++)
        for (size_t j = 0; j < d_ffn; j++)
            t[j * n_clusters + k] = pv_half_to_float(src[k * d_ffn + j]);
    *out = t;
    return PV_OK;
}

enum pv_status pv_oracle_assign(struct pv_session *s, uint32_t layer, const float *contribution, uint32_t n,
                                uint32_t *cluster)
{
    const uint32_t d_ffn = s->engine->hp.d_ffn, n_clusters = s->engine->clusters->info.n_clusters;
    const float tau = s->engine->clusters->layers[layer].tau;
    if (!s->centroids_t[layer])
        PV_TRY(transpose_centroids(s, layer, &s->centroids_t[layer]));
    float *score = pv_calloc(n_clusters, sizeof *score);
    if (!score)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for %u scores", n_clusters);
    for (uint32_t t = 0; t < n; t++) {
        const float *c = contribution + (size_t)t * d_ffn;
        for (uint32_t k = 0; k < n_clusters; k++)
            score[k] = 0.0f;
        for (uint32_t j = 0; j < d_ffn; j++) {
            if (!(c[j] > tau))
                continue;
            const float f = sqrtf(c[j]), *row = s->centroids_t[layer] + (size_t)j * n_clusters;
            for (uint32_t k = 0; k < n_clusters; k++)
                score[k] += f * row[k];
        }
        uint32_t best = 0;
        for (uint32_t k = 1; k < n_clusters; k++)
            if (score[k] > score[best])
                best = k;
        cluster[t] = best;
    }
    free(score);
    return PV_OK;
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

enum pv_status pv_oracle_top(const float *contribution, uint32_t n, uint32_t d_ffn, uint32_t n_keep,
                             uint32_t *bits)
{
    const size_t words = pv_bit_words(d_ffn);
    float *sorted = pv_calloc(d_ffn, sizeof *sorted);
    if (!sorted)
        return PV_ERR_NOMEM;
    if (n_keep > d_ffn)
        n_keep = d_ffn;
    for (uint32_t t = 0; t < n; t++) {
        const float *c = contribution + (size_t)t * d_ffn;
        uint32_t *row = bits + t * words, left = n_keep;
        for (size_t w = 0; w < words; w++)
            row[w] = 0;
        if (n_keep == 0)
            continue;
        for (uint32_t j = 0; j < d_ffn; j++)
            sorted[j] = c[j];
        qsort(sorted, d_ffn, sizeof *sorted, descending);
        const float edge = sorted[n_keep - 1];
        for (uint32_t j = 0; j < d_ffn; j++) /* above the edge always, at the edge while places are left */
            if (c[j] > edge) {
                pv_bit_set(row, j);
                left--;
            }
        for (uint32_t j = 0; j < d_ffn && left > 0; j++)
            if (!(c[j] > edge) && !(c[j] < edge)) {
                pv_bit_set(row, j);
                left--;
            }
    }
    free(sorted);
    return PV_OK;
}
