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
    if (params->devices && params->n_devices == 0)
        return pv_fail(e->log, PV_ERR_ARG, "no device named: name one, or none at all for the best");
    for (uint32_t i = 0; params->split && i < params->n_devices; i++)
        if (!(params->split[i] > 0.0))
            return pv_fail(e->log, PV_ERR_ARG, "share %u of the split is %g: shares must be above 0", i + 1,
                           params->split[i]);
    if (params->n_ctx > (1u << 20))
        return pv_fail(e->log, PV_ERR_ARG, "a context of %u tokens is over the limit of 1048576",
                       params->n_ctx);
    if (e->clusters)
        return pv_clusters_check(e->clusters, e->model);
    return PV_OK;
}

/* Bytes of one layer's weights in the file: on the device they take nearly the same. */
static uint64_t layer_bytes(const struct pv_model *model)
{
    const struct pv_model_layer *l = &model->layers[0];
    return l->attn_q->size_bytes + l->attn_k->size_bytes + l->attn_v->size_bytes +
           l->attn_output->size_bytes + l->ffn_up->size_bytes + l->ffn_down->size_bytes +
           (l->ffn_gate ? l->ffn_gate->size_bytes : 0);
}

/* Layers that fit a device, embedding and output left room for; software drivers report a token heap and have
 * the host's memory. */
static uint32_t layer_room(const struct pv_engine *e, const struct pv_device *device)
{
    const uint64_t shared = e->model->token_embd->size_bytes + e->model->output->size_bytes;
    const uint64_t heap = device->caps.device_heap_bytes / 10 * 9;
    if (device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        return e->hp.n_layers;
    const uint64_t room = heap > shared ? (heap - shared) / layer_bytes(e->model) : 0;
    return room < e->hp.n_layers ? (uint32_t)room : e->hp.n_layers;
}

/* Fills first_layer and n_layers of the opened stages. */
static enum pv_status split_stages(struct pv_engine *e, const double *shares)
{
    enum pv_status status = PV_OK;
    uint32_t *begin = pv_calloc((size_t)e->n_stages + 1, sizeof *begin),
             *room = pv_calloc(e->n_stages, sizeof *room);
    double *speed = pv_calloc(e->n_stages, sizeof *speed);
    if (!begin || !room || !speed) {
        status = pv_fail(e->log, PV_ERR_NOMEM, "no memory for %u stages", e->n_stages);
        goto fail;
    }
    for (uint32_t i = 0; i < e->n_stages; i++) {
        room[i] = layer_room(e, e->stages[i].device);
        speed[i] = shares ? shares[i] : 1.0;
        if (!shares && e->n_stages > 1)
            PV_TRY_GOTO(pv_measure_matvec(e->stages[i].device, &speed[i]));
    }
    if (!pv_split_layers(e->hp.n_layers, e->n_stages, speed, room, begin)) {
        status = pv_fail(
            e->log, PV_ERR_DEVICE_MEMORY,
            "the model's %u layers of %.1f MB do not fit the memory of the chosen devices: add a device, or "
            "use a model quantised to fewer bits",
            e->hp.n_layers, (double)layer_bytes(e->model) * 1e-6);
        goto fail;
    }
    for (uint32_t i = 0; i < e->n_stages; i++) {
        e->stages[i].first_layer = begin[i];
        e->stages[i].n_layers = begin[i + 1] - begin[i];
        if (e->n_stages > 1)
            pv_info(e->log, "layers %u to %u on %s", begin[i], begin[i + 1] - 1,
                    e->stages[i].device->caps.name);
    }
fail:
    free(begin);
    free(room);
    free(speed);
    return status;
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
    PV_TRY(split_stages(e, params->split));
    for (uint32_t i = 0; i < e->n_stages; i++)
        PV_TRY(pv_stage_load(&e->stages[i], e));
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
