/* The clusters of a layer and every token's own: by k-means of contributions or of bit patterns, by k-modes,
 * or by k-means of the router's input. Whatever made the groups, the file's centroids are the mean
 * contribution features of the tokens in them. A long capture is clustered by a sample of it; the router and
 * the masks see all of it. */
#include "learn/learner.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/baseline_kmodes.h"
#include "learn/kmeans.h"
#include "learn/router_centroid.h"

enum { SAMPLE = 128 /* tokens a cluster are clustered, more than that only get their cluster's name */ };

/* Evenly spread training rows, or all of them. */
static size_t sample_rows(const struct learner *ln, uint32_t *rows)
{
    size_t most = (size_t)ln->params.n_clusters * SAMPLE, n = ln->n_train < most ? ln->n_train : most;

    for (size_t i = 0; i < n; i++)
        rows[i] = ln->train[i * ln->n_train / n];
    return n;
}

/* k-means with every restart, the one of highest similarity kept. */
static enum pv_status cluster_means(struct learner *ln, uint32_t l, const struct pv_sparse *x,
                                    enum pv_space space, const uint32_t *rows, size_t n_rows,
                                    const struct pv_steps *steps)
{
    struct pv_kmeans_params params = {.n_clusters = ln->params.n_clusters,
                                      .n_iters = ln->params.n_iters,
                                      .n_threads = ln->params.n_threads,
                                      .space = space,
                                      .device = ln->clusters_on};
    size_t size = (size_t)ln->params.n_clusters * ln->source->d_ffn;
    uint16_t *centroids = ln->layers[l].centroids;
    struct pv_kmeans_result best = {0}, result;
    enum pv_status status = PV_OK;

    for (uint32_t i = 0; i < ln->params.n_restarts && status == PV_OK; i++) {
        params.seed = ln->params.seed + l + (uint64_t)i * ln->source->n_layers;
        status = pv_kmeans(x, rows, n_rows, &params, steps, &result);
        if (status == PV_OK && (best.centroids == NULL || result.similarity > best.similarity)) {
            free(best.centroids);
            best = result;
        } else if (status == PV_OK) {
            free(result.centroids);
        }
    }
    for (size_t i = 0; i < size && status == PV_OK; i++) { /* rounded as the file has them */
        centroids[i] = pv_float_to_half(best.centroids[i]);
        best.centroids[i] = pv_half_to_float(centroids[i]);
    }
    if (status == PV_OK) {
        pv_info(&ln->log, "layer %u: %u clusters (%u empty) in %u iterations, mean similarity %.3f", l,
                params.n_clusters, best.n_empty, best.n_iters, best.similarity);
        status = pv_kmeans_assign(x, NULL, x->n_rows, best.centroids, params.n_clusters, space,
                                  params.n_threads, ln->layers[l].own, NULL);
    }
    free(best.centroids);
    return status;
}

static enum pv_status cluster_modes(struct learner *ln, uint32_t l, const struct pv_sparse *x,
                                    const uint32_t *rows, size_t n_rows, const struct pv_steps *steps)
{
    struct pv_kmodes_params params = {.n_clusters = ln->params.n_clusters,
                                      .n_iters = ln->params.n_iters,
                                      .n_threads = ln->params.n_threads,
                                      .seed = ln->params.seed + l};
    struct pv_kmodes_result result = {0};
    enum pv_status status = pv_kmodes(x, rows, n_rows, &params, steps, &result);

    if (status == PV_OK)
        status = pv_kmodes_assign(x, NULL, x->n_rows, result.modes, params.n_clusters, params.n_threads,
                                  ln->layers[l].own, NULL);
    free(result.modes);
    return status;
}

static enum pv_status cluster_inputs(struct learner *ln, uint32_t l, const struct pv_layer_data *data,
                                     const uint32_t *rows, size_t n_rows, const struct pv_steps *steps)
{
    struct pv_input_params params = {.n_clusters = ln->params.n_clusters,
                                     .d_model = ln->source->d_model,
                                     .n_iters = ln->params.n_iters,
                                     .n_threads = ln->params.n_threads,
                                     .seed = ln->params.seed + l};

    return pv_input_cluster(data->z, data->x.n_rows, rows, n_rows, &params, steps, ln->layers[l].own);
}

/* The file's centroids, where the groups are not made of contributions. */
static enum pv_status average(struct learner *ln, uint32_t l, const struct pv_sparse *x)
{
    size_t size = (size_t)ln->params.n_clusters * ln->source->d_ffn;
    float *centroids = pv_calloc(size, sizeof(*centroids));
    enum pv_status status = PV_ERR_NOMEM;

    if (centroids != NULL)
        status = pv_kmeans_average(x, ln->train, ln->n_train, ln->layers[l].own, ln->params.n_clusters,
                                   PV_SPACE_CONTRIBUTION, ln->params.n_threads, centroids);
    for (size_t i = 0; i < size && status == PV_OK; i++)
        ln->layers[l].centroids[i] = pv_float_to_half(centroids[i]);
    free(centroids);
    return status;
}

static enum pv_status make(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    bool inputs = ln->params.space == PV_FIT_SPACE_INPUT;
    uint32_t *rows = pv_calloc(ln->n_train, sizeof(*rows));
    struct pv_layer_data data = {0};
    enum pv_status status = rows != NULL ? pv_learner_load(ln, l, inputs, &data) : PV_ERR_NOMEM;

    if (status == PV_OK) {
        size_t n = sample_rows(ln, rows);

        if (ln->params.method == PV_FIT_KMODES)
            status = cluster_modes(ln, l, &data.x, rows, n, steps);
        else if (inputs)
            status = cluster_inputs(ln, l, &data, rows, n, steps);
        else
            status = cluster_means(ln, l, &data.x,
                                   ln->params.space == PV_FIT_SPACE_PATTERN ? PV_SPACE_BITS
                                                                            : PV_SPACE_CONTRIBUTION,
                                   rows, n, steps);
        if (status == PV_OK && ln->params.space != PV_FIT_SPACE_CONTRIBUTION)
            status = average(ln, l, &data.x);
    }
    pv_layer_data_free(&data);
    free(rows);
    return status;
}

enum pv_status pv_learner_group(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    struct learned_layer *layer = &ln->layers[l];
    struct pv_journal *j = &ln->journal;
    size_t centroid_bytes = (size_t)ln->params.n_clusters * ln->source->d_ffn * sizeof(*layer->centroids);
    size_t own_bytes = ln->windows.n_tokens * sizeof(*layer->own);
    const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_CLUSTER, l, ln->cluster_key);
    enum pv_status status;

    layer->centroids = pv_calloc(centroid_bytes, 1);
    layer->own = pv_calloc(own_bytes, 1);
    if (layer->centroids == NULL || layer->own == NULL)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for the clusters of layer %u", l);
    if (record != NULL) {
        PV_TRY(pv_journal_read(j, record, 0, layer->centroids, centroid_bytes));
        return pv_journal_read(j, record, centroid_bytes, layer->own, own_bytes);
    }
    status = make(ln, l, steps);
    if (status == PV_ERR_NOMEM)
        return pv_fail(&ln->log, status, "fit: no memory to cluster layer %u; use fewer tokens or clusters",
                       l);
    PV_TRY(status);
    pv_journal_begin(j, PV_RECORD_CLUSTER, l, ln->cluster_key);
    pv_journal_put(j, layer->centroids, centroid_bytes);
    pv_journal_put(j, layer->own, own_bytes);
    return pv_journal_commit(j);
}
