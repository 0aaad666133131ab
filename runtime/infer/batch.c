/* A text through all stages, in chunks that follow each other like a pipeline: while stage 1 works on chunk
 * k, stage 0 works on chunk k + 1. A chunk is one submit per stage, recorded once per shape and mode. Where
 * the host looks at the activations (capture, evaluation modes), the recording is cut in two at every layer:
 * activations are computed, the host reads them and decides on masks, the rest of the layer runs. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "iface.h"
#include "infer/session.h"

bool pv_session_looks(const struct pv_session *s)
{
    return s->params.capture || s->params.ffn == PV_FFN_ORACLE_CLUSTER ||
           s->params.ffn == PV_FFN_ORACLE_MASK || s->params.ffn == PV_FFN_CALLBACK;
}

static enum pv_ffn_mode batch_mode(const struct pv_session *s, const struct pv_batch *batch)
{
    return s->params.prefill_dense && !batch->targets ? PV_FFN_DENSE : s->params.ffn;
}

/* Rows of a device buffer into a dense host array [n][width]. */
static enum pv_status read_rows(struct pv_session *s, struct pv_buffer *src, uint32_t n, uint32_t width,
                                float *dst)
{
    const size_t stride = pv_row_stride(width);
    PV_TRY(pv_buffer_read(src, 0, s->host_rows, pv_rows_bytes(n, width)));
    for (uint32_t t = 0; t < n; t++)
        memcpy(dst + (size_t)t * width, s->host_rows + t * stride, width * sizeof *dst);
    return PV_OK;
}

/* Masks that are one per row: the token's own top neurons, or what the callback says. */
static enum pv_status host_masks(struct pv_session *s, struct pv_stage_state *st, const struct pv_capture *c,
                                 enum pv_ffn_mode mode)
{
    const uint32_t d_ffn = s->engine->hp.d_ffn;
    const size_t n_words = c->n_tokens * pv_bit_words(d_ffn);
    enum pv_status status;
    if (mode == PV_FFN_ORACLE_MASK) {
        const double density = (double)s->engine->clusters->layers[c->layer].density;
        status = pv_oracle_top(c->contribution, c->n_tokens, d_ffn, (uint32_t)(density * d_ffn + 0.5),
                               s->host_bits);
    } else {
        memset(s->host_masks, 0, n_words * sizeof *s->host_masks);
        PV_TRY(s->params.mask(s->params.mask_user, c, s->host_masks));
        return pv_buffer_write(st->work.bits, 0, s->host_masks, n_words * sizeof *s->host_masks);
    }
    if (status != PV_OK)
        return pv_fail(s->engine->log, status, "no memory to find the top neurons of layer %u", c->layer);
    return pv_buffer_write(st->work.bits, 0, s->host_bits, n_words * sizeof *s->host_bits);
}

/* Activations of one layer are on the device: fetch what is wanted, call back, set the masks only the host
 * can know. */
static enum pv_status look(struct pv_session *s, struct pv_stage_state *st, uint32_t local,
                           const struct pv_batch *batch, enum pv_ffn_mode mode)
{
    const uint32_t n = batch->n;
    const struct pv_hparams *hp = &s->engine->hp;
    const uint32_t layer = st->stage->first_layer + local;
    const size_t words = pv_bit_words(hp->d_ffn);
    struct pv_capture c = {.layer = layer,
                           .n_tokens = n,
                           .first_pos = batch->first_pos,
                           .z = s->host_z,
                           .contribution = s->host_contribution,
                           .bits = s->host_bits};
    PV_TRY(read_rows(s, st->work.contribution, n, hp->d_ffn, s->host_contribution));
    if (s->params.capture || mode == PV_FFN_CALLBACK) {
        PV_TRY(read_rows(s, st->work.h, n, hp->d_model, s->host_z));
        PV_TRY(pv_buffer_read(st->work.bits, 0, s->host_bits, n * words * sizeof(uint32_t)));
    }
    if (mode == PV_FFN_ROUTED) {
        PV_TRY(pv_buffer_read(st->work.cluster, 0, s->host_cluster, n * sizeof(uint32_t)));
        PV_TRY(pv_buffer_read(st->work.margin, 0, s->host_margin, n * sizeof(float)));
        c.cluster = s->host_cluster;
        c.margin = s->host_margin;
    } else if (mode == PV_FFN_ORACLE_CLUSTER) {
        PV_TRY(pv_oracle_assign(s, layer, s->host_contribution, n, s->host_cluster));
        PV_TRY(pv_buffer_write(st->work.cluster, 0, s->host_cluster, n * sizeof(uint32_t)));
        c.cluster = s->host_cluster;
    }
    if (s->params.capture)
        PV_TRY(s->params.capture(s->params.capture_user, &c));
    return mode == PV_FFN_ORACLE_MASK || mode == PV_FFN_CALLBACK ? host_masks(s, st, &c, mode) : PV_OK;
}

static enum pv_status record_layer(struct pv_session *s, struct pv_stage_state *st, uint32_t layer,
                                   const struct pv_batch *batch, enum pv_ffn_mode mode)
{
    const uint32_t n = batch->n;
    PV_TRY(pv_forward_attention(st->batch, s, st, layer, n));
    PV_TRY(pv_forward_ffn_up(st->batch, s, st, layer, n, mode == PV_FFN_ROUTED));
    if (pv_session_looks(s)) {
        PV_TRY(pv_kernel_capture(st->batch, st->work.up, st->stage->layers[layer].down_norm,
                                 st->work.contribution, st->work.bits, n, s->engine->hp.d_ffn,
                                 s->tau[st->stage->first_layer + layer]));
        PV_TRY(pv_recorder_end(st->batch));
        PV_TRY(pv_recorder_run(st->batch));
        PV_TRY(look(s, st, layer, batch, mode));
        PV_TRY(pv_recorder_begin(st->batch, 0));
    }
    return pv_forward_ffn_down(st->batch, s, st, layer, n, mode);
}

/* All layers of a stage for the n rows in its `x` (or tokens in its token buffer), submitted but not awaited.
 */
static enum pv_status submit_stage(struct pv_session *s, struct pv_stage_state *st,
                                   const struct pv_batch *batch, uint64_t *value)
{
    const enum pv_ffn_mode mode = batch_mode(s, batch);
    const bool reusable = !pv_session_looks(s) && !batch->targets;
    if (reusable && st->batch_n == batch->n && st->batch_mode == mode &&
        st->batch_logits == batch->last_logits)
        return pv_recorder_submit(st->batch, value);
    st->batch_n = 0;
    PV_TRY(pv_recorder_begin(st->batch, 0));
    if (st->stage->has_embed)
        PV_TRY(pv_kernel_embed(st->batch, &st->stage->token_embd, st->tokens, st->work.x, batch->n));
    for (uint32_t i = 0; i < st->stage->n_layers; i++)
        PV_TRY(record_layer(s, st, i, batch, mode));
    if (st->stage->has_output && batch->last_logits) {
        const uint64_t row_bytes = pv_rows_bytes(1, s->engine->hp.d_model);
        PV_TRY(
            pv_recorder_copy(st->batch, st->work.x, (batch->n - 1) * row_bytes, st->work.last, 0, row_bytes));
        PV_TRY(pv_forward_output(st->batch, s, st, st->work.last));
    }
    PV_TRY(pv_recorder_end(st->batch));
    PV_TRY(pv_recorder_submit(st->batch, value));
    if (reusable) {
        st->batch_n = batch->n;
        st->batch_mode = mode;
        st->batch_logits = batch->last_logits;
    }
    return PV_OK;
}

static enum pv_status start_stage(struct pv_session *s, struct pv_stage_state *st,
                                  const struct pv_batch *batch, uint64_t *value)
{
    const struct pv_step step = {.pos = batch->first_pos};
    PV_TRY(pv_buffer_write(st->step, 0, &step, sizeof step));
    if (st->stage->has_embed)
        PV_TRY(pv_buffer_write(st->tokens, 0, batch->tokens, batch->n * sizeof(uint32_t)));
    return submit_stage(s, st, batch, value);
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

/* One tick of the pipeline: stage i works on chunk tick - i, all stages at once; then every hidden state
 * moves on. */
static enum pv_status tick_stages(struct pv_session *s, const struct pv_batch *text, uint32_t size,
                                  uint32_t n_chunks, uint32_t tick)
{
    const uint32_t n_stages = s->engine->n_stages;
    for (uint32_t i = 0; i < n_stages && i <= tick; i++) {
        if (tick - i >= n_chunks)
            continue;
        const struct pv_batch c = chunk(s, text, size, tick - i);
        PV_TRY(start_stage(s, &s->states[i], &c, &s->states[i].batch_value));
    }
    for (uint32_t i = n_stages;
         i-- > 0;) { /* the last first: its input row block is free before it is written */
        if (i > tick || tick - i >= n_chunks)
            continue;
        const struct pv_batch c = chunk(s, text, size, tick - i);
        PV_TRY(pv_device_wait(s->states[i].stage->device, s->states[i].batch_value));
        if (i + 1 < n_stages)
            PV_TRY(pv_session_hand_over(s, i, c.n));
        else if (c.targets)
            PV_TRY(pv_session_score_batch(s, &c));
    }
    return PV_OK;
}

enum pv_status pv_session_text(struct pv_session *s, struct pv_batch *text)
{
    const uint32_t n_stages = s->engine->n_stages, n_batch = s->engine->n_batch;
    /* several stages: smaller chunks, so that all of them have work; what the host looks at stays in whole
     * batches */
    uint32_t size = n_stages == 1 || pv_session_looks(s) ? n_batch : (n_batch + n_stages - 1) / n_stages;
    if (size < PV_MIN_CHUNK)
        size = PV_MIN_CHUNK < n_batch ? PV_MIN_CHUNK : n_batch;
    const uint32_t n_chunks = (text->n + size - 1) / size;
    text->first_pos = s->n_past;
    PV_TRY(pv_session_prepare_look(s));
    for (uint32_t tick = 0; tick < n_chunks + n_stages - 1; tick++)
        PV_TRY(tick_stages(s, text, size, n_chunks, tick));
    s->n_past += text->n;
    return text->last_logits ? pv_session_fetch_logits(s) : PV_OK;
}
