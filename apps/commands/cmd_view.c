/* parvin view: replay a trace, or follow one that is being written. */
#include <stdlib.h>

#include "parvin/trace.h"
#include "view.h"

struct view {
    struct pv_trace_reader *reader;
    struct pv_heat *heat;
    struct pv_clusters *clusters;
    struct pv_maskset *masks;
    enum view_kind kind;
};

/* Messages of the reader come while the view has the screen, so they go through the view. */
struct late {
    struct console *console;
    char text[1024];
    bool shown; /* the view has the screen */
};

static void late_message(void *user, enum pv_log_level level, const char *message)
{
    struct late *late = user;
    if (late->shown)
        snprintf(late->text, sizeof late->text, "%s", message);
    else if (level == PV_LOG_ERROR)
        console_error(late->console, "%s", message);
}

static enum pv_status open_all(struct app *app, struct view *view, const struct pv_log *log)
{
    const struct options *o = &app->options;
    struct pv_log plain = console_log(&app->console);
    enum pv_status status = view_choose(app, view_best(), &view->kind);
    if (!status)
        status = pv_trace_open(o->argument, o->follow, log, &view->reader);
    if (!status && o->clusters_path)
        status = pv_clusters_open(o->clusters_path, &plain, &view->clusters);
    if (!status && view->clusters)
        status = view_masks(app, view->clusters, &view->masks);
    return status ? status : pv_heat_create(pv_trace_reader_header(view->reader), NULL, &view->heat);
}

static enum pv_status check_clusters(struct app *app, const struct view *view)
{
    const struct pv_trace_header *header = pv_trace_reader_header(view->reader);
    const struct pv_clusters_info *info = view->clusters ? pv_clusters_info(view->clusters) : NULL;
    if (!info)
        return PV_OK;
    if (info->fingerprint == header->fingerprint && info->n_layers == header->n_layers &&
        info->n_clusters == header->n_clusters && info->d_ffn == header->d_ffn)
        return PV_OK;
    if (info->fingerprint == header->fingerprint) {
        console_error(&app->console,
                      "%s has %u clusters a layer, the trace was made with %u: give the file it was "
                      "made with",
                      app->options.clusters_path, info->n_clusters, header->n_clusters);
        return PV_ERR_MISMATCH;
    }
    console_error(&app->console, "%s was made for another model than the trace's (%s)",
                  app->options.clusters_path, header->model);
    return PV_ERR_MISMATCH;
}

int cmd_view(struct app *app)
{
    struct view view = {0};
    struct late late = {.console = &app->console};
    const struct pv_log log = {.fn = late_message, .user = &late, .max_level = PV_LOG_ERROR};
    enum pv_status status = open_all(app, &view, &log);
    if (!status)
        status = check_clusters(app, &view);
    if (!status) {
        late.shown = true;
        const struct view_params params = {.kind = view.kind,
                                           .heat = view.heat,
                                           .source = pv_source_trace(view.reader, app->options.follow),
                                           .masks = view.masks};
        status = view_run(app, &params);
    }
    if (late.text[0])
        console_error(&app->console, "%s", late.text);
    pv_maskset_destroy(view.masks);
    pv_clusters_close(view.clusters);
    pv_heat_destroy(view.heat);
    pv_trace_close(view.reader);
    return app_fail(app, status);
}
