/* A view must have the program's first thread, so the model runs on a second one and hands its tokens over
 * through a queue that it never waits for. */
#include "watch.h"
#include "cli/text_print.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe.h"
#include "view.h"
#include "viz/live.h"

struct watch {
    const struct watch_params *asked;
    struct generate_params params;
    struct generate_result *result;
    struct pv_trace_writer *writer;
    struct pv_live *live;
    uint64_t index;
    struct pv_dispatch_time *times; /* room for n_times */
    uint32_t n_times;
    atomic_bool closed; /* the view was */
    enum pv_status status;
};

/* What the device did for the last token, dispatch by dispatch; nothing if the session does not time them. */
static enum pv_status write_dispatches(struct watch *w)
{
    uint32_t n = pv_session_dispatches(w->asked->session, w->times, w->n_times);
    enum pv_status status = PV_OK;
    if (n > w->n_times) {
        struct pv_dispatch_time *times = realloc(w->times, n * sizeof *times);
        if (!times)
            return PV_ERR_NOMEM;
        w->times = times;
        w->n_times = n;
        n = pv_session_dispatches(w->asked->session, times, n);
    }
    for (uint32_t i = 0; !status && i < n; i++)
        status = pv_trace_slice(w->writer, w->times[i].stage, w->times[i].shader, w->times[i].start_us,
                                w->times[i].duration_us);
    return status;
}

static enum pv_status on_token(void *user, uint32_t id, const struct pv_token_stats *stats, double ms)
{
    struct watch *w = user;
    const char *text = NULL;
    struct pv_trace_token token = {.index = w->index++,
                                   .token = id,
                                   .cluster = stats->cluster,
                                   .n_neurons = stats->n_neurons,
                                   .margin = w->asked->setup->clusters ? stats->margin : NULL,
                                   .density = stats->density,
                                   .ms = ms,
                                   .device_ms = stats->device_ms};
    token.text_bytes = pv_token_bytes(w->asked->setup->model, id, true, &text);
    token.text = text;
    if (w->asked->oracle)
        oracle_tell(w->asked->oracle, &token);
    if (w->live)
        pv_live_push(w->live, &token);
    if (atomic_load(&w->closed))
        return PV_ERR_INTERRUPTED;
    if (!w->writer)
        return PV_OK;
    const enum pv_status status = write_dispatches(w);
    return status ? status : pv_trace_write(w->writer, &token);
}

static void *run_model(void *user)
{
    struct watch *w = user;
    w->status =
        generate(w->asked->setup->engine, w->asked->setup->model, w->asked->session, &w->params, w->result);
    pv_live_end(w->live);
    return NULL;
}

static enum pv_status run_with_view(struct app *app, struct watch *w, enum view_kind kind)
{
    const struct pv_trace_header header = observe_header(w->asked->setup);
    struct pv_heat *heat = NULL;
    struct pv_maskset *masks = NULL;
    pthread_t thread;
    enum pv_status status = pv_live_create(&header, 0, w->asked->oracle != NULL, &w->live);
    if (!status)
        status = pv_heat_create(&header, NULL, &heat);
    if (!status && w->asked->setup->clusters)
        status = view_masks(app, w->asked->setup->clusters, &masks);
    if (!status && pthread_create(&thread, NULL, run_model, w) != 0) {
        console_error(&app->console, "cannot start a thread for the model");
        status = PV_ERR_NOMEM;
    } else if (!status) {
        const struct view_params params = {.options = w->asked->view,
                                           .kind = kind,
                                           .heat = heat,
                                           .source = pv_live_source(w->live),
                                           .masks = masks};
        status = view_run(app, &params);
        atomic_store(&w->closed, true);
        pthread_join(thread, NULL);
        if (w->status && w->status != PV_ERR_INTERRUPTED)
            status = w->status;
    }
    if (w->live && pv_live_lost(w->live))
        console_note(&app->console, "the view could not keep up with %llu tokens",
                     (unsigned long long)pv_live_lost(w->live));
    pv_maskset_destroy(masks);
    pv_heat_destroy(heat);
    pv_live_destroy(w->live);
    return status;
}

static enum pv_status choose_format(struct app *app, const char *word, enum pv_trace_format *out)
{
    *out = word && !strcmp(word, "perfetto") ? PV_TRACE_PERFETTO : PV_TRACE_JSONL;
    if (!word || *out == PV_TRACE_PERFETTO || !strcmp(word, "jsonl"))
        return PV_OK;
    console_error(&app->console, "--trace-format takes 'jsonl' or 'perfetto', not '%s'", word);
    return PV_ERR_ARG;
}

enum pv_status watch_check(struct app *app, const struct view_options *view, const char *trace_format)
{
    enum pv_trace_format format;
    enum view_kind kind;
    uint32_t palette;
    bool light;
    enum pv_status status = choose_format(app, trace_format, &format);
    if (!status)
        status = view_choose(app, view->view, VIEW_NONE, &kind);
    return status ? status : view_style(app, view, &palette, &light);
}

static enum pv_status open_trace(struct app *app, struct watch *w)
{
    const struct pv_trace_header header = observe_header(w->asked->setup);
    struct pv_log log = console_log(&app->console);
    enum pv_trace_format format;
    const enum pv_status status = choose_format(app, w->asked->trace_format, &format);
    if (status)
        return status;
    return w->asked->trace_path ? pv_trace_create(w->asked->trace_path, format, &header, &log, &w->writer)
                                : PV_OK;
}

enum pv_status watch_generate(struct app *app, const struct watch_params *asked,
                              const struct generate_params *params, struct generate_result *out)
{
    struct watch w = {.asked = asked, .params = *params, .result = out};
    enum view_kind kind = VIEW_NONE;
    enum pv_status status = view_choose(app, asked->view->view, VIEW_NONE, &kind), finished;
    if (!status)
        status = open_trace(app, &w);
    if (status)
        return status;
    atomic_init(&w.closed, false);
    if (asked->oracle) {
        w.params.stats = oracle_stats;
        w.params.stats_user = asked->oracle;
    }
    if (w.writer || kind != VIEW_NONE) {
        w.params.token = on_token;
        w.params.token_user = &w;
    }
    if (kind == VIEW_NONE) {
        status = generate(asked->setup->engine, asked->setup->model, asked->session, &w.params, out);
    } else {
        w.params.stream = false;
        status = run_with_view(app, &w, kind);
        if (!app->common->json && out->text.n)
            text_print(stdout, out->text.bytes, out->text.n);
    }
    finished = pv_trace_finish(w.writer);
    free(w.times);
    return status ? status : finished;
}
