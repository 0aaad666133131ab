/* Some blocks of the held-out rows are scored, each with the tokens just before it in its window as context: a few
 * thousand tokens whatever the text's length. Where the rise is large, densities are tried from below with the
 * clusters and routers that are there; each answer is a density that was measured. */
#include "learn/fit/loss.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/fit/scoring.h"

enum { MOST_PIECES = 16, MOST_SCORED = 64, MOST_CONTEXT = 64 };
static const double LARGE_RISE = 0.1;
static const double ASKED[PV_FIT_N_WITHIN] = {0.01, 0.03, 0.1};

/* Held-out rows from number `i` on that are neighbours in one window; how many. */
static size_t run_length(const struct learner *ln, size_t i)
{
    const uint32_t *row = ln->split.held_out;
    const size_t a_window = pv_windows_kept(&ln->windows, 0);
    size_t n = 1;

    while (i + n < ln->split.n_held_out && row[i + n] == row[i] + n &&
           row[i + n] / a_window == row[i] / a_window)
        n++;
    return n;
}

/* The text of n rows from `row` on. */
static struct pv_piece make_piece(const struct learner *ln, uint32_t row, size_t n)
{
    const struct pv_windows *windows = &ln->windows;
    const uint32_t a_window = pv_windows_kept(windows, 0), w = row / a_window;
    uint32_t begin = row % a_window * windows->thin, end, context, n_window;
    const size_t at = pv_windows_at(windows, w, &n_window);

    n = n * windows->thin < MOST_SCORED ? n * windows->thin : MOST_SCORED;
    end = begin + n < n_window ? begin + (uint32_t)n : n_window;
    context = begin < MOST_CONTEXT ? begin : MOST_CONTEXT;
    return (struct pv_piece){
        .at = at + begin - context, .n_fed = end - begin + context, .from = context, .number = row};
}

/* Evenly over the runs of held-out rows; NULL if there are none or no memory. */
static struct pv_piece *choose_pieces(const struct learner *ln, uint32_t *n_pieces)
{
    const size_t n_rows = ln->split.n_held_out;
    struct pv_piece *pieces = pv_calloc(MOST_PIECES, sizeof *pieces);
    size_t n_runs = 0, run = 0;

    *n_pieces = 0;
    for (size_t i = 0; i < n_rows; i += run_length(ln, i))
        n_runs++;
    for (size_t i = 0; i < n_rows && pieces; i += run_length(ln, i), run++) {
        const struct pv_piece p = make_piece(ln, ln->split.held_out[i], run_length(ln, i));
        const bool last =
            p.at + p.n_fed == ln->windows.n_text; /* its last token has nothing to be scored by */

        if (*n_pieces < MOST_PIECES && run * MOST_PIECES >= *n_pieces * n_runs && p.n_fed - last > p.from)
            pieces[(*n_pieces)++] = p;
    }
    return pieces;
}

/* The lowest of some densities above the fit's own whose rise is within each bound; 1 if none is. */
static enum pv_status find_within(struct pv_scoring *s, struct pv_fit_result *out)
{
    static const double TRIED[] = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    const double density = s->ln->params.density;
    int missing = PV_FIT_N_WITHIN;

    for (int b = 0; b < PV_FIT_N_WITHIN; b++)
        out->within[b] = (struct pv_fit_within){.max_rise = ASKED[b], .density = 1.0};
    for (size_t i = 0; i < sizeof TRIED / sizeof TRIED[0] && missing > 0; i++) {
        struct pv_rise found;

        if (TRIED[i] < 1.1 * density)
            continue;
        PV_TRY(pv_scoring_try(s, TRIED[i], &found));
        for (; missing > 0 && found.rise <= ASKED[missing - 1]; missing--) {
            out->within[missing - 1].density = TRIED[i];
            out->within[missing - 1].rise = found.rise;
        }
    }
    return PV_OK;
}

static enum pv_status measure(struct pv_scoring *s, struct pv_fit_result *out)
{
    struct learner *ln = s->ln;
    struct pv_rise rise;
    enum pv_status status;

    PV_TRY(pv_scoring_dense(s, pv_hash64("held out", 8, ln->capture_key)));
    PV_TRY(pv_scoring_try(s, ln->params.density, &rise));
    out->ppl_dense = rise.ppl_dense;
    out->ppl_routed = rise.ppl;
    out->ppl_rise = rise.rise;
    out->ppl_rise_error = rise.error;
    out->n_ppl_tokens = (uint64_t)s->n_tokens;
    if (rise.rise <= LARGE_RISE || ln->params.density >= 1.0)
        return PV_OK;
    status = find_within(s, out);
    if (status == PV_OK)
        out->n_within = PV_FIT_N_WITHIN;
    return status;
}

enum pv_status pv_learner_measure_loss(struct learner *ln, struct pv_steps *steps, struct pv_fit_result *out)
{
    struct pv_scoring s = {0};
    struct pv_piece *pieces;
    enum pv_status status, masks;
    uint32_t n_pieces;

    if (out->n_ppl_tokens > 0 || ln->method || !ln->source->score || !ln->windows.text)
        return PV_OK;
    pieces = choose_pieces(ln, &n_pieces);
    steps->total = (2.0 + 8.0) * n_pieces; /* dense, the masks, others at most */
    status = pv_scoring_init(&s, ln, steps, pieces, n_pieces);
    if (status == PV_OK && n_pieces > 0) {
        status = measure(&s, out);
        masks = pv_learner_spend(ln, ln->params.density); /* what was tried is forgotten */
        status = masks != PV_OK ? masks : status;
    }
    pv_scoring_free(&s);
    steps->done = steps->total;
    PV_TRY(status);
    return pv_steps_report(steps, 0.0) ? PV_OK : PV_ERR_INTERRUPTED;
}
