/* Masks of a fit: one threshold for the energies of all layers, and how the outcome does on held-out tokens.
 */
#include "learn/fit/learner.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

/* The threshold of a budget over all layers. */
static enum pv_status find_threshold(const struct learner *ln, struct pv_energy *energies, double density,
                                     float *threshold, double *reached)
{
    if (!pv_learner_by_use(ln)) /* frequencies are alike in all layers */
        pv_energy_scale(energies, ln->source->n_layers);
    PV_TRY(pv_energy_threshold(energies, ln->source->n_layers, density, ln->params.n_threads, threshold,
                               reached));
    if (density >= 1.0) {
        *threshold = -1.0f;
        *reached = 1.0;
    }
    return PV_OK;
}

static enum pv_status fail_memory(const struct learner *ln, enum pv_status status)
{
    return pv_fail(&ln->log, status, "fit: no memory for the masks; use fewer clusters");
}

enum pv_status pv_learner_spend(struct learner *ln, double density)
{
    const uint32_t n_layers = ln->source->n_layers;
    struct pv_energy *energies = pv_calloc(n_layers, sizeof *energies); /* borrowed */
    enum pv_status status = PV_ERR_NOMEM;

    for (uint32_t l = 0; l < n_layers && energies; l++)
        energies[l] = ln->layers[l].energy;
    if (energies)
        status = find_threshold(ln, energies, density, &ln->threshold, &ln->reached);
    for (uint32_t l = 0; l < n_layers && status == PV_OK; l++) {
        ln->layers[l].energy.scale = energies[l].scale;
        pv_mask_lists_free(&ln->layers[l].lists);
        status = pv_mask_lists_choose(&ln->layers[l].lists, &energies[l], ln->threshold);
    }
    free(energies);
    return status == PV_OK ? PV_OK : fail_memory(ln, status);
}

enum pv_status pv_learner_spend_hot(struct learner *ln)
{
    const uint32_t n_layers = ln->source->n_layers;
    struct pv_energy *energies = pv_calloc(n_layers, sizeof *energies); /* borrowed */
    enum pv_status status = PV_ERR_NOMEM;
    float threshold;
    double reached;

    for (uint32_t l = 0; l < n_layers && energies; l++)
        energies[l] = ln->layers[l].hot_energy;
    if (energies)
        status = find_threshold(ln, energies, ln->params.density, &threshold, &reached);
    for (uint32_t l = 0; l < n_layers && status == PV_OK; l++)
        status = pv_mask_lists_choose(&ln->layers[l].hot, &energies[l], threshold);
    free(energies);
    return status == PV_OK ? PV_OK : fail_memory(ln, status);
}

double pv_learner_router_bytes(const struct pv_source *source, uint32_t n_clusters, uint32_t rank)
{
    const double width = rank > 0 ? rank : source->d_model;

    return n_clusters * (2.0 * width + sizeof(float)) + 2.0 * rank * source->d_model;
}

double pv_learner_neuron_bytes(const struct pv_source *source)
{
    const double matrices = source->variant % 2 != 0 ? 3.0 : 2.0;
    const double neuron =
        source->neuron_bytes > 0.0 ? source->neuron_bytes : matrices * 2.0 * source->d_model;

    return neuron * source->d_ffn;
}

static struct pv_fit_layer layer_result(const struct pv_mask_score *score, uint32_t d_ffn,
                                        const struct learned_layer *layer)
{
    return (struct pv_fit_layer){.density = score->computed / (score->n_tokens * d_ffn),
                                 .active = score->active / (score->n_tokens * d_ffn),
                                 .energy_kept = pv_mask_weighted_recall(score),
                                 .router_accuracy = layer->router.accuracy,
                                 .router_rank = layer->narrow.rank};
}

enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    const bool held_out = ln->n_held_out > 0;
    const uint32_t *rows = held_out ? ln->held_out : ln->train;
    const size_t n_rows = held_out ? ln->n_held_out : ln->n_train;
    const uint32_t n_layers = ln->source->n_layers;
    struct pv_mask_score all = {0};
    double router_bytes = 0.0, linear_bytes = pv_learner_router_bytes(ln->source, ln->params.n_clusters, 0);

    out->layers = pv_calloc(n_layers, sizeof *out->layers);
    if (!out->layers)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for %u layers' results", n_layers);
    out->n_layers = n_layers;
    for (uint32_t l = 0; l < n_layers; l++) {
        struct pv_mask_score score = {0};
        struct pv_layer_data data;
        enum pv_status status;

        steps->done = n_layers + l;
        if (!pv_steps_report(steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(pv_learner_load(ln, l, false, &data));
        status =
            pv_mask_lists_judge(&ln->layers[l].lists, &data.x, rows, n_rows, ln->layers[l].routed, &score);
        pv_layer_data_free(&data);
        if (status != PV_OK)
            return pv_fail(&ln->log, status, "fit: no memory to judge the masks of layer %u", l);
        out->layers[l] = layer_result(&score, ln->source->d_ffn, &ln->layers[l]);
        pv_info(&ln->log, "layer %u: computes %.3f of its neurons, %.3f active, keeps %.4f of the energy", l,
                out->layers[l].density, out->layers[l].active, out->layers[l].energy_kept);
        out->energy_kept += out->layers[l].energy_kept / n_layers;
        out->router_accuracy += out->layers[l].router_accuracy / n_layers;
        router_bytes +=
            pv_learner_router_bytes(ln->source, ln->params.n_clusters, out->layers[l].router_rank);
        pv_mask_score_merge(&all, &score);
    }
    out->density = all.computed / (all.n_tokens * ln->source->d_ffn);
    out->router_bytes = (uint64_t)router_bytes;
    if (out->layers[0].router_rank > 0 && router_bytes >= linear_bytes * n_layers)
        pv_warn(&ln->log,
                "fit: the low-rank routers read %.0f bytes, linear ones would read %.0f: they pay with more "
                "clusters",
                router_bytes, linear_bytes * n_layers);
    out->bytes_share = out->density + router_bytes / (pv_learner_neuron_bytes(ln->source) * n_layers);
    out->precision = pv_mask_precision(&all);
    out->recall = pv_mask_recall(&all);
    return PV_OK;
}
