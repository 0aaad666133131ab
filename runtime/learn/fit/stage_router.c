/* The router of a layer, first trained to name a token's own cluster, then refined: with masks chosen for
 * where it sends tokens, it learns to send them where the masks keep most of their energy, and the masks are
 * chosen again. Each is a record of the journal, of its round; the down-projection of a low-rank router is
 * written before its first router and is the same in all rounds. */
#include "learn/fit/learner.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

uint64_t pv_learner_router_key(const struct learner *ln)
{
    struct {
        double density;
        uint64_t round;
    } refined = {ln->params.density, ln->round};

    return ln->round == 0 ? ln->router_key : pv_hash64(&refined, sizeof refined, ln->router_key);
}

/* Where the journal has no down-projection, `down` stays empty. What was read is the caller's to free, also after a
 * failure. */
static enum pv_status read_down(const struct learner *ln, uint32_t l, struct pv_down_projection *down)
{
    const struct pv_journal_record *record = pv_journal_find(&ln->journal, PV_RECORD_DOWN, l, ln->router_key);
    uint32_t rank = 0, d = ln->source->d_model;

    if (!record || ln->params.router != PV_FIT_ROUTER_LOWRANK)
        return PV_OK;
    PV_TRY(pv_journal_read(&ln->journal, record, 0, &rank, sizeof rank));
    if (rank == 0 || rank > d || rank > ln->params.n_clusters)
        return pv_journal_refuse(&ln->journal, record);
    PV_TRY(pv_journal_expect(&ln->journal, record, sizeof rank + (uint64_t)rank * d * sizeof *down->weight));
    PV_TRY(pv_down_create(down, rank, d));
    PV_TRY(pv_journal_read(&ln->journal, record, sizeof rank, down->weight,
                           (size_t)rank * d * sizeof *down->weight));
    if (!pv_halves_finite(down->weight, (size_t)rank * d))
        return pv_journal_refuse(&ln->journal, record);
    pv_down_transpose(down);
    return PV_OK;
}

static enum pv_status write_down(struct learner *ln, uint32_t l)
{
    const struct pv_down_projection *down = &ln->layers[l].router.down;
    struct pv_journal *j = &ln->journal;

    pv_journal_begin(j, PV_RECORD_DOWN, l, ln->router_key);
    pv_journal_put(j, &down->rank, sizeof down->rank);
    pv_journal_put(j, down->weight, (size_t)down->rank * down->d_model * sizeof *down->weight);
    return pv_journal_commit(j);
}

/* The numbers of a router that has room for them. */
static enum pv_status read_weights(const struct pv_journal *j, const struct pv_journal_record *record,
                                   struct pv_router *router)
{
    const size_t n_clusters = router->n_clusters, n_weights = n_clusters * router->n_in;
    const size_t bias_bytes = n_clusters * sizeof *router->bias,
                 weight_bytes = n_weights * sizeof *router->weight;
    const uint64_t at = sizeof router->accuracy;
    bool sound;

    PV_TRY(pv_journal_expect(j, record, at + bias_bytes + weight_bytes));
    PV_TRY(pv_journal_read(j, record, 0, &router->accuracy, sizeof router->accuracy));
    PV_TRY(pv_journal_read(j, record, at, router->bias, bias_bytes));
    PV_TRY(pv_journal_read(j, record, at + bias_bytes, router->weight, weight_bytes));
    sound = router->accuracy >= 0.0 && router->accuracy <= 1.0 && pv_halves_finite(router->weight, n_weights);
    for (size_t k = 0; k < n_clusters; k++)
        sound = sound && isfinite(router->bias[k]);
    return sound ? PV_OK : pv_journal_refuse(j, record);
}

static enum pv_status read_router(struct learner *ln, uint32_t l, const struct pv_journal_record *record)
{
    struct pv_router *router = &ln->layers[l].router;
    struct pv_down_projection down = {0};
    enum pv_status status = read_down(ln, l, &down);

    pv_router_free(router);
    if (status == PV_OK)
        status =
            pv_router_create(router, ln->params.n_clusters, down.rank > 0 ? down.rank : ln->source->d_model);
    if (status != PV_OK) {
        pv_down_free(&down);
        return status;
    }
    router->down = down;
    return read_weights(&ln->journal, record, router);
}

static enum pv_status write_router(struct learner *ln, uint32_t l)
{
    const struct pv_router *router = &ln->layers[l].router;
    struct pv_journal *j = &ln->journal;

    pv_journal_begin(j, PV_RECORD_ROUTER, l, pv_learner_router_key(ln));
    pv_journal_put(j, &router->accuracy, sizeof router->accuracy);
    pv_journal_put(j, router->bias, router->n_clusters * sizeof *router->bias);
    pv_journal_put(j, router->weight, (size_t)router->n_clusters * router->n_in * sizeof *router->weight);
    return pv_journal_commit(j);
}

static void log_router(const struct learner *ln, uint32_t l)
{
    const struct pv_learned *layer = &ln->layers[l];

    if (ln->round == 0 && layer->router.down.rank > 0)
        pv_info(&ln->log, "layer %u: router of rank %u right for %.1f %% of held-out tokens, linear %.1f %%",
                l, layer->router.down.rank, 100.0 * layer->router.accuracy, 100.0 * layer->linear_accuracy);
    if (ln->round > 0)
        pv_info(&ln->log, "layer %u: refined, %.4f of the held-out energy kept by these masks", l,
                layer->router.kept);
    pv_info(&ln->log, "layer %u: router right for %.1f %% of held-out tokens", l,
            100.0 * layer->router.accuracy);
}

/* Of round ln->round: trained for the clusters' names, then on from there for what the masks keep. */
static enum pv_status learn(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    const struct pv_layer_params params = pv_learner_params(ln, l);
    struct pv_layer_data data = {0};
    enum pv_status status = pv_learner_load(ln, l, true, &data);
    const struct pv_layer_tokens tokens = pv_learner_tokens(ln, &data);

    if (status == PV_OK)
        status = ln->round == 0
                     ? pv_layer_train(&params, &tokens, steps, &ln->layers[l])
                     : pv_layer_refine(&params, &tokens, &ln->masks[l], ln->round, steps, &ln->layers[l]);
    pv_layer_data_free(&data);
    PV_TRY(status);
    log_router(ln, l);
    if (ln->round == 0 && ln->layers[l].router.down.rank > 0)
        PV_TRY(write_down(ln, l));
    return write_router(ln, l);
}

enum pv_status pv_learner_train(struct learner *ln, uint32_t l, const struct pv_steps *steps)
{
    const struct pv_journal_record *record =
        pv_journal_find(&ln->journal, PV_RECORD_ROUTER, l, pv_learner_router_key(ln));
    const enum pv_status status = record ? read_router(ln, l, record) : learn(ln, l, steps);

    if (status == PV_ERR_NOMEM)
        return pv_fail(&ln->log, status, "fit: no memory to train the router of layer %u; use fewer tokens",
                       l);
    return status;
}
