/* The budget is the bytes of `density` of the neurons. What K clusters' router takes of it is not there for
 * neurons, so more clusters have better masks of fewer neurons; the energy kept rises to some K and falls
 * after it, and the first fall ends the search: a try costs about as much as all before it. K that leave less
 * than half of the budget to neurons (half as many clusters leave three quarters), or less than
 * TOKENS_A_CLUSTER tokens to a cluster, are not tried. A try of K uses SEARCH_TOKENS_A_CLUSTER K tokens,
 * where there are so many, since few tokens speak against large K. */
#include "learn/fit/auto_k.h"

#include <stdlib.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/kmeans/kmeans.h"

enum {
    RECORD_TRY = 19,
    FIRST_K = 16,
    LAST_K = 4096,
    TOKENS_A_CLUSTER = 64,
    SEARCH_TOKENS_A_CLUSTER = 128,
    SEARCH_TOKENS = 16384, /* at least */
    N_ITERS = 10,
    N_EPOCHS = 6,
    N_LAYERS = 2,
};

struct try_layer {
    uint32_t layer;
    uint16_t *routed; /* [n_tokens] */
    struct pv_energy energy;
    struct pv_mask_lists lists;
    double accuracy;
};
struct attempt {
    struct learner *ln;
    uint32_t n_clusters, n_layers;
    struct try_layer layers[N_LAYERS];
    uint32_t *train; /* [n_train] of the learner's, evenly spread */
    size_t n_train;
    struct pv_steps *steps;
};

/* Of a layer's bytes, for a linear router; one of low rank leaves more. */
static double router_share(const struct learner *ln, uint32_t n_clusters)
{
    return pv_learner_router_bytes(ln->source, n_clusters, 0) / pv_learner_neuron_bytes(ln->source);
}

static double budget(const struct learner *ln)
{
    return ln->params.density > 0.0 ? ln->params.density : 0.2;
}

uint32_t pv_auto_k_candidates(const struct learner *ln, uint32_t n_train)
{
    uint32_t n = 1; /* the first in any case */

    for (uint32_t k = 2 * FIRST_K;
         k <= LAST_K && (uint64_t)k * TOKENS_A_CLUSTER <= n_train && router_share(ln, k) <= budget(ln) / 2.0;
         k *= 2)
        n++;
    return n;
}

static void scatter(const uint16_t *from, const uint32_t *rows, size_t n, uint16_t *to)
{
    for (size_t i = 0; i < n; i++)
        to[rows[i]] = from[i];
}

/* Clusters of the training rows, and the own cluster of these and the held-out ones. */
static enum pv_status cluster(struct attempt *a, const struct pv_layer_data *data, uint32_t l, uint16_t *room,
                              uint16_t *labels)
{
    const struct learner *ln = a->ln;
    struct pv_kmeans_params params = {.n_clusters = a->n_clusters,
                                      .n_iters = N_ITERS < ln->params.n_iters ? N_ITERS : ln->params.n_iters,
                                      .n_threads = ln->params.n_threads,
                                      .seed = ln->params.seed + l,
                                      .device = ln->clusters_on};
    struct pv_kmeans_result result = {0};
    enum pv_status status;

    PV_TRY(pv_kmeans(&data->x, a->train, a->n_train, &params, a->steps, &result));
    status = pv_kmeans_assign(&data->x, a->train, a->n_train, result.centroids, a->n_clusters,
                              PV_SPACE_CONTRIBUTION, params.n_threads, room, NULL);
    scatter(room, a->train, a->n_train, labels);
    if (status == PV_OK)
        status = pv_kmeans_assign(&data->x, ln->held_out, ln->n_held_out, result.centroids, a->n_clusters,
                                  PV_SPACE_CONTRIBUTION, params.n_threads, room, NULL);
    scatter(room, ln->held_out, ln->n_held_out, labels);
    free(result.centroids);
    return status;
}

/* A router for them, and where it sends the rows. */
static enum pv_status route(struct attempt *a, const struct pv_layer_data *data, struct try_layer *t,
                            uint16_t *room, const uint16_t *labels)
{
    const struct learner *ln = a->ln;
    struct pv_router_params params = {.n_clusters = a->n_clusters,
                                      .d_model = ln->source->d_model,
                                      .n_epochs =
                                          N_EPOCHS < ln->params.n_epochs ? N_EPOCHS : ln->params.n_epochs,
                                      .n_threads = ln->params.n_threads,
                                      .seed = ln->params.seed + t->layer,
                                      .device = ln->router_on};
    struct pv_router_data rows = {.z = data->z,
                                  .label = labels,
                                  .train = a->train,
                                  .n_train = a->n_train,
                                  .held_out = ln->held_out,
                                  .n_held_out = ln->n_held_out};
    struct pv_router router = {0};
    enum pv_status status;

    a->steps->done += 1.0;
    PV_TRY(pv_router_train(&params, &rows, a->steps, &router));
    t->accuracy = router.accuracy;
    status = pv_router_apply(&router, a->n_clusters, params.d_model, data->z, a->train, a->n_train,
                             params.n_threads, room);
    scatter(room, a->train, a->n_train, t->routed);
    if (status == PV_OK)
        status = pv_router_apply(&router, a->n_clusters, params.d_model, data->z, ln->held_out,
                                 ln->n_held_out, params.n_threads, room);
    scatter(room, ln->held_out, ln->n_held_out, t->routed);
    pv_router_free(&router);
    a->steps->done += 1.0;
    return status;
}

static enum pv_status learn_layer(struct attempt *a, struct try_layer *t)
{
    const size_t n = a->ln->windows.n_tokens;
    uint16_t *room = pv_calloc(n, sizeof *room), *labels = pv_calloc(n, sizeof *labels);
    struct pv_layer_data data = {0};
    enum pv_status status = PV_ERR_NOMEM;

    t->routed = pv_calloc(n, sizeof *t->routed);
    if (room && labels && t->routed)
        status = pv_learner_load(a->ln, t->layer, true, &data);
    if (status == PV_OK)
        status = cluster(a, &data, t->layer, room, labels);
    if (status == PV_OK)
        status = route(a, &data, t, room, labels);
    if (status == PV_OK)
        status = pv_energy_init(&t->energy, &data.x, a->train, a->n_train, t->routed, a->n_clusters,
                                a->ln->params.n_threads);
    free(room);
    free(labels);
    pv_layer_data_free(&data);
    return status;
}

/* Spends what the router leaves, and counts what is kept of the held-out tokens. */
static enum pv_status judge(struct attempt *a, struct pv_fit_try *out)
{
    const struct learner *ln = a->ln;
    struct pv_energy energies[N_LAYERS];
    double reached;
    float threshold;

    for (uint32_t i = 0; i < a->n_layers; i++)
        energies[i] = a->layers[i].energy;
    pv_energy_scale(energies, a->n_layers);
    PV_TRY(
        pv_energy_threshold(energies, a->n_layers, out->density, ln->params.n_threads, &threshold, &reached));
    for (uint32_t i = 0; i < a->n_layers; i++) {
        struct try_layer *t = &a->layers[i];
        struct pv_mask_score score = {0};
        struct pv_layer_data data;
        enum pv_status status;

        PV_TRY(pv_mask_lists_choose(&t->lists, &energies[i], threshold));
        PV_TRY(pv_learner_load(ln, t->layer, false, &data));
        status = pv_mask_lists_judge(&t->lists, &data.x, ln->held_out, ln->n_held_out, t->routed, &score);
        pv_layer_data_free(&data);
        PV_TRY(status);
        out->energy_kept += pv_mask_weighted_recall(&score) / a->n_layers;
        out->router_accuracy += t->accuracy / a->n_layers;
    }
    return PV_OK;
}

static enum pv_status attempt_k(struct attempt *a, struct pv_fit_try *out)
{
    const struct learner *ln = a->ln;
    size_t wanted = (size_t)a->n_clusters * SEARCH_TOKENS_A_CLUSTER;
    enum pv_status status = PV_OK;

    wanted = wanted > SEARCH_TOKENS ? wanted : SEARCH_TOKENS;
    a->n_train = wanted < ln->n_train ? wanted : ln->n_train;
    for (size_t i = 0; i < a->n_train; i++)
        a->train[i] = ln->train[i * ln->n_train / a->n_train];
    for (uint32_t i = 0; i < a->n_layers && status == PV_OK; i++)
        status = learn_layer(a, &a->layers[i]);
    if (status == PV_OK)
        status = judge(a, out);
    for (uint32_t i = 0; i < a->n_layers; i++) {
        struct try_layer *t = &a->layers[i];

        free(t->routed);
        pv_energy_free(&t->energy);
        pv_mask_lists_free(&t->lists);
        *t = (struct try_layer){.layer = t->layer};
    }
    if (status == PV_ERR_NOMEM)
        return pv_fail(&ln->log, status, "fit: no memory to try %u clusters; use fewer tokens",
                       a->n_clusters);
    return status;
}

/* The outcome of one K, from the journal or now. */
static enum pv_status find_or_attempt(struct attempt *a, uint64_t key, struct pv_fit_try *out)
{
    struct learner *ln = a->ln;
    const struct pv_journal_record *record = pv_journal_find(&ln->journal, RECORD_TRY, a->n_clusters, key);
    double outcome[2];

    *out = (struct pv_fit_try){.n_clusters = a->n_clusters, .router_share = router_share(ln, a->n_clusters)};
    out->density = budget(ln) - out->router_share;
    if (record) {
        PV_TRY(pv_journal_read(&ln->journal, record, 0, outcome, sizeof outcome));
        out->energy_kept = outcome[0];
        out->router_accuracy = outcome[1];
        return PV_OK;
    }
    PV_TRY(attempt_k(a, out));
    outcome[0] = out->energy_kept;
    outcome[1] = out->router_accuracy;
    pv_journal_begin(&ln->journal, RECORD_TRY, a->n_clusters, key);
    pv_journal_put(&ln->journal, outcome, sizeof outcome);
    return pv_journal_commit(&ln->journal);
}

static uint64_t make_key(const struct learner *ln)
{
    const struct pv_fit_params *p = &ln->params;
    uint64_t key[] = {p->n_iters,
                      p->n_epochs,
                      p->seed,
                      ln->clusters_on != NULL,
                      ln->router_on != NULL,
                      p->max_ppl_rise != 0.0};
    double density = budget(ln);

    return pv_hash64(&density, sizeof density, pv_hash64(key, sizeof key, ln->capture_key));
}

enum pv_status pv_auto_k(struct learner *ln, struct pv_fit_result *out)
{
    const uint32_t n = pv_auto_k_candidates(ln, (uint32_t)ln->n_train), n_layers = ln->source->n_layers;
    struct pv_steps steps = {.sink = ln->params.progress, .stage = "tries"};
    struct attempt a = {.ln = ln, .steps = &steps, .n_layers = n_layers < N_LAYERS ? n_layers : N_LAYERS};
    const uint64_t key = make_key(ln);
    enum pv_status status = PV_OK;
    double best = -1.0;

    a.train = pv_calloc(ln->n_train, sizeof *a.train);
    if (!a.train)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for %zu tokens", ln->n_train);
    for (uint32_t i = 0; i < a.n_layers; i++)
        a.layers[i].layer = (2 * i + 1) * n_layers / (2 * a.n_layers);
    steps.total = 2.0 * n * a.n_layers;
    for (uint32_t i = 0; i < n && status == PV_OK; i++) {
        struct pv_fit_try *t = &out->tries[out->n_tries++];

        steps.done = 2.0 * i * a.n_layers;
        a.n_clusters = FIRST_K << i;
        status = find_or_attempt(&a, key, t);
        if (status != PV_OK)
            break;
        pv_info(&ln->log, "%u clusters: %.4f of the energy kept at density %.4f", t->n_clusters,
                t->energy_kept, t->density);
        if (t->energy_kept <= best)
            break;
        best = t->energy_kept;
        ln->params.n_clusters = t->n_clusters;
    }
    steps.done = steps.total;
    if (status == PV_OK && !pv_steps_report(&steps, 0.0))
        status = PV_ERR_INTERRUPTED;
    free(a.train);
    return status;
}
