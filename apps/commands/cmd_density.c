/* parvin density: how many neurons a text needs, layer by layer, and what leaving the others out would gain. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/setup.h"
#include "commands/commands.h"

struct density_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *text;
    uint32_t windows;
    bool thresholds;
};

#define AT(field) offsetof(struct density_options, field)
static const struct option density_rows[] = {
    {0, "text", OPTION_INPUT, AT(text), "FILE", NULL, 0, 0,
     "text to measure on, like the text to be generated later; needed ('-': standard input)"},
    {0, "windows", OPTION_U32, AT(windows), "N", "16", 1, OPTION_U32_MAX,
     "windows of --ctx tokens to read at most"},
    {0, "thresholds", OPTION_FLAG, AT(thresholds), NULL, NULL, 0, 0,
     "measure what a threshold costs in perplexity, also for a model that is sparse by itself"},
};
#undef AT

static const struct option_group density_groups[] = {
    OPTION_OWN(density_rows),
    OPTION_GROUP(ctx_rows, struct density_options, model),
    OPTION_GROUP(ffn_act_rows, struct density_options, model),
    OPTION_GROUP(pre_rows, struct density_options, model),
    OPTION_GROUP(device_rows, struct density_options, device),
    OPTION_GROUP(split_rows, struct density_options, device),
    OPTION_GROUP(driver_rows, struct density_options, device),
    OPTION_GROUP(json_rows, struct density_options, common),
    OPTION_GROUP(common_rows, struct density_options, common),
};

static const struct density_options *options_of(const struct app *app)
{
    return app->options;
}

/* A model with more active neurons than this gains nothing from exact zeros. */
static const double sparse_below = 0.6;
static const double kept_energy[] = {0.999, 0.99, 0.95, 0.9};

/* What a token would read, in a way of leaving neurons out. */
struct gain {
    const char *title, *key, *note;
    double ffn_bytes, token_bytes;
};
enum { MOST_GAINS = 3 };

struct density {
    struct setup setup;
    struct pv_density_result result;
    double gb_s; /* the device's copy; 0: more than one device, or not measured */
    struct gain gains[MOST_GAINS];
    uint32_t n_gains;
};

/* The faster of the device's ways to copy. */
static void on_copy(void *user, const struct pv_bench_row *row)
{
    double *gb_s = user;

    if (row->gb_s > *gb_s)
        *gb_s = row->gb_s;
}

static void add_gain(struct density *d, const char *title, const char *key, const char *note,
                     double ffn_bytes)
{
    const struct pv_density_result *r = &d->result;

    d->gains[d->n_gains++] = (struct gain){.title = title,
                                           .key = key,
                                           .note = note,
                                           .ffn_bytes = ffn_bytes,
                                           .token_bytes = r->token_bytes - r->ffn_bytes + ffn_bytes};
}

static void find_gains(struct density *d)
{
    const struct pv_density_result *r = &d->result;
    const double active = r->mean.active;

    add_gain(d, "dense", "dense", "if every row is read", r->ffn_bytes);
    if (active > sparse_below)
        return;
    add_gain(d, "exact zeros", "zeros",
             "what Parvin does: rows of ffn_down for active neurons only, lossless",
             r->ffn_bytes - r->down_bytes + active * r->down_bytes);
    add_gain(d, "ideal masks", "masks",
             "a bound: the active neurons of a layer alone, by a router that never errs",
             active * r->ffn_bytes);
}

static enum pv_status start(struct app *app, struct density *d, uint32_t **tokens, size_t *n_tokens)
{
    const struct pv_encode_params params = {0};
    struct text text = {0};
    enum pv_status status;

    if (!options_of(app)->text) {
        console_error(&app->console, "give --text FILE: the text to measure on");
        return PV_ERR_ARG;
    }
    status = text_read(&app->console, options_of(app)->text, &text);
    if (!status)
        status = setup_all(app, &d->setup);
    if (!status)
        status = pv_encode(d->setup.model, text.bytes, text.n, &params, tokens, n_tokens);
    text_free(&text);
    return status;
}

static enum pv_status measure(struct app *app, struct density *d, const uint32_t *tokens, size_t n_tokens)
{
    const uint32_t n_thresholds = sizeof kept_energy / sizeof *kept_energy,
                   n_ctx = pv_engine_n_ctx(d->setup.engine);
    const bool zeros = pv_act_makes_zeros(pv_model_hparams(d->setup.model)->act);
    const size_t n_most = n_tokens > 0 ? (n_tokens - 1) / n_ctx : 0;
    struct pv_density_params params = {.n_ctx = n_most > 0 || n_tokens < 2 ? n_ctx : (uint32_t)n_tokens - 1,
                                       .n_windows =
                                           options_of(app)->windows < n_most ? options_of(app)->windows : 0,
                                       .kept = kept_energy,
                                       .n_kept = options_of(app)->thresholds || !zeros ? n_thresholds : 0,
                                       .progress = console_progress(&app->console)};
    enum pv_status status = pv_density(d->setup.engine, tokens, n_tokens, &params, &d->result);

    console_end_bar(&app->console);
    if (!status && d->setup.n_devices <= 1)
        status = pv_bench_kernels(d->setup.context, pv_engine_device_index(d->setup.engine, 0),
                                  &(struct pv_bench_params){.filter = "copy"}, on_copy, &d->gb_s);
    if (!status)
        find_gains(d);
    return status;
}

static void put_layer(json_t *object, const struct pv_density_layer *l)
{
    json_put_number(object, "active", l->active);
    json_put_number(object, "low", l->low);
    json_put_number(object, "high", l->high);
    json_put_number(object, "in_8", l->in_8);
    json_put_number(object, "unused", l->unused);
    json_put_number(object, "half_energy", l->half_energy);
    json_put_number(object, "most_energy", l->most_energy);
}

static int print_json(struct app *app, const struct density *d)
{
    const struct pv_density_result *r = &d->result;
    json_t *object = json_object(), *layers = json_array(), *thresholds = json_array(), *gains = json_array();

    json_put_string(object, "model", app->common->argument);
    json_put_string(object, "text", options_of(app)->text);
    json_put_string(object, "device", d->setup.device_names);
    json_put_count(object, "tokens", r->n_tokens);
    json_put_count(object, "ctx", r->n_ctx);
    json_put_count(object, "windows", r->n_windows);
    json_put_number(object, "ppl", r->ppl);
    put_layer(object, &r->mean);
    for (uint32_t i = 0; i < r->n_layers; i++) {
        json_t *layer = json_object();
        put_layer(layer, &r->layers[i]);
        json_array_append_new(layers, layer);
    }
    json_put(object, "layers", layers);
    for (uint32_t i = 0; i < r->n_thresholds; i++) {
        json_t *threshold = json_object();
        json_put_number(threshold, "kept_energy", r->thresholds[i].kept);
        json_put_number(threshold, "density", r->thresholds[i].density);
        json_put_number(threshold, "ppl", r->thresholds[i].ppl);
        json_put_number(threshold, "rise", r->thresholds[i].ppl / r->ppl - 1);
        json_array_append_new(thresholds, threshold);
    }
    json_put(object, "thresholds", thresholds);
    for (uint32_t i = 0; i < d->n_gains; i++) {
        json_t *gain = json_object();
        json_put_string(gain, "mode", d->gains[i].key);
        json_put_number(gain, "ffn_bytes", d->gains[i].ffn_bytes);
        json_put_number(gain, "token_bytes", d->gains[i].token_bytes);
        if (d->gb_s > 0)
            json_put_number(gain, "tok_s_bound", d->gb_s * 1e9 / d->gains[i].token_bytes);
        json_array_append_new(gains, gain);
    }
    json_put(object, "reads", gains);
    if (d->gb_s > 0)
        json_put_number(object, "copy_gb_s", d->gb_s);
    return json_finish(&app->console, object);
}

static void print_layer(const char *title, const struct pv_density_layer *l)
{
    printf("%-9s %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n", title, 100 * l->active, 100 * l->low,
           100 * l->high, 100 * l->in_8, 100 * l->unused, 100 * l->half_energy, 100 * l->most_energy);
}

static void print_gains(const struct density *d)
{
    printf("\n%-14s %14s %14s %9s", "a token reads", "feed-forward", "in all", "of dense");
    puts(d->gb_s > 0 ? "  tok/s, bound" : "");
    for (uint32_t i = 0; i < d->n_gains; i++) {
        const struct gain *g = &d->gains[i];
        printf("%-14s %10.2f MiB %10.2f MiB %7.1f %%", g->title, g->ffn_bytes / 1048576,
               g->token_bytes / 1048576, 100 * g->token_bytes / d->gains[0].token_bytes);
        if (d->gb_s > 0)
            printf(" %13.0f", d->gb_s * 1e9 / g->token_bytes);
        printf("  %s\n", g->note);
    }
    if (d->gb_s > 0)
        printf(
            "The bound is the weights' bytes at the %.1f GB/s that this device copies at; real decode is slower.\n",
            d->gb_s);
}

static void print_thresholds(const struct pv_density_result *r)
{
    puts("\nthreshold that keeps   neurons computed   perplexity");
    printf("%-22s %14.1f %% %12.3f\n", "everything", 100.0, r->ppl);
    for (uint32_t i = 0; i < r->n_thresholds; i++) {
        const struct pv_density_threshold *t = &r->thresholds[i];
        printf("%5.1f %% of the energy   %14.1f %% %12.3f  %+.2f %%\n", 100 * t->kept, 100 * t->density,
               t->ppl, 100 * (t->ppl / r->ppl - 1));
    }
}

static int print_table(struct app *app, const struct density *d)
{
    const struct pv_density_result *r = &d->result;
    const struct pv_hparams *h = pv_model_hparams(d->setup.model);

    printf(
        "%u layers of %u neurons, %llu tokens in %u windows of %u. Shares of a layer's neurons, in %%:\n\n",
        r->n_layers, h->d_ffn, (unsigned long long)r->n_tokens, r->n_windows, r->n_ctx);
    printf("%-9s %8s %8s %8s %8s %8s %8s %8s\n", "", "active", "low", "high", "8 tokens", "unused",
           "energy50", "energy99");
    for (uint32_t i = 0; i < r->n_layers; i++) {
        char title[24];
        snprintf(title, sizeof title, "layer %u", i);
        print_layer(title, &r->layers[i]);
    }
    print_layer("mean", &r->mean);
    puts(
        "active: not exactly zero, a token's mean; low, high: 5 % and 95 % of the tokens have no more; 8 tokens: active for\n"
        "any of 8 in a row; unused: active for none; energy50, energy99: the strongest, which hold so much of the energy.");
    if (r->mean.active > sparse_below)
        printf(
            "\nThis model is not sparse by itself: %.0f %% of the activations are not zero. Skipping zeros gains nothing,\n"
            "and clusters pay only as far as a threshold does.\n",
            100 * r->mean.active);
    if (r->n_thresholds > 0)
        print_thresholds(r);
    print_gains(d);
    (void)app;
    return EXIT_GOOD;
}

static int cmd_density(struct app *app)
{
    struct density d = {
        .setup = {.device_options = &options_of(app)->device, .model_options = &options_of(app)->model}};
    uint32_t *tokens = NULL;
    size_t n_tokens = 0;

    console_watch_interrupt();
    enum pv_status status = start(app, &d, &tokens, &n_tokens);
    if (!status)
        status = measure(app, &d, tokens, n_tokens);
    int code = app_fail(app, status);
    if (!code)
        code = app->common->json ? print_json(app, &d) : print_table(app, &d);
    pv_density_result_free(&d.result);
    free(tokens);
    status = setup_close(app, &d.setup);
    return code ? code : app_fail(app, status);
}

const struct command command_density = {
    .name = "density",
    .argument = "MODEL.gguf",
    .summary = "Say how many neurons a text needs, and what skipping the others would gain",
    .about =
        "Reads a text with every neuron computed and counts those whose activation is not exactly zero, layer by layer.\n"
        "Then it lists the bytes of weights that a token reads: dense, with zeros skipped, with ideal masks. A model that\n"
        "makes no zeros is read again with thresholds, to say what they cost. No cluster file is needed.",
    .examples = "  parvin density model.gguf --text book.txt\n"
                "  parvin density model.gguf --text book.txt --ctx 256 --windows 4 --json\n",
    .groups = density_groups,
    .n_groups = sizeof density_groups / sizeof density_groups[0],
    .options_bytes = sizeof(struct density_options),
    .run = cmd_density,
};
