/* Masks of a fit: where the routers send tokens, one threshold for the energies of all layers, and how the
 * outcome does on held-out tokens. */
#include "learn/fit/learner.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

static enum pv_status measure(struct learner *ln, uint32_t l, struct pv_layer_data *data, uint16_t *nowhere)
{
    const struct pv_layer_params params = pv_learner_params(ln, l);
    const struct pv_layer_tokens tokens = pv_learner_tokens(ln, data);
    const struct pv_rows train = pv_split_train(&ln->split, &data->x);

    pv_energy_free(&ln->energies[l]);
    PV_TRY(pv_layer_route(&params, &tokens, &ln->layers[l]));
    if (ln->method)
        ln->method->weigh(data->root, (size_t)data->offset[data->x.n_rows]);
    PV_TRY(
        pv_energy_init(&ln->energies[l], &train, ln->layers[l].routed, params.n_clusters, params.n_threads));
    if (ln->hot_energies[l].mean) /* no router has a say in it: once is enough */
        return PV_OK;
    return pv_energy_init(&ln->hot_energies[l], &train, nowhere, 1, params.n_threads);
}

enum pv_status pv_learner_measure(struct learner *ln, uint32_t l)
{
    uint16_t *nowhere = pv_calloc(ln->windows.n_tokens, sizeof *nowhere); /* all in cluster 0 */
    struct pv_layer_data data = {0};
    enum pv_status status = nowhere ? pv_learner_load(ln, l, true, &data) : PV_ERR_NOMEM;

    if (status == PV_OK)
        status = measure(ln, l, &data, nowhere);
    free(nowhere);
    pv_layer_data_free(&data);
    if (status == PV_ERR_NOMEM)
        return pv_fail(&ln->log, status,
                       "fit: no memory for the masks of layer %u; use fewer tokens or clusters", l);
    return status;
}

static enum pv_status spend(const struct learner *ln, struct pv_energy *energies, struct pv_mask_lists *lists,
                            struct pv_mask_budget *budget)
{
    enum pv_status status;

    if (!ln->method) /* what another method counts is alike in all layers */
        pv_energy_scale(energies, ln->source->n_layers);
    status = pv_mask_lists_spend(lists, energies, ln->source->n_layers, ln->params.n_threads, budget);
    return status == PV_OK ? PV_OK
                           : pv_fail(&ln->log, status, "fit: no memory for the masks; use fewer clusters");
}

enum pv_status pv_learner_spend(struct learner *ln, double density)
{
    ln->budget = (struct pv_mask_budget){.density = density};
    return spend(ln, ln->energies, ln->masks, &ln->budget);
}

enum pv_status pv_learner_spend_hot(struct learner *ln)
{
    struct pv_mask_budget budget = {.density = ln->params.density};

    return spend(ln, ln->hot_energies, ln->hot, &budget);
}

static enum pv_status judge_layer(const struct learner *ln, uint32_t l, struct pv_mask_score *score,
                                  struct pv_fit_layer *out)
{
    const struct pv_router *router = &ln->layers[l].router;
    struct pv_layer_data data;
    struct pv_rows rows;
    enum pv_status status;

    PV_TRY(pv_learner_load(ln, l, false, &data));
    rows = pv_split_judge(&ln->split, &data.x);
    status = pv_mask_lists_judge(&ln->masks[l], &rows, ln->layers[l].routed, score);
    pv_layer_data_free(&data);
    if (status != PV_OK)
        return pv_fail(&ln->log, status, "fit: no memory to judge the masks of layer %u", l);
    *out = (struct pv_fit_layer){.density = score->computed / (score->n_tokens * ln->source->d_ffn),
                                 .active = score->active / (score->n_tokens * ln->source->d_ffn),
                                 .energy_kept = pv_mask_weighted_recall(score),
                                 .router_accuracy = router->accuracy,
                                 .router_rank = router->down.rank};
    pv_info(&ln->log, "layer %u: computes %.3f of its neurons, %.3f active, keeps %.4f of the energy", l,
            out->density, out->active, out->energy_kept);
    return PV_OK;
}

/* Of all layers' routers; low ranks that do not pay are warned of. */
static double router_bytes(const struct learner *ln)
{
    const uint32_t n_clusters = ln->params.n_clusters, d = ln->source->d_model;
    double bytes = 0.0, linear = pv_router_bytes(n_clusters, d, 0) * ln->source->n_layers;

    for (uint32_t l = 0; l < ln->source->n_layers; l++)
        bytes += pv_router_bytes(n_clusters, d, ln->layers[l].router.down.rank);
    if (ln->layers[0].router.down.rank > 0 && bytes >= linear)
        pv_warn(&ln->log,
                "fit: the low-rank routers read %.0f bytes, linear ones would read %.0f: they pay with more "
                "clusters",
                bytes, linear);
    return bytes;
}

enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    const uint32_t n_layers = ln->source->n_layers;
    struct pv_mask_score all = {0};
    double bytes;

    out->layers = pv_calloc(n_layers, sizeof *out->layers);
    if (!out->layers)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for %u layers' results", n_layers);
    out->n_layers = n_layers;
    for (uint32_t l = 0; l < n_layers; l++) {
        struct pv_mask_score score = {0};

        steps->done = n_layers + l;
        if (!pv_steps_report(steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(judge_layer(ln, l, &score, &out->layers[l]));
        out->energy_kept += out->layers[l].energy_kept / n_layers;
        out->router_accuracy += out->layers[l].router_accuracy / n_layers;
        pv_mask_score_merge(&all, &score);
    }
    bytes = router_bytes(ln);
    out->density = all.computed / (all.n_tokens * ln->source->d_ffn);
    out->router_bytes = (uint64_t)bytes;
    out->bytes_share = out->density + bytes / (pv_source_neuron_bytes(ln->source) * n_layers);
    out->precision = pv_mask_precision(&all);
    out->recall = pv_mask_recall(&all);
    return PV_OK;
}
