/* The clusters of a layer and every token's own, from the journal or made and put there. Whatever made the
 * clusters, the file's centroids are the mean contribution features of the tokens in them. */
#include "learn/fit/learner.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/gain.h"

enum { SAMPLE = 128 /* tokens a cluster are iterated over */ };

struct pv_layer_params pv_learner_params(const struct learner *ln, uint32_t l)
{
    const struct pv_fit_params *p = &ln->params;

    return (struct pv_layer_params){.layer = l,
                                    .n_layers = ln->source->n_layers,
                                    .n_clusters = p->n_clusters,
                                    .d_model = ln->source->d_model,
                                    .space = p->space,
                                    .clusterer = ln->method ? ln->method->clusterer : NULL,
                                    .router = p->router,
                                    .n_iters = p->n_iters,
                                    .n_restarts = p->n_restarts,
                                    .n_epochs = p->n_epochs,
                                    .n_sample = SAMPLE,
                                    .half_centroids = true,
                                    .n_threads = p->n_threads,
                                    .seed = p->seed,
                                    .clusters_on = ln->clusters_on,
                                    .router_on = ln->router_on};
}

static size_t n_centroids(const struct learner *ln)
{
    return (size_t)ln->params.n_clusters * ln->source->d_ffn;
}

/* The layer's centroids to the file's. */
static void store_centroids(struct learner *ln, uint32_t l)
{
    struct pv_learned *layer = &ln->layers[l];

    for (size_t i = 0; i < n_centroids(ln); i++)
        ln->centroids[l][i] = pv_float_to_half(layer->centroids[i]);
    free(layer->centroids);
    layer->centroids = NULL;
}

static void log_clusters(const struct learner *ln, uint32_t l)
{
    const struct pv_layer_clustering *c = &ln->layers[l].clustering;

    pv_info(&ln->log,
            "layer %u: %u clusters (%u empty), similarity %.4f of %zu tokens after %u iterations, "
            "%.4f of all %zu",
            l, ln->params.n_clusters, c->n_empty, c->sample_similarity, c->n_sample, c->n_iters,
            c->similarity, ln->split.n_train);
}

static enum pv_status make(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    const struct pv_layer_params params = pv_learner_params(ln, l);
    const bool contributions =
        !params.clusterer && (params.space == PV_FIT_SPACE_CONTRIBUTION || params.space == PV_FIT_SPACE_MASK);
    struct pv_layer_data data = {0};
    enum pv_status status = pv_learner_load(ln, l, params.space == PV_FIT_SPACE_INPUT, &data);
    const struct pv_layer_tokens tokens = pv_learner_tokens(ln, &data);

    if (status == PV_OK)
        status = pv_layer_cluster(&params, &tokens, steps, &ln->layers[l]);
    if (status == PV_OK && ln->layers[l].centroids)
        log_clusters(ln, l);
    if (status == PV_OK && !contributions)
        status = pv_layer_average(&params, &tokens, &ln->layers[l]);
    if (status == PV_OK)
        store_centroids(ln, l);
    pv_layer_data_free(&data);
    return status;
}

/* Clusters of a layer out of the journal; *found is false where they are not there. */
static enum pv_status restore(struct learner *ln, uint32_t l, uint64_t key, bool *found)
{
    const struct pv_journal_record *record = pv_journal_find(&ln->journal, PV_RECORD_CLUSTER, l, key);
    const size_t n_bytes = n_centroids(ln) * sizeof(uint16_t),
                 own_bytes = ln->windows.n_tokens * sizeof(uint16_t);
    uint16_t *own = ln->layers[l].own;

    *found = record != NULL;
    if (!record)
        return PV_OK;
    PV_TRY(pv_journal_expect(&ln->journal, record, n_bytes + own_bytes));
    PV_TRY(pv_journal_read(&ln->journal, record, 0, ln->centroids[l], n_bytes));
    PV_TRY(pv_journal_read(&ln->journal, record, n_bytes, own, own_bytes));
    if (!pv_halves_finite(ln->centroids[l], n_centroids(ln)))
        return pv_journal_refuse(&ln->journal, record);
    for (size_t t = 0; t < ln->windows.n_tokens; t++) {
        if (own[t] >= ln->params.n_clusters)
            return pv_journal_refuse(&ln->journal, record);
    }
    return PV_OK;
}

/* And into it, if they could be made. */
static enum pv_status keep(struct learner *ln, uint32_t l, uint64_t key, enum pv_status made)
{
    struct pv_journal *j = &ln->journal;

    if (made == PV_ERR_NOMEM)
        return pv_fail(&ln->log, made, "fit: no memory to cluster layer %u; use fewer tokens or clusters", l);
    PV_TRY(made);
    pv_journal_begin(j, PV_RECORD_CLUSTER, l, key);
    pv_journal_put(j, ln->centroids[l], n_centroids(ln) * sizeof(uint16_t));
    pv_journal_put(j, ln->layers[l].own, ln->windows.n_tokens * sizeof(uint16_t));
    return pv_journal_commit(j);
}

enum pv_status pv_learner_cluster(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    struct pv_learned *layer = &ln->layers[l];
    bool found;

    ln->centroids[l] = pv_calloc(n_centroids(ln), sizeof **ln->centroids);
    layer->own = pv_calloc(ln->windows.n_tokens, sizeof *layer->own);
    if (!ln->centroids[l] || !layer->own)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for the clusters of layer %u", l);
    PV_TRY(restore(ln, l, ln->cluster_key, &found));
    return found ? PV_OK : keep(ln, l, ln->cluster_key, make(ln, l, steps));
}

enum pv_status pv_learner_measure_own(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    struct pv_layer_data data = {0};
    enum pv_status status;

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    status = pv_learner_load(ln, l, false, &data);
    if (status == PV_OK) {
        const struct pv_rows train = pv_split_train(&ln->split, &data.x);

        status = pv_energy_init(&ln->energies[l], &train, ln->layers[l].own, ln->params.n_clusters,
                                ln->params.n_threads);
    }
    pv_layer_data_free(&data);
    return status == PV_ERR_NOMEM
               ? pv_fail(&ln->log, status, "fit: no memory for the energies of layer %u; use fewer clusters",
                         l)
               : status;
}

static enum pv_status regroup(struct learner *ln, uint32_t l)
{
    const struct pv_layer_params params = pv_learner_params(ln, l);
    struct pv_layer_data data = {0};
    enum pv_status status = pv_learner_load(ln, l, false, &data);
    const struct pv_layer_tokens tokens = pv_learner_tokens(ln, &data);

    if (status == PV_OK)
        status = pv_gain_regroup(&data.x, &ln->masks[l], &ln->energies[l], ln->budget.threshold,
                                 params.n_threads, ln->layers[l].own);
    if (status == PV_OK)
        status = pv_layer_average(&params, &tokens, &ln->layers[l]);
    if (status == PV_OK)
        store_centroids(ln, l);
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
