/* Many texts side by side. A step is a batch like a prompt's, with one row a text instead of one row a
 * position: only positions and caches differ, and kernels take that as a flag. So every weight is read once
 * for all texts. */
#include "infer/sequences.h"

#include "base/log.h"
#include "infer/batch.h"

enum { MOST_SEQUENCES = 64 };
static const uint64_t most_cache_bytes = (uint64_t)1 << 30;

uint32_t pv_sequences_best(const struct pv_engine *engine, uint32_t n_ctx)
{
    const struct pv_hparams *hp = &engine->hp;
    uint32_t n = engine->n_batch < MOST_SEQUENCES ? engine->n_batch : MOST_SEQUENCES;
    for (uint32_t i = 0; i < engine->n_stages; i++) {
        const struct pv_plan *plan = &engine->stages[i].device->plan;
        const uint64_t cache = pv_kv_cache_bytes(plan, n_ctx, hp->n_kv_heads, hp->head_dim);
        while (n > 1 &&
               (cache * n > plan->max_binding_bytes || 2 * hp->n_layers * cache * n > most_cache_bytes))
            n /= 2;
    }
    return n;
}

enum pv_status pv_sequences_create(struct pv_engine *engine, uint32_t n_seqs, uint32_t n_ctx,
                                   struct pv_session **out)
{
    if (n_seqs == 0 || n_seqs > engine->n_batch || n_ctx == 0 || n_ctx > engine->n_ctx)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "%u sequences of %u tokens do not fit a batch of %u or a context of %u", n_seqs, n_ctx,
                       engine->n_batch, engine->n_ctx);
    return pv_session_open(engine, NULL, n_seqs, n_ctx, out);
}

enum pv_status pv_sequences_step(struct pv_session *s, const uint32_t *tokens, float *logits)
{
    const struct pv_engine *e = s->engine;
    float nll[MOST_SEQUENCES];
    struct pv_batch rows = {
        .tokens = tokens, .n = s->n_seqs, .targets = tokens, .nll = nll, .logits_rows = logits};
    if (!s->states)
        return pv_fail(e->log, PV_ERR_DEVICE, "a device was lost while several texts were written");
    if (s->n_seqs > MOST_SEQUENCES || s->n_past == s->n_ctx)
        return pv_fail(e->log, PV_ERR_ARG, "%u sequences have no room for token %u", s->n_seqs, s->n_past);
    for (uint32_t i = 0; i < s->n_seqs; i++)
        if (tokens[i] >= e->hp.n_vocab)
            return pv_fail(e->log, PV_ERR_ARG, "token %u of sequence %u is outside the vocabulary of %u",
                           tokens[i], i, e->hp.n_vocab);
    return pv_session_rows(s, &rows);
}
