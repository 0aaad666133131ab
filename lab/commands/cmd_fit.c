/* parvin-lab fit: a cluster file by a method that Parvin's is measured against, to run and look at like any other. */
#include <stdlib.h>
#include <string.h>

#include "cli/setup.h"
#include "cli/outputs.h"
#include "infer/load/engine.h"
#include "lab/commands/commands.h"
#include "lab/methods/baseline_kmodes.h"

struct fit_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *out, *text, *method;
    uint32_t n_clusters, iters, epochs, threads;
    double density;
    uint64_t tokens, seed;
};

#define AT(field) offsetof(struct fit_options, field)
static const struct option fit_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", "clusters.gguf", 0, 0, "the cluster file to write"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", "written by the model", 0, 0,
     "text to learn from ('-': standard input)"},
    {0, "method", OPTION_TEXT, AT(method), "NAME", "k-modes", 0, 0,
     "k-modes or k-means: clusters of bit patterns, the neurons most often active"},
    {'k', "n-clusters", OPTION_U32, AT(n_clusters), "K", "256, fewer on small texts", 1, 65536,
     "clusters per layer"},
    {0, "density", OPTION_SHARE, AT(density), "SHARE", "0.2", 0.001, 1,
     "share of all feed-forward neurons to compute, spread over the layers"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all; 65536 without --text", 1, 1e12,
     "calibration tokens at most, spread over the text"},
    {0, "iters", OPTION_U32, AT(iters), "N", "20", 1, 10000, "clustering iterations at most"},
    {0, "epochs", OPTION_U32, AT(epochs), "N", "12", 1, 10000, "passes over the tokens to train the router"},
    {0, "threads", OPTION_U32, AT(threads), "N", "all cores", 1, 1024, "host threads"},
    {0, "seed", OPTION_U64, AT(seed), "N", "1", 0, OPTION_U64_MAX, "seed of clustering and router"},
};
#undef AT

static const struct option_group fit_groups[] = {
    OPTION_OWN(fit_rows),
    OPTION_GROUP(ctx_rows, struct fit_options, model),
    OPTION_GROUP(ffn_act_rows, struct fit_options, model),
    OPTION_GROUP(device_rows, struct fit_options, device),
    OPTION_GROUP(driver_rows, struct fit_options, device),
    OPTION_GROUP(force_rows, struct fit_options, common),
    OPTION_GROUP(json_rows, struct fit_options, common),
    OPTION_GROUP(common_rows, struct fit_options, common),
};

static const struct pv_baseline *find_method(struct app *app, const char *name)
{
    if (!name || !strcmp(name, "k-modes"))
        return &pv_fit_kmodes;
    if (!strcmp(name, "k-means"))
        return &pv_fit_kmeans;
    console_error(&app->console, "--method has no '%s'; there are k-modes and k-means", name);
    return NULL;
}

static int print_result(struct app *app, const struct pv_fit_result *r, const char *out_path)
{
    if (!app->common->json) {
        printf(
            "wrote %s\nheld-out tokens: density %.3f, %.2f %% of the energy kept, precision %.3f, recall %.3f, "
            "router right for %.1f %%\n",
            out_path, r->density, 100 * r->energy_kept, r->precision, r->recall, 100 * r->router_accuracy);
        return 0;
    }
    json_t *object = json_object();
    json_put_string(object, "out", out_path);
    json_put_count(object, "clusters", r->n_clusters);
    json_put_number(object, "density", r->density);
    json_put_number(object, "energy_kept", r->energy_kept);
    json_put_number(object, "precision", r->precision);
    json_put_number(object, "recall", r->recall);
    json_put_number(object, "router_accuracy", r->router_accuracy);
    return json_finish(&app->console, object);
}

static int cmd_fit(struct app *app)
{
    const struct fit_options *o = app->options;
    const struct pv_baseline *method = find_method(app, o->method);
    const char *out_path = o->out ? o->out : "clusters.gguf";
    struct calibration from = {.setup = {.device_options = &o->device, .model_options = &o->model}};
    const struct pv_fit_params params = {.n_clusters = o->n_clusters,
                                         .density = o->density,
                                         .n_tokens = o->tokens,
                                         .n_iters = o->iters,
                                         .n_epochs = o->epochs,
                                         .n_threads = o->threads,
                                         .seed = o->seed,
                                         .progress = console_progress(&app->console)};
    struct pv_fit_result result = {0};
    if (!method)
        return app_fail(app, PV_ERR_ARG);
    console_watch_interrupt();
    enum pv_status status = o->out ? PV_OK : outputs_check_path(app, out_path);
    if (!status)
        status = calibration_open(app, o->text, false, &from);
    if (!status)
        status = pv_fit_by(from.setup.engine,
                           (struct pv_learn_job){.tokens = from.tokens,
                                                 .n_tokens = from.n_tokens,
                                                 .out_path = out_path,
                                                 .params = &params,
                                                 .method = method},
                           &result);
    console_end_bar(&app->console);
    int code = app_fail(app, status);
    if (!code)
        code = print_result(app, &result, out_path);
    pv_fit_result_free(&result);
    status = calibration_close(app, &from);
    return code ? code : app_fail(app, status);
}

const struct command command_lab_fit = {
    .name = "fit",
    .argument = "MODEL.gguf",
    .summary = "Learn clusters by a method that Parvin's is measured against",
    .about =
        "Writes a cluster file that 'parvin run' and 'parvin eval' take like any other. Interrupted by Ctrl-C it\n"
        "leaves OUT.resume; the same command goes on from there.",
    .examples = "  parvin-lab fit model.gguf --text book.txt --method k-modes -o modes.gguf\n",
    .groups = fit_groups,
    .n_groups = sizeof fit_groups / sizeof fit_groups[0],
    .options_bytes = sizeof(struct fit_options),
    .run = cmd_fit,
};
