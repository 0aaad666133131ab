/* Recordings in parts. A desktop resets a device whose submit runs for seconds, so where the plan has a
 * budget a recording is cut between layers: one layer a submit until a layer's time has been measured, then
 * as many as fit. Parts run in order, for each ends in a barrier. */
#include "infer/forward/submit.h"

#include <stdlib.h>

#include "base/log.h"

enum { UNMEASURED_ROWS = 32 }; /* of a first batch, before a row's time is known */

uint32_t pv_layers_per_submit(const struct pv_plan *plan, uint32_t n_layers, double ms)
{
    if (plan->submit_ms == 0)
        return n_layers;
    const double n = ms > 0.0 ? plan->submit_ms / ms : 1.0;
    return n < 1.0 ? 1 : n > n_layers ? n_layers : (uint32_t)n;
}

uint32_t pv_rows_per_submit(const struct pv_session *s, uint32_t n)
{
    for (uint32_t i = 0; i < s->engine->n_stages; i++) {
        const struct pv_stage_state *st = &s->states[i];
        const uint32_t budget = st->stage->device->plan.submit_ms;
        if (budget == 0)
            continue;
        const double rows = st->row_ms > 0.0 ? budget / st->row_ms : UNMEASURED_ROWS;
        n = rows < 1.0 ? 1 : rows < n ? (uint32_t)rows : n;
    }
    return n;
}

static enum pv_status begin_part(struct pv_stage_state *st, struct pv_slot *slot, uint32_t n_timestamps)
{
    struct pv_recorder **part = &slot->parts[slot->n_parts];
    if (!*part)
        PV_TRY(pv_recorder_create(st->stage->device, part));
    PV_TRY(pv_recorder_begin(*part, n_timestamps));
    st->batch = *part;
    st->step = slot->step;
    return PV_OK;
}

enum pv_status pv_slot_begin(struct pv_stage_state *st, struct pv_slot *slot, uint32_t n_timestamps)
{
    slot->n = slot->n_parts = 0;
    return begin_part(st, slot, n_timestamps);
}

enum pv_status pv_slot_cut(struct pv_stage_state *st, struct pv_slot *slot, uint32_t n_timestamps)
{
    PV_TRY(pv_slot_end(st, slot));
    return begin_part(st, slot, n_timestamps);
}

enum pv_status pv_slot_end(struct pv_stage_state *st, struct pv_slot *slot)
{
    PV_TRY(pv_recorder_end(st->batch));
    PV_TRY(pv_recorder_submit(st->batch, &slot->value));
    slot->n_parts++;
    return PV_OK;
}

enum pv_status pv_slot_resubmit(struct pv_slot *slot)
{
    for (uint32_t i = 0; i < slot->n_parts; i++)
        PV_TRY(pv_recorder_submit(slot->parts[i], &slot->value));
    return PV_OK;
}

enum pv_status pv_session_wait(struct pv_session *s)
{
    for (uint32_t i = 0; i < s->engine->n_stages; i++)
        for (uint32_t k = 0; k < PV_SLOTS; k++)
            PV_TRY(pv_device_wait(s->states[i].stage->device, s->states[i].slots[k].value));
    return PV_OK;
}

void pv_slot_destroy(struct pv_slot *slot, uint32_t n_layers)
{
    for (uint32_t i = 0; slot->parts && i <= n_layers; i++)
        pv_recorder_destroy(slot->parts[i]);
    free(slot->parts);
    pv_buffer_destroy(slot->step);
    pv_buffer_destroy(slot->tokens);
}

enum pv_status pv_stage_take(struct pv_session *s, struct pv_stage_state *st, uint32_t slot, uint32_t n)
{
    struct pv_buffer *tokens = slot < PV_SLOTS ? st->slots[slot].tokens : st->decode.tokens;
    if (st->stage->has_embed)
        return pv_kernel_embed(st->batch, &st->stage->token_embd, tokens, st->work.x, n,
                               pv_forward_embed_scale(&s->engine->hp));
    return pv_recorder_copy(st->batch, st->from_last.in[slot % PV_SLOTS], 0, st->work.x, 0,
                            pv_rows_bytes(n, s->engine->hp.d_model));
}

enum pv_status pv_stage_give(struct pv_session *s, struct pv_stage_state *st, uint32_t slot, uint32_t n)
{
    if (st->stage->has_output)
        return PV_OK;
    return pv_recorder_copy(st->batch, st->work.x, 0, st[1].from_last.out[slot % PV_SLOTS], 0,
                            pv_rows_bytes(n, s->engine->hp.d_model));
}

struct pv_layer_pass pv_layer_pass(const struct pv_session *s, struct pv_stage_state *st, uint32_t layer,
                                   uint32_t n)
{
    return (struct pv_layer_pass){.recorder = st->batch,
                                  .hp = &s->engine->hp,
                                  .weights = &st->stage->layers[layer],
                                  .work = &st->work,
                                  .cache_k = st->cache_k[layer],
                                  .cache_v = st->cache_v[layer],
                                  .route = st->route[layer],
                                  .rows_read = st->rows_read[layer],
                                  .step = st->step,
                                  .rope_factors = st->stage->rope_factors,
                                  .rope_amplitude = st->stage->rope_amplitude,
                                  .traits = pv_layer_traits(&s->engine->hp, st->stage->first_layer + layer),
                                  .n = n,
                                  .n_ctx = s->n_ctx,
                                  .n_best = s->engine->n_best,
                                  .n_seqs = s->n_seqs};
}
