/* Scoring: the negative log-likelihood of every row of a batch that has come out of the last layer, a block
 * of logits at a time, so that a large vocabulary does not need room for all rows at once. */
#include "infer/eval/score.h"

#include <math.h>

#include "base/log.h"

/* nll of rows [first, first + n) of the last stage's `h`, a block of logits at a time. */
static enum pv_status score_block(struct pv_session *s, struct pv_stage_state *st,
                                  const struct pv_scored_rows *rows, uint32_t first, uint32_t n)
{
    const struct pv_hparams *hp = &s->engine->hp;
    const uint64_t row_bytes = pv_rows_bytes(1, hp->d_model);
    struct pv_work *b = &st->work;
    const struct pv_output_rows output = {.h = b->h_rows, .logits = b->logits, .n = n};
    PV_TRY(pv_buffer_write(b->targets, 0, rows->targets + first, n * sizeof(uint32_t)));
    PV_TRY(pv_recorder_begin(st->batch, 0));
    PV_TRY(pv_recorder_copy(st->batch, b->h, first * row_bytes, b->h_rows, 0, n * row_bytes));
    PV_TRY(pv_forward_logits(st->batch, hp, st->stage, &output));
    PV_TRY(pv_kernel_nll_rows(st->batch, b->logits, b->targets, b->nll, n, hp->n_vocab));
    PV_TRY(pv_recorder_end(st->batch));
    PV_TRY(pv_recorder_run(st->batch));
    PV_TRY(pv_buffer_read(b->nll, 0, rows->nll + first, n * sizeof(float)));
    if (!rows->logits_rows)
        return PV_OK;
    const size_t stride = pv_row_stride(hp->n_vocab);
    for (uint32_t t = 0; t < n; t++)
        PV_TRY(pv_buffer_read(b->logits, t * stride * sizeof(float),
                              rows->logits_rows + (size_t)(first + t) * hp->n_vocab,
                              hp->n_vocab * sizeof(float)));
    return PV_OK;
}

/* Whether logits can be drawn from: some may be -infinity (tokens that are never meant to come), none NaN or +infinity,
 * which would make every token as good as any other. */
static bool are_numbers(const float *logits, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0.0f))
            return false;
        any = any || isfinite(logits[i]);
    }
    return any;
}

enum pv_status pv_session_score_rows(struct pv_session *s, const struct pv_scored_rows *rows)
{
    struct pv_stage_state *st = &s->states[s->engine->n_stages - 1];
    const struct pv_hparams *hp = &s->engine->hp;
    PV_TRY(pv_recorder_begin(st->batch, 0));
    const struct pv_output_rows all = {.x = st->work.x, .h = st->work.h, .n = rows->fed.n};
    PV_TRY(pv_forward_output_norm(st->batch, hp, st->stage, &all));
    PV_TRY(pv_recorder_end(st->batch));
    PV_TRY(pv_recorder_run(st->batch));
    for (uint32_t first = 0; first < rows->fed.n; first += s->logit_rows) {
        const uint32_t left = rows->fed.n - first;
        PV_TRY(score_block(s, st, rows, first, left < s->logit_rows ? left : s->logit_rows));
    }
    for (uint32_t i = 0; i < rows->fed.n; i++)
        if (!isfinite(rows->nll[i]))
            return pv_session_fail_overflow(s, &rows->fed);
    return PV_OK;
}

enum pv_status pv_session_check_logits(struct pv_session *s, const float *logits,
                                       const struct pv_fed_rows *fed)
{
    return are_numbers(logits, s->engine->hp.n_vocab) ? PV_OK : pv_session_fail_overflow(s, fed);
}

enum pv_status pv_session_fetch_logits(struct pv_session *s, const struct pv_fed_rows *fed)
{
    struct pv_stage_state *st = &s->states[s->engine->n_stages - 1];
    PV_TRY(pv_buffer_read(st->work.logits_host, 0, s->logits, s->engine->hp.n_vocab * sizeof *s->logits));
    PV_TRY(pv_buffer_read(st->work.argmax_host, 0, &s->argmax, sizeof s->argmax));
    return pv_session_check_logits(s, s->logits, fed);
}
