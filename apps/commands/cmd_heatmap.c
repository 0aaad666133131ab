/* parvin heatmap: a picture of a trace, or of a model reading a text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe.h"
#include "view.h"
#include "viz/picture/picture.h"
#include "commands/commands.h"

struct heatmap_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct view_options view;
    const char *out, *kind, *layer, *text;
    uint32_t rows, back, width;
    double scale;
    uint64_t tokens;
};

#define AT(field) offsetof(struct heatmap_options, field)
static const struct option heatmap_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", NULL, 0, 0, "the picture to write, .png or .svg; needed"},
    {0, "kind", OPTION_TEXT, AT(kind), "KIND", "layers", 0, 0, "layers, waterfall, neurons or tokens"},
    {0, "layer", OPTION_TEXT, AT(layer), "N", "the middle one", 0, 0, "layer of a neurons or tokens picture"},
    {0, "rows", OPTION_U32, AT(rows), "N", "what reads well", 1, 4096,
     "tokens of a waterfall, clusters of a neurons or tokens picture"},
    {0, "back", OPTION_U32, AT(back), "N", "0", 0, 1000000, "leave out the last N tokens of a waterfall"},
    {0, "width", OPTION_U32, AT(width), "PIXELS", "1200", 600, 8192, "width at scale 1"},
    {0, "scale", OPTION_REAL, AT(scale), "S", "2", 0.5, 4, "PNG pixels for each pixel of the width"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", "Parvin's own tales", 0, 0,
     "text for the model to read ('-': standard input)"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all", 1, 1e12, "tokens of the text at most"},
};
#undef AT

static const struct option_group heatmap_groups[] = {
    OPTION_OWN(heatmap_rows),
    OPTION_GROUP(half_life_rows, struct heatmap_options, view),
    OPTION_GROUP(style_rows, struct heatmap_options, view),
    OPTION_GROUP(clusters_rows, struct heatmap_options, model),
    OPTION_GROUP(ctx_rows, struct heatmap_options, model),
    OPTION_GROUP(ffn_act_rows, struct heatmap_options, model),
    OPTION_GROUP(pre_rows, struct heatmap_options, model),
    OPTION_GROUP(device_rows, struct heatmap_options, device),
    OPTION_GROUP(split_rows, struct heatmap_options, device),
    OPTION_GROUP(driver_rows, struct heatmap_options, device),
    OPTION_GROUP(force_rows, struct heatmap_options, common),
    OPTION_GROUP(common_rows, struct heatmap_options, common),
};

static const struct heatmap_options *options_of(const struct app *app)
{
    return app->options;
}

struct heatmap {
    struct app *app;
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
    const struct heatmap_options *o = options_of(app);
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
    const struct pv_log log = console_log(&app->console);
    const enum pv_status status = pv_picture_check_name(o->out, &log);
    return status ? status : view_style(app, &o->view, &picture->palette, &picture->light);
}

/* The layer that --layer names, before the model reads a text. */
static enum pv_status check_layer(void *user, const struct pv_trace_header *header)
{
    const struct heatmap *m = user;
    if (m->picture.layer == UINT32_MAX || m->picture.layer < header->n_layers)
        return PV_OK;
    console_error(&m->app->console, "there is no layer %u: the model has layers 0 to %u", m->picture.layer,
                  header->n_layers - 1);
    return PV_ERR_ARG;
}

static enum pv_status from_trace(struct app *app, struct heatmap *m)
{
    const struct pv_heat_params params = {
        .half_life = options_of(app)->view.half_life > 0 ? options_of(app)->view.half_life : INFINITY,
        .n_recent = options_of(app)->rows + options_of(app)->back + 512};
    const struct heatmap_options *o = options_of(app);
    struct pv_log log = console_log(&app->console);
    enum pv_status status = pv_trace_open(o->common.argument, false, &log, &m->reader);
    if (!status && o->model.clusters_path)
        status = pv_clusters_open(o->model.clusters_path, &log, &m->clusters);
    if (!status && m->clusters &&
        pv_clusters_info(m->clusters)->fingerprint != pv_trace_reader_header(m->reader)->fingerprint) {
        console_error(&app->console, "%s was made for another model than the trace's",
                      o->model.clusters_path);
        status = PV_ERR_MISMATCH;
    }
    if (!status && m->clusters)
        status = view_masks(app, m->clusters, &m->masks);
    if (!status)
        status = pv_heat_create(pv_trace_reader_header(m->reader), &params, &m->heat);
    if (!status)
        status = pv_heat_read(m->heat, m->reader, NULL);
    if (!status && json_lacks_memory()) {
        console_error(&app->console, "%s: no memory to read it", o->common.argument);
        status = PV_ERR_NOMEM;
    }
    m->picture.masks = m->masks;
    return status ? status : pv_picture_write(m->heat, &m->picture, o->out, &log);
}

static enum pv_status from_model(struct app *app, struct heatmap *m)
{
    struct pv_log log = console_log(&app->console);
    const struct heatmap_options *o = options_of(app);
    struct observed observed = {.text_path = o->text,
                                .n_most = o->tokens,
                                .begin = check_layer,
                                .user = m,
                                .setup = {.device_options = &o->device, .model_options = &o->model}};
    enum pv_status status = observe_text(app, OBSERVE_ALL, &observed), closed;
    if (!status) {
        m->picture.masks = observed.masks;
        status = pv_picture_write(observed.heat, &m->picture, options_of(app)->out, &log);
    }
    closed = observed_close(app, &observed);
    return status ? status : closed;
}

static int cmd_heatmap(struct app *app)
{
    struct heatmap m = {.app = app};
    const char *name = app->common->argument;
    const size_t n = strlen(name);
    enum pv_status status = read_options(app, &m.picture);
    if (!status)
        status = n > 5 && !strcmp(name + n - 5, ".gguf") ? from_model(app, &m) : from_trace(app, &m);
    if (!status)
        console_note(&app->console, "wrote %s", options_of(app)->out);
    pv_maskset_destroy(m.masks);
    pv_clusters_close(m.clusters);
    pv_heat_destroy(m.heat);
    pv_trace_close(m.reader);
    return app_fail(app, status);
}

const struct command command_heatmap = {
    .name = "heatmap",
    .argument = "TRACE|MODEL",
    .summary = "Draw a picture of the clusters that fire: PNG or SVG",
    .about =
        "From a trace, or from a model (.gguf, with -c) that reads a text.\n"
        "layers: how often each cluster of each layer was picked. waterfall: token by token. neurons: what the\n"
        "clusters of a layer are made of (a trace needs -c for it). tokens: which tokens pick which cluster.",
    .examples =
        "  parvin heatmap run.jsonl -o heat.png\n"
        "  parvin heatmap run.jsonl -o water.svg --kind waterfall --light\n"
        "  parvin heatmap model.gguf -c model.clusters.gguf -o neurons.png --kind neurons --layer 3\n",
    .groups = heatmap_groups,
    .n_groups = sizeof heatmap_groups / sizeof heatmap_groups[0],
    .options_bytes = sizeof(struct heatmap_options),
    .run = cmd_heatmap,
};
