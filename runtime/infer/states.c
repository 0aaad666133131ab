/* What a session has on its stages: KV caches, activation buffers and slots, made together and given up
 * together, since a session outlives the loss of a device. */
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "iface.h"
#include "infer/session.h"

static enum pv_status make(struct pv_device *device, uint64_t size_bytes, const char *name,
                           struct pv_buffer **out)
{
    return *out ? PV_OK : pv_buffer_create(device, size_bytes, PV_MEM_DEVICE, name, out);
}

static enum pv_status make_output_work(struct pv_session *s, struct pv_stage_state *st)
{
    struct pv_device *dev = st->stage->device;
    const struct pv_hparams *hp = &s->engine->hp;
    struct pv_work *b = &st->work;
    PV_TRY(make(dev, pv_rows_bytes(1, hp->d_model), "last row", &b->last));
    PV_TRY(make(dev, pv_rows_bytes(s->logit_rows, hp->n_vocab), "logits", &b->logits));
    PV_TRY(make(dev, pv_rows_bytes(s->logit_rows, hp->d_model), "scored rows", &b->h_rows));
    PV_TRY(make(dev, pv_rows_bytes(1, s->logit_rows), "targets", &b->targets));
    PV_TRY(make(dev, pv_rows_bytes(1, s->logit_rows), "nll", &b->nll));
    PV_TRY(make(dev, 16, "argmax", &b->argmax));
    PV_TRY(pv_buffer_create(dev, pv_rows_bytes(1, hp->n_vocab), PV_MEM_HOST, "logits on the host",
                            &st->logits_host));
    return pv_buffer_create(dev, 16, PV_MEM_HOST, "argmax on the host", &st->argmax_host);
}

static enum pv_status make_row_index(struct pv_session *s, struct pv_stage_state *st)
{
    const uint32_t n = s->engine->n_batch;
    if (st->work.row_index)
        return PV_OK;
    PV_TRY(make(st->stage->device, pv_rows_bytes(1, n), "row numbers", &st->work.row_index));
    uint32_t *rows = pv_calloc(n, sizeof *rows);
    if (!rows)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for %u row numbers", n);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = i;
    const enum pv_status status = pv_buffer_write(st->work.row_index, 0, rows, n * sizeof *rows);
    free(rows);
    return status;
}

/* What routing takes. */
static enum pv_status make_router_work(struct pv_session *s, struct pv_stage_state *st)
{
    struct pv_device *dev = st->stage->device;
    const struct pv_clusters_info *info = &s->engine->clusters->info;
    const uint32_t n = s->engine->n_batch;
    struct pv_work *b = &st->work;
    if (info->max_rank > 0)
        PV_TRY(make(dev, pv_rows_bytes(n, info->max_rank), "narrowed router input", &b->narrow));
    PV_TRY(make(dev, pv_rows_bytes(n, info->n_clusters), "router scores", &b->scores));
    PV_TRY(make(dev, pv_rows_bytes(1, n), "clusters", &b->cluster));
    PV_TRY(make(dev, pv_rows_bytes(1, n), "router margins", &b->margin));
    if (s->engine->n_best < 2)
        return PV_OK;
    PV_TRY(
        make(dev, n * pv_bit_words(info->d_ffn) * sizeof(uint32_t), "masks of two clusters", &b->mask_bits));
    PV_TRY(make(dev, pv_rows_bytes(1, info->d_ffn), "neurons of two clusters", &b->list));
    return make_row_index(s, st);
}

static enum pv_status make_work(struct pv_session *s, struct pv_stage_state *st)
{
    struct pv_device *dev = st->stage->device;
    const struct pv_hparams *hp = &s->engine->hp;
    const uint32_t n = s->engine->n_batch, kv = hp->n_kv_heads * hp->head_dim, q = hp->n_heads * hp->head_dim;
    struct pv_work *b = &st->work;
    PV_TRY(make(dev, pv_rows_bytes(n, hp->d_model), "residual stream", &b->x));
    PV_TRY(make(dev, pv_rows_bytes(n, hp->d_model), "normalised rows", &b->h));
    PV_TRY(make(dev, pv_rows_bytes(n, q), "queries", &b->q));
    PV_TRY(make(dev, pv_rows_bytes(n, q), "attention output", &b->attn));
    PV_TRY(make(dev, pv_rows_bytes(n, kv), "keys", &b->k));
    PV_TRY(make(dev, pv_rows_bytes(n, kv), "values", &b->v));
    PV_TRY(make(dev, pv_rows_bytes(n, hp->d_ffn), "ffn activations", &b->up));
    if (hp->gated)
        PV_TRY(make(dev, pv_rows_bytes(n, hp->d_ffn), "ffn gate", &b->gate));
    PV_TRY(make(dev, pv_ffn_partial_bytes(&dev->plan, hp->d_model), "ffn partial sums", &b->partial));
    if (s->engine->clusters)
        PV_TRY(make_router_work(s, st));
    return st->stage->has_output ? make_output_work(s, st) : PV_OK;
}

static enum pv_status make_slot(struct pv_session *s, struct pv_stage_state *st, struct pv_slot *slot)
{
    struct pv_device *dev = st->stage->device;
    slot->parts = pv_calloc((size_t)st->stage->n_layers + 1, sizeof *slot->parts);
    if (!slot->parts)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    PV_TRY(pv_buffer_create(dev, sizeof(struct pv_step), PV_MEM_HOST, "step", &slot->step));
    if (!st->stage->has_embed)
        return PV_OK;
    return pv_buffer_create(dev, pv_rows_bytes(1, s->engine->n_batch), PV_MEM_HOST, "tokens", &slot->tokens);
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
    if (!st->cache_k || !st->cache_v || !st->route)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session of %u layers", n_layers);
    for (uint32_t i = 0; i < n_layers; i++) {
        PV_TRY(pv_buffer_create(dev, cache, PV_MEM_DEVICE, "key cache", &st->cache_k[i]));
        PV_TRY(pv_buffer_create(dev, cache, PV_MEM_DEVICE, "value cache", &st->cache_v[i]));
        if (s->engine->clusters)
            PV_TRY(pv_buffer_create(dev, pv_route_bytes(), PV_MEM_DEVICE, "route", &st->route[i]));
    }
    if (s->engine->clusters)
        PV_TRY(pv_buffer_create(dev, n_layers * pv_route_bytes(), PV_MEM_HOST, "routes on the host",
                                &st->route_host));
    PV_TRY(make_work(s, st));
    for (uint32_t i = 0; i < PV_SLOTS; i++)
        PV_TRY(make_slot(s, st, &st->slots[i]));
    PV_TRY(make_slot(s, st, &st->decode));
    if (st->stage->has_embed)
        return PV_OK;
    return pv_link_create(st[-1].stage->device, dev, pv_rows_bytes(s->engine->n_batch, hp->d_model),
                          &st->from_last);
}

static enum pv_status prepare_look_stage(struct pv_session *s, struct pv_stage_state *st)
{
    const uint32_t n = s->engine->n_batch, d_ffn = s->engine->hp.d_ffn;
    struct pv_device *dev = st->stage->device;
    struct pv_work *b = &st->work;
    if (b->bits)
        return PV_OK;
    PV_TRY(make(dev, pv_rows_bytes(n, d_ffn), "contributions", &b->contribution));
    PV_TRY(make_row_index(s, st));
    return make(dev, (uint64_t)n * pv_bit_words(d_ffn) * sizeof(uint32_t), "pattern bits", &b->bits);
}

enum pv_status pv_session_prepare_look(struct pv_session *s)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const size_t n = s->engine->n_batch;
    for (uint32_t i = 0; s->params.ffn == PV_FFN_STATIC && i < s->engine->n_stages; i++) {
        struct pv_stage_state *st = &s->states[i];
        if (st->work.zeros)
            continue;
        PV_TRY(make(st->stage->device, pv_rows_bytes(1, s->engine->n_batch), "zeros", &st->work.zeros));
        PV_TRY(pv_buffer_fill(st->work.zeros, 0));
    }
    if (!pv_session_looks(s))
        return PV_OK;
    for (uint32_t i = 0; i < s->engine->n_stages; i++)
        PV_TRY(prepare_look_stage(s, &s->states[i]));
    if (s->host_rows)
        return PV_OK;
    const size_t widest = pv_row_stride(hp->d_ffn > hp->d_model ? hp->d_ffn : hp->d_model);
    s->host_z = pv_calloc(n * hp->d_model, sizeof *s->host_z);
    s->host_contribution = pv_calloc(n * hp->d_ffn, sizeof *s->host_contribution);
    s->host_bits = pv_calloc(n * pv_bit_words(hp->d_ffn), sizeof *s->host_bits);
    s->host_masks = pv_calloc(n * pv_bit_words(hp->d_ffn), sizeof *s->host_masks);
    s->host_cluster = pv_calloc(n, sizeof *s->host_cluster);
    s->host_margin = pv_calloc(n, sizeof *s->host_margin);
    s->host_rows = pv_calloc(n * widest, sizeof *s->host_rows);
    if (!s->host_z || !s->host_contribution || !s->host_bits || !s->host_masks || !s->host_cluster ||
        !s->host_margin || !s->host_rows)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory to look at %zu tokens at once", n);
    return PV_OK;
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
    }
    free(st->cache_k);
    free(st->cache_v);
    free(st->route);
    struct pv_work *b = &st->work;
    struct pv_buffer *buffers[] = {b->x,
                                   b->h,
                                   b->q,
                                   b->attn,
                                   b->k,
                                   b->v,
                                   b->up,
                                   b->gate,
                                   b->partial,
                                   b->narrow,
                                   b->scores,
                                   b->cluster,
                                   b->margin,
                                   b->mask_bits,
                                   b->list,
                                   b->bits,
                                   b->contribution,
                                   b->row_index,
                                   b->zeros,
                                   b->last,
                                   b->logits,
                                   b->h_rows,
                                   b->targets,
                                   b->nll,
                                   b->argmax,
                                   st->logits_host,
                                   st->argmax_host,
                                   st->route_host};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        pv_buffer_destroy(buffers[i]);
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
