/* Bisection over the logarithm of the density, between nothing and every neuron. The rise falls with the
 * density, since masks of a higher budget contain those of a lower one, up to the noise of a finite text.
 * Every neuron has no rise at all, so there is always an answer; whether it gains anything is the caller's to
 * say. A window's score with the masks of one density is a record of the journal, so a killed search loses
 * one window. */
#include "learn/fit/density_search.h"

#include <math.h>
#include <stdlib.h>
#include "base/bits.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    ONE_IN = 10,         /* windows that are kept out */
    MOST_TOKENS = 32768, /* of them */
    STRETCHES = 4,
    N_PROBES = 7, /* leave 4 % of the density open */
};
static const double LOWEST = 0.01; /* density that is not gone below */

struct search {
    struct learner *ln;
    struct pv_steps *steps;
    uint32_t n_windows;
    uint32_t *window;    /* [n_windows] their numbers */
    double *dense, *nll; /* [n_windows] sums over the tokens */
    double *n_scored;    /* [n_windows] */
    double n_tokens;
    float *scores;     /* [n_ctx] */
    uint16_t *z;       /* [n_ctx][d] */
    uint16_t *cluster; /* [n_ctx] */
};
struct rise {
    double ppl, rise,
        error; /* standard error of the rise, from the windows' differences; 0 with one window */
};

uint32_t pv_density_n_windows(const struct pv_windows *windows)
{
    uint32_t n = windows->n_windows / ONE_IN, most = MOST_TOKENS / windows->n_ctx;

    n = n > most ? most : n;
    return windows->n_windows < 2 ? 0 : n < 1 ? 1 : n;
}

bool pv_density_keeps_out(const struct pv_windows *windows, uint32_t w)
{
    const uint64_t n_out = pv_density_n_windows(windows), n = windows->n_windows;
    const uint64_t n_parts = n_out < STRETCHES ? n_out : STRETCHES;

    for (uint64_t part = 0; part < n_parts; part++) {
        uint64_t first = part * n / n_parts, size = (part + 1) * n / n_parts - first;
        const uint64_t n_here = (part + 1) * n_out / n_parts - part * n_out / n_parts;

        first += (size - n_here) / 2;
        if (w >= first && w < first + n_here)
            return true;
    }
    return false;
}

enum pv_status pv_density_check(const struct learner *ln)
{
    const struct pv_fit_params *p = &ln->params;

    if (!(p->max_ppl_rise > 0.0) || !isfinite(p->max_ppl_rise) || p->density != 0.0)
        return pv_fail(&ln->log, PV_ERR_ARG,
                       "fit: give a density, or a rise of perplexity above 0 that it is searched for");
    if (!ln->source->score)
        return pv_fail(&ln->log, PV_ERR_ARG, "fit: this source cannot be scored; give a density");
    if (!ln->windows.text)
        return pv_fail(&ln->log, PV_ERR_ARG,
                       "fit: the search for a density runs the model: give the text of the capture as well");
    if (pv_density_n_windows(&ln->windows) == 0)
        return pv_fail(
            &ln->log, PV_ERR_ARG,
            "fit: %zu tokens are one window of %u, and the search for a density needs another that was "
            "not learned from; give a longer text, a smaller n_ctx, or a density",
            ln->windows.n_tokens, ln->windows.n_ctx);
    return PV_OK;
}

double pv_density_steps(const struct learner *ln)
{
    return (N_PROBES + 2.0) * pv_density_n_windows(&ln->windows); /* dense, the probes, every neuron */
}

/* The masks that the routers choose for a batch. */
static enum pv_status on_mask(void *user, const struct pv_capture *batch, uint32_t *bits)
{
    const struct search *s = user;
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

static enum pv_status score_window(struct search *s, uint32_t i, bool masked, double *sum)
{
    const struct pv_windows *windows = &s->ln->windows;
    const struct pv_source *source = s->ln->source;
    uint32_t n;
    const uint32_t *tokens = windows->text + pv_windows_at(windows, s->window[i], &n);

    n = (uint32_t)s->n_scored[i];
    PV_TRY(source->score(source->user, tokens, tokens + 1, n, masked ? on_mask : NULL, s, s->scores));
    *sum = 0.0;
    for (uint32_t t = 0; t < n; t++)
        *sum += (double)s->scores[t];
    if (!isfinite(*sum))
        return pv_fail(&s->ln->log, PV_ERR_CHECK, "fit: the model gives a text no finite probability");
    return PV_OK;
}

/* Scores of all windows, masked or dense, from the journal where they are there. */
static enum pv_status score_all(struct search *s, bool masked, uint64_t key, double *sums)
{
    struct pv_journal *j = &s->ln->journal;

    for (uint32_t i = 0; i < s->n_windows; i++, s->steps->done += 1.0) {
        const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_SCORE, s->window[i], key);

        if (record) {
            PV_TRY(pv_journal_expect(j, record, sizeof sums[i]));
            PV_TRY(pv_journal_read(j, record, 0, &sums[i], sizeof sums[i]));
            if (!isfinite(sums[i]))
                return pv_journal_refuse(j, record);
            continue;
        }
        if (!pv_steps_report(s->steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(score_window(s, i, masked, &sums[i]));
        pv_journal_begin(j, PV_RECORD_SCORE, s->window[i], key);
        pv_journal_put(j, &sums[i], sizeof sums[i]);
        PV_TRY(pv_journal_commit(j));
    }
    return PV_OK;
}

/* Tokens are paired with themselves, so the error is that of a difference: far below the perplexity's own. */
static struct rise compare(const struct search *s)
{
    double routed = 0.0, dense = 0.0, spread = 0.0, n = s->n_windows, mean, ratio;

    for (uint32_t i = 0; i < s->n_windows; i++) {
        routed += s->nll[i];
        dense += s->dense[i];
    }
    mean = (routed - dense) / s->n_tokens;
    ratio = exp(mean);
    for (uint32_t i = 0; i < s->n_windows; i++) {
        const double off = s->nll[i] - s->dense[i] - mean * s->n_scored[i];

        spread += off * off;
    }
    return (struct rise){.ppl = exp(routed / s->n_tokens),
                         .rise = ratio - 1.0,
                         .error = n > 1.0 ? ratio * sqrt(spread * n / (n - 1.0)) / s->n_tokens : 0.0};
}

static enum pv_status probe(struct search *s, double density, struct rise *out)
{
    const uint64_t key = pv_hash64(&density, sizeof density, pv_learner_router_key(s->ln));

    PV_TRY(pv_learner_spend(s->ln, density));
    PV_TRY(score_all(s, true, key, s->nll));
    *out = compare(s);
    pv_info(&s->ln->log, "density %.4f: perplexity rises by %.3f %% +- %.3f on text not learned from",
            density, 100.0 * out->rise, 100.0 * out->error);
    return PV_OK;
}

static enum pv_status bisect(struct search *s, struct rise *best, double *density)
{
    double low = LOWEST, high = 1.0;

    for (int i = 0; i < N_PROBES; i++) {
        const double middle = sqrt(low * high);
        struct rise found;

        PV_TRY(probe(s, middle, &found));
        if (found.rise + found.error <= s->ln->params.max_ppl_rise) {
            high = middle;
            *best = found;
        } else {
            low = middle;
        }
    }
    *density = high;
    return high < 1.0 ? PV_OK : probe(s, high, best);
}

static enum pv_status prepare(struct search *s)
{
    const struct pv_windows *windows = &s->ln->windows;
    const size_t d = s->ln->source->d_model, n_ctx = s->ln->params.n_ctx;
    uint32_t found = 0, n;

    s->n_windows = pv_density_n_windows(windows);
    s->window = pv_calloc(s->n_windows, sizeof *s->window);
    s->dense = pv_calloc(s->n_windows, sizeof *s->dense);
    s->nll = pv_calloc(s->n_windows, sizeof *s->nll);
    s->n_scored = pv_calloc(s->n_windows, sizeof *s->n_scored);
    s->scores = pv_calloc(n_ctx, sizeof *s->scores);
    s->z = pv_calloc(n_ctx * d, sizeof *s->z);
    s->cluster = pv_calloc(n_ctx, sizeof *s->cluster);
    if (!s->window || !s->dense || !s->nll || !s->n_scored || !s->scores || !s->z || !s->cluster)
        return pv_fail(&s->ln->log, PV_ERR_NOMEM, "fit: no memory to score %u windows", s->n_windows);
    for (uint32_t w = 0; w < windows->n_windows; w++) {
        if (!pv_density_keeps_out(windows, w))
            continue;
        if (pv_windows_at(windows, w, &n) + n == windows->n_text)
            n--; /* nothing follows the text's last token */
        s->window[found] = w;
        s->n_scored[found++] = n;
        s->n_tokens += n;
    }
    return PV_OK;
}

enum pv_status pv_density_search(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    struct search s = {.ln = ln, .steps = steps};
    struct rise best = {0};
    double begin = steps->done, dense = 0.0;
    enum pv_status status;

    PV_TRY_GOTO(prepare(&s));
    PV_TRY_GOTO(score_all(&s, false, pv_hash64("dense", 5, ln->capture_key), s.dense));
    PV_TRY_GOTO(bisect(&s, &best, &ln->params.density));
    steps->done = begin + pv_density_steps(ln);
    if (!pv_steps_report(steps, 0.0)) {
        status = PV_ERR_INTERRUPTED;
        goto fail;
    }
    for (uint32_t i = 0; i < s.n_windows; i++)
        dense += s.dense[i];
    out->ppl_dense = exp(dense / s.n_tokens);
    out->ppl_routed = best.ppl;
    out->ppl_rise = best.rise;
    out->ppl_rise_error = best.error;
    out->n_ppl_tokens = (uint64_t)s.n_tokens;
fail:
    free(s.window);
    free(s.dense);
    free(s.nll);
    free(s.n_scored);
    free(s.scores);
    free(s.z);
    free(s.cluster);
    return status;
}
