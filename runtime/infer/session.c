/* Sessions: buffers, the recorded decode step, and the public calls. */
#include "infer/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/threads.h"
#include "iface.h"
#include "infer/place.h"

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

static enum pv_status make_host(struct pv_session *s)
{
    const struct pv_hparams *hp = &s->engine->hp;
    s->logits = pv_calloc(hp->n_vocab, sizeof *s->logits);
    s->tau = pv_calloc(hp->n_layers, sizeof *s->tau);
    s->centroids_t = pv_calloc(hp->n_layers, sizeof *s->centroids_t);
    s->stat_cluster = pv_calloc(hp->n_layers, sizeof *s->stat_cluster);
    s->stat_n = pv_calloc(hp->n_layers, sizeof *s->stat_n);
    s->stat_margin = pv_calloc(hp->n_layers, sizeof *s->stat_margin);
    if (s->engine->go_on) {
        s->fed = pv_calloc(s->engine->n_ctx, sizeof *s->fed);
        s->fed_ffn = pv_calloc(s->engine->n_ctx, sizeof *s->fed_ffn);
        if (!s->fed || !s->fed_ffn)
            return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    }
    if (!s->logits || !s->tau || !s->centroids_t || !s->stat_cluster || !s->stat_n || !s->stat_margin)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    for (uint32_t i = 0; i < hp->n_layers; i++)
        s->tau[i] = s->params.tau         ? s->params.tau[i]
                    : s->engine->clusters ? s->engine->clusters->layers[i].tau
                                          : 0.0f;
    return PV_OK;
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

static enum pv_status create(struct pv_engine *engine, const struct pv_session_params *params,
                             uint32_t n_seqs, uint32_t n_ctx, struct pv_session **out)
{
    struct pv_session *s = pv_calloc(1, sizeof *s);
    if (!s)
        return pv_fail(engine->log, PV_ERR_NOMEM, "no memory for a session");
    s->engine = engine;
    s->next = engine->sessions;
    engine->sessions = s;
    if (params)
        s->params = *params;
    s->params.ffn = PV_FFN_DENSE;
    s->n_seqs = n_seqs;
    s->n_ctx = n_ctx;
    s->logit_rows = pv_logit_rows(engine);
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(make_host(s));
    PV_TRY_GOTO(pv_session_begin(s));
    if (params)
        PV_TRY_GOTO(pv_session_set_ffn(s, params->ffn));
    *out = s;
    return PV_OK;
fail:
    pv_session_destroy(s);
    return status;
}

enum pv_status pv_session_create(struct pv_engine *engine, const struct pv_session_params *params,
                                 struct pv_session **out)
{
    return create(engine, params, 0, engine->n_ctx, out);
}

enum pv_status pv_sequences_create(struct pv_engine *engine, uint32_t n_seqs, uint32_t n_ctx,
                                   struct pv_session **out)
{
    if (n_seqs == 0 || n_seqs > engine->n_batch || n_ctx == 0 || n_ctx > engine->n_ctx)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "%u sequences of %u tokens do not fit a batch of %u or a context of %u", n_seqs, n_ctx,
                       engine->n_batch, engine->n_ctx);
    return create(engine, NULL, n_seqs, n_ctx, out);
}

void pv_session_destroy(struct pv_session *s)
{
    if (!s)
        return;
    pv_session_drop_states(s);
    struct pv_session **link = &s->engine->sessions;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    for (uint32_t i = 0; s->centroids_t && i < s->engine->hp.n_layers; i++)
        free(s->centroids_t[i]);
    void *owned[] = {s->fed,          s->fed_ffn,      s->logits,      s->tau,
                     s->centroids_t,  s->host_rows,    s->host_z,      s->host_bits,
                     s->host_masks,   s->host_cluster, s->host_margin, s->host_contribution,
                     s->stat_cluster, s->stat_n,       s->stat_margin};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    free(s);
}

void pv_session_reset(struct pv_session *session)
{
    session->n_past = 0;
    session->decoded = false;
}

enum pv_status pv_session_set_ffn(struct pv_session *session, enum pv_ffn_mode ffn)
{
    if (ffn == PV_FFN_CALLBACK && !session->params.mask)
        return pv_fail(session->engine->log, PV_ERR_ARG, "this FFN mode needs a mask callback");
    if (ffn != PV_FFN_DENSE && ffn != PV_FFN_CALLBACK && !session->engine->clusters)
        return pv_fail(session->engine->log, PV_ERR_ARG,
                       "this FFN mode needs a cluster file: give one with -c");
    session->params.ffn = ffn;
    return PV_OK;
}

uint32_t pv_session_n_past(const struct pv_session *session)
{
    return session->n_past;
}

static enum pv_status check_tokens(const struct pv_session *s, const uint32_t *tokens, uint32_t n)
{
    const struct pv_engine *e = s->engine;
    if (n == 0)
        return pv_fail(e->log, PV_ERR_ARG, "no tokens to feed");
    if (n > e->n_ctx - s->n_past)
        return pv_fail(e->log, PV_ERR_ARG,
                       "%u tokens after %u do not fit a context of %u: shorten the text or raise --ctx", n,
                       s->n_past, e->n_ctx);
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] >= e->hp.n_vocab)
            return pv_fail(e->log, PV_ERR_ARG, "token %u at %u is outside the vocabulary of %u", tokens[i], i,
                           e->hp.n_vocab);
    return PV_OK;
}

enum pv_status pv_session_prefill(struct pv_session *session, const uint32_t *tokens, uint32_t n)
{
    PV_TRY(check_tokens(session, tokens, n));
    session->decoded = false;
    return pv_session_feed(session, &(struct pv_batch){.tokens = tokens, .n = n, .last_logits = true}, 0);
}

enum pv_status pv_session_score(struct pv_session *session, const uint32_t *tokens, const uint32_t *targets,
                                uint32_t n, float *nll, float *logits_rows)
{
    PV_TRY(check_tokens(session, tokens, n));
    session->decoded = false;
    struct pv_batch text = {
        .tokens = tokens, .n = n, .targets = targets, .nll = nll, .logits_rows = logits_rows};
    return pv_session_feed(session, &text, 0);
}

enum { TIMED_A_LAYER = 32 }; /* dispatches of a layer, at most */

/* Begins a part of the decode recording, or cuts it: timestamps 0 and 1 are its ends, the others its
 * dispatches'. */
static enum pv_status begin_decode_part(struct pv_session *s, struct pv_stage_state *st, bool first)
{
    const uint32_t n = s->params.time_dispatches ? 2 + TIMED_A_LAYER * (st->stage->n_layers + 1) : 2;
    PV_TRY(first ? pv_slot_begin(st, &st->decode, n) : pv_slot_cut(st, &st->decode, n));
    if (s->params.time_dispatches)
        pv_recorder_time_dispatches(st->batch, 2);
    pv_recorder_timestamp(st->batch, 0);
    return PV_OK;
}

/* The decode step of one stage, recorded once and submitted: position and token are read from host memory at
 * every submit. */
static enum pv_status record_decode(struct pv_session *s, struct pv_stage_state *st)
{
    const bool routed = s->params.ffn == PV_FFN_ROUTED;
    struct pv_slot *slot = &st->decode;
    const uint32_t each = pv_layers_per_submit(&st->stage->device->plan, st->stage->n_layers, st->token_ms);
    PV_TRY(begin_decode_part(s, st, true));
    PV_TRY(pv_stage_take(s, st, PV_SLOTS, 1));
    for (uint32_t i = 0; i < st->stage->n_layers; i++) {
        if (i > 0 && i % each == 0) {
            pv_recorder_timestamp(st->batch, 1);
            PV_TRY(begin_decode_part(s, st, false));
        }
        PV_TRY(pv_forward_attention(st->batch, s, st, i, 1));
        PV_TRY(pv_forward_ffn_decode(st->batch, s, st, i, routed));
    }
    if (st->stage->has_output)
        PV_TRY(pv_forward_output(st->batch, s, st, st->work.x));
    pv_recorder_timestamp(st->batch, 1);
    PV_TRY(pv_stage_give(s, st, PV_SLOTS, 1));
    for (uint32_t i = 0; routed && i < st->stage->n_layers; i++)
        PV_TRY(pv_recorder_copy(st->batch, st->route[i], 0, st->route_host, i * pv_route_bytes(),
                                pv_route_bytes()));
    PV_TRY(pv_slot_end(st, slot));
    slot->n =
        st->stage->device->plan.submit_ms > 0 && !(st->token_ms > 0.0) ? 0 : 1; /* 0: measure, then again */
    slot->mode = s->params.ffn;
    return PV_OK;
}

/* One token through one stage, waited for. */
static enum pv_status decode_stage(struct pv_session *s, struct pv_stage_state *st)
{
    const bool ready = st->decode.n > 0 && st->decode.mode == s->params.ffn;
    PV_TRY(ready ? pv_slot_again(&st->decode) : record_decode(s, st));
    const double started = pv_now_s();
    PV_TRY(pv_device_wait(st->stage->device, st->decode.value));
    if (!(st->token_ms > 0.0))
        st->token_ms = 1e3 * (pv_now_s() - started) / st->stage->n_layers + 1e-6;
    return PV_OK;
}

static enum pv_status fetch_stats(struct pv_session *s, struct pv_stage_state *st)
{
    const bool routed = s->params.ffn == PV_FFN_ROUTED;
    st->decode_ms = 0.0;
    for (uint32_t i = 0; i < st->decode.n_parts; i++)
        st->decode_ms += pv_recorder_ms(st->decode.parts[i], 0, 1);
    for (uint32_t i = 0; i < st->stage->n_layers; i++) {
        const uint32_t layer = st->stage->first_layer + i;
        struct pv_route route = {.cluster = UINT32_MAX, .n_neurons = s->engine->hp.d_ffn};
        if (routed)
            PV_TRY(pv_buffer_read(st->route_host, i * pv_route_bytes(), &route, sizeof route));
        s->stat_cluster[layer] = route.cluster;
        s->stat_n[layer] = route.n_neurons;
        s->stat_margin[layer] = route.margin;
    }
    return PV_OK;
}

enum pv_status pv_session_step(struct pv_session *session, uint32_t token)
{
    struct pv_engine *e = session->engine;
    const struct pv_step step = {.pos = session->n_past};
    for (uint32_t i = 0; i < e->n_stages; i++) /* all of it now: nothing may hold up the hand-over */
        PV_TRY(pv_buffer_write(session->states[i].decode.step, 0, &step, sizeof step));
    PV_TRY(pv_buffer_write(session->states[0].decode.tokens, 0, &token, sizeof token));
    for (uint32_t i = 0; i < e->n_stages; i++) {
        if (i > 0)
            PV_TRY(pv_link_pass(&session->states[i].from_last, 0, pv_rows_bytes(1, e->hp.d_model)));
        PV_TRY(decode_stage(session, &session->states[i]));
    }
    for (uint32_t i = 0; i < e->n_stages; i++)
        PV_TRY(fetch_stats(session, &session->states[i]));
    session->n_past++;
    session->decoded = true;
    return pv_session_fetch_logits(session);
}

enum pv_status pv_session_decode(struct pv_session *session, uint32_t token)
{
    struct pv_engine *e = session->engine;
    PV_TRY(check_tokens(session, &token, 1));
    if (session->params.ffn != PV_FFN_DENSE && session->params.ffn != PV_FFN_ROUTED)
        return pv_fail(e->log, PV_ERR_ARG, "this FFN mode is for evaluation only and cannot decode");
    return pv_session_feed(session, NULL, token);
}

enum pv_status pv_session_fetch_logits(struct pv_session *s)
{
    struct pv_stage_state *st = &s->states[s->engine->n_stages - 1];
    PV_TRY(pv_buffer_read(st->logits_host, 0, s->logits, s->engine->hp.n_vocab * sizeof *s->logits));
    return pv_buffer_read(st->argmax_host, 0, &s->argmax, sizeof s->argmax);
}

const float *pv_session_logits(const struct pv_session *session)
{
    return session->logits;
}

uint32_t pv_session_argmax(const struct pv_session *session)
{
    return session->argmax;
}

uint32_t pv_session_dispatches(const struct pv_session *session, struct pv_dispatch_time *out, uint32_t n)
{
    uint32_t n_all = 0;
    double part_us = 0.0; /* where the part begins */
    if (!session->decoded || !session->params.time_dispatches)
        return 0;
    for (uint32_t i = 0; i < session->engine->n_stages; i++) {
        const struct pv_slot *slot = &session->states[i].decode;
        for (uint32_t j = 0; j < slot->n_parts; j++) {
            struct pv_recorder *part = slot->parts[j];
            double before = 0.0;
            for (uint32_t k = 0; k < pv_recorder_n_timed(part); k++, n_all++) {
                const double end = 1e3 * pv_recorder_ms(part, 0, 2 + k);
                if (n_all < n)
                    out[n_all] =
                        (struct pv_dispatch_time){pv_recorder_timed_shader(part, k), i, part_us + before,
                                                  end > before ? end - before : 0.0};
                before = end > before ? end : before;
            }
            part_us += 1e3 * pv_recorder_ms(part, 0, 1);
        }
    }
    return n_all;
}

enum pv_status pv_session_token_stats(const struct pv_session *session, struct pv_token_stats *out)
{
    if (!session->decoded)
        return pv_fail(session->engine->log, PV_ERR_ARG, "token statistics need a decoded token first");
    const struct pv_hparams *hp = &session->engine->hp;
    double sum = 0.0;
    for (uint32_t i = 0; i < hp->n_layers; i++)
        sum += session->stat_n[i];
    *out = (struct pv_token_stats){.n_layers = hp->n_layers,
                                   .cluster = session->stat_cluster,
                                   .n_neurons = session->stat_n,
                                   .margin = session->stat_margin,
                                   .density = sum / ((double)hp->n_layers * hp->d_ffn)};
    for (uint32_t i = 0; i < session->engine->n_stages; i++)
        out->device_ms += session->states[i].decode_ms;
    return PV_OK;
}
