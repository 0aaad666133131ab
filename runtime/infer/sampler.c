/* Sampling on the host, in the usual order: repeat penalty, temperature, top-k, top-p, min-p, one draw. The
 * candidates that may be drawn are sorted by logit (ties: lowest id), so every filter is a cut of the sorted
 * prefix. With top-k one pass selects those k; the whole vocabulary is sorted only where top-k is off. */
#include "parvin/session.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

struct candidate {
    uint32_t token;
    float logit;
};
struct pv_sampler {
    struct pv_sampler_params params;
    uint32_t n_vocab;
    struct pv_rng rng;
    struct candidate *candidates; /* [n_vocab] */
    uint32_t *recent;             /* ring of the last repeat_last tokens */
    uint32_t *penalised;          /* [n_vocab] the pick a token was last penalised in */
    uint32_t n_recent, next, n_picks;
};

enum pv_status pv_sampler_create(const struct pv_sampler_params *params, uint32_t n_vocab,
                                 struct pv_sampler **out)
{
    struct pv_sampler *s = pv_calloc(1, sizeof *s);
    if (!s)
        return PV_ERR_NOMEM;
    if (params)
        s->params = *params;
    if (s->params.repeat_last == 0)
        s->params.repeat_last = 64;
    s->n_vocab = n_vocab;
    pv_rng_seed(&s->rng, s->params.seed);
    s->candidates = pv_calloc(n_vocab, sizeof *s->candidates);
    s->recent = pv_calloc(s->params.repeat_last, sizeof *s->recent);
    s->penalised = pv_calloc(n_vocab, sizeof *s->penalised);
    if (!s->candidates || !s->recent || !s->penalised) {
        pv_sampler_destroy(s);
        return PV_ERR_NOMEM;
    }
    *out = s;
    return PV_OK;
}

void pv_sampler_destroy(struct pv_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->candidates);
    free(sampler->recent);
    free(sampler->penalised);
    free(sampler);
}

void pv_sampler_accept(struct pv_sampler *sampler, uint32_t token)
{
    const uint32_t size = sampler->params.repeat_last;
    sampler->recent[sampler->next] = token;
    sampler->next = (sampler->next + 1) % size;
    if (sampler->n_recent < size)
        sampler->n_recent++;
}

/* Divides positive logits and multiplies negative ones of recent tokens, each token once (CTRL, arXiv
 * 1909.05858). */
static void penalise(struct pv_sampler *s)
{
    const float penalty = s->params.repeat_penalty;
    if (!(penalty > 0.0f) || (penalty >= 1.0f && penalty <= 1.0f))
        return;
    s->n_picks++;
    for (uint32_t i = 0; i < s->n_recent; i++) {
        const uint32_t token = s->recent[i];
        if (token >= s->n_vocab || s->penalised[token] == s->n_picks)
            continue;
        s->penalised[token] = s->n_picks;
        float *logit = &s->candidates[token].logit;
        *logit = *logit > 0.0f ? *logit / penalty : *logit * penalty;
    }
}

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit < y->logit)
        return 1;
    if (x->logit > y->logit)
        return -1;
    return x->token < y->token ? -1 : x->token > y->token;
}

static uint32_t greedy(const struct pv_sampler *s)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < s->n_vocab; i++)
        if (s->candidates[i].logit > s->candidates[best].logit)
            best = i;
    return best;
}

static void swap(struct candidate *a, struct candidate *b)
{
    const struct candidate kept = *a;
    *a = *b;
    *b = kept;
}

/* Restores the heap of n whose root is the worst of them, where only the root is out of place. */
static void sift(struct candidate *heap, uint32_t n)
{
    for (uint32_t at = 0;;) {
        uint32_t worst = 2 * at + 1;
        if (worst >= n)
            return;
        if (worst + 1 < n && by_logit(&heap[worst + 1], &heap[worst]) > 0)
            worst++;
        if (by_logit(&heap[at], &heap[worst]) >= 0)
            return;
        swap(&heap[at], &heap[worst]);
        at = worst;
    }
}

/* Brings the best n candidates to the front, sorted. */
static void select_best(struct pv_sampler *s, uint32_t n)
{
    struct candidate *c = s->candidates;
    if (n < s->n_vocab) {
        qsort(c, n, sizeof *c, by_logit);
        for (uint32_t i = 0; i < n / 2; i++) /* worst first is a heap */
            swap(&c[i], &c[n - 1 - i]);
        for (uint32_t i = n; i < s->n_vocab; i++)
            if (by_logit(&c[i], &c[0]) < 0) {
                c[0] = c[i];
                sift(c, n);
            }
    }
    qsort(c, n, sizeof *c, by_logit);
}

/* Cuts the sorted candidates and draws one; weights are relative to the best candidate's. */
static uint32_t draw(struct pv_sampler *s)
{
    const struct pv_sampler_params *p = &s->params;
    uint32_t n = p->top_k && p->top_k < s->n_vocab ? p->top_k : s->n_vocab;
    select_best(s, n);
    const float best = s->candidates[0].logit;
    double total = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        const float weight = expf((s->candidates[i].logit - best) / p->temperature);
        s->candidates[i].logit = weight; /* from here on a weight */
        total += (double)weight;
    }
    if (p->top_p > 0.0f && p->top_p < 1.0f) {
        double sum = 0.0;
        uint32_t keep = 0;
        while (keep < n && sum < (double)p->top_p * total)
            sum += (double)s->candidates[keep++].logit;
        n = keep > 0 ? keep : 1;
    }
    while (p->min_p > 0.0f && n > 1 && s->candidates[n - 1].logit < p->min_p)
        n--;
    total = 0.0;
    for (uint32_t i = 0; i < n; i++)
        total += (double)s->candidates[i].logit;
    double left = pv_rng_double(&s->rng) * total;
    for (uint32_t i = 0; i + 1 < n; i++) {
        left -= (double)s->candidates[i].logit;
        if (left < 0.0)
            return s->candidates[i].token;
    }
    return s->candidates[n - 1].token;
}

enum pv_status pv_sampler_pick(struct pv_sampler *sampler, const float *logits, uint32_t *out)
{
    for (uint32_t i = 0; i < sampler->n_vocab; i++) {
        if (isnan(logits[i]))
            return PV_ERR_CHECK;
        sampler->candidates[i] = (struct candidate){.token = i, .logit = logits[i]};
    }
    penalise(sampler);
    *out = sampler->params.temperature > 0.0f ? draw(sampler) : greedy(sampler);
    return PV_OK;
}
