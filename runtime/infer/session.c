/* Sessions: the recorded decode step, and the public calls. */
#include "infer/session.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/threads.h"
#include "iface.h"
#include "infer/place.h"

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
