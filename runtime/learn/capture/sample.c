/* One row of logits a text and step; the draw inverts the cumulative distribution in the vocabulary's order,
 * which needs no sorting. Every group is of n_seqs texts, also the last, of which the surplus is thrown away:
 * a matrix product's rounding may hang on its number of rows. */
#include "learn/capture/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

enum { PARALLEL_FROM = 1 << 16 /* logits; threads cost more than fewer */ };

struct group {
    const struct pv_sample_source *source;
    const struct pv_sample_params *params;
    struct pv_rng *rng; /* [n_seqs] */
    float *logits;      /* [n_seqs][n_vocab] */
    uint32_t *next;     /* [n_seqs] */
    uint32_t *tokens;   /* [n_seqs][n_ctx] */
    bool *broken;       /* [n_seqs] logits that are no numbers */
};

/* A token of probability exp(logit) / sum; false if that is no distribution. The logits become weights. */
static bool draw(float *logits, uint32_t n, struct pv_rng *rng, uint32_t *out)
{
    float top = -INFINITY;
    double total = 0.0, left;

    for (uint32_t i = 0; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (uint32_t i = 0; i < n; i++) {
        logits[i] = expf(logits[i] - top);
        total += (double)logits[i];
    }
    if (!isfinite(total)) /* NaN, or no finite logit at all */
        return false;
    left = pv_rng_double(rng) * total;
    *out = 0;
    for (uint32_t i = 0; i < n && left >= 0.0; i++) {
        if (logits[i] > 0.0f)
            *out = i; /* rounding may leave something at the end: then the last that is possible */
        left -= (double)logits[i];
    }
    return true;
}

static void draw_some(void *user, size_t chunk, size_t begin, size_t end)
{
    struct group *g = user;
    const struct pv_sample_source *s = g->source;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const bool over =
            s->start != UINT32_MAX && s->end != UINT32_MAX && s->start != s->end && g->next[i] == s->end;

        if (over)
            g->next[i] = s->start;
        else
            g->broken[i] = !draw(g->logits + i * s->n_vocab, s->n_vocab, &g->rng[i], &g->next[i]);
    }
}

static enum pv_status draw_all(struct group *g)
{
    const struct pv_sample_source *s = g->source;
    const bool alone = (uint64_t)s->n_seqs * s->n_vocab < PARALLEL_FROM;

    pv_parallel_for(alone ? 1 : g->params->n_threads, s->n_seqs, s->n_seqs, draw_some, g);
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        if (g->broken[i])
            return pv_fail(
                &g->params->log, PV_ERR_CHECK,
                "sampling: the model produced values that are not finite; try another device, or ffn_act if "
                "the file does not name its activation");
    }
    return PV_OK;
}

static bool report(const struct group *g, uint64_t n_done)
{
    const struct pv_progress *p = &g->params->progress;
    const uint64_t n = g->params->n_tokens;

    return !p->fn || p->fn(p->user, "sampling", (double)(n_done < n ? n_done : n), (double)n);
}

static enum pv_status write_group(struct group *g, uint32_t index)
{
    const struct pv_sample_source *s = g->source;
    const uint64_t before = (uint64_t)index * s->n_seqs * s->n_ctx;

    for (uint32_t i = 0; i < s->n_seqs; i++) {
        uint64_t seed[2] = {g->params->seed, (uint64_t)index * s->n_seqs + i};

        pv_rng_seed(&g->rng[i], pv_hash64(seed, sizeof seed, 1));
        g->next[i] = s->start != UINT32_MAX ? s->start : pv_rng_below(&g->rng[i], s->n_vocab);
    }
    for (uint32_t t = 0; t < s->n_ctx; t++) {
        for (uint32_t i = 0; i < s->n_seqs; i++)
            g->tokens[(size_t)i * s->n_ctx + t] = g->next[i];
        if (!report(g, before + (uint64_t)t * s->n_seqs))
            return PV_ERR_INTERRUPTED;
        if (t + 1 == s->n_ctx)
            break;
        PV_TRY(s->step(s->user, t == 0, g->next, g->logits));
        PV_TRY(draw_all(g));
    }
    return PV_OK;
}

static enum pv_status find_or_write(struct group *g, struct pv_journal *j, uint32_t index, bool *resumed)
{
    const struct pv_sample_source *s = g->source;
    const size_t n = (size_t)s->n_seqs * s->n_ctx, n_bytes = n * sizeof *g->tokens;
    const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_SAMPLES, index, j->key);

    if (!record) {
        PV_TRY(write_group(g, index));
        pv_journal_begin(j, PV_RECORD_SAMPLES, index, j->key);
        pv_journal_put(j, g->tokens, n_bytes);
        return pv_journal_commit(j);
    }
    *resumed = true;
    PV_TRY(pv_journal_expect(j, record, n_bytes));
    PV_TRY(pv_journal_read(j, record, 0, g->tokens, n_bytes));
    for (size_t i = 0; i < n; i++) {
        if (g->tokens[i] >= s->n_vocab)
            return pv_journal_refuse(j, record);
    }
    return PV_OK;
}

static uint64_t make_key(const struct pv_sample_source *s, const struct pv_sample_params *params)
{
    uint64_t key[] = {s->n_vocab, s->n_seqs,      s->n_ctx,   s->start,
                      s->end,     s->fingerprint, s->variant, params->seed};

    return pv_hash64(key, sizeof key, 32);
}

static enum pv_status write_all(struct group *g, struct pv_sample *out)
{
    const struct pv_sample_source *s = g->source;
    size_t a_group = (size_t)s->n_seqs * s->n_ctx, left = out->n_tokens;

    g->rng = pv_calloc(s->n_seqs, sizeof *g->rng);
    g->logits = pv_calloc((size_t)s->n_seqs * s->n_vocab, sizeof *g->logits);
    g->next = pv_calloc(s->n_seqs, sizeof *g->next);
    g->tokens = pv_calloc(a_group, sizeof *g->tokens);
    g->broken = pv_calloc(s->n_seqs, sizeof *g->broken);
    if (!g->rng || !g->logits || !g->next || !g->tokens || !g->broken)
        return pv_fail(&g->params->log, PV_ERR_NOMEM, "sampling: no memory for %u texts", s->n_seqs);
    for (uint32_t index = 0; left > 0; index++) {
        const size_t n = left < a_group ? left : a_group;

        PV_TRY(find_or_write(g, &out->journal, index, &out->resumed));
        memcpy(out->tokens + (out->n_tokens - left), g->tokens, n * sizeof *g->tokens);
        left -= n;
    }
    return report(g, g->params->n_tokens) ? PV_OK : PV_ERR_INTERRUPTED;
}

enum pv_status pv_sample_text(const struct pv_sample_source *source, const struct pv_sample_params *params,
                              const char *path, struct pv_sample *out)
{
    struct group g = {.source = source, .params = params};
    enum pv_status status = PV_OK;

    *out = (struct pv_sample){.n_tokens = (size_t)params->n_tokens, .journal = {.fd = -1}};
    out->tokens = params->n_tokens <= UINT32_MAX ? pv_calloc(out->n_tokens, sizeof *out->tokens) : NULL;
    if (!out->tokens)
        return pv_fail(&params->log, PV_ERR_NOMEM, "sampling: no memory for %llu tokens",
                       (unsigned long long)params->n_tokens);
    PV_TRY_GOTO(pv_journal_open(&out->journal, path, make_key(source, params), &params->log));
    PV_TRY_GOTO(write_all(&g, out));
fail:
    free(g.rng);
    free(g.logits);
    free(g.next);
    free(g.tokens);
    free(g.broken);
    if (status != PV_OK)
        pv_sample_close(out, false);
    return status;
}

void pv_sample_close(struct pv_sample *sample, bool remove_file)
{
    pv_journal_close(&sample->journal, remove_file);
    free(sample->tokens);
    *sample = (struct pv_sample){.journal = {.fd = -1}};
}
