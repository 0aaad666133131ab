/* parvin heatmap: a picture of a trace, or of a model reading a text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe.h"
#include "view.h"
#include "viz/picture/picture.h"

struct heatmap {
    struct pv_picture_params picture;
    struct pv_trace_reader *reader;
    struct pv_clusters *clusters;
    struct pv_maskset *masks;
    struct pv_heat *heat;
};

static bool parse_layer(const char *text, uint32_t *out)
{
    char *end = NULL;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    *out = (uint32_t)value;
    return end && !*end && value < 1024;
}

static enum pv_status read_options(struct app *app, struct pv_picture_params *picture)
{
    const struct options *o = &app->options;
    const int kind = pv_picture_find(o->kind ? o->kind : "layers");
    picture->layer = UINT32_MAX;
    picture->n_rows = o->rows;
    picture->back = o->back;
    picture->width = o->width;
    picture->scale = o->scale;
    if (kind < 0) {
        console_error(&app->console, "--kind takes layers, waterfall, neurons or tokens, not '%s'", o->kind);
        return PV_ERR_ARG;
    }
    picture->kind = (enum pv_picture_kind)kind;
    if (o->layer && !parse_layer(o->layer, &picture->layer)) {
        console_error(&app->console, "--layer takes the number of a layer, not '%s'", o->layer);
        return PV_ERR_ARG;
    }
    if (!o->out) {
        console_error(&app->console, "give -o FILE.png or -o FILE.svg");
        return PV_ERR_ARG;
    }
    return view_style(app, &picture->palette, &picture->light);
}

static enum pv_status from_trace(struct app *app, struct heatmap *m)
{
    const struct pv_heat_params params = {.half_life =
                                              app->options.half_life > 0 ? app->options.half_life : INFINITY,
                                          .n_recent = app->options.rows + app->options.back + 512};
    const struct options *o = &app->options;
    struct pv_log log = console_log(&app->console);
    enum pv_status status = pv_trace_open(o->argument, false, &log, &m->reader);
    if (!status && o->clusters_path)
        status = pv_clusters_open(o->clusters_path, &log, &m->clusters);
    if (!status && m->clusters &&
        pv_clusters_info(m->clusters)->fingerprint != pv_trace_reader_header(m->reader)->fingerprint) {
        console_error(&app->console, "%s was made for another model than the trace's", o->clusters_path);
        status = PV_ERR_MISMATCH;
    }
    if (!status && m->clusters)
        status = view_masks(app, m->clusters, &m->masks);
    if (!status)
        status = pv_heat_create(pv_trace_reader_header(m->reader), &params, &m->heat);
    if (!status)
        status = pv_heat_read(m->heat, m->reader, NULL);
    m->picture.masks = m->masks;
    return status ? status : pv_picture_write(m->heat, &m->picture, o->out, &log);
}

static enum pv_status from_model(struct app *app, struct heatmap *m)
{
    struct pv_log log = console_log(&app->console);
    struct observed observed = {0};
    enum pv_status status = observe_text(app, OBSERVE_ALL, &observed), closed;
    if (!status) {
        m->picture.masks = observed.masks;
        status = pv_picture_write(observed.heat, &m->picture, app->options.out, &log);
    }
    closed = observed_close(app, &observed);
    return status ? status : closed;
}

int cmd_heatmap(struct app *app)
{
    struct heatmap m = {0};
    const char *name = app->options.argument;
    const size_t n = strlen(name);
    enum pv_status status = read_options(app, &m.picture);
    if (!status)
        status = n > 5 && !strcmp(name + n - 5, ".gguf") ? from_model(app, &m) : from_trace(app, &m);
    if (!status)
        console_note(&app->console, "wrote %s", app->options.out);
    pv_maskset_destroy(m.masks);
    pv_clusters_close(m.clusters);
    pv_heat_destroy(m.heat);
    pv_trace_close(m.reader);
    return app_fail(app, status);
}
