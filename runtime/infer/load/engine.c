/* Opens the devices, splits the layers over them and loads each one's share. */
#include "infer/load/engine.h"

#include <stdlib.h>

#include "base/log.h"
#include "infer/failover.h"
#include "infer/load/place.h"
#include "infer/load/weights.h"
#include "vk/pipeline/pipeline_cache.h"

static enum pv_status check_params(const struct pv_engine *e, const struct pv_engine_params *params)
{
    if (params->n_devices > e->hp.n_layers)
        return pv_fail(e->log, PV_ERR_ARG, "%u devices for %u layers: name at most one device per layer",
                       params->n_devices, e->hp.n_layers);
    if (params->n_devices > PV_PLACEMENT_MAX)
        return pv_fail(e->log, PV_ERR_ARG, "%u devices: name at most %d", params->n_devices,
                       PV_PLACEMENT_MAX);
    if (params->devices && params->n_devices == 0)
        return pv_fail(e->log, PV_ERR_ARG, "no device named: name one, or none at all for the best");
    for (uint32_t i = 0; params->split && i < params->n_devices; i++)
        if (!(params->split[i] > 0.0))
            return pv_fail(e->log, PV_ERR_ARG, "share %u of the split is %g: shares must be above 0", i + 1,
                           params->split[i]);
    if (params->n_ctx > PV_MAX_CTX)
        return pv_fail(e->log, PV_ERR_ARG, "a context of %u tokens is over the limit of %d", params->n_ctx,
                       PV_MAX_CTX);
    if (params->n_best > 2)
        return pv_fail(e->log, PV_ERR_ARG,
                       "a token computes the neurons of 1 or 2 clusters, not %u; set n_best to one of them",
                       params->n_best);
    if (e->clusters && e->hp.n_experts > 0)
        return pv_fail(
            e->log, PV_ERR_UNSUPPORTED,
            "clusters are not used with a mixture of experts, whose own router chooses neurons already: "
            "run the model without a cluster file");
    if (e->clusters)
        return pv_clusters_check(e->clusters, e->model);
    return PV_OK;
}

static enum pv_status open_stages(struct pv_engine *e, const struct pv_engine_params *params)
{
    uint32_t best = 0;
    const uint32_t *devices = params->devices;
    if (!devices) {
        PV_TRY(pv_context_find_device(e->context, NULL, &best));
        devices = &best;
    }
    e->stages = pv_calloc(params->devices ? params->n_devices : 1, sizeof *e->stages);
    if (!e->stages)
        return pv_fail(e->log, PV_ERR_NOMEM, "no memory for the devices");
    e->n_stages = params->devices ? params->n_devices : 1;
    for (uint32_t i = 0; i < e->n_stages; i++) {
        struct pv_stage *stage = &e->stages[i];
        stage->device_index = devices[i];
        stage->has_embed = i == 0;
        stage->has_output = i + 1 == e->n_stages;
        PV_TRY(pv_device_open(e->context, devices[i], NULL, &stage->device));
        const uint32_t n_batch = stage->device->plan.n_batch;
        if (!params->n_batch && (e->n_batch == 0 || n_batch < e->n_batch))
            e->n_batch = n_batch;
    }
    if (e->n_batch > e->n_ctx)
        e->n_batch = e->n_ctx;
    return PV_OK;
}

/* Everything but the weights. */
static enum pv_status open_engine(struct pv_context *context, const struct pv_model *model,
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
    e->n_best = params->n_best ? params->n_best : 1;
    e->failover = params->failover;
    e->has_split = params->split != NULL;
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(check_params(e, params));
    for (uint32_t i = 0; e->has_split && i < params->n_devices; i++)
        e->split[i] = params->split[i];
    PV_TRY_GOTO(open_stages(e, params));
    *out = e;
    return PV_OK;
fail:
    pv_engine_destroy(e);
    return status;
}

enum pv_status pv_place(struct pv_context *context, const struct pv_model *model,
                        const struct pv_engine_params *params, struct pv_placement *out)
{
    struct pv_engine *e = NULL;
    PV_TRY(open_engine(context, model, params, &e));
    enum pv_status status = pv_place_stages(e, out);
    pv_engine_destroy(e);
    return status;
}

enum pv_status pv_engine_create(struct pv_context *context, const struct pv_model *model,
                                const struct pv_engine_params *params, struct pv_engine **out)
{
    struct pv_engine *e = NULL;
    struct pv_placement placement;
    PV_TRY(open_engine(context, model, params, &e));
    enum pv_status status = pv_engine_place(e, &placement);
    if (status != PV_OK)
        status = pv_engine_failover(e, status, "while the model was loaded");
    if (status != PV_OK)
        pv_engine_destroy(e);
    else
        *out = e;
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

double pv_engine_compile_seconds(const struct pv_engine *engine)
{
    double ms = 0;
    for (uint32_t i = 0; i < engine->n_stages; i++) {
        const struct pv_pipelines *pipelines = engine->stages[i].device->pipelines;
        for (uint32_t j = 0; j < pv_pipelines_count(pipelines); j++)
            ms += pv_pipelines_at(pipelines, j)->compile_ms;
    }
    return ms / 1e3;
}

uint32_t pv_engine_device_index(const struct pv_engine *engine, uint32_t stage)
{
    return stage < engine->n_stages ? engine->stages[stage].device_index : UINT32_MAX;
}

uint32_t pv_engine_n_stages(const struct pv_engine *engine)
{
    return engine->n_stages;
}

uint32_t pv_engine_n_ctx(const struct pv_engine *engine)
{
    return engine->n_ctx;
}
