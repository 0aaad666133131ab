/* parvin fit: learn a cluster file from a text. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibration.h"

/* Masked kernels read scattered rows: a gain below this share of the bytes is not certain. */
static const double GAINS_UP_TO = 0.9;

struct fit {
    struct calibration from;
    char out_path[4096], resume_path[4200];
    struct pv_fit_result result;
};

/* MODEL.gguf -> MODEL.clusters.gguf, beside it, unless --out says otherwise. */
static enum pv_status choose_paths(struct app *app, struct fit *fit)
{
    const struct options *o = &app->options;
    const char *model = o->argument, *dot = strrchr(model, '.');
    int n;
    if (o->out) {
        n = snprintf(fit->out_path, sizeof fit->out_path, "%s", o->out);
    } else {
        const int stem = dot && !strcmp(dot, ".gguf") ? (int)(dot - model) : (int)strlen(model);
        n = snprintf(fit->out_path, sizeof fit->out_path, "%.*s.clusters.gguf", stem, model);
    }
    if (n <= 0 || (size_t)n >= sizeof fit->out_path) {
        console_error(&app->console, "the name of the cluster file is empty or too long");
        return PV_ERR_ARG;
    }
    snprintf(fit->resume_path, sizeof fit->resume_path, "%s.resume", fit->out_path);
    return PV_OK;
}

/* Index of `text` in names, which ends with NULL; 0 for NULL; a message and -1 for another. */
static int choose(struct app *app, const char *option, const char *text, const char *const *names)
{
    for (int i = 0; text && names[i]; i++)
        if (!strcmp(text, names[i]))
            return i;
    if (!text)
        return 0;
    console_error(&app->console, "--%s has no '%s'; 'parvin fit --help' lists what it takes", option, text);
    return -1;
}

static bool choose_method(struct app *app, struct pv_fit_params *params)
{
    static const char *const methods[] = {"parvin", "k-means", "k-modes", NULL};
    static const char *const spaces[] = {"contribution", "pattern", "input", "mask", NULL};
    static const char *const routers[] = {"linear", "centroid", "low-rank", NULL};
    const struct options *o = &app->options;
    const int method = choose(app, "method", o->method, methods),
              space = choose(app, "space", o->space, spaces),
              router = choose(app, "router", o->router, routers);
    if (method < 0 || space < 0 || router < 0)
        return false;
    if (method != PV_FIT_ENERGY && o->space) {
        console_error(&app->console, "--space is for --method parvin; the baselines cluster patterns");
        return false;
    }
    params->method = (enum pv_fit_method)method;
    params->space = (enum pv_fit_space)space;
    params->router = (enum pv_fit_router)router;
    params->n_restarts = o->restarts;
    params->n_rounds = o->rounds ? o->rounds : PV_FIT_NO_ROUNDS;
    return true;
}

/* A capture file has text and windows in it already. */
static enum pv_status check_options(struct app *app)
{
    const struct options *o = &app->options;
    struct pv_fit_params unused = {0};
    if (!learn_place(app, &unused.learn_on) || !choose_method(app, &unused))
        return PV_ERR_ARG;
    if (o->density > 0 && o->max_ppl_rise > 0) {
        console_error(&app->console, "--max-ppl-rise searches for the density: give one or the other");
        return PV_ERR_ARG;
    }
    if (o->capture && o->max_ppl_rise > 0 && !o->text) {
        console_error(&app->console, "--max-ppl-rise runs the model: with --capture, give its --text too");
        return PV_ERR_ARG;
    }
    if (o->capture &&
        ((o->text && !(o->max_ppl_rise > 0)) || o->tokens || o->thin || o->ctx || o->active_share > 0)) {
        console_error(&app->console, "--capture stands for --text, --tokens, --thin, --ctx and "
                                     "--active-share: leave those out");
        return PV_ERR_ARG;
    }
    return PV_OK;
}

static enum pv_status start(struct app *app, struct fit *fit)
{
    enum pv_status status = choose_paths(app, fit);
    if (!status)
        status = check_options(app);
    if (!status)
        status = calibration_open(app, app->options.capture && !app->options.text, &fit->from);
    return status;
}

static json_t *json_layers(const struct pv_fit_result *r)
{
    json_t *layers = json_array();
    for (uint32_t l = 0; l < r->n_layers; l++) {
        json_t *layer = json_object();
        json_put_number(layer, "density", r->layers[l].density);
        json_put_number(layer, "active", r->layers[l].active);
        json_put_number(layer, "energy_kept", r->layers[l].energy_kept);
        json_put_number(layer, "router_accuracy", r->layers[l].router_accuracy);
        if (r->layers[l].router_rank)
            json_put_count(layer, "router_rank", r->layers[l].router_rank);
        json_array_append_new(layers, layer);
    }
    return layers;
}

static json_t *json_tries(const struct pv_fit_result *r)
{
    json_t *tries = json_array();
    for (uint32_t i = 0; i < r->n_tries; i++) {
        json_t *one = json_object();
        json_put_count(one, "clusters", r->tries[i].n_clusters);
        json_put_number(one, "router_share", r->tries[i].router_share);
        json_put_number(one, "density", r->tries[i].density);
        json_put_number(one, "energy_kept", r->tries[i].energy_kept);
        json_put_number(one, "router_accuracy", r->tries[i].router_accuracy);
        json_array_append_new(tries, one);
    }
    return tries;
}

/* What led to the number of clusters; not the result, so on stderr. */
static void note_tries(struct app *app, const struct pv_fit_result *r)
{
    console_end_bar(&app->console);
    if (r->n_tries)
        console_note(&app->console, "clusters  router bytes  density left  energy kept  router right");
    for (uint32_t i = 0; i < r->n_tries; i++) {
        const struct pv_fit_try *t = &r->tries[i];
        console_note(&app->console, "%8u  %10.1f %%  %12.3f  %9.2f %%  %10.1f %%%s", t->n_clusters,
                     100 * t->router_share, t->density, 100 * t->energy_kept, 100 * t->router_accuracy,
                     t->n_clusters == r->n_clusters ? "  chosen" : "");
    }
}

static json_t *json_seconds(const struct pv_fit_result *r)
{
    json_t *seconds = json_object();
    if (r->seconds_sampling > 0)
        json_put_number(seconds, "sampling", r->seconds_sampling);
    json_put_number(seconds, "capture", r->seconds_capture);
    if (r->n_tries)
        json_put_number(seconds, "tries", r->seconds_tries);
    json_put_number(seconds, "cluster", r->seconds_cluster);
    json_put_number(seconds, "router", r->seconds_router);
    json_put_number(seconds, "budget", r->seconds_budget);
    json_put_number(seconds, "refine", r->seconds_refine);
    json_put_number(seconds, "masks", r->seconds_masks);
    json_put_number(seconds, "writing", r->seconds_writing);
    return seconds;
}

static int print_json(struct app *app, const struct fit *fit)
{
    const struct pv_fit_result *r = &fit->result;
    json_t *object = json_object();
    json_put_string(object, "model", app->options.argument);
    json_put_string(object, "out", fit->out_path);
    json_put_string(object, "device", fit->from.setup.device_names);
    json_put_count(object, "tokens", r->n_tokens);
    json_put_count(object, "clusters", r->n_clusters);
    json_put_string(object, "clusters_on", r->clusters_on_device ? "device" : "cpu");
    json_put_string(object, "router_on", r->router_on_device ? "device" : "cpu");
    json_put_number(object, "density", r->density);
    json_put_number(object, "bytes_share", r->bytes_share);
    json_put_number(object, "router_accuracy", r->router_accuracy);
    json_put_count(object, "router_bytes", r->router_bytes);
    json_put_number(object, "precision", r->precision);
    json_put_number(object, "recall", r->recall);
    json_put_number(object, "energy_kept", r->energy_kept);
    if (app->options.max_ppl_rise > 0) {
        json_put_number(object, "max_ppl_rise", app->options.max_ppl_rise);
        json_put_number(object, "ppl_dense", r->ppl_dense);
        json_put_number(object, "ppl_routed", r->ppl_routed);
        json_put_number(object, "ppl_rise", r->ppl_rise);
        json_put_number(object, "ppl_rise_error", r->ppl_rise_error);
        json_put_count(object, "ppl_tokens", r->n_ppl_tokens);
        json_put(object, "sparse_enough", json_boolean(r->bytes_share <= GAINS_UP_TO));
    }
    if (r->n_tries)
        json_put(object, "tries", json_tries(r));
    json_put(object, "layers", json_layers(r));
    json_put(object, "resumed", json_boolean(r->resumed));
    json_put(object, "seconds", json_seconds(r));
    return json_finish(&app->console, object);
}

static void print_search(const struct app *app, const struct pv_fit_result *r)
{
    printf(
        "perplexity %.3f dense, %.3f routed on %llu tokens kept out of all learning: rise %.2f %% (+- %.2f), "
        "asked for at most %.4g %%\n",
        r->ppl_dense, r->ppl_routed, (unsigned long long)r->n_ppl_tokens, 100 * r->ppl_rise,
        100 * r->ppl_rise_error, 100 * app->options.max_ppl_rise);
    if (r->bytes_share > GAINS_UP_TO)
        printf("this model is not sparse enough to gain at that rise: with the router a token reads %.0f %% "
               "of the "
               "dense layers' bytes\n",
               100 * r->bytes_share);
}

static void print_router(const struct pv_fit_result *r)
{
    printf("router: %.1f KiB", (double)r->router_bytes / 1024);
    if (r->n_layers && r->layers[0].router_rank)
        printf(", rank by layer:");
    for (uint32_t l = 0; l < r->n_layers && r->layers[l].router_rank; l++)
        printf(" %u", r->layers[l].router_rank);
    printf("\nbudget by layer:");
    for (uint32_t l = 0; l < r->n_layers; l++)
        printf(" %.3f", r->layers[l].density);
}

static int print_result(struct app *app, const struct fit *fit)
{
    const struct pv_fit_result *r = &fit->result;
    note_tries(app, r);
    if (app->options.json)
        return print_json(app, fit);
    printf("%s: %u clusters per layer from %llu tokens%s\n", fit->out_path, r->n_clusters,
           (unsigned long long)r->n_tokens, r->resumed ? " (resumed)" : "");
    if (app->options.max_ppl_rise > 0)
        print_search(app, r);
    printf("held-out tokens: density %.3f, %.2f %% of the energy kept, precision %.3f, recall %.3f, router "
           "%.1f %% accurate\n",
           r->density, 100 * r->energy_kept, r->precision, r->recall, 100 * r->router_accuracy);
    print_router(r);
    printf("\nseconds: ");
    if (r->seconds_sampling > 0)
        printf("%.1f sampling, ", r->seconds_sampling);
    printf("%.1f capture, ", r->seconds_capture);
    if (r->n_tries)
        printf("%.1f tries, ", r->seconds_tries);
    printf("%.1f clusters, %.1f router, ", r->seconds_cluster, r->seconds_router);
    if (app->options.max_ppl_rise > 0)
        printf("%.1f budget, ", r->seconds_budget);
    printf("%.1f refinement, %.1f masks, %.1f writing\n", r->seconds_refine, r->seconds_masks,
           r->seconds_writing);
    return EXIT_GOOD;
}

static void say_how_to_go_on(struct app *app, const struct fit *fit)
{
    char text_path[sizeof fit->resume_path + sizeof ".text"];
    snprintf(text_path, sizeof text_path, "%s.text", fit->resume_path);
    console_end_bar(&app->console);
    if (access(fit->resume_path, F_OK) == 0 || access(text_path, F_OK) == 0)
        console_note(&app->console, "stopped; %s keeps what was done: the same command goes on from there",
                     fit->resume_path);
    else
        console_note(&app->console, "stopped before there was anything to keep; '%s' was not touched",
                     fit->out_path);
}

int cmd_fit(struct app *app)
{
    const struct options *o = &app->options;
    struct fit fit = {0};
    console_watch_interrupt();
    enum pv_status status = start(app, &fit);
    if (!status && console_interrupted())
        status = PV_ERR_INTERRUPTED;
    if (!status) {
        struct pv_fit_params params = {
            .n_clusters = o->clusters,
            .density = o->density,
            .max_ppl_rise = o->max_ppl_rise,
            .active_share = o->active_share,
            .n_tokens = o->tokens,
            .thin = o->thin,
            .capture_path = o->capture,
            .n_iters = o->iters,
            .n_epochs = o->epochs,
            .n_threads = o->threads,
            .seed = o->seed,
            .resume_path = fit.resume_path,
            .progress = console_progress(&app->console),
        };
        (void)learn_place(app, &params.learn_on);
        (void)choose_method(app, &params);
        status = pv_fit(fit.from.setup.engine, fit.from.tokens, fit.from.n_tokens, fit.out_path, &params,
                        &fit.result);
    }
    if (status == PV_ERR_INTERRUPTED)
        say_how_to_go_on(app, &fit);
    int code = app_fail(app, status);
    if (!code)
        code = print_result(app, &fit);
    pv_fit_result_free(&fit.result);
    status = calibration_close(app, &fit.from);
    return code ? code : app_fail(app, status);
}
