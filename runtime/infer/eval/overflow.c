/* The pass is repeated on the device as it was, but stops after every attention and every feed-forward network, where
 * the host looks at the hidden state. A NaN stays in the residual stream once it is there, so the first place that has
 * one is where it came from. */
#include "infer/eval/overflow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "iface.h"
#include "infer/eval/observe.h"
#include "infer/forward/submit.h"

enum part { EMBEDDING, ATTENTION, FEED_FORWARD, OUTPUT };

struct place {
    enum part part;
    uint32_t layer, pos;
    bool f16; /* the layer's KV cache */
};

/* One part of the stage's layer `layer` for the rows in `x`, waited for. */
static enum pv_status run_part(struct pv_session *s, struct pv_stage_state *st, enum part part,
                               uint32_t layer, const struct pv_fed_rows *rows)
{
    struct pv_slot *slot = &st->slots[0];
    PV_TRY(pv_slot_begin(st, slot, 0));
    const struct pv_layer_pass pass = pv_layer_pass(s, st, layer, rows->n);
    if (part == EMBEDDING) {
        PV_TRY(pv_stage_take(s, st, 0, rows->n));
    } else if (part == ATTENTION) {
        PV_TRY(pv_forward_attention(&pass));
    } else {
        PV_TRY(pv_forward_ffn_up(&pass, rows->mode == PV_FFN_ROUTED));
        PV_TRY(pv_forward_ffn_down(&pass, rows->mode));
        if (layer + 1 == st->stage->n_layers)
            PV_TRY(pv_stage_give(s, st, 0, rows->n));
    }
    PV_TRY(pv_slot_end(st, slot));
    return pv_device_wait(st->stage->device, slot->value);
}

/* Runs a part and looks at its rows; *found where one is not finite. `x`: room for them. */
static enum pv_status try_part(struct pv_session *s, struct pv_stage_state *st, struct place *place,
                               const struct pv_fed_rows *rows, float *x, bool *found)
{
    const uint32_t d = s->engine->hp.d_model;
    const size_t stride = pv_row_stride(d);
    PV_TRY(run_part(s, st, place->part, place->layer - st->stage->first_layer, rows));
    PV_TRY(pv_buffer_read(st->work.x, 0, x, pv_rows_bytes(rows->n, d)));
    for (uint32_t t = 0; t < rows->n && !*found; t++) {
        for (uint32_t i = 0; i < d && !*found; i++)
            *found = !isfinite(x[t * stride + i]);
        place->pos = rows->steps ? rows->steps[t].pos : rows->first_pos + t;
    }
    place->f16 = st->stage->device->plan.kv_f16;
    return PV_OK;
}

/* At most a batch of rows, through all stages or to the first part that is not finite. */
static enum pv_status search(struct pv_session *s, const struct pv_fed_rows *rows, float *x,
                             struct place *place, bool *found)
{
    const struct pv_step step = {.pos = rows->first_pos};
    for (uint32_t i = 0; i < s->engine->n_stages && !*found; i++) {
        struct pv_stage_state *st = &s->states[i];
        const uint32_t first = st->stage->first_layer;
        if (st->stage->has_embed)
            PV_TRY(pv_buffer_write(st->slots[0].tokens, 0, rows->tokens, rows->n * sizeof(uint32_t)));
        else
            PV_TRY(pv_link_pass(&st->from_last, 0, pv_rows_bytes(rows->n, s->engine->hp.d_model)));
        PV_TRY(rows->steps ? pv_buffer_write(st->slots[0].step, 0, rows->steps, rows->n * sizeof *rows->steps)
                           : pv_buffer_write(st->slots[0].step, 0, &step, sizeof step));
        *place = (struct place){.part = EMBEDDING, .layer = first};
        PV_TRY(try_part(s, st, place, rows, x, found));
        for (uint32_t k = 0; k < 2 * st->stage->n_layers && !*found; k++) {
            *place = (struct place){.part = k % 2 == 0 ? ATTENTION : FEED_FORWARD, .layer = first + k / 2};
            PV_TRY(try_part(s, st, place, rows, x, found));
        }
    }
    return PV_OK;
}

/* As search, for any number of rows. */
static enum pv_status find_place(struct pv_session *s, const struct pv_fed_rows *rows, struct place *place)
{
    const uint32_t size = pv_rows_per_submit(s, s->engine->n_batch);
    float *x = pv_calloc(pv_rows_bytes(size, s->engine->hp.d_model), 1);
    enum pv_status status = x ? PV_OK : PV_ERR_NOMEM;
    bool found = false;
    for (uint32_t at = 0; status == PV_OK && at < rows->n && !found; at += size) {
        struct pv_fed_rows part = *rows;
        part.tokens += at;
        part.first_pos += at;
        part.steps = rows->steps ? rows->steps + at : NULL;
        part.n = rows->n - at < size ? rows->n - at : size;
        if (pv_session_observes(s))
            part.mode = PV_FFN_DENSE;
        status = search(s, &part, x, place, &found);
    }
    if (!found)
        place->part = OUTPUT;
    free(x);
    return status;
}

enum pv_status pv_session_fail_overflow(struct pv_session *s, const struct pv_fed_rows *rows)
{
    struct place place = {.part = OUTPUT};
    const uint32_t last = rows->steps ? rows->steps[rows->n - 1].pos + 1 : rows->first_pos + rows->n;
    char where[128];
    PV_TRY(pv_session_wait(s)); /* its buffers are used again */
    PV_TRY(find_place(s, rows, &place));
    if (place.part == OUTPUT)
        snprintf(where, sizeof where, "all layers are finite, the output norm or matrix is not");
    else if (place.part == EMBEDDING)
        snprintf(where, sizeof where, "the embedding of the token at %u is not finite", place.pos);
    else
        snprintf(where, sizeof where, "the first that is not finite is the %s of layer %u, at token %u",
                 place.part == ATTENTION ? "attention" : "feed-forward network", place.layer, place.pos);
    return pv_fail(
        s->engine->log, PV_ERR_CHECK, "the model's output is not a number after token %u: %s; %s", last,
        where,
        place.part == ATTENTION && place.f16
            ? "perhaps its float16 KV cache overflowed, which holds values up to 65504: keep the cache in "
              "float32 (plan key kv_f16=off)"
            : "its weights are damaged, or its values overflow float32: get the model file again");
}
