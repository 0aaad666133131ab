/* parvin view: replay a trace, or follow one that is being written. */
#include <stdlib.h>

#include "parvin/trace.h"
#include "view.h"
#include "commands/commands.h"

struct replay_options {
    struct common_options common;
    struct model_options model;
    struct view_options view;
    bool follow;
};

#define AT(field) offsetof(struct replay_options, field)
static const struct option replay_rows[] = {
    {0, "follow", OPTION_FLAG, AT(follow), NULL, NULL, 0, 0,
     "wait for more: the trace is still being written"},
};
#undef AT

static const struct option_group replay_groups[] = {
    OPTION_OWN(replay_rows),
    OPTION_GROUP(view_rows, struct replay_options, view),
    OPTION_GROUP(view_device_rows, struct replay_options, view),
    OPTION_GROUP(half_life_rows, struct replay_options, view),
    OPTION_GROUP(style_rows, struct replay_options, view),
    OPTION_GROUP(clusters_rows, struct replay_options, model),
    OPTION_GROUP(common_rows, struct replay_options, common),
};

static const struct replay_options *options_of(const struct app *app)
{
    return app->options;
}

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
    const struct replay_options *o = options_of(app);
    struct pv_log plain = console_log(&app->console);
    enum pv_status status = view_choose(app, o->view.view, view_best(), &view->kind);
    if (!status)
        status = pv_trace_open(o->common.argument, o->follow, log, &view->reader);
    if (!status && o->model.clusters_path)
        status = pv_clusters_open(o->model.clusters_path, &plain, &view->clusters);
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
                      options_of(app)->model.clusters_path, info->n_clusters, header->n_clusters);
        return PV_ERR_MISMATCH;
    }
    console_error(&app->console, "%s was made for another model than the trace's (%s)",
                  options_of(app)->model.clusters_path, header->model);
    return PV_ERR_MISMATCH;
}

static int cmd_view(struct app *app)
{
    struct view view = {0};
    struct late late = {.console = &app->console};
    const struct pv_log log = {.fn = late_message, .user = &late, .max_level = PV_LOG_ERROR};
    enum pv_status status = open_all(app, &view, &log);
    if (!status)
        status = check_clusters(app, &view);
    if (!status) {
        late.shown = true;
        const struct view_params params = {.options = &options_of(app)->view,
                                           .kind = view.kind,
                                           .heat = view.heat,
                                           .source = pv_source_trace(view.reader, options_of(app)->follow),
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

const struct command command_view = {
    .name = "view",
    .argument = "TRACE",
    .summary = "Show which clusters fire: replay a trace, in a window or in the terminal",
    .about = "Key h explains what is shown and the keys. -c shows the neurons behind the clusters (window).",
    .examples = "  parvin run model.gguf -c model.clusters.gguf -p 'Once' --trace run.jsonl\n"
                "  parvin view run.jsonl\n"
                "  parvin view run.jsonl --view term\n"
                "  parvin view run.jsonl --follow\n",
    .groups = replay_groups,
    .n_groups = sizeof replay_groups / sizeof replay_groups[0],
    .options_bytes = sizeof(struct replay_options),
    .run = cmd_view,
};
