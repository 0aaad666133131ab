/* parvin fit: learn a cluster file from a text. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/setup.h"
#include "cli/outputs.h"
#include "commands/commands.h"

struct fit_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *out, *capture, *text, *learn_on, *space, *router;
    uint32_t n_clusters, thin, restarts, rounds, iters, epochs, threads;
    double density, max_ppl_rise, active_share;
    uint64_t tokens, seed;
};

#define AT(field) offsetof(struct fit_options, field)
static const struct option fit_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", "MODEL.clusters.gguf", 0, 0, "the cluster file to write"},
    {0, "capture", OPTION_INPUT, AT(capture), "FILE", NULL, 0, 0,
     "learn from a file that 'parvin capture' or 'parvin merge' wrote, instead of a text"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", "written by the model", 0, 0,
     "text to learn from, like the text to be generated later ('-': standard input)"},
    {'k', "n-clusters", OPTION_AUTO, AT(n_clusters), "K|auto", "256, fewer on small texts", 1, 65536,
     "clusters per layer; auto picks the number that keeps most energy at equal bytes per token"},
    {0, "clusters", OPTION_MOVED, 0, NULL, NULL, 0, 0, "the number of clusters is -k K or --n-clusters K"},
    {0, "density", OPTION_SHARE, AT(density), "SHARE", "0.2, or what --max-ppl-rise finds", 0.001, 1,
     "share of all feed-forward neurons to compute, spread over the layers: 0.2 or 20%"},
    {0, "max-ppl-rise", OPTION_SHARE, AT(max_ppl_rise), "SHARE", NULL, 0.0001, 100,
     "search for the lowest density whose perplexity rise stays within SHARE (1% or 0.01) on held-out calibration text"},
    {0, "active-share", OPTION_SHARE, AT(active_share), "SHARE", "0.5 or the density", 0.001, 1,
     "neurons that count as active where none are exactly zero (SwiGLU, GELU)"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all; 65536 without --text", 1, 1e12,
     "maximum number of calibration tokens, spread over the text"},
    {0, "thin", OPTION_U32, AT(thin), "R", "no thinning", 1, 1048576,
     "run R times as many tokens and keep one in R: covers more text in the same memory"},
    {0, "method", OPTION_MOVED, 0, NULL, NULL, 0, 0,
     "'parvin-lab fit --method NAME' learns by k-modes or k-means"},
    {0, "space", OPTION_TEXT, AT(space), "NAME", "contribution", 0, 0,
     "what is clustered: contribution, pattern (bits), input (of the router) or mask (what masks keep)"},
    {0, "router", OPTION_TEXT, AT(router), "NAME", "linear", 0, 0,
     "linear (softmax regression), low-rank (two smaller matrices) or centroid (nearest mean input)"},
    {0, "restarts", OPTION_U32, AT(restarts), "N", "1", 1, 1000,
     "cluster N times from different seeds and keep the best"},
    {0, "rounds", OPTION_U32, AT(rounds), "N", "2", 0, 100,
     "rounds of refining the router to keep more energy in its masks"},
    {0, "iters", OPTION_U32, AT(iters), "N", "20", 1, 10000, "maximum number of clustering iterations"},
    {0, "epochs", OPTION_U32, AT(epochs), "N", "12", 1, 10000, "passes over the tokens to train the router"},
    {0, "learn-on", OPTION_TEXT, AT(learn_on), "PLACE", "by the device's plan", 0, 0,
     "device or cpu: where clusters and router are learned"},
    {0, "threads", OPTION_U32, AT(threads), "N", "all cores", 1, 1024, "host threads"},
    {0, "seed", OPTION_U64, AT(seed), "N", "1", 0, OPTION_U64_MAX,
     "seed of clustering, router and the model's own text"},
};
#undef AT

static const struct option_group fit_groups[] = {
    OPTION_OWN(fit_rows),
    OPTION_GROUP(ctx_rows, struct fit_options, model),
    OPTION_GROUP(ffn_act_rows, struct fit_options, model),
    OPTION_GROUP(pre_rows, struct fit_options, model),
    OPTION_GROUP(device_rows, struct fit_options, device),
    OPTION_GROUP(split_rows, struct fit_options, device),
    OPTION_GROUP(driver_rows, struct fit_options, device),
    OPTION_GROUP(force_rows, struct fit_options, common),
    OPTION_GROUP(json_rows, struct fit_options, common),
    OPTION_GROUP(common_rows, struct fit_options, common),
};

static const struct fit_options *options_of(const struct app *app)
{
    return app->options;
}

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
    const struct fit_options *o = options_of(app);
    bool good;
    if (o->out) {
        const int n = snprintf(fit->out_path, sizeof fit->out_path, "%s", o->out);
        good = n > 0 && (size_t)n < sizeof fit->out_path;
    } else {
        good = setup_clusters_path(o->common.argument, fit->out_path, sizeof fit->out_path);
    }
    if (!good) {
        console_error(&app->console, "the name of the cluster file is empty or too long");
        return PV_ERR_ARG;
    }
    snprintf(fit->resume_path, sizeof fit->resume_path, "%s.resume", fit->out_path);
    return o->out ? PV_OK : outputs_check_path(app, fit->out_path);
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
    static const char *const spaces[] = {"contribution", "pattern", "input", "mask", NULL};
    static const char *const routers[] = {"linear", "centroid", "low-rank", NULL};
    const struct fit_options *o = options_of(app);
    const int space = choose(app, "space", o->space, spaces),
              router = choose(app, "router", o->router, routers);
    if (space < 0 || router < 0)
        return false;
    params->space = (enum pv_fit_space)space;
    params->router = (enum pv_fit_router)router;
    params->n_restarts = o->restarts;
    params->n_rounds = o->rounds ? o->rounds : PV_FIT_NO_ROUNDS;
    return true;
}

/* A capture file has text and windows in it already. */
static enum pv_status check_options(struct app *app)
{
    const struct fit_options *o = options_of(app);
    struct pv_fit_params unused = {0};
    if (!learn_place(app, o->learn_on, &unused.learn_on) || !choose_method(app, &unused))
        return PV_ERR_ARG;
    if (o->density > 0 && o->max_ppl_rise > 0) {
        console_error(&app->console, "--max-ppl-rise searches for the density: give one or the other");
        return PV_ERR_ARG;
    }
    if (o->capture && o->max_ppl_rise > 0 && !o->text) {
        console_error(&app->console, "--max-ppl-rise runs the model: with --capture, give its --text too");
        return PV_ERR_ARG;
    }
    if (o->capture && ((o->text && !(o->max_ppl_rise > 0)) || o->tokens || o->thin || o->model.ctx ||
                       o->active_share > 0)) {
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
        status = calibration_open(app, options_of(app)->text,
                                  options_of(app)->capture && !options_of(app)->text, &fit->from);
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

/* A large loss, and what would lose less; a loss that is not known. */
static void note_loss(struct app *app, const struct pv_fit_result *r)
{
    if (!r->n_ppl_tokens)
        console_note(&app->console, "the loss was not measured: 'parvin eval -c' measures it on a text");
    if (!r->n_within)
        return;
    console_note(&app->console,
                 "perplexity rises by %.0f %%: at this density the text will be poor. With these clusters:",
                 100 * r->ppl_rise);
    for (uint32_t i = 0; i < r->n_within; i++) {
        const struct pv_fit_within *w = &r->within[i];
        if (w->density < 1)
            console_note(&app->console, "  within %2.0f %%: --density %.1f (%.2f %%)", 100 * w->max_rise,
                         w->density, 100 * w->rise);
        else
            console_note(&app->console, "  within %2.0f %%: no density below 1", 100 * w->max_rise);
    }
    console_note(&app->console, "'--max-ppl-rise 3%%' searches for the density");
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
    json_put_number(seconds, "loss", r->seconds_loss);
    json_put_number(seconds, "writing", r->seconds_writing);
    return seconds;
}

/* Densities that would lose less; a bound that only every neuron keeps has density 1. */
static json_t *json_within(const struct pv_fit_result *r)
{
    json_t *within = json_array();
    for (uint32_t i = 0; i < r->n_within; i++) {
        json_t *one = json_object();
        json_put_number(one, "max_ppl_rise", r->within[i].max_rise);
        json_put_number(one, "density", r->within[i].density);
        json_put_number(one, "ppl_rise", r->within[i].rise);
        json_array_append_new(within, one);
    }
    return within;
}

static int print_json(struct app *app, const struct fit *fit)
{
    const struct pv_fit_result *r = &fit->result;
    json_t *object = json_object();
    json_put_string(object, "model", app->common->argument);
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
    if (r->n_ppl_tokens) {
        json_put_number(object, "ppl_dense", r->ppl_dense);
        json_put_number(object, "ppl_routed", r->ppl_routed);
        json_put_number(object, "ppl_rise", r->ppl_rise);
        json_put_number(object, "ppl_rise_error", r->ppl_rise_error);
        json_put_count(object, "ppl_tokens", r->n_ppl_tokens);
    }
    if (r->n_within)
        json_put(object, "density_within", json_within(r));
    if (options_of(app)->max_ppl_rise > 0) {
        json_put_number(object, "max_ppl_rise", options_of(app)->max_ppl_rise);
        json_put(object, "sparse_enough", json_boolean(r->bytes_share <= GAINS_UP_TO));
    }
    if (r->n_tries)
        json_put(object, "tries", json_tries(r));
    json_put(object, "layers", json_layers(r));
    json_put(object, "resumed", json_boolean(r->resumed));
    json_put(object, "seconds", json_seconds(r));
    return json_finish(&app->console, object);
}

/* What the masks cost. */
static void print_loss(const struct app *app, const struct pv_fit_result *r)
{
    const double asked = options_of(app)->max_ppl_rise;
    if (!r->n_ppl_tokens)
        return;
    printf(
        "perplexity %.3f dense, %.3f routed on %llu tokens kept out of all learning: rise %.2f %% (+- %.2f)",
        r->ppl_dense, r->ppl_routed, (unsigned long long)r->n_ppl_tokens, 100 * r->ppl_rise,
        100 * r->ppl_rise_error);
    if (asked > 0)
        printf(", asked for at most %.4g %%", 100 * asked);
    printf("\n");
    if (asked > 0 && r->bytes_share > GAINS_UP_TO)
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
    note_loss(app, r);
    if (app->common->json)
        return print_json(app, fit);
    printf("%s: %u clusters per layer from %llu tokens%s\n", fit->out_path, r->n_clusters,
           (unsigned long long)r->n_tokens, r->resumed ? " (resumed)" : "");
    print_loss(app, r);
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
    if (options_of(app)->max_ppl_rise > 0)
        printf("%.1f budget, ", r->seconds_budget);
    printf("%.1f refinement, %.1f masks, %.1f loss, %.1f writing\n", r->seconds_refine, r->seconds_masks,
           r->seconds_loss, r->seconds_writing);
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

static int cmd_fit(struct app *app)
{
    const struct fit_options *o = options_of(app);
    struct fit fit = {.from.setup = {.device_options = &o->device, .model_options = &o->model}};
    console_watch_interrupt();
    enum pv_status status = start(app, &fit);
    if (!status && console_interrupted())
        status = PV_ERR_INTERRUPTED;
    if (!status) {
        struct pv_fit_params params = {
            .n_clusters = o->n_clusters,
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
        (void)learn_place(app, o->learn_on, &params.learn_on);
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

const struct command command_fit = {
    .name = "fit",
    .argument = "MODEL.gguf",
    .summary = "Learn clusters and their router from a text",
    .about =
        "Runs the model over the text, groups its activation patterns into clusters, chooses the neurons each cluster\n"
        "computes, and trains the router that names a token's cluster. Interrupted by Ctrl-C it leaves OUT.resume; the\n"
        "same command goes on from there.",
    .examples = "  parvin fit model.gguf --text book.txt -o model.clusters.gguf\n"
                "  parvin fit model.gguf --text book.txt -k 1024 --density 0.1\n"
                "  parvin fit model.gguf --text book.txt -k auto --max-ppl-rise 1%\n"
                "  xzcat book.txt.xz | parvin fit model.gguf --text - --tokens 100000\n",
    .groups = fit_groups,
    .n_groups = sizeof fit_groups / sizeof fit_groups[0],
    .options_bytes = sizeof(struct fit_options),
    .run = cmd_fit,
};
