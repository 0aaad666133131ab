/* Opens the devices, splits the layers over them and loads each one's share. */
#include "infer/engine.h"

#include <stdlib.h>

#include "base/log.h"
#include "infer/split.h"

static enum pv_status check_params(const struct pv_engine *e, const struct pv_engine_params *params)
{
    if (params->n_devices > e->hp.n_layers)
        return pv_fail(e->log, PV_ERR_ARG, "%u devices for %u layers: name at most one device per layer",
                       params->n_devices, e->hp.n_layers);
    if (params->n_ctx > (1u << 20))
        return pv_fail(e->log, PV_ERR_ARG, "a context of %u tokens is over the limit of 1048576",
                       params->n_ctx);
    if (e->clusters)
        return pv_clusters_check(e->clusters, e->model);
    return PV_OK;
}

static enum pv_status open_stages(struct pv_engine *e, const struct pv_engine_params *params)
{
    uint32_t best = 0;
    const uint32_t *devices = params->devices;
    e->n_stages = devices ? params->n_devices : 1;
    if (!devices) {
        PV_TRY(pv_context_find_device(e->context, NULL, &best));
        devices = &best;
    }
    e->stages = pv_calloc(e->n_stages, sizeof *e->stages);
    uint32_t *begin = pv_calloc((size_t)e->n_stages + 1, sizeof *begin);
    if (!e->stages || !begin) {
        free(begin);
        return pv_fail(e->log, PV_ERR_NOMEM, "no memory for %u stages", e->n_stages);
    }
    pv_split_layers(e->hp.n_layers, e->n_stages, params->split, begin);
    for (uint32_t i = 0; i < e->n_stages; i++) {
        e->stages[i].device_index = devices[i];
        e->stages[i].first_layer = begin[i];
        e->stages[i].n_layers = begin[i + 1] - begin[i];
        e->stages[i].has_embed = i == 0;
        e->stages[i].has_output = i + 1 == e->n_stages;
    }
    free(begin);
    for (uint32_t i = 0; i < e->n_stages; i++) {
        PV_TRY(pv_device_open(e->context, devices[i], NULL, &e->stages[i].device));
        PV_TRY(pv_stage_load(&e->stages[i], e));
        uint32_t n_batch = e->stages[i].device->plan.n_batch;
        if (!params->n_batch && (e->n_batch == 0 || n_batch < e->n_batch))
            e->n_batch = n_batch;
    }
    return PV_OK;
}

enum pv_status pv_engine_create(struct pv_context *context, const struct pv_model *model,
                                const struct pv_engine_params *params, struct pv_engine **out)
{
    static const struct pv_engine_params defaults;
    if (!params)
        params = &defaults;
    struct pv_engine *e = pv_calloc(1, sizeof *e);
    if (!e)
        return pv_fail(&context->log, PV_ERR_NOMEM, "no memory for an engine");
    e->context = context;
    e->model = model;
    e->clusters = params->clusters;
    e->log = &context->log;
    e->hp = *pv_model_hparams(model);
    e->n_ctx = params->n_ctx ? params->n_ctx : e->hp.n_ctx;
    e->n_batch = params->n_batch;
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(check_params(e, params));
    PV_TRY_GOTO(open_stages(e, params));
    if (e->n_batch > e->n_ctx)
        e->n_batch = e->n_ctx;
    *out = e;
    return PV_OK;
fail:
    pv_engine_destroy(e);
    return status;
}

void pv_engine_destroy(struct pv_engine *engine)
{
    if (!engine)
        return;
    if (engine->stages)
        for (uint32_t i = 0; i < engine->n_stages; i++) {
            pv_stage_unload(&engine->stages[i]);
            pv_device_close(engine->stages[i].device);
        }
    free(engine->stages);
    free(engine);
}

uint64_t pv_engine_device_bytes(const struct pv_engine *engine)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < engine->n_stages; i++)
        sum += pv_device_bytes_in_use(engine->stages[i].device);
    return sum;
}

uint32_t pv_engine_device_index(const struct pv_engine *engine, uint32_t stage)
{
    return stage < engine->n_stages ? engine->stages[stage].device_index : UINT32_MAX;
}

uint32_t pv_engine_n_ctx(const struct pv_engine *engine)
{
    return engine->n_ctx;
}
