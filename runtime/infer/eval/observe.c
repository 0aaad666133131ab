/* The host's part of a batch that stops at each layer. */
#include "infer/eval/observe.h"

#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "infer/eval/oracle.h"

bool pv_session_observes(const struct pv_session *s)
{
    return s->params.capture || s->params.ffn == PV_FFN_ORACLE_CLUSTER ||
           s->params.ffn == PV_FFN_ORACLE_MASK || s->params.ffn == PV_FFN_CALLBACK;
}

enum pv_status pv_session_prepare_observing(struct pv_session *s)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const size_t n = s->engine->n_batch;
    const bool observes = pv_session_observes(s);
    const uint32_t conditions =
        (observes ? PV_WORK_OBSERVED : 0u) | (s->params.ffn == PV_FFN_STATIC ? PV_WORK_STATIC_SET : 0u);
    for (uint32_t i = 0; conditions && i < s->engine->n_stages; i++) {
        struct pv_stage_state *st = &s->states[i];
        PV_TRY(pv_work_create(st->stage->device, s->engine, conditions, &st->work));
    }
    if (!observes || s->host_rows)
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
        return pv_fail(s->engine->log, PV_ERR_NOMEM, "no memory to observe %zu tokens at once", n);
    return PV_OK;
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

enum pv_status pv_session_observe(struct pv_session *s, struct pv_stage_state *st, uint32_t local,
                                  const struct pv_observed_rows *rows)
{
    const uint32_t n = rows->n;
    const enum pv_ffn_mode mode = rows->mode;
    const struct pv_hparams *hp = &s->engine->hp;
    const uint32_t layer = st->stage->first_layer + local;
    const size_t words = pv_bit_words(hp->d_ffn);
    struct pv_capture c = {.layer = layer,
                           .n_tokens = n,
                           .first_pos = rows->first_pos,
                           .z = s->host_z,
                           .contribution = s->host_contribution,
                           .bits = s->host_bits};
    PV_TRY(read_rows(s, st->work.contribution, n, hp->d_ffn, s->host_contribution));
    if (s->params.capture || mode == PV_FFN_CALLBACK) {
        struct pv_buffer *z = st->stage->layers[local].ffn_norm ? st->work.h : st->work.x;
        PV_TRY(read_rows(s, z, n, hp->d_model, s->host_z));
        PV_TRY(pv_buffer_read(st->work.bits, 0, s->host_bits, n * words * sizeof(uint32_t)));
    }
    if (mode == PV_FFN_ROUTED) {
        PV_TRY(pv_buffer_read(st->work.cluster, 0, s->host_cluster, n * sizeof(uint32_t)));
        PV_TRY(pv_buffer_read(st->work.margin, 0, s->host_margin, n * sizeof(float)));
        c.cluster = s->host_cluster;
        c.margin = s->host_margin;
        if (s->engine->n_best > 1) {
            PV_TRY(pv_buffer_read(st->work.mask_bits, 0, s->host_masks, n * words * sizeof(uint32_t)));
            c.mask = s->host_masks;
        }
    } else if (mode == PV_FFN_ORACLE_CLUSTER) {
        PV_TRY(pv_oracle_assign(s, layer, s->host_contribution, n, s->host_cluster));
        PV_TRY(pv_buffer_write(st->work.cluster, 0, s->host_cluster, n * sizeof(uint32_t)));
        c.cluster = s->host_cluster;
    }
    if (s->params.capture)
        PV_TRY(s->params.capture(s->params.capture_user, &c));
    return mode == PV_FFN_ORACLE_MASK || mode == PV_FFN_CALLBACK ? host_masks(s, st, &c, mode) : PV_OK;
}
