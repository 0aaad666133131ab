/* Masks of a fit: one threshold for the energies of all layers, and how the outcome does on held-out tokens.
 */
#include "learn/learner.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

enum pv_status pv_learner_spend(struct learner *ln)
{
    uint32_t n_layers = ln->source->n_layers;
    struct pv_energy *routed = pv_calloc(n_layers, sizeof(*routed)), *hot = pv_calloc(n_layers, sizeof(*hot));
    enum pv_status status = PV_ERR_NOMEM;
    float threshold = 0.0f, hot_threshold = 0.0f;
    double unused;

    for (uint32_t l = 0; l < n_layers && routed != NULL && hot != NULL; l++) {
        routed[l] = ln->layers[l].energy;
        hot[l] = ln->layers[l].hot_energy;
    }
    if (routed != NULL && hot != NULL) {
        pv_energy_scale(routed, n_layers);
        pv_energy_scale(hot, n_layers);
        status = pv_energy_threshold(routed, n_layers, ln->params.density, ln->params.n_threads, &threshold,
                                     &ln->reached);
    }
    if (status == PV_OK)
        status = pv_energy_threshold(hot, n_layers, ln->params.density, ln->params.n_threads, &hot_threshold,
                                     &unused);
    for (uint32_t l = 0; l < n_layers && status == PV_OK; l++) {
        status = pv_mask_lists_choose(&ln->layers[l].lists, &routed[l], threshold);
        if (status == PV_OK)
            status = pv_mask_lists_choose(&ln->layers[l].hot, &hot[l], hot_threshold);
    }
    free(routed);
    free(hot);
    if (status != PV_OK)
        return pv_fail(&ln->log, status, "fit: no memory for the masks; use fewer clusters");
    return PV_OK;
}

enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    bool held_out = ln->n_held_out > 0;
    const uint32_t *rows = held_out ? ln->held_out : ln->train;
    size_t n_rows = held_out ? ln->n_held_out : ln->n_train;
    uint32_t n_layers = ln->source->n_layers;
    struct pv_mask_counts all = {0};

    for (uint32_t l = 0; l < n_layers; l++) {
        struct pv_mask_counts counts = {0};
        struct pv_layer_data data;
        enum pv_status status;

        steps->done = n_layers + l;
        if (!pv_steps_report(steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(pv_learner_load(ln, l, false, &data));
        status =
            pv_mask_lists_judge(&ln->layers[l].lists, &data.x, rows, n_rows, ln->layers[l].routed, &counts);
        pv_layer_data_free(&data);
        if (status != PV_OK)
            return pv_fail(&ln->log, status, "fit: no memory to judge the masks of layer %u", l);
        pv_info(&ln->log, "layer %u: computes %.3f of its neurons, %.3f active, keeps %.4f of the energy", l,
                counts.computed / (counts.rows * ln->source->d_ffn),
                counts.active / (counts.rows * ln->source->d_ffn),
                counts.energy > 0.0 ? counts.energy_kept / counts.energy : 1.0);
        out->energy_kept += (counts.energy > 0.0 ? counts.energy_kept / counts.energy : 1.0) / n_layers;
        out->router_accuracy += ln->layers[l].router.accuracy / n_layers;
        all.rows += counts.rows;
        all.computed += counts.computed;
        all.active += counts.active;
        all.both += counts.both;
    }
    out->density = all.computed / (all.rows * ln->source->d_ffn);
    out->precision = all.computed > 0.0 ? all.both / all.computed : 1.0;
    out->recall = all.active > 0.0 ? all.both / all.active : 1.0;
    return PV_OK;
}
