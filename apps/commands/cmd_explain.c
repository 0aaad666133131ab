/* parvin explain: what each cluster is for, as an HTML page. */
#include <math.h>
#include <stdlib.h>

#include "cli/outputs.h"
#include "reports/explain_page.h"
#include "view.h"
#include "commands/commands.h"

struct explain_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct view_options view;
    const char *out, *text, *trace;
    uint64_t tokens;
};

#define AT(field) offsetof(struct explain_options, field)
static const struct option explain_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", "explain.html", 0, 0, "the page to write"},
    {0, "trace", OPTION_STREAM, AT(trace), "FILE", NULL, 0, 0,
     "write every token's clusters, router margins and times to a file"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", "Parvin's own tales", 0, 0,
     "text for the model to read ('-': standard input)"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all", 1, 1e12, "tokens of the text at most"},
};
#undef AT

static const struct option_group explain_groups[] = {
    OPTION_OWN(explain_rows),
    OPTION_GROUP(style_rows, struct explain_options, view),
    OPTION_GROUP(clusters_rows, struct explain_options, model),
    OPTION_GROUP(ctx_rows, struct explain_options, model),
    OPTION_GROUP(ffn_act_rows, struct explain_options, model),
    OPTION_GROUP(pre_rows, struct explain_options, model),
    OPTION_GROUP(device_rows, struct explain_options, device),
    OPTION_GROUP(split_rows, struct explain_options, device),
    OPTION_GROUP(driver_rows, struct explain_options, device),
    OPTION_GROUP(force_rows, struct explain_options, common),
    OPTION_GROUP(common_rows, struct explain_options, common),
};

static const struct explain_options *options_of(const struct app *app)
{
    return app->options;
}

struct explain {
    struct observed observed;
    struct explain_spot *spots; /* [L][K][EXPLAIN_CONTEXTS] */
    double *sums;               /* [5][L]: hits, computed, active, energy; then the ratios for the page */
};

static void keep_spot(struct explain_spot *spots, uint64_t position, float margin)
{
    for (uint32_t i = 0; i < EXPLAIN_CONTEXTS; i++) {
        if (spots[i].position != UINT64_MAX && spots[i].margin >= margin)
            continue;
        for (uint32_t j = EXPLAIN_CONTEXTS - 1; j > i; j--)
            spots[j] = spots[j - 1];
        spots[i] = (struct explain_spot){position, margin};
        return;
    }
}

static enum pv_status see(void *user, const struct pv_trace_token *token)
{
    struct explain *e = user;
    const struct pv_trace_header *h = pv_heat_header(e->observed.heat);
    for (uint32_t l = 0; l < h->n_layers; l++) {
        double *sums = e->sums + l;
        sums[0] += token->n_hit[l];
        sums[h->n_layers] += token->n_neurons[l];
        sums[2 * h->n_layers] += token->n_active[l];
        sums[3 * h->n_layers] += (double)token->energy_kept[l];
        if (token->cluster[l] < h->n_clusters)
            keep_spot(e->spots + ((size_t)l * h->n_clusters + token->cluster[l]) * EXPLAIN_CONTEXTS,
                      token->index, token->margin[l]);
    }
    return PV_OK;
}

static enum pv_status make_tables(void *user, const struct pv_trace_header *h)
{
    struct explain *e = user;
    const size_t n = (size_t)h->n_layers * h->n_clusters * EXPLAIN_CONTEXTS;
    e->spots = malloc(n * sizeof *e->spots);
    e->sums = calloc(4 * (size_t)h->n_layers, sizeof *e->sums);
    if (!e->spots || !e->sums)
        return PV_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        e->spots[i] = (struct explain_spot){UINT64_MAX, 0};
    return PV_OK;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 1.0;
}

static enum pv_status write_page(struct app *app, struct explain *e, struct explain_page page,
                                 const char *path)
{
    const struct pv_trace_header *h = pv_heat_header(e->observed.heat);
    double *ratios = calloc(3 * (size_t)h->n_layers, sizeof *ratios);
    enum pv_status status = PV_OK;
    page.observed = &e->observed;
    page.spots = e->spots;
    for (uint32_t l = 0; ratios && l < h->n_layers; l++) {
        const double *sums = e->sums + l;
        ratios[l] = share(sums[0], sums[h->n_layers]);
        ratios[h->n_layers + l] = share(sums[0], sums[2 * h->n_layers]);
        ratios[2 * h->n_layers + l] = share(sums[3 * h->n_layers], (double)e->observed.n_seen);
    }
    page.precision = ratios;
    page.recall = ratios ? ratios + h->n_layers : NULL;
    page.energy = ratios ? ratios + 2 * h->n_layers : NULL;
    if (!ratios)
        status = PV_ERR_NOMEM;
    if (!status)
        status = explain_write(app, &page, path);
    free(ratios);
    return status;
}

static int cmd_explain(struct app *app)
{
    const char *path = options_of(app)->out ? options_of(app)->out : "explain.html";
    const struct explain_options *o = options_of(app);
    struct explain e = {.observed = {.text_path = o->text,
                                     .trace_path = o->trace,
                                     .n_most = o->tokens,
                                     .begin = make_tables,
                                     .see = see,
                                     .user = &e,
                                     .setup = {.device_options = &o->device, .model_options = &o->model}}};
    struct explain_page style = {0};
    enum pv_status status = view_style(app, &o->view, &style.palette, &style.light), closed;
    if (!status && !o->out)
        status = outputs_check_path(app, path);
    if (!status)
        status = observe_text(app, OBSERVE_ALL, &e.observed);
    if (!status)
        status = write_page(app, &e, style, path);
    if (!status)
        console_note(&app->console, "wrote %s: %llu tokens seen; open it in a browser", path,
                     (unsigned long long)e.observed.n_seen);
    closed = observed_close(app, &e.observed);
    free(e.spots);
    free(e.sums);
    return app_fail(app, status ? status : closed);
}

const struct command command_explain = {
    .name = "explain",
    .argument = "MODEL.gguf",
    .summary = "Write a web page on what each cluster is for",
    .about =
        "Reads a text and tells, for every cluster: size, use, neighbours, the tokens and contexts that pick it. The\n"
        "page stands alone.",
    .examples = "  parvin explain model.gguf -c model.clusters.gguf --text book.txt -o explain.html\n",
    .groups = explain_groups,
    .n_groups = sizeof explain_groups / sizeof explain_groups[0],
    .options_bytes = sizeof(struct explain_options),
    .run = cmd_explain,
};
