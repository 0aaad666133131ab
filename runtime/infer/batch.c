/* A text through all stages, in chunks that follow each other like a pipeline: while stage 1 works on chunk
 * k, stage 0 works on chunk k + 1 and has chunk k + 2 in its queue. A chunk is one submit per stage, recorded
 * once per shape and mode. Where the host observes the activations (capture, evaluation modes), the recording
 * is cut in two at every layer: activations are computed, the host reads them and decides on masks, the rest
 * of the layer runs. */
#include "infer/batch.h"

#include "base/log.h"
#include "base/threads.h"
#include "iface.h"
#include "infer/eval/observe.h"
#include "infer/eval/score.h"
#include "infer/forward/submit.h"

static uint32_t budget(const struct pv_stage_state *st)
{
    return st->stage->device->plan.submit_ms;
}

/* Is there a stage with a budget whose speed is not known yet? */
static bool needs_measure(const struct pv_session *s)
{
    for (uint32_t i = 0; i < s->engine->n_stages; i++)
        if (budget(&s->states[i]) && !(s->states[i].row_ms > 0.0))
            return true;
    return false;
}

enum pv_ffn_mode pv_batch_mode(const struct pv_session *s, const struct pv_batch *batch)
{
    return s->params.prefill_dense && !batch->targets ? PV_FFN_DENSE : s->params.ffn;
}

static struct pv_fed_rows fed_rows(const struct pv_session *s, const struct pv_batch *batch)
{
    return (struct pv_fed_rows){batch->tokens, batch->n, batch->first_pos, pv_batch_mode(s, batch), NULL};
}

/* What the layer's router has chosen for the n rows, to the host. */
static enum pv_status keep_choices(struct pv_session *s, struct pv_stage_state *st, uint32_t layer,
                                   uint32_t n)
{
    const uint64_t at = layer * pv_rows_bytes(1, s->engine->n_batch);
    PV_TRY(pv_recorder_copy(st->batch, st->work.cluster, 0, st->rows_cluster, at, n * sizeof(uint32_t)));
    return pv_recorder_copy(st->batch, st->work.margin, 0, st->rows_margin, at, n * sizeof(float));
}

static enum pv_status record_layer(struct pv_session *s, struct pv_stage_state *st, struct pv_slot *slot,
                                   uint32_t layer, const struct pv_batch *batch, enum pv_ffn_mode mode)
{
    const uint32_t n = batch->n;
    struct pv_layer_pass pass = pv_layer_pass(s, st, layer, n);
    PV_TRY(pv_forward_attention(&pass));
    PV_TRY(pv_forward_ffn_up(&pass, mode == PV_FFN_ROUTED));
    if (batch->steps && mode == PV_FFN_ROUTED)
        PV_TRY(keep_choices(s, st, layer, n));
    if (pv_session_observes(s)) {
        PV_TRY(pv_kernel_capture(st->batch, st->work.up, st->stage->layers[layer].down_norm,
                                 st->work.contribution, st->work.bits, n, s->engine->hp.d_ffn,
                                 s->tau[st->stage->first_layer + layer]));
        PV_TRY(pv_slot_end(st, slot));
        PV_TRY(pv_device_wait(st->stage->device, slot->value));
        PV_TRY(pv_session_observe(
            s, st, layer, &(struct pv_observed_rows){.n = n, .first_pos = batch->first_pos, .mode = mode}));
        PV_TRY(pv_slot_begin(st, slot, 0));
        pass.recorder = st->batch;
    }
    return pv_forward_ffn_down(&pass, mode);
}

/* Logits of the first n rows, to the host. */
static enum pv_status output_rows(struct pv_session *s, struct pv_stage_state *st, uint32_t n)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const struct pv_output_rows rows = {.x = st->work.x, .h = st->work.h, .logits = st->work.logits, .n = n};
    PV_TRY(pv_forward_output_norm(st->batch, hp, st->stage, &rows));
    PV_TRY(pv_forward_logits(st->batch, hp, st->stage, &rows));
    return pv_recorder_copy(st->batch, st->work.logits, 0, st->rows_logits, 0, pv_rows_bytes(n, hp->n_vocab));
}

/* All layers of a stage for the n rows that come from the stage before (or the tokens), submitted but not
 * awaited. */
static enum pv_status submit_stage(struct pv_session *s, struct pv_stage_state *st, uint32_t index,
                                   const struct pv_batch *batch)
{
    struct pv_slot *slot = &st->slots[index];
    const enum pv_ffn_mode mode = pv_batch_mode(s, batch);
    const uint32_t n_logits = batch->steps ? batch->n_logits : batch->last_logits ? 1 : 0;
    const bool reusable = !pv_session_observes(s) && !batch->targets && (st->row_ms > 0.0 || !budget(st));
    if (reusable && slot->n == batch->n && slot->mode == mode && slot->n_logits == n_logits)
        return pv_slot_resubmit(slot);
    const uint32_t each =
        pv_layers_per_submit(&st->stage->device->plan, st->stage->n_layers, st->row_ms * batch->n);
    PV_TRY(pv_slot_begin(st, slot, 0));
    PV_TRY(pv_stage_take(s, st, index, batch->n));
    for (uint32_t i = 0; i < st->stage->n_layers; i++) {
        if (i > 0 && i % each == 0 && !pv_session_observes(s))
            PV_TRY(pv_slot_cut(st, slot, 0));
        PV_TRY(record_layer(s, st, slot, i, batch, mode));
    }
    if (st->stage->has_output && batch->steps && n_logits > 0)
        PV_TRY(output_rows(s, st, n_logits));
    if (st->stage->has_output && batch->last_logits) {
        const uint64_t row_bytes = pv_rows_bytes(1, s->engine->hp.d_model);
        PV_TRY(
            pv_recorder_copy(st->batch, st->work.x, (batch->n - 1) * row_bytes, st->work.last, 0, row_bytes));
        PV_TRY(pv_forward_output(st->batch, &s->engine->hp, st->stage, &st->work, st->work.last, false));
    }
    PV_TRY(pv_stage_give(s, st, index, batch->n));
    PV_TRY(pv_slot_end(st, slot));
    if (reusable) {
        slot->n = batch->n;
        slot->mode = mode;
        slot->n_logits = n_logits;
    }
    return PV_OK;
}

/* Gives stage i chunk k; what it and the stages around it did with the slot before must be over. */
static enum pv_status start_stage(struct pv_session *s, uint32_t i, uint32_t k, const struct pv_batch *batch)
{
    struct pv_stage_state *st = &s->states[i];
    const uint32_t index = k % PV_SLOTS;
    struct pv_slot *slot = &st->slots[index];
    const struct pv_step step = {.pos = batch->first_pos};
    PV_TRY(pv_device_wait(st->stage->device, slot->value));
    if (!st->stage->has_output) /* the next stage has read what was handed over in this slot */
        PV_TRY(pv_device_wait(st[1].stage->device, st[1].slots[index].value));
    if (!st->stage->has_embed)
        PV_TRY(pv_link_pass(&st->from_last, index, pv_rows_bytes(batch->n, s->engine->hp.d_model)));
    PV_TRY(batch->steps ? pv_buffer_write(slot->step, 0, batch->steps, batch->n * sizeof *batch->steps)
                        : pv_buffer_write(slot->step, 0, &step, sizeof step));
    if (st->stage->has_embed)
        PV_TRY(pv_buffer_write(slot->tokens, 0, batch->tokens, batch->n * sizeof(uint32_t)));
    const double started = pv_now_s();
    PV_TRY(submit_stage(s, st, index, batch));
    if (!budget(st) || st->row_ms > 0.0 || pv_session_observes(s))
        return PV_OK;
    PV_TRY(pv_device_wait(st->stage->device, slot->value)); /* the first batch is the measurement */
    st->row_ms = 1e3 * (pv_now_s() - started) / ((double)batch->n * st->stage->n_layers) + 1e-6;
    return PV_OK;
}

/* Chunk k of a text cut into chunks of at most `size` tokens. */
static struct pv_batch chunk(const struct pv_session *s, const struct pv_batch *text, uint32_t size,
                             uint32_t k)
{
    const uint32_t first = k * size, left = text->n - first;
    struct pv_batch c = *text;
    c.tokens += first;
    c.n = left < size ? left : size;
    c.first_pos = text->first_pos + first;
    c.last_logits = text->last_logits && left <= size;
    if (c.targets) {
        c.targets += first;
        c.nll += first;
        if (c.logits_rows)
            c.logits_rows += (size_t)first * s->engine->hp.n_vocab;
    }
    return c;
}

/* Waits for a chunk in the last stage and scores it. */
static enum pv_status finish_chunk(struct pv_session *s, const struct pv_batch *text, uint32_t size,
                                   uint32_t k)
{
    struct pv_stage_state *st = &s->states[s->engine->n_stages - 1];
    const struct pv_batch c = chunk(s, text, size, k);
    PV_TRY(pv_device_wait(st->stage->device, st->slots[k % PV_SLOTS].value));
    if (!c.targets)
        return PV_OK;
    st->batch = st->slots[k % PV_SLOTS].parts[0];
    st->slots[k % PV_SLOTS].n = 0;
    return pv_session_score_rows(
        s, &(struct pv_scored_rows){
               .fed = fed_rows(s, &c), .targets = c.targets, .nll = c.nll, .logits_rows = c.logits_rows});
}

/* One tick of the pipeline: stage 0 gets chunk `tick`, and every stage i behind it chunk tick - i as soon as
 * the stage before has finished it. A stage is given its next chunk before it is done with the last, so it
 * need not wait for the host. */
static enum pv_status tick_stages(struct pv_session *s, const struct pv_batch *text, uint32_t size,
                                  uint32_t n_chunks, uint32_t tick)
{
    const uint32_t n_stages = s->engine->n_stages;
    for (uint32_t i = 0; i < n_stages && i <= tick; i++) {
        const uint32_t k = tick - i;
        if (k >= n_chunks)
            continue;
        const struct pv_batch c = chunk(s, text, size, k);
        if (i > 0)
            PV_TRY(
                pv_device_wait(s->states[i - 1].stage->device, s->states[i - 1].slots[k % PV_SLOTS].value));
        if (i + 1 == n_stages && k > 0 && text->targets) /* its rows are about to be overwritten */
            PV_TRY(finish_chunk(s, text, size, k - 1));
        PV_TRY(start_stage(s, i, k, &c));
    }
    return PV_OK;
}

/* Tells the caller how much of the text is under way; false if he wants no more of it. */
static bool may_go_on(const struct pv_session *s, const struct pv_batch *text, uint32_t n_begun)
{
    const struct pv_progress *progress = &s->params.progress;
    const uint32_t before = text->first_pos - s->n_past, done = before + n_begun, total = before + text->n;
    return !progress->fn || done == 0 ||
           progress->fn(progress->user, "prompt", done < total ? done : total, total);
}

static enum pv_status run_chunks_of(struct pv_session *s, const struct pv_batch *text, uint32_t size)
{
    const uint32_t n_stages = s->engine->n_stages, n_chunks = (text->n + size - 1) / size;
    for (uint32_t tick = 0; tick < n_chunks + n_stages - 1; tick++) {
        if (!may_go_on(s, text, tick * size)) {
            PV_TRY(pv_session_wait(s)); /* others will use these recordings */
            return PV_ERR_INTERRUPTED;
        }
        PV_TRY(tick_stages(s, text, size, n_chunks, tick));
    }
    return finish_chunk(s, text, size, n_chunks - 1);
}

static enum pv_status run_chunks(struct pv_session *s, const struct pv_batch *text)
{
    const uint32_t n_stages = s->engine->n_stages, n_batch = s->engine->n_batch;
    /* several stages: smaller chunks, so that all of them have work; what the host observes stays in whole
     * batches */
    uint32_t size = n_stages == 1 || pv_session_observes(s) ? n_batch : (n_batch + n_stages - 1) / n_stages;
    if (size < PV_MIN_CHUNK)
        size = PV_MIN_CHUNK < n_batch ? PV_MIN_CHUNK : n_batch;
    return run_chunks_of(s, text, pv_rows_per_submit(s, size));
}

enum pv_status pv_session_text(struct pv_session *s, struct pv_batch *text)
{
    PV_TRY(pv_session_prepare_observing(s));
    struct pv_batch rest = *text;
    const uint32_t first =
        pv_rows_per_submit(s, text->n); /* rows a first submit may have; all without a budget */
    text->first_pos = rest.first_pos = s->n_past;
    if (first < text->n && needs_measure(s)) {
        struct pv_batch head = chunk(s, &rest, first, 0);
        PV_TRY(run_chunks(s, &head));
        const uint32_t left = rest.n - first;
        rest.tokens += first;
        rest.first_pos += first;
        rest.n = left;
        if (rest.targets) {
            rest.targets += first;
            rest.nll += first;
            if (rest.logits_rows)
                rest.logits_rows += (size_t)first * s->engine->hp.n_vocab;
        }
    }
    PV_TRY(run_chunks(s, &rest));
    s->n_past += text->n;
    const struct pv_fed_rows fed = fed_rows(s, text);
    return text->last_logits ? pv_session_fetch_logits(s, &fed) : PV_OK;
}

enum pv_status pv_session_rows(struct pv_session *s, struct pv_batch *rows)
{
    return run_chunks_of(s, rows, rows->n);
}
