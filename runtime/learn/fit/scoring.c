/* The masked pass stops at every layer for the masks: the routers are on the host, as they were learned. */
#include "learn/fit/scoring.h"

#include <math.h>
#include <stdlib.h>
#include "base/bits.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum pv_status pv_scoring_init(struct pv_scoring *s, struct learner *ln, struct pv_steps *steps,
                               struct pv_piece *pieces, uint32_t n_pieces)
{
    const size_t d = ln->source->d_model, n_ctx = ln->params.n_ctx;

    *s = (struct pv_scoring){.ln = ln, .steps = steps, .n_pieces = n_pieces, .pieces = pieces};
    s->dense = pv_calloc(n_pieces, sizeof *s->dense);
    s->nll = pv_calloc(n_pieces, sizeof *s->nll);
    s->scores = pv_calloc(n_ctx, sizeof *s->scores);
    s->z = pv_calloc(n_ctx * d, sizeof *s->z);
    s->cluster = pv_calloc(n_ctx, sizeof *s->cluster);
    if (!s->pieces || !s->dense || !s->nll || !s->scores || !s->z || !s->cluster) {
        pv_scoring_free(s);
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory to score %u pieces of text", n_pieces);
    }
    for (uint32_t i = 0; i < n_pieces; i++) {
        struct pv_piece *p = &pieces[i];

        p->n_fed -= p->at + p->n_fed == ln->windows.n_text; /* nothing follows the text's last token */
        s->n_tokens += p->n_fed - p->from;
    }
    return PV_OK;
}

void pv_scoring_free(struct pv_scoring *s)
{
    free(s->pieces);
    free(s->dense);
    free(s->nll);
    free(s->scores);
    free(s->z);
    free(s->cluster);
    *s = (struct pv_scoring){0};
}

/* The masks that the routers choose for a batch. */
static enum pv_status on_mask(void *user, const struct pv_capture *batch, uint32_t *bits)
{
    const struct pv_scoring *s = user;
    const struct learner *ln = s->ln;
    const size_t d = ln->source->d_model, words = pv_bit_words(ln->source->d_ffn);
    const struct pv_mask_lists *masks;
    enum pv_status status;

    if (batch->layer >= ln->source->n_layers || batch->n_tokens > ln->params.n_ctx)
        return pv_fail(&ln->log, PV_ERR_CHECK, "fit: %u tokens of layer %u came to be masked, out of place",
                       batch->n_tokens, batch->layer);
    masks = &ln->masks[batch->layer];
    for (size_t i = 0; i < batch->n_tokens * d; i++)
        s->z[i] = pv_float_to_half(batch->z[i]);
    status = pv_router_apply(&ln->layers[batch->layer].router, s->z, NULL, batch->n_tokens,
                             ln->params.n_threads, s->cluster);
    if (status != PV_OK)
        return pv_fail(&ln->log, status, "fit: no memory to route %u tokens", batch->n_tokens);
    for (size_t t = 0; t < batch->n_tokens; t++) {
        for (uint32_t i = masks->offset[s->cluster[t]]; i < masks->offset[s->cluster[t] + 1]; i++)
            pv_bit_set(bits + t * words, masks->neurons[i]);
    }
    return PV_OK;
}

static enum pv_status score_piece(struct pv_scoring *s, const struct pv_piece *p, bool masked, double *sum)
{
    const struct pv_source *source = s->ln->source;
    const uint32_t *tokens = s->ln->windows.text + p->at;

    PV_TRY(source->score(source->user, tokens, tokens + 1, p->n_fed, masked ? on_mask : NULL, s, s->scores));
    *sum = 0.0;
    for (uint32_t t = p->from; t < p->n_fed; t++)
        *sum += (double)s->scores[t];
    if (!isfinite(*sum))
        return pv_fail(&s->ln->log, PV_ERR_CHECK, "fit: the model gives a text no finite probability");
    return PV_OK;
}

/* Scores of all pieces, masked or dense, from the journal where they are there. */
static enum pv_status score_all(struct pv_scoring *s, bool masked, uint64_t key, double *sums)
{
    struct pv_journal *j = &s->ln->journal;

    for (uint32_t i = 0; i < s->n_pieces; i++, s->steps->done += 1.0) {
        const struct pv_journal_record *record =
            pv_journal_find(j, PV_RECORD_SCORE, s->pieces[i].number, key);

        if (record) {
            PV_TRY(pv_journal_expect(j, record, sizeof sums[i]));
            PV_TRY(pv_journal_read(j, record, 0, &sums[i], sizeof sums[i]));
            if (!isfinite(sums[i]))
                return pv_journal_refuse(j, record);
            continue;
        }
        if (!pv_steps_report(s->steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(score_piece(s, &s->pieces[i], masked, &sums[i]));
        pv_journal_begin(j, PV_RECORD_SCORE, s->pieces[i].number, key);
        pv_journal_put(j, &sums[i], sizeof sums[i]);
        PV_TRY(pv_journal_commit(j));
    }
    return PV_OK;
}

/* Tokens are paired with themselves, so the error is that of a difference: far below the perplexity's own. */
static struct pv_rise compare(const struct pv_scoring *s)
{
    double routed = 0.0, dense = 0.0, spread = 0.0, n = s->n_pieces, mean, ratio;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        routed += s->nll[i];
        dense += s->dense[i];
    }
    mean = (routed - dense) / s->n_tokens;
    ratio = exp(mean);
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const double n_scored = s->pieces[i].n_fed - s->pieces[i].from;
        const double off = s->nll[i] - s->dense[i] - mean * n_scored;

        spread += off * off;
    }
    return (struct pv_rise){.ppl_dense = exp(dense / s->n_tokens),
                            .ppl = exp(routed / s->n_tokens),
                            .rise = ratio - 1.0,
                            .error = n > 1.0 ? ratio * sqrt(spread * n / (n - 1.0)) / s->n_tokens : 0.0};
}

enum pv_status pv_scoring_dense(struct pv_scoring *s, uint64_t key)
{
    return score_all(s, false, key, s->dense);
}

enum pv_status pv_scoring_try(struct pv_scoring *s, double density, struct pv_rise *out)
{
    const uint64_t key = pv_hash64(&density, sizeof density, pv_learner_router_key(s->ln));

    PV_TRY(pv_learner_spend(s->ln, density));
    PV_TRY(score_all(s, true, key, s->nll));
    *out = compare(s);
    pv_info(&s->ln->log, "density %.4f: perplexity rises by %.3f %% +- %.3f on text not learned from",
            density, 100.0 * out->rise, 100.0 * out->error);
    return PV_OK;
}
