/* A step is a batch like a prompt's, but that positions and caches are each row's own, which the kernels take from the step
 * buffer. So a recording serves every step of as many rows. The rows whose logits are wanted come first: the output is made
 * of the first rows of the batch. */
#include "infer/sequences.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "iface.h"
#include "infer/batch.h"
#include "infer/decode.h"
#include "infer/eval/score.h"
#include "infer/failover.h"
#include "infer/forward/states.h"
#include "infer/forward/submit.h"

enum { BEST_SEQUENCES = 64 };
static const uint64_t most_cache_bytes = (uint64_t)1 << 30;

struct pv_sequences {
    struct pv_session *session;
    uint32_t n,
        n_logits;     /* rows of the last step, and those with logits; n 0: there was none, or it failed */
    uint32_t *at;     /* [n_batch] where a row lies on the device */
    uint32_t *tokens; /* [n_batch] in the device's order, like the next */
    struct pv_step *steps;
    struct pv_sequence_row *lockstep; /* [n_seqs] */
};

uint32_t pv_sequences_best(const struct pv_engine *engine, uint32_t n_ctx)
{
    const struct pv_hparams *hp = &engine->hp;
    const uint32_t most = pv_logit_rows(engine);
    uint32_t n = most < BEST_SEQUENCES ? most : BEST_SEQUENCES;
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
                                   struct pv_sequences **out)
{
    const uint32_t n_batch = engine->n_batch, most = pv_logit_rows(engine);
    enum pv_status status = PV_ERR_NOMEM;
    if (n_seqs == 0 || n_seqs > most || n_ctx == 0 || n_ctx > engine->n_ctx)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "%u sequences of %u tokens: there may be 1 to %u, of at most %u tokens (n_ctx)",
                       n_seqs, n_ctx, most, engine->n_ctx);
    for (uint32_t i = 0; i < engine->n_stages; i++) {
        const struct pv_device *device = engine->stages[i].device;
        const uint64_t bytes =
            n_seqs * pv_kv_cache_bytes(&device->plan, n_ctx, engine->hp.n_kv_heads, engine->hp.head_dim);
        if (bytes > device->caps.max_storage_range)
            return pv_fail(
                engine->log, PV_ERR_ARG,
                "the keys of a layer of %u sequences of %u tokens take %llu bytes, and a binding of %s holds "
                "%llu: take fewer or a smaller context (n_ctx)",
                n_seqs, n_ctx, (unsigned long long)bytes, device->caps.name,
                (unsigned long long)device->caps.max_storage_range);
    }
    struct pv_sequences *s = pv_calloc(1, sizeof *s);
    if (s) {
        s->at = pv_calloc(n_batch, sizeof *s->at);
        s->tokens = pv_calloc(n_batch, sizeof *s->tokens);
        s->steps = pv_calloc(n_batch, sizeof *s->steps);
        s->lockstep = pv_calloc(n_seqs, sizeof *s->lockstep);
    }
    if (!s || !s->at || !s->tokens || !s->steps || !s->lockstep)
        status = pv_fail(engine->log, PV_ERR_NOMEM, "no memory for %u sequences", n_seqs);
    else
        status = pv_session_open(engine, NULL, n_seqs, n_ctx, &s->session);
    if (status == PV_OK)
        *out = s;
    else
        pv_sequences_destroy(s);
    return status;
}

void pv_sequences_destroy(struct pv_sequences *s)
{
    if (!s)
        return;
    pv_session_destroy(s->session);
    free(s->at);
    free(s->tokens);
    free(s->steps);
    free(s->lockstep);
    free(s);
}

uint32_t pv_sequences_most_rows(const struct pv_sequences *s)
{
    const uint32_t n = s->session->engine->n_batch;
    return s->session->states ? pv_rows_per_submit(s->session, n) : n;
}

static enum pv_status check(const struct pv_session *s, const struct pv_sequence_row *rows, uint32_t n,
                            enum pv_ffn_mode ffn)
{
    const struct pv_engine *e = s->engine;
    uint32_t n_logits = 0;
    if (n == 0 || n > e->n_batch)
        return pv_fail(e->log, PV_ERR_ARG, "a step of %u rows: it may have 1 to %u", n, e->n_batch);
    if (ffn != PV_FFN_DENSE && (ffn != PV_FFN_ROUTED || !e->clusters || e->n_best > 1))
        return pv_fail(e->log, PV_ERR_ARG,
                       "sequences are dense, or with clusters routed to the best of them (n_best 1)");
    for (uint32_t i = 0; i < n; i++) {
        n_logits += rows[i].logits;
        if (rows[i].seq >= s->n_seqs || rows[i].pos >= s->n_ctx)
            return pv_fail(e->log, PV_ERR_ARG,
                           "row %u: there is no position %u of sequence %u among %u of %u tokens", i,
                           rows[i].pos, rows[i].seq, s->n_seqs, s->n_ctx);
        if (rows[i].token >= e->hp.n_vocab)
            return pv_fail(e->log, PV_ERR_ARG, "row %u: token %u is outside the vocabulary of %u", i,
                           rows[i].token, e->hp.n_vocab);
    }
    return n_logits <= s->n_seqs
               ? PV_OK
               : pv_fail(e->log, PV_ERR_ARG, "logits of %u rows: at most %u can be had", n_logits, s->n_seqs);
}

/* Rows with logits first, each kind in the caller's order. */
static void arrange(struct pv_sequences *s, const struct pv_sequence_row *rows, uint32_t n)
{
    uint32_t at = 0;
    for (int wanted = 1; wanted >= 0; wanted--) {
        for (uint32_t i = 0; i < n; i++) {
            if (rows[i].logits != (wanted == 1))
                continue;
            s->at[i] = at;
            s->tokens[at] = rows[i].token;
            s->steps[at++] = (struct pv_step){.pos = rows[i].pos, .seq = rows[i].seq};
        }
        s->n_logits = wanted ? at : s->n_logits;
    }
}

static enum pv_status run(struct pv_sequences *s, uint32_t n)
{
    struct pv_session *session = s->session;
    struct pv_batch batch = {.tokens = s->tokens, .n = n, .steps = s->steps, .n_logits = s->n_logits};
    if (!session->engine->placed)
        return pv_fail(session->engine->log, PV_ERR_DEVICE, "the model has no devices left to run on");
    PV_TRY(pv_session_make_states(session)); /* where a loss has taken them */
    return n == 1 ? pv_session_decode_row(session, s->tokens[0], s->steps[0])
                  : pv_session_rows(session, &batch);
}

enum pv_status pv_sequences_step(struct pv_sequences *s, const struct pv_sequence_row *rows, uint32_t n,
                                 enum pv_ffn_mode ffn)
{
    s->n = 0;
    PV_TRY(check(s->session, rows, n, ffn));
    arrange(s, rows, n);
    s->session->params.ffn = ffn;
    const enum pv_status status = run(s, n);
    if (status == PV_OK)
        s->n = n;
    if (status == PV_OK || status == PV_ERR_CHECK)
        return status;
    PV_TRY(pv_engine_failover(s->session->engine, status, "while several texts were under way"));
    return PV_ERR_DEVICE_LOST;
}

enum pv_status pv_sequences_logits(struct pv_sequences *s, uint32_t row, const float **out)
{
    struct pv_session *session = s->session;
    const struct pv_engine *e = session->engine;
    *out = session->logits;
    if (row >= s->n || s->at[row] >= s->n_logits)
        return pv_fail(e->log, PV_ERR_ARG, "row %u of %u has no logits", row, s->n);
    if (s->n == 1) /* they are there already */
        return PV_OK;
    PV_TRY(pv_buffer_read(session->states[e->n_stages - 1].rows_logits,
                          s->at[row] * pv_rows_bytes(1, e->hp.n_vocab), session->logits,
                          e->hp.n_vocab * sizeof *session->logits));
    return pv_session_check_logits(session, session->logits,
                                   &(struct pv_fed_rows){.tokens = s->tokens + s->at[row],
                                                         .n = 1,
                                                         .mode = session->params.ffn,
                                                         .steps = s->steps + s->at[row]});
}

/* From the routers' choices that the step has copied. */
static enum pv_status read_stats(struct pv_session *s, uint32_t at)
{
    const struct pv_engine *e = s->engine;
    const uint64_t layer_bytes = pv_rows_bytes(1, e->n_batch), row_bytes = at * sizeof(uint32_t);
    for (uint32_t i = 0; i < e->n_stages; i++) {
        const struct pv_stage_state *st = &s->states[i];
        for (uint32_t k = 0; k < st->stage->n_layers; k++) {
            const uint32_t layer = st->stage->first_layer + k;
            uint32_t *cluster = &s->stat_cluster[layer];
            *cluster = UINT32_MAX;
            s->stat_n[layer] = pv_dense_neurons(&e->hp);
            s->stat_margin[layer] = 0.0f;
            if (s->params.ffn != PV_FFN_ROUTED)
                continue;
            PV_TRY(pv_buffer_read(st->rows_cluster, k * layer_bytes + row_bytes, cluster, sizeof *cluster));
            PV_TRY(pv_buffer_read(st->rows_margin, k * layer_bytes + row_bytes, &s->stat_margin[layer],
                                  sizeof(float)));
            if (*cluster < e->clusters->info.n_clusters)
                s->stat_n[layer] = pv_clusters_mask_size(e->clusters, layer, *cluster);
        }
    }
    return PV_OK;
}

enum pv_status pv_sequences_stats(struct pv_sequences *s, uint32_t row, struct pv_token_stats *out)
{
    struct pv_session *session = s->session;
    if (row >= s->n)
        return pv_fail(session->engine->log, PV_ERR_ARG, "the last step has no row %u but %u rows", row,
                       s->n);
    if (s->n > 1) {
        PV_TRY(read_stats(session, s->at[row]));
        session->decoded = true;
    }
    return pv_session_token_stats(session, out);
}

enum pv_status pv_sequences_lockstep(struct pv_sequences *s, uint32_t pos, const uint32_t *tokens,
                                     float *logits)
{
    const uint32_t n = s->session->n_seqs, n_vocab = s->session->engine->hp.n_vocab;
    for (uint32_t i = 0; i < n; i++)
        s->lockstep[i] = (struct pv_sequence_row){.seq = i, .pos = pos, .token = tokens[i], .logits = true};
    PV_TRY(pv_sequences_step(s, s->lockstep, n, PV_FFN_DENSE));
    for (uint32_t i = 0; i < n; i++) {
        const float *row;
        PV_TRY(pv_sequences_logits(s, i, &row));
        memcpy(logits + (size_t)i * n_vocab, row, n_vocab * sizeof *row);
    }
    return PV_OK;
}
