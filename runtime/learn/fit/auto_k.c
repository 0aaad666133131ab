/* The budget is the bytes of `density` of the neurons. What K clusters' router takes of it is not there for
 * neurons, so more clusters have better masks of fewer neurons; the energy kept rises to some K and falls
 * after it, and the first fall ends the search: a try costs about as much as all before it. K that leave less
 * than half of the budget to neurons (half as many clusters leave three quarters), or less than
 * TOKENS_A_CLUSTER tokens to a cluster, are not tried. A try of K uses SEARCH_TOKENS_A_CLUSTER K tokens,
 * where there are so many, since few tokens speak against large K. */
#include "learn/fit/auto_k.h"

#include <math.h>
#include <stdlib.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    FIRST_K = 16,
    LAST_K = 4096,
    TOKENS_A_CLUSTER = 64,
    SEARCH_TOKENS_A_CLUSTER = 128,
    SEARCH_TOKENS = 16384, /* at least */
    N_ITERS = 10,
    N_EPOCHS = 6,
    N_LAYERS = 2,
};

struct attempt {
    struct learner *ln;
    uint32_t n_clusters, n_layers;
    uint32_t number[N_LAYERS]; /* of the layers that are tried */
    struct pv_learned layers[N_LAYERS];
    struct pv_energy energies[N_LAYERS];
    struct pv_mask_lists masks[N_LAYERS];
    struct pv_split split; /* training rows: some of the learner's, evenly spread */
    struct pv_steps *steps;
};

/* Of a layer's bytes, for a linear router; one of low rank leaves more. */
static double router_share(const struct learner *ln, uint32_t n_clusters)
{
    return pv_router_bytes(n_clusters, ln->source->d_model, 0) / pv_source_neuron_bytes(ln->source);
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

/* As the fit learns it, but shorter, and always by contributions with a linear router. */
static struct pv_layer_params layer_params(const struct attempt *a, uint32_t l)
{
    struct pv_layer_params p = pv_learner_params(a->ln, l);

    p.n_clusters = a->n_clusters;
    p.space = PV_FIT_SPACE_CONTRIBUTION;
    p.clusterer = NULL;
    p.router = PV_FIT_ROUTER_LINEAR;
    p.n_iters = N_ITERS < p.n_iters ? N_ITERS : p.n_iters;
    p.n_epochs = N_EPOCHS < p.n_epochs ? N_EPOCHS : p.n_epochs;
    p.n_restarts = 1;
    p.n_sample = 0;
    p.half_centroids = false;
    return p;
}

static enum pv_status learn_layer(struct attempt *a, uint32_t i)
{
    const struct pv_layer_params params = layer_params(a, a->number[i]);
    struct pv_learned *layer = &a->layers[i];
    struct pv_layer_data data = {0};
    enum pv_status status = pv_learner_load(a->ln, a->number[i], true, &data);
    const struct pv_layer_tokens tokens = {.x = &data.x, .z = data.z, .split = &a->split};
    const struct pv_rows train = pv_split_train(&a->split, &data.x);

    if (status == PV_OK)
        status = pv_layer_cluster(&params, &tokens, a->steps, layer);
    a->steps->done += 1.0;
    if (status == PV_OK)
        status = pv_layer_train(&params, &tokens, a->steps, layer);
    if (status == PV_OK)
        status = pv_layer_route(&params, &tokens, layer);
    a->steps->done += 1.0;
    if (status == PV_OK)
        status = pv_energy_init(&a->energies[i], &train, layer->routed, params.n_clusters, params.n_threads);
    pv_layer_data_free(&data);
    return status;
}

/* Spends what the router leaves, and counts what is kept of the held-out tokens. */
static enum pv_status judge(struct attempt *a, struct pv_fit_try *out)
{
    struct pv_mask_budget budget = {.density = out->density};

    pv_energy_scale(a->energies, a->n_layers);
    PV_TRY(pv_mask_lists_spend(a->masks, a->energies, a->n_layers, a->ln->params.n_threads, &budget));
    for (uint32_t i = 0; i < a->n_layers; i++) {
        struct pv_mask_score score = {0};
        struct pv_layer_data data;
        struct pv_rows rows;
        enum pv_status status;

        PV_TRY(pv_learner_load(a->ln, a->number[i], false, &data));
        rows = pv_split_judge(&a->split, &data.x);
        status = pv_mask_lists_judge(&a->masks[i], &rows, a->layers[i].routed, &score);
        pv_layer_data_free(&data);
        PV_TRY(status);
        out->energy_kept += pv_mask_weighted_recall(&score) / a->n_layers;
        out->router_accuracy += a->layers[i].router.accuracy / a->n_layers;
    }
    return PV_OK;
}

static enum pv_status attempt_k(struct attempt *a, struct pv_fit_try *out)
{
    const struct pv_split *all = &a->ln->split;
    size_t wanted = (size_t)a->n_clusters * SEARCH_TOKENS_A_CLUSTER;
    enum pv_status status = PV_OK;

    wanted = wanted > SEARCH_TOKENS ? wanted : SEARCH_TOKENS;
    a->split.n_train = wanted < all->n_train ? wanted : all->n_train;
    for (size_t i = 0; i < a->split.n_train; i++)
        a->split.train[i] = all->train[i * all->n_train / a->split.n_train];
    for (uint32_t i = 0; i < a->n_layers && status == PV_OK; i++)
        status = learn_layer(a, i);
    if (status == PV_OK)
        status = judge(a, out);
    for (uint32_t i = 0; i < a->n_layers; i++) {
        pv_layer_free(&a->layers[i]);
        pv_energy_free(&a->energies[i]);
        pv_mask_lists_free(&a->masks[i]);
    }
    if (status == PV_ERR_NOMEM)
        return pv_fail(&a->ln->log, status, "fit: no memory to try %u clusters; use fewer tokens",
                       a->n_clusters);
    return status;
}

/* Up to the rounding of a mean over layers. */
static bool is_share(double x)
{
    return isfinite(x) && x >= 0.0 && x <= 1.0 + 1e-9;
}

/* The outcome of one K, from the journal or now. */
static enum pv_status find_or_attempt(struct attempt *a, uint64_t key, struct pv_fit_try *out)
{
    struct learner *ln = a->ln;
    const struct pv_journal_record *record = pv_journal_find(&ln->journal, PV_RECORD_TRY, a->n_clusters, key);
    double outcome[2];

    *out = (struct pv_fit_try){.n_clusters = a->n_clusters, .router_share = router_share(ln, a->n_clusters)};
    out->density = budget(ln) - out->router_share;
    if (record) {
        PV_TRY(pv_journal_expect(&ln->journal, record, sizeof outcome));
        PV_TRY(pv_journal_read(&ln->journal, record, 0, outcome, sizeof outcome));
        if (!is_share(outcome[0]) || !is_share(outcome[1]))
            return pv_journal_refuse(&ln->journal, record);
        out->energy_kept = outcome[0];
        out->router_accuracy = outcome[1];
        return PV_OK;
    }
    PV_TRY(attempt_k(a, out));
    outcome[0] = out->energy_kept;
    outcome[1] = out->router_accuracy;
    pv_journal_begin(&ln->journal, PV_RECORD_TRY, a->n_clusters, key);
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
    const uint32_t n = pv_auto_k_candidates(ln, (uint32_t)ln->split.n_train), n_layers = ln->source->n_layers;
    struct pv_steps steps = {.sink = ln->params.progress, .stage = "tries"};
    struct attempt a = {.ln = ln, .steps = &steps, .n_layers = n_layers < N_LAYERS ? n_layers : N_LAYERS};
    const uint64_t key = make_key(ln);
    enum pv_status status = PV_OK;
    double best = -1.0;

    a.split = (struct pv_split){.train = pv_calloc(ln->split.n_train, sizeof *a.split.train),
                                .held_out = ln->split.held_out,
                                .n_held_out = ln->split.n_held_out};
    if (!a.split.train)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for %zu tokens", ln->split.n_train);
    for (uint32_t i = 0; i < a.n_layers; i++)
        a.number[i] = (2 * i + 1) * n_layers / (2 * a.n_layers);
    steps.total = 2.0 * n * a.n_layers;
    for (uint32_t i = 0; i < n && status == PV_OK; i++) {
        struct pv_fit_try *t = &out->tries[out->n_tries++];

        steps.done = 2.0 * i * a.n_layers;
        a.n_clusters = (uint32_t)FIRST_K << i;
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
    free(a.split.train);
    return status;
}
