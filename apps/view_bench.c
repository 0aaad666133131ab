/* Rounds with and without the view change places from pair to pair, so that a machine that slows down or
 * speeds up favours neither. Without the view nothing of it is there: no window, no terminal, no queue. With
 * it, as in `run --view`, the model has a thread of its own; its clock starts when the view has come up. */
#include "view_bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "observe.h"
#include "viz/live.h"
#include "cli/stats.h"

/* A round lasts at least so long: many frames, and longer than most of what else a machine does. */
static const double round_s = 1.5;
enum { PULLS_BEFORE_START = 8 }; /* of the view: by then it has drawn */

struct round {
    const struct view_bench_params *params;
    struct pv_session *session;
    const struct pv_maskset *masks;
    uint32_t n_timed;     /* tokens; 0: as many as the time allows */
    struct pv_live *live; /* NULL: no view */
    struct pv_source inner;
    atomic_uint n_pulled;
    atomic_bool closed; /* the view was left */
    double seconds;
    enum pv_status status;
};

/* The live queue's tokens; counts how often the view asks for them. */
static enum pv_status pull(void *user, struct pv_heat *heat, uint32_t max, uint32_t *n, bool *ended)
{
    struct round *r = user;
    atomic_fetch_add(&r->n_pulled, 1);
    return r->inner.pull(r->inner.user, heat, max, n, ended);
}

static void hand_over(struct round *r, uint64_t index, uint32_t id, double ms)
{
    struct pv_token_stats stats;
    const char *text = NULL;
    if (!r->live || pv_session_token_stats(r->session, &stats))
        return;
    struct pv_trace_token token = {.index = index,
                                   .token = id,
                                   .cluster = stats.cluster,
                                   .n_neurons = stats.n_neurons,
                                   .margin = r->params->setup->clusters ? stats.margin : NULL,
                                   .density = stats.density,
                                   .ms = ms,
                                   .device_ms = stats.device_ms};
    token.text_bytes = pv_token_bytes(r->params->setup->model, id, true, &text);
    token.text = text;
    pv_live_push(r->live, &token);
}

static enum pv_status decode(struct round *r)
{
    uint32_t n_done = 0, n_ctx = pv_engine_n_ctx(r->params->setup->engine);
    enum pv_status status = PV_OK;
    double started, before, now;
    pv_session_reset(r->session);
    status = pv_session_decode(r->session, r->params->tokens[0]); /* warms up */
    started = before = now = console_seconds();
    while (!status && (r->n_timed ? n_done < r->n_timed : now - started < round_s)) {
        const uint32_t id = r->params->tokens[1 + n_done % (r->params->n - 1)];
        if (console_interrupted() || atomic_load(&r->closed))
            return PV_ERR_INTERRUPTED;
        if (pv_session_n_past(r->session) >= n_ctx)
            pv_session_reset(r->session);
        status = pv_session_decode(r->session, id);
        now = console_seconds();
        hand_over(r, n_done++, id, 1e3 * (now - before));
        before = now;
    }
    r->seconds = console_seconds() - started;
    r->n_timed = n_done;
    return status;
}

static void *decode_with_view(void *user)
{
    struct round *r = user;
    const struct timespec wait = {.tv_nsec = 2000000};
    while (atomic_load(&r->n_pulled) < PULLS_BEFORE_START && !atomic_load(&r->closed) &&
           !console_interrupted())
        nanosleep(&wait, NULL);
    r->status = decode(r);
    pv_live_end(r->live);
    return NULL;
}

static enum pv_status round_on(struct app *app, struct round *r, struct view_bench *out, double *frames_s)
{
    const struct pv_trace_header header = observe_header(r->params->setup);
    struct pv_heat *heat = NULL;
    uint64_t n_frames = 0;
    pthread_t thread;
    enum pv_status status = pv_live_create(&header, 0, false, &r->live);
    if (!status)
        status = pv_heat_create(&header, NULL, &heat);
    if (!status && pthread_create(&thread, NULL, decode_with_view, r) != 0) {
        console_error(&app->console, "cannot start a thread for the model");
        status = PV_ERR_NOMEM;
    } else if (!status) {
        r->inner = pv_live_source(r->live);
        const struct view_params params = {.options = r->params->options,
                                           .kind = r->params->kind,
                                           .heat = heat,
                                           .source = {.user = r, .pull = pull, .live = true},
                                           .masks = r->masks,
                                           .quit_at_end = true,
                                           .n_frames = &n_frames};
        status = view_run(app, &params);
        atomic_store(&r->closed, true);
        pthread_join(thread, NULL);
        status = r->status && r->status != PV_ERR_INTERRUPTED ? r->status : status ? status : r->status;
    }
    if (!status)
        *frames_s = (double)n_frames / r->seconds;
    out->n_lost += r->live ? pv_live_lost(r->live) : 0;
    pv_heat_destroy(heat);
    pv_live_destroy(r->live);
    r->live = NULL;
    return status;
}

/* rates [4][n_rounds]: off, on, on / off, frames. */
static enum pv_status run_rounds(struct app *app, struct round *r, double *rates, struct view_bench *out)
{
    const uint32_t n = out->n_rounds;
    enum pv_status status = decode(r); /* finds how many tokens a round has */
    for (uint32_t i = 0; !status && i < n; i++) {
        for (uint32_t turn = 0; !status && turn < 2; turn++) {
            const bool on = (turn + i) % 2 != 0;
            atomic_store(&r->n_pulled, 0);
            atomic_store(&r->closed, false);
            status = on ? round_on(app, r, out, &rates[3 * n + i]) : decode(r);
            if (!status)
                rates[(on ? n : 0) + i] = r->n_timed / r->seconds;
        }
        rates[2 * n + i] = rates[n + i] / rates[i];
    }
    return status;
}

enum pv_status view_bench(struct app *app, const struct view_bench_params *params, struct view_bench *out)
{
    const struct pv_clusters *clusters = params->setup->clusters;
    const struct pv_session_params session = {.ffn = clusters ? PV_FFN_ROUTED : PV_FFN_DENSE};
    const uint32_t n = params->n_rounds;
    struct round round = {.params = params};
    struct pv_maskset *masks = NULL;
    double *rates = calloc(4 * (size_t)n, sizeof *rates);
    enum pv_status status = !rates ? PV_ERR_NOMEM : params->n < 2 ? PV_ERR_ARG : PV_OK;
    *out = (struct view_bench){.n_rounds = n};
    atomic_init(&round.n_pulled, 0);
    atomic_init(&round.closed, false);
    if (!status)
        status = pv_session_create(params->setup->engine, &session, &round.session);
    if (!status && clusters)
        status = view_masks(app, clusters, &masks);
    round.masks = masks;
    if (!status)
        status = run_rounds(app, &round, rates, out);
    if (!status) {
        out->n_timed = round.n_timed;
        out->off_tok_s = stats_median(rates, n);
        out->on_tok_s = stats_median(rates + n, n);
        out->ratio = stats_median(rates + 2 * (size_t)n, n);
        out->frames_s = stats_median(rates + 3 * (size_t)n, n);
    }
    pv_maskset_destroy(masks);
    pv_session_destroy(round.session);
    free(rates);
    return status;
}
