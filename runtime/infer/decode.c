/* The decode step: session -> decode -> forward -> kernels. */
#include "infer/decode.h"

#include "base/log.h"
#include "base/threads.h"
#include "iface.h"
#include "infer/eval/score.h"
#include "infer/forward/submit.h"

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

/* What x is multiplied by after layer i, if that layer can do it. */
static struct pv_buffer *next_norm(const struct pv_hparams *hp, const struct pv_stage *stage, uint32_t i)
{
    if (!pv_forward_weighs_next(hp, &stage->layers[i]))
        return NULL;
    return i + 1 < stage->n_layers ? stage->layers[i + 1].attn_norm : stage->output_norm;
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
    bool weighted = false; /* what the layer before has left in h */
    for (uint32_t i = 0; i < st->stage->n_layers; i++) {
        if (i > 0 && i % each == 0) {
            pv_recorder_timestamp(st->batch, 1);
            PV_TRY(begin_decode_part(s, st, false));
        }
        struct pv_layer_pass pass = pv_layer_pass(s, st, i, 1);
        pass.one_token = true;
        pass.weighted = weighted;
        pass.next_norm = next_norm(&s->engine->hp, st->stage, i);
        weighted = pass.next_norm != NULL;
        PV_TRY(pv_forward_attention(&pass));
        PV_TRY(pv_forward_ffn_decode(&pass, routed));
    }
    if (st->stage->has_output)
        PV_TRY(pv_forward_output(st->batch, &s->engine->hp, st->stage, &st->work, st->work.x, weighted));
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
    PV_TRY(ready ? pv_slot_resubmit(&st->decode) : record_decode(s, st));
    const double started = pv_now_s();
    PV_TRY(pv_device_wait(st->stage->device, st->decode.value));
    if (!(st->token_ms > 0.0))
        st->token_ms = 1e3 * (pv_now_s() - started) / st->stage->n_layers + 1e-6;
    return PV_OK;
}

/* What layer `i` of the stage has read, of its `n` neurons. Behind a gate that makes zeros, the rows of `up` are those of
 * `down_t`. With drelu they are more, since many of those have an activation of zero: all are counted. */
static enum pv_status fetch_rows(struct pv_session *s, struct pv_stage_state *st, uint32_t i, uint32_t n)
{
    const struct pv_layer *w = &st->stage->layers[i];
    const double f = s->engine->hp.d_ffn;
    const double gate = s->engine->hp.gated ? (double)pv_tensor_bytes(&w->gate) : 0.0;
    const double up = (double)pv_tensor_bytes(&w->up), down = (double)pv_tensor_bytes(&w->down_t);
    uint32_t rows = 0;
    for (uint32_t k = 0; k < st->stage->device->plan.ffn_down_splits; k++) {
        uint32_t read;
        PV_TRY(pv_buffer_read(st->rows_read[i], k * sizeof read, &read, sizeof read));
        rows += read;
    }
    s->stat_rows[st->stage->first_layer + i] = rows;
    const bool gate_first =
        s->engine->hp.gated && pv_act_makes_zeros(s->engine->hp.act) && s->engine->hp.act != PV_ACT_DRELU;
    s->stat_bytes += (n * gate + (gate_first ? rows : n) * up + rows * down) / f;
    s->stat_bytes_all += n * (gate + up + down) / f;
    return PV_OK;
}

/* What a token reads of the stage besides the feed-forward layers; vectors are not counted. */
static double other_bytes(const struct pv_session *s, const struct pv_stage *stage, bool routed)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const struct pv_plan *plan = &stage->device->plan;
    double bytes = stage->has_output ? (double)pv_tensor_bytes(stage->output) : 0.0;
    for (uint32_t i = 0; i < stage->n_layers; i++) {
        const struct pv_layer *w = &stage->layers[i];
        const struct pv_tensor *const tensors[] = {&w->qkv[0], &w->qkv[1], &w->qkv[2], &w->o, &w->router};
        for (size_t k = 0; k < sizeof tensors / sizeof *tensors; k++)
            bytes += (double)pv_tensor_bytes(tensors[k]);
        if (routed)
            bytes += (double)pv_tensor_bytes(&w->masks.router) +
                     (double)pv_tensor_bytes(&w->masks.down_projection);
        bytes += 2.0 * (double)pv_kv_cache_bytes(plan, s->n_past + 1, hp->n_kv_heads, hp->head_dim);
    }
    return bytes;
}

static enum pv_status fetch_stats(struct pv_session *s, struct pv_stage_state *st)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const bool routed = s->params.ffn == PV_FFN_ROUTED;
    st->decode_ms = 0.0;
    s->stat_bytes_other += s->params.count_rows ? other_bytes(s, st->stage, routed) : 0.0;
    for (uint32_t i = 0; i < st->decode.n_parts; i++)
        st->decode_ms += pv_recorder_ms(st->decode.parts[i], 0, 1);
    for (uint32_t i = 0; i < st->stage->n_layers; i++) {
        const uint32_t layer = st->stage->first_layer + i;
        struct pv_route route = {.cluster = UINT32_MAX, .n_neurons = pv_dense_neurons(&s->engine->hp)};
        if (routed)
            PV_TRY(pv_buffer_read(st->route_host, i * pv_route_bytes(), &route, sizeof route));
        s->stat_cluster[layer] = route.cluster;
        s->stat_n[layer] = route.n_neurons;
        s->stat_margin[layer] = route.margin;
        const uint32_t all = hp->n_experts > 0 ? hp->d_ffn / hp->n_experts * hp->n_experts_used : hp->d_ffn;
        if (s->params.count_rows)
            PV_TRY(fetch_rows(s, st, i, routed ? route.n_neurons : all));
    }
    return PV_OK;
}

static enum pv_status decode_at(struct pv_session *session, uint32_t token, struct pv_step step)
{
    struct pv_engine *e = session->engine;
    for (uint32_t i = 0; i < e->n_stages; i++) /* all of it now: nothing may hold up the hand-over */
        PV_TRY(pv_buffer_write(session->states[i].decode.step, 0, &step, sizeof step));
    PV_TRY(pv_buffer_write(session->states[0].decode.tokens, 0, &token, sizeof token));
    for (uint32_t i = 0; i < e->n_stages; i++) {
        if (i > 0)
            PV_TRY(pv_link_pass(&session->states[i].from_last, 0, pv_rows_bytes(1, e->hp.d_model)));
        PV_TRY(decode_stage(session, &session->states[i]));
    }
    session->stat_bytes = session->stat_bytes_all = session->stat_bytes_other = 0.0;
    for (uint32_t i = 0; i < e->n_stages; i++)
        PV_TRY(fetch_stats(session, &session->states[i]));
    session->decoded = true;
    return pv_session_fetch_logits(session,
                                   &(struct pv_fed_rows){.tokens = &token,
                                                         .n = 1,
                                                         .first_pos = step.pos,
                                                         .mode = session->params.ffn,
                                                         .steps = session->n_seqs > 0 ? &step : NULL});
}

enum pv_status pv_session_decode_step(struct pv_session *s, uint32_t token)
{
    PV_TRY(decode_at(s, token, (struct pv_step){.pos = s->n_past}));
    s->n_past++;
    return PV_OK;
}

enum pv_status pv_session_decode_row(struct pv_session *s, uint32_t token, struct pv_step at)
{
    return decode_at(s, token, at);
}
