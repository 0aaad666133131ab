/* The public calls of a session. Two loops here are all that knows of the loss of devices: what fails is done
 * again after a failover, until it succeeds or there is nothing left to do it on. */
#include "infer/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "infer/batch.h"
#include "infer/decode.h"
#include "infer/failover.h"
#include "infer/eval/observe.h"
#include "infer/forward/states.h"

static enum pv_status make_host(struct pv_session *s)
{
    const struct pv_hparams *hp = &s->engine->hp;
    s->logits = pv_calloc(hp->n_vocab, sizeof *s->logits);
    s->tau = pv_calloc(hp->n_layers, sizeof *s->tau);
    s->centroids_t = pv_calloc(hp->n_layers, sizeof *s->centroids_t);
    s->stat_cluster = pv_calloc(hp->n_layers, sizeof *s->stat_cluster);
    s->stat_n = pv_calloc(hp->n_layers, sizeof *s->stat_n);
    s->stat_rows = pv_calloc(hp->n_layers, sizeof *s->stat_rows);
    s->stat_margin = pv_calloc(hp->n_layers, sizeof *s->stat_margin);
    if (s->engine->failover) {
        s->fed = pv_calloc(s->engine->n_ctx, sizeof *s->fed);
        s->fed_ffn = pv_calloc(s->engine->n_ctx, sizeof *s->fed_ffn);
        if (!s->fed || !s->fed_ffn)
            return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    }
    if (!s->logits || !s->tau || !s->centroids_t || !s->stat_cluster || !s->stat_n || !s->stat_rows ||
        !s->stat_margin)
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory for a session");
    for (uint32_t i = 0; i < hp->n_layers; i++)
        s->tau[i] = s->params.tau         ? s->params.tau[i]
                    : s->engine->clusters ? s->engine->clusters->layers[i].tau
                                          : 0.0f;
    return PV_OK;
}

static enum pv_status make_first_states(struct pv_session *s)
{
    enum pv_status status;
    do {
        status = pv_session_make_states(s);
        if (status == PV_OK)
            return PV_OK;
        status = pv_engine_failover(s->engine, status, "before the first token");
    } while (status == PV_OK);
    return status;
}

enum pv_status pv_session_open(struct pv_engine *engine, const struct pv_session_params *params,
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
    PV_TRY_GOTO(make_first_states(s));
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
    return pv_session_open(engine, params, 0, engine->n_ctx, out);
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
                     s->stat_cluster, s->stat_n,       s->stat_margin, s->stat_rows};
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
        return pv_fail(session->engine->log, PV_ERR_ARG, "this FFN mode needs clusters: give a cluster file");
    session->params.ffn = ffn;
    return PV_OK;
}

uint32_t pv_session_n_past(const struct pv_session *session)
{
    return session->n_past;
}

/* Positions behind n are written again before they are read. */
enum pv_status pv_session_rewind(struct pv_session *session, uint32_t n)
{
    if (n > session->n_past)
        return pv_fail(session->engine->log, PV_ERR_ARG, "cannot go back to token %u: only %u were fed", n,
                       session->n_past);
    session->n_past = n;
    session->decoded = false;
    return PV_OK;
}

static enum pv_status check_tokens(const struct pv_session *s, const uint32_t *tokens, uint32_t n)
{
    const struct pv_engine *e = s->engine;
    if (n == 0)
        return pv_fail(e->log, PV_ERR_ARG, "no tokens to feed");
    if (n > e->n_ctx - s->n_past)
        return pv_fail(e->log, PV_ERR_ARG,
                       "%u tokens after %u do not fit a context of %u: shorten the text or raise n_ctx", n,
                       s->n_past, e->n_ctx);
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] >= e->hp.n_vocab)
            return pv_fail(e->log, PV_ERR_ARG, "token %u at %u is outside the vocabulary of %u", tokens[i], i,
                           e->hp.n_vocab);
    return PV_OK;
}

/* Feeds a checked text, or where that is NULL a checked token through the decode path. */
static enum pv_status feed(struct pv_session *s, struct pv_batch *text, uint32_t token)
{
    char done[48];
    snprintf(done, sizeof done, "at token %u", s->n_past);
    enum pv_status status;
    for (;;) {
        status = s->states ? PV_OK : pv_session_restore(s);
        if (status == PV_OK)
            status = text ? pv_session_text(s, text) : pv_session_decode_step(s, token);
        if (status == PV_OK)
            break;
        if (pv_session_observes(s)) /* its callbacks would be called twice */
            return status;
        PV_TRY(pv_engine_failover(s->engine, status, done));
    }
    if (text)
        pv_session_remember(s, text->tokens, text->n, pv_batch_mode(s, text));
    else
        pv_session_remember(s, &token, 1, s->params.ffn);
    return PV_OK;
}

enum pv_status pv_session_prefill(struct pv_session *session, const uint32_t *tokens, uint32_t n)
{
    PV_TRY(check_tokens(session, tokens, n));
    session->decoded = false;
    return feed(session, &(struct pv_batch){.tokens = tokens, .n = n, .last_logits = true}, 0);
}

enum pv_status pv_session_score(struct pv_session *session, const uint32_t *tokens, const uint32_t *targets,
                                uint32_t n, float *nll, float *logits_rows)
{
    PV_TRY(check_tokens(session, tokens, n));
    session->decoded = false;
    struct pv_batch text = {
        .tokens = tokens, .n = n, .targets = targets, .nll = nll, .logits_rows = logits_rows};
    return feed(session, &text, 0);
}

enum pv_status pv_session_decode(struct pv_session *session, uint32_t token)
{
    struct pv_engine *e = session->engine;
    PV_TRY(check_tokens(session, &token, 1));
    if (session->params.ffn != PV_FFN_DENSE && session->params.ffn != PV_FFN_ROUTED)
        return pv_fail(e->log, PV_ERR_ARG, "this FFN mode is for evaluation only and cannot decode");
    return feed(session, NULL, token);
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
                                   .n_rows = session->params.count_rows ? session->stat_rows : NULL,
                                   .ffn_bytes = session->stat_bytes,
                                   .ffn_bytes_all = session->stat_bytes_all,
                                   .bytes = session->stat_bytes + session->stat_bytes_other,
                                   .density = sum / ((double)hp->n_layers * hp->d_ffn)};
    for (uint32_t i = 0; i < session->engine->n_stages; i++)
        out->device_ms += session->states[i].decode_ms;
    for (uint32_t i = 0; i < session->engine->n_stages; i++)
        for (uint32_t j = 0; j < session->states[i].decode.n_parts; j++)
            out->n_dispatches += pv_recorder_n_dispatches(session->states[i].decode.parts[j]);
    return PV_OK;
}
