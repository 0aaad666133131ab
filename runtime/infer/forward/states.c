/* What a session has on its stages: KV caches, activation buffers and slots, made together and given up
 * together, since a session outlives the loss of a device. */
#include "infer/forward/states.h"

#include <stdlib.h>

#include "base/log.h"
#include "iface.h"
#include "infer/forward/submit.h"

static enum pv_status make_slot(struct pv_session *s, struct pv_stage_state *st, struct pv_slot *slot)
{
    struct pv_device *dev = st->stage->device;
    slot->parts = pv_calloc((size_t)st->stage->n_layers + 1, sizeof *slot->parts);
    if (!slot->parts)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    PV_TRY(pv_buffer_create(dev, sizeof(struct pv_step) * (s->n_seqs > 0 ? s->engine->n_batch : 1),
                            PV_MEM_HOST, "step", &slot->step));
    if (!st->stage->has_embed)
        return PV_OK;
    return pv_buffer_create(dev, pv_rows_bytes(1, s->engine->n_batch), PV_MEM_HOST, "tokens", &slot->tokens);
}

/* What a step's rows leave on the host. */
static enum pv_status make_rows(struct pv_session *s, struct pv_stage_state *st)
{
    struct pv_device *dev = st->stage->device;
    const uint64_t choices = st->stage->n_layers * pv_rows_bytes(1, s->engine->n_batch);
    if (s->n_seqs == 0)
        return PV_OK;
    if (st->stage->has_output)
        PV_TRY(pv_buffer_create(dev, pv_rows_bytes(s->n_seqs, s->engine->hp.n_vocab), PV_MEM_HOST,
                                "logits of rows", &st->rows_logits));
    if (!s->engine->clusters)
        return PV_OK;
    PV_TRY(pv_buffer_create(dev, choices, PV_MEM_HOST, "clusters of rows", &st->rows_cluster));
    return pv_buffer_create(dev, choices, PV_MEM_HOST, "margins of rows", &st->rows_margin);
}

static enum pv_status make_state(struct pv_session *s, struct pv_stage_state *st)
{
    struct pv_device *dev = st->stage->device;
    const struct pv_hparams *hp = &s->engine->hp;
    const uint32_t n_layers = st->stage->n_layers;
    const uint64_t cache = pv_kv_cache_bytes(&dev->plan, s->n_ctx, hp->n_kv_heads, hp->head_dim) *
                           (s->n_seqs > 0 ? s->n_seqs : 1);
    st->cache_k = pv_calloc(n_layers, sizeof *st->cache_k);
    st->cache_v = pv_calloc(n_layers, sizeof *st->cache_v);
    st->route = pv_calloc(n_layers, sizeof *st->route);
    st->rows_read = pv_calloc(n_layers, sizeof *st->rows_read);
    if (!st->cache_k || !st->cache_v || !st->route || !st->rows_read)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session of %u layers", n_layers);
    for (uint32_t i = 0; i < n_layers; i++) {
        PV_TRY(pv_buffer_create(dev, cache, PV_MEM_DEVICE, "key cache", &st->cache_k[i]));
        PV_TRY(pv_buffer_create(dev, cache, PV_MEM_DEVICE, "value cache", &st->cache_v[i]));
        if (s->engine->clusters || hp->n_experts > 0)
            PV_TRY(pv_buffer_create(dev, pv_route_bytes(), PV_MEM_DEVICE, "route", &st->route[i]));
        if (s->params.count_rows)
            PV_TRY(pv_buffer_create(dev, (uint64_t)dev->plan.ffn_down_splits * sizeof(uint32_t), PV_MEM_HOST,
                                    "rows read", &st->rows_read[i]));
    }
    if (s->engine->clusters)
        PV_TRY(pv_buffer_create(dev, n_layers * pv_route_bytes(), PV_MEM_HOST, "routes on the host",
                                &st->route_host));
    PV_TRY(pv_work_create(dev, s->engine, pv_work_conditions(s->engine, st->stage->has_output), &st->work));
    for (uint32_t i = 0; i < PV_SLOTS; i++)
        PV_TRY(make_slot(s, st, &st->slots[i]));
    PV_TRY(make_slot(s, st, &st->decode));
    PV_TRY(make_rows(s, st));
    if (st->stage->has_embed)
        return PV_OK;
    return pv_link_create(st[-1].stage->device, dev, pv_rows_bytes(s->engine->n_batch, hp->d_model),
                          &st->from_last);
}

static void destroy_state(struct pv_stage_state *st)
{
    for (uint32_t i = 0; st->stage && i < PV_SLOTS; i++)
        pv_slot_destroy(&st->slots[i], st->stage->n_layers);
    if (st->stage)
        pv_slot_destroy(&st->decode, st->stage->n_layers);
    pv_link_destroy(&st->from_last);
    for (uint32_t i = 0; st->stage && i < st->stage->n_layers; i++) {
        if (st->cache_k)
            pv_buffer_destroy(st->cache_k[i]);
        if (st->cache_v)
            pv_buffer_destroy(st->cache_v[i]);
        if (st->route)
            pv_buffer_destroy(st->route[i]);
        if (st->rows_read)
            pv_buffer_destroy(st->rows_read[i]);
    }
    free(st->cache_k);
    free(st->cache_v);
    free(st->route);
    free(st->rows_read);
    pv_work_destroy(&st->work);
    pv_buffer_destroy(st->route_host);
    pv_buffer_destroy(st->rows_logits);
    pv_buffer_destroy(st->rows_cluster);
    pv_buffer_destroy(st->rows_margin);
}

enum pv_status pv_session_make_states(struct pv_session *s)
{
    const struct pv_engine *e = s->engine;
    if (s->states)
        return PV_OK;
    s->states = pv_calloc(e->n_stages, sizeof *s->states);
    if (!s->states)
        return pv_fail(e->log, PV_ERR_NOMEM, "no memory for a session");
    for (uint32_t i = 0; i < e->n_stages; i++) {
        s->states[i].stage = &e->stages[i];
        const enum pv_status status = make_state(s, &s->states[i]);
        if (status == PV_OK)
            continue;
        pv_session_drop_states(s);
        return status;
    }
    return PV_OK;
}

void pv_session_drop_states(struct pv_session *s)
{
    for (uint32_t i = 0; s->states && i < s->engine->n_stages; i++)
        destroy_state(&s->states[i]);
    free(s->states);
    s->states = NULL;
    s->decoded = false;
}
