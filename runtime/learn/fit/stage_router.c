/* The router of a layer, first trained to name a token's own cluster, then refined: with masks chosen for
 * where it sends tokens, it learns to send them where the masks keep most of their energy, and the masks are
 * chosen again. A little of the first loss stays in the second, so that the clusters keep their meaning. A
 * low-rank router is trained after a linear one (router_lowrank.h); from then on its layer's z are B z. */
#include "learn/fit/learner.h"

#include <stdlib.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/gain.h"
#include "learn/algo/router/router_centroid.h"

enum { ROUND_SEEDS = 1000 /* more than layers */ };

uint64_t pv_learner_router_key(const struct learner *ln)
{
    struct {
        double density;
        uint64_t round;
    } refined = {ln->params.density, ln->round};

    return ln->round == 0 ? ln->router_key : pv_hash64(&refined, sizeof refined, ln->router_key);
}

/* Of the vectors that the layer's router reads. */
static uint32_t width(const struct learner *ln, uint32_t l)
{
    return ln->layers[l].narrow.rank > 0 ? ln->layers[l].narrow.rank : ln->source->d_model;
}

/* B of a layer, if the journal has it: written before its first router, the same in all rounds. */
static enum pv_status read_narrow(struct learner *ln, uint32_t l)
{
    const struct pv_journal_record *record =
        pv_journal_find(&ln->journal, PV_RECORD_NARROW, l, ln->router_key);
    struct pv_narrow *narrow = &ln->layers[l].narrow;
    uint32_t rank = 0;

    if (!record || narrow->rank > 0)
        return PV_OK;
    PV_TRY(pv_journal_read(&ln->journal, record, 0, &rank, sizeof rank));
    PV_TRY(pv_narrow_create(narrow, rank, ln->source->d_model));
    PV_TRY(pv_journal_read(&ln->journal, record, sizeof rank, narrow->weight,
                           (size_t)rank * narrow->d_model * sizeof *narrow->weight));
    pv_narrow_transpose(narrow);
    return PV_OK;
}

static enum pv_status write_narrow(struct learner *ln, uint32_t l)
{
    const struct pv_narrow *narrow = &ln->layers[l].narrow;
    struct pv_journal *j = &ln->journal;

    pv_journal_begin(j, PV_RECORD_NARROW, l, ln->router_key);
    pv_journal_put(j, &narrow->rank, sizeof narrow->rank);
    pv_journal_put(j, narrow->weight, (size_t)narrow->rank * narrow->d_model * sizeof *narrow->weight);
    return pv_journal_commit(j);
}

static enum pv_status read_router(struct learner *ln, uint32_t l, const struct pv_journal_record *record,
                                  struct pv_router *router)
{
    const size_t n_clusters = ln->params.n_clusters, n_weights = n_clusters * width(ln, l);
    const uint64_t bias_at = sizeof router->accuracy, weight_at = bias_at + n_clusters * sizeof *router->bias;

    *router = (struct pv_router){.bias = pv_calloc(n_clusters, sizeof *router->bias),
                                 .weight = pv_calloc(n_weights, sizeof *router->weight)};
    if (!router->bias || !router->weight)
        return PV_ERR_NOMEM;
    PV_TRY(pv_journal_read(&ln->journal, record, 0, &router->accuracy, sizeof router->accuracy));
    PV_TRY(pv_journal_read(&ln->journal, record, bias_at, router->bias, n_clusters * sizeof *router->bias));
    return pv_journal_read(&ln->journal, record, weight_at, router->weight,
                           n_weights * sizeof *router->weight);
}

static enum pv_status write_router(struct learner *ln, uint32_t l, const struct pv_router *router)
{
    struct pv_journal *j = &ln->journal;
    const size_t n_clusters = ln->params.n_clusters;

    pv_journal_begin(j, PV_RECORD_ROUTER, l, pv_learner_router_key(ln));
    pv_journal_put(j, &router->accuracy, sizeof router->accuracy);
    pv_journal_put(j, router->bias, n_clusters * sizeof *router->bias);
    pv_journal_put(j, router->weight, n_clusters * width(ln, l) * sizeof *router->weight);
    return pv_journal_commit(j);
}

static double accuracy_of(const uint16_t *choice, const uint16_t *own, const uint32_t *rows, size_t n)
{
    size_t n_right = 0;

    for (size_t i = 0; i < n; i++)
        n_right += choice[i] == own[rows[i]];
    return n > 0 ? (double)n_right / (double)n : 0.0;
}

static enum pv_status train_centroid(struct learner *ln, uint32_t l, const struct pv_layer_data *data,
                                     struct pv_router *out)
{
    const uint32_t *rows = ln->n_held_out > 0 ? ln->held_out : ln->train;
    const size_t n = ln->n_held_out > 0 ? ln->n_held_out : ln->n_train;
    uint16_t *choice = pv_calloc(n, sizeof *choice);
    enum pv_status status = choice ? PV_OK : PV_ERR_NOMEM;

    if (status == PV_OK)
        status = pv_router_centroid(data->z, ln->source->d_model, ln->train, ln->n_train, ln->layers[l].own,
                                    ln->params.n_clusters, out);
    if (status == PV_OK)
        status = pv_router_apply(out, ln->params.n_clusters, ln->source->d_model, data->z, rows, n,
                                 ln->params.n_threads, choice);
    if (status == PV_OK)
        out->accuracy = accuracy_of(choice, ln->layers[l].own, rows, n);
    free(choice);
    return status;
}

enum pv_status pv_learner_route(const struct learner *ln, uint32_t l, const uint16_t *z, size_t n_rows,
                                uint16_t *cluster)
{
    const struct learned_layer *layer = &ln->layers[l];
    uint16_t *h = NULL;
    enum pv_status status = PV_OK;

    if (layer->narrow.rank > 0)
        status = pv_narrow_rows(&layer->narrow, z, n_rows, ln->params.n_threads, &h);
    if (status == PV_OK)
        status = pv_router_apply(&layer->router, ln->params.n_clusters, width(ln, l), h ? h : z, NULL, n_rows,
                                 ln->params.n_threads, cluster);
    free(h);
    return status;
}

static struct pv_router_params router_params(const struct learner *ln, uint32_t l)
{
    return (struct pv_router_params){.n_clusters = ln->params.n_clusters,
                                     .d_model = width(ln, l),
                                     .n_epochs = ln->params.n_epochs,
                                     .n_threads = ln->params.n_threads,
                                     .seed = ln->params.seed + l + (uint64_t)ln->round * ROUND_SEEDS,
                                     .device = ln->router_on};
}

static struct pv_router_data router_data(const struct learner *ln, uint32_t l, const uint16_t *z)
{
    return (struct pv_router_data){.z = z,
                                   .label = ln->layers[l].own,
                                   .train = ln->train,
                                   .n_train = ln->n_train,
                                   .held_out = ln->held_out,
                                   .n_held_out = ln->n_held_out};
}

/* A linear router, and one of low rank after it. */
static enum pv_status train_lowrank(struct learner *ln, uint32_t l, const struct pv_layer_data *data,
                                    const struct pv_steps *steps, struct pv_router *out)
{
    const struct pv_router_params params = router_params(ln, l);
    const struct pv_router_data rows = router_data(ln, l, data->z);
    struct pv_steps part = pv_steps_within(steps, 0.0, 0.4);
    struct pv_lowrank_router low = {0};
    struct pv_router linear;
    enum pv_status status;

    PV_TRY(pv_router_train(&params, &rows, &part, &linear));
    part = pv_steps_within(steps, 0.4, 0.6);
    status = pv_router_train_lowrank(&params, &rows, data->x.n_rows, &linear, &part, &low);
    if (status == PV_OK) {
        pv_info(&ln->log, "layer %u: router of rank %u right for %.1f %% of held-out tokens, linear %.1f %%",
                l, low.narrow.rank, 100.0 * low.router.accuracy, 100.0 * linear.accuracy);
        ln->layers[l].narrow = low.narrow;
        *out = low.router;
        low.narrow = (struct pv_narrow){0};
        low.router = (struct pv_router){0};
    }
    pv_lowrank_router_free(&low);
    pv_router_free(&linear);
    return status;
}

/* Trains for the clusters' names. */
static enum pv_status train(struct learner *ln, uint32_t l, const struct pv_layer_data *data,
                            const struct pv_steps *steps, struct pv_router *out)
{
    const struct pv_router_params params = router_params(ln, l);
    const struct pv_router_data rows = router_data(ln, l, data->z);

    if (ln->params.router == PV_FIT_ROUTER_CENTROID)
        return train_centroid(ln, l, data, out);
    if (ln->params.router == PV_FIT_ROUTER_LOWRANK)
        return train_lowrank(ln, l, data, steps, out);
    return pv_router_train(&params, &rows, steps, out);
}

/* Trains on from the layer's router for what its masks keep. */
static enum pv_status train_on(struct learner *ln, uint32_t l, const struct pv_layer_data *data,
                               const struct pv_steps *steps, struct pv_router *out)
{
    const struct learned_layer *layer = &ln->layers[l];
    struct pv_router_params params = router_params(ln, l);
    struct pv_router_data rows = router_data(ln, l, data->z);
    struct pv_gain gain = {0};
    uint16_t *h = NULL;
    enum pv_status status = PV_OK;

    pv_router_refinement(&params);
    if (layer->narrow.rank > 0)
        status = pv_narrow_rows(&layer->narrow, data->z, data->x.n_rows, ln->params.n_threads, &h);
    if (status == PV_OK)
        status = pv_gain_init(&gain, &data->x, &layer->lists, ln->train, ln->n_train);
    rows.z = h ? h : data->z;
    rows.gain = &gain;
    rows.start = &layer->router;
    if (status == PV_OK)
        status = pv_router_train(&params, &rows, steps, out);
    if (status == PV_OK)
        pv_info(&ln->log, "layer %u: refined, %.4f of the held-out energy kept by these masks", l, out->kept);
    pv_gain_free(&gain);
    free(h);
    return status;
}

static enum pv_status learn(struct learner *ln, uint32_t l, const struct pv_steps *steps, bool refine)
{
    struct learned_layer *layer = &ln->layers[l];
    struct pv_layer_data data = {0};
    struct pv_router next = {0};
    enum pv_status status = pv_learner_load(ln, l, true, &data);

    if (!refine)
        pv_narrow_free(&layer->narrow);
    if (status == PV_OK)
        status = refine ? train_on(ln, l, &data, steps, &next) : train(ln, l, &data, steps, &next);
    pv_layer_data_free(&data);
    PV_TRY(status);
    pv_router_free(&layer->router);
    layer->router = next;
    return layer->narrow.rank > 0 && !refine ? write_narrow(ln, l) : PV_OK;
}

/* From the journal, or learned and put there. */
static enum pv_status get(struct learner *ln, uint32_t l, const struct pv_steps *steps, bool refine)
{
    struct pv_router *router = &ln->layers[l].router;
    const struct pv_journal_record *record =
        pv_journal_find(&ln->journal, PV_RECORD_ROUTER, l, pv_learner_router_key(ln));
    enum pv_status status;

    if (record) {
        pv_router_free(router);
        status = read_narrow(ln, l);
        if (status == PV_OK)
            status = read_router(ln, l, record, router);
    } else {
        status = learn(ln, l, steps, refine);
    }
    if (status == PV_ERR_NOMEM)
        return pv_fail(&ln->log, status, "fit: no memory to train the router of layer %u; use fewer tokens",
                       l);
    PV_TRY(status);
    if (record)
        return PV_OK;
    pv_info(&ln->log, "layer %u: router right for %.1f %% of held-out tokens", l, 100.0 * router->accuracy);
    return write_router(ln, l, router);
}

enum pv_status pv_learner_train(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    return get(ln, l, steps, false);
}

enum pv_status pv_learner_refine(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    return get(ln, l, steps, true);
}
