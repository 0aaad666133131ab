/* Bisection over the logarithm of the density, between nothing and every neuron. The rise falls with the
 * density, since masks of a higher budget contain those of a lower one, up to the noise of a finite text.
 * Every neuron has no rise at all, so there is always an answer; whether it gains anything is the caller's to
 * say. A window's score with the masks of one density is a record of the journal, so a killed search loses
 * one window. */
#include "learn/fit/density_search.h"

#include <math.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/fit/scoring.h"

enum {
    ONE_IN = 10,         /* windows that are kept out */
    MOST_TOKENS = 32768, /* of them */
    STRETCHES = 4,
    N_PROBES = 7, /* leave 4 % of the density open */
};
static const double LOWEST = 0.01; /* density that is not gone below */

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

static enum pv_status bisect(struct pv_scoring *s, struct pv_rise *best, double *density)
{
    double low = LOWEST, high = 1.0;

    for (int i = 0; i < N_PROBES; i++) {
        const double middle = sqrt(low * high);
        struct pv_rise found;

        PV_TRY(pv_scoring_try(s, middle, &found));
        if (found.rise + found.error <= s->ln->params.max_ppl_rise) {
            high = middle;
            *best = found;
        } else {
            low = middle;
        }
    }
    *density = high;
    return high < 1.0 ? PV_OK : pv_scoring_try(s, high, best);
}

/* The windows that are kept out, each a piece. */
static enum pv_status prepare(struct pv_scoring *s, struct learner *ln, struct pv_steps *steps)
{
    const struct pv_windows *windows = &ln->windows;
    const uint32_t n_pieces = pv_density_n_windows(windows);
    struct pv_piece *pieces = pv_calloc(n_pieces, sizeof *pieces);
    uint32_t found = 0;

    for (uint32_t w = 0; w < windows->n_windows && pieces; w++) {
        struct pv_piece *p = &pieces[found];

        if (!pv_density_keeps_out(windows, w))
            continue;
        p->number = w;
        p->at = pv_windows_at(windows, w, &p->n_fed);
        found++;
    }
    return pv_scoring_init(s, ln, steps, pieces, n_pieces);
}

enum pv_status pv_density_search(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    struct pv_scoring s = {0};
    struct pv_rise best = {0};
    const double begin = steps->done;
    enum pv_status status;

    PV_TRY_GOTO(prepare(&s, ln, steps));
    PV_TRY_GOTO(pv_scoring_dense(&s, pv_hash64("dense", 5, ln->capture_key)));
    PV_TRY_GOTO(bisect(&s, &best, &ln->params.density));
    steps->done = begin + pv_density_steps(ln);
    if (!pv_steps_report(steps, 0.0)) {
        status = PV_ERR_INTERRUPTED;
        goto fail;
    }
    out->ppl_dense = best.ppl_dense;
    out->ppl_routed = best.ppl;
    out->ppl_rise = best.rise;
    out->ppl_rise_error = best.error;
    out->n_ppl_tokens = (uint64_t)s.n_tokens;
fail:
    pv_scoring_free(&s);
    return status;
}
