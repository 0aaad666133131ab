/* The clusters of a layer and every token's own: by k-means of contributions or of bit patterns, by k-modes,
 * or by k-means of the router's input; or, with the masks that k-means of contributions gives, by what a mask
 * keeps of the token. Whatever made the groups, the file's centroids are the mean contribution features of
 * the tokens in them. A long capture is clustered by a sample of it, and the centroids are then taken over
 * the rest in one pass. */
#include "learn/fit/learner.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/lab/baseline_kmodes.h"
#include "learn/algo/gain.h"
#include "learn/algo/kmeans/kmeans.h"
#include "learn/algo/router/router_centroid.h"

enum { SAMPLE = 128 /* tokens a cluster are iterated over */ };

/* Evenly spread training rows, or all of them. */
static size_t sample_rows(const struct learner *ln, uint32_t *rows)
{
    const size_t most = (size_t)ln->params.n_clusters * SAMPLE, n = ln->n_train < most ? ln->n_train : most;

    for (size_t i = 0; i < n; i++)
        rows[i] = ln->train[i * ln->n_train / n];
    return n;
}

/* Names every token's own cluster; *similarity: the training tokens' mean f . centroid. */
static enum pv_status name_all(struct learner *ln, uint32_t l, const struct pv_sparse *x, enum pv_space space,
                               const float *centroids, double *similarity)
{
    float *score = pv_calloc(x->n_rows, sizeof *score);
    enum pv_status status = PV_ERR_NOMEM;

    if (score)
        status = pv_kmeans_assign(x, NULL, x->n_rows, centroids, ln->params.n_clusters, space,
                                  ln->params.n_threads, ln->layers[l].own, score);
    *similarity = 0.0;
    for (size_t i = 0; i < ln->n_train && status == PV_OK; i++)
        *similarity += (double)score[ln->train[i]] / (double)ln->n_train;
    free(score);
    return status;
}

/* k-means with every restart, the one of highest similarity kept; `share` of the progress. */
static enum pv_status cluster_sample(const struct learner *ln, uint32_t l, const struct pv_sparse *x,
                                     struct pv_kmeans_params params, const uint32_t *rows, size_t n_rows,
                                     const struct pv_steps *steps, double share,
                                     struct pv_kmeans_result *best)
{
    const uint32_t n = ln->params.n_restarts;

    *best = (struct pv_kmeans_result){0};
    for (uint32_t i = 0; i < n; i++) {
        struct pv_steps part = pv_steps_within(steps, share * i / n, share / n);
        struct pv_kmeans_result result;

        params.seed = ln->params.seed + l + (uint64_t)i * ln->source->n_layers;
        PV_TRY(pv_kmeans(x, rows, n_rows, &params, &part, &result));
        if (!best->centroids || result.similarity > best->similarity) {
            free(best->centroids);
            *best = result;
        } else {
            free(result.centroids);
        }
    }
    return PV_OK;
}

/* k-means of a sample, then a pass over the training rows that are not in it. */
static enum pv_status cluster_means(struct learner *ln, uint32_t l, const struct pv_sparse *x,
                                    enum pv_space space, const uint32_t *rows, size_t n_rows,
                                    const struct pv_steps *steps)
{
    struct pv_kmeans_params params = {.n_clusters = ln->params.n_clusters,
                                      .n_iters = ln->params.n_iters,
                                      .n_threads = ln->params.n_threads,
                                      .seed = ln->params.seed + l,
                                      .space = space,
                                      .device = ln->clusters_on};
    const size_t size = (size_t)ln->params.n_clusters * ln->source->d_ffn;
    uint16_t *centroids = ln->layers[l].centroids;
    const bool pass = n_rows < ln->n_train;
    const double work = (double)n_rows * (1.0 + params.n_iters) * ln->params.n_restarts; /* rows assigned */
    double share = work / (work + (pass ? (double)ln->n_train : 0.0)), similarity;
    struct pv_steps rest = pv_steps_within(steps, share, 1.0 - share);
    struct pv_kmeans_result best;
    enum pv_status status = cluster_sample(ln, l, x, params, rows, n_rows, steps, share, &best);

    if (status == PV_OK && pass)
        status = pv_kmeans_pass(x, rows, n_rows, ln->train, ln->n_train, &params, &rest, best.centroids);
    for (size_t i = 0; i < size && status == PV_OK; i++) { /* rounded as the file has them */
        centroids[i] = pv_float_to_half(best.centroids[i]);
        best.centroids[i] = pv_half_to_float(centroids[i]);
    }
    if (status == PV_OK)
        status = name_all(ln, l, x, space, best.centroids, &similarity);
    if (status == PV_OK)
        pv_info(&ln->log,
                "layer %u: %u clusters (%u empty), similarity %.4f of %zu tokens after %u iterations, "
                "%.4f of all %zu",
                l, params.n_clusters, best.n_empty, best.similarity, n_rows, best.n_iters, similarity,
                ln->n_train);
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
    const size_t size = (size_t)ln->params.n_clusters * ln->source->d_ffn;
    float *centroids = pv_calloc(size, sizeof *centroids);
    enum pv_status status = PV_ERR_NOMEM;

    if (centroids)
        status = pv_kmeans_average(x, ln->train, ln->n_train, ln->layers[l].own, ln->params.n_clusters,
                                   PV_SPACE_CONTRIBUTION, ln->params.n_threads, centroids);
    for (size_t i = 0; i < size && status == PV_OK; i++)
        ln->layers[l].centroids[i] = pv_float_to_half(centroids[i]);
    free(centroids);
    return status;
}

static enum pv_status make(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    const bool inputs = ln->params.space == PV_FIT_SPACE_INPUT;
    uint32_t *rows = pv_calloc(ln->n_train, sizeof *rows);
    struct pv_layer_data data = {0};
    enum pv_status status = rows ? pv_learner_load(ln, l, inputs, &data) : PV_ERR_NOMEM;

    if (status == PV_OK) {
        const size_t n = sample_rows(ln, rows);

        if (ln->params.method == PV_FIT_KMODES)
            status = cluster_modes(ln, l, &data.x, rows, n, steps);
        else if (inputs)
            status = cluster_inputs(ln, l, &data, rows, n, steps);
        else
            status = cluster_means(ln, l, &data.x,
                                   ln->params.space == PV_FIT_SPACE_PATTERN ? PV_SPACE_BITS
                                                                            : PV_SPACE_CONTRIBUTION,
                                   rows, n, steps);
        if (status == PV_OK && (inputs || ln->params.space == PV_FIT_SPACE_PATTERN))
            status = average(ln, l, &data.x);
    }
    pv_layer_data_free(&data);
    free(rows);
    return status;
}

static size_t centroid_bytes(const struct learner *ln)
{
    return (size_t)ln->params.n_clusters * ln->source->d_ffn * sizeof *ln->layers->centroids;
}

/* Clusters of a layer out of the journal; *found is false where they are not there. */
static enum pv_status restore(struct learner *ln, uint32_t l, uint64_t key, bool *found)
{
    struct learned_layer *layer = &ln->layers[l];
    const struct pv_journal_record *record = pv_journal_find(&ln->journal, PV_RECORD_CLUSTER, l, key);

    *found = record != NULL;
    if (!record)
        return PV_OK;
    PV_TRY(pv_journal_read(&ln->journal, record, 0, layer->centroids, centroid_bytes(ln)));
    return pv_journal_read(&ln->journal, record, centroid_bytes(ln), layer->own,
                           ln->windows.n_tokens * sizeof *layer->own);
}

/* And into it, if they could be made. */
static enum pv_status keep(struct learner *ln, uint32_t l, uint64_t key, enum pv_status made)
{
    struct pv_journal *j = &ln->journal;

    if (made == PV_ERR_NOMEM)
        return pv_fail(&ln->log, made, "fit: no memory to cluster layer %u; use fewer tokens or clusters", l);
    PV_TRY(made);
    pv_journal_begin(j, PV_RECORD_CLUSTER, l, key);
    pv_journal_put(j, ln->layers[l].centroids, centroid_bytes(ln));
    pv_journal_put(j, ln->layers[l].own, ln->windows.n_tokens * sizeof *ln->layers[l].own);
    return pv_journal_commit(j);
}

enum pv_status pv_learner_group(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    struct learned_layer *layer = &ln->layers[l];
    bool found;

    layer->centroids = pv_calloc(centroid_bytes(ln), 1);
    layer->own = pv_calloc(ln->windows.n_tokens, sizeof *layer->own);
    if (!layer->centroids || !layer->own)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for the clusters of layer %u", l);
    PV_TRY(restore(ln, l, ln->cluster_key, &found));
    return found ? PV_OK : keep(ln, l, ln->cluster_key, make(ln, l, steps));
}

enum pv_status pv_learner_measure_own(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    struct learned_layer *layer = &ln->layers[l];
    struct pv_layer_data data = {0};
    enum pv_status status;

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    status = pv_learner_load(ln, l, false, &data);
    if (status == PV_OK)
        status = pv_energy_init(&layer->energy, &data.x, ln->train, ln->n_train, layer->own,
                                ln->params.n_clusters, ln->params.n_threads);
    pv_layer_data_free(&data);
    return status == PV_ERR_NOMEM
               ? pv_fail(&ln->log, status, "fit: no memory for the energies of layer %u; use fewer clusters",
                         l)
               : status;
}

static enum pv_status regroup(struct learner *ln, uint32_t l)
{
    struct learned_layer *layer = &ln->layers[l];
    struct pv_layer_data data = {0};
    enum pv_status status = pv_learner_load(ln, l, false, &data);

    if (status == PV_OK)
        status = pv_gain_regroup(&data.x, &layer->lists, &layer->energy, ln->threshold, ln->params.n_threads,
                                 layer->own);
    if (status == PV_OK)
        status = average(ln, l, &data.x);
    pv_layer_data_free(&data);
    return status;
}

enum pv_status pv_learner_regroup(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    const uint64_t key = pv_hash64(&ln->group_density, sizeof ln->group_density, ln->cluster_key);
    bool found;

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    PV_TRY(restore(ln, l, key, &found));
    return found ? PV_OK : keep(ln, l, key, regroup(ln, l));
}
