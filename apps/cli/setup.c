/* From options to open objects, in the order in which the library needs them; closed in reverse. */
#include "cli/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/outputs.h"

enum { SMALL_MODEL_BYTES = 32 << 20 };

/* $VARIABLE/parvin, or parvin in the home's `folder`. */
static const char *make_dir(const char *variable, const char *folder, char *buffer, size_t size)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n = -1;
    if (base && base[0] == '/')
        n = snprintf(buffer, size, "%s/parvin", base);
    else if (home && home[0] == '/')
        n = snprintf(buffer, size, "%s/%s/parvin", home, folder);
    if (n < 0 || (size_t)n >= size)
        return NULL;
    for (char *slash = strchr(buffer + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(buffer, 0777) != 0 && errno != EEXIST)
            return NULL;
        if (!slash)
            return buffer;
        *slash = '/';
    }
}

const char *setup_cache_dir(char *buffer, size_t size)
{
    return make_dir("XDG_CACHE_HOME", ".cache", buffer, size);
}

const char *setup_state_dir(char *buffer, size_t size)
{
    return make_dir("XDG_STATE_HOME", ".local/state", buffer, size);
}

bool setup_clusters_path(const char *model, char *out, size_t size)
{
    const size_t length = strlen(model);
    const bool named = length > 5 && !strcmp(model + length - 5, ".gguf");
    const int n = snprintf(out, size, "%.*s.clusters.gguf", (int)(named ? length - 5 : length), model);
    return length > 0 && n > 0 && (size_t)n < size;
}

/* lavapipe reads LP_NUM_THREADS when the context is made. What the user has set stays. */
static void choose_threads(struct app *app, const struct setup *setup)
{
    if (!setup->decodes || !setup->model || pv_model_weight_bytes(setup->model) > SMALL_MODEL_BYTES ||
        getenv("LP_NUM_THREADS"))
        return;
    setenv("LP_NUM_THREADS", "0", 0);
    if (app->common->verbose)
        console_note(&app->console,
                     "a small model: lavapipe computes on the calling thread (LP_NUM_THREADS=0)");
}

enum pv_status setup_context(struct app *app, struct setup *setup)
{
    choose_threads(app, setup);
    char cache[4096];
    struct pv_context_params params = {
        .log = console_log(&app->console),
        .validation = setup->device_options->validation,
        .plan_overrides = setup->device_options->plan,
    };
    if (!setup->device_options->no_cache) {
        params.cache_dir = setup_cache_dir(cache, sizeof cache);
        if (!params.cache_dir && app->common->verbose)
            console_note(&app->console,
                         "no folder for the pipeline cache; compiled pipelines will not be kept");
    }
    return pv_context_create(&params, &setup->context);
}

static enum pv_status find_list(struct app *app, const char *list, struct setup *setup)
{
    char name[256];
    for (const char *at = list; *at;) {
        const size_t length = strcspn(at, ",");
        if (length == 0 || length >= sizeof name || setup->n_devices == SETUP_DEVICES_MAX) {
            console_error(&app->console, "--devices takes up to %d names with commas between them, not '%s'",
                          SETUP_DEVICES_MAX, list);
            return PV_ERR_ARG;
        }
        memcpy(name, at, length);
        name[length] = 0;
        const enum pv_status status =
            pv_context_find_device(setup->context, name, &setup->devices[setup->n_devices]);
        if (status)
            return status;
        for (uint32_t i = 0; i < setup->n_devices; i++)
            if (setup->devices[i] == setup->devices[setup->n_devices]) {
                console_error(&app->console, "--devices names device %u twice ('%s'): give each device once",
                              setup->devices[i], list);
                return PV_ERR_ARG;
            }
        setup->n_devices++;
        at += length + (at[length] == ',');
    }
    return PV_OK;
}

void setup_name_devices(struct setup *setup)
{
    const uint32_t n = setup->engine ? pv_engine_n_stages(setup->engine) : setup->n_devices;
    size_t used = 0;
    for (uint32_t i = 0; i < n && used < sizeof setup->device_names; i++) {
        const uint32_t index = setup->engine ? pv_engine_device_index(setup->engine, i) : setup->devices[i];
        const char *name = pv_context_device_info(setup->context, index)->name;
        const int length = snprintf(setup->device_names + used, sizeof setup->device_names - used, "%s%s",
                                    i ? " + " : "", name);
        used += length > 0 ? (size_t)length : 0;
    }
}

/* "3,1": as many numbers above 0 as there are devices. */
static enum pv_status parse_split(struct app *app, const char *text, struct setup *setup)
{
    uint32_t n = 0;
    for (const char *at = text;; at++) {
        char *end = NULL;
        const double value = strtod(at, &end);
        const bool good = end != at && value > 0 && value <= 1e9 && n < SETUP_DEVICES_MAX;
        if (good)
            setup->split[n++] = value;
        if (good && *end == ',') {
            at = end;
            continue;
        }
        if (good && !*end && n == setup->n_devices)
            return PV_OK;
        console_error(&app->console,
                      "--split takes one number above 0 for each of the %u devices of --devices, such as "
                      "--devices A,B --split 3,1; not '%s'",
                      setup->n_devices, text);
        return PV_ERR_ARG;
    }
}

enum pv_status setup_devices(struct app *app, struct setup *setup)
{
    const struct device_options *o = setup->device_options;
    enum pv_status status;
    if (o->device && o->devices) {
        console_error(&app->console, "give --device or --devices, not both");
        return PV_ERR_ARG;
    }
    if (o->devices && o->devices[0]) {
        status = find_list(app, o->devices, setup);
    } else {
        setup->n_devices = 1;
        status = pv_context_find_device(setup->context, o->device, &setup->devices[0]);
    }
    if (!status && o->split)
        status = parse_split(app, o->split, setup);
    if (!status)
        setup_name_devices(setup);
    return status;
}

enum pv_status setup_model(struct app *app, const char *path, struct setup *setup)
{
    const struct model_options *o = setup->model_options;
    struct pv_model_params params = {
        .log = console_log(&app->console), .ffn_act = o ? o->ffn_act : NULL, .pre = o ? o->pre : NULL};
    return pv_model_open(path, &params, &setup->model);
}

enum pv_status setup_clusters(struct app *app, const char *path, struct setup *setup)
{
    struct pv_log log = console_log(&app->console);
    if (!path && setup->model_options->best > 1) {
        console_error(&app->console, "--best is about clusters: give a cluster file with -c");
        return PV_ERR_ARG;
    }
    if (!path)
        return PV_OK;
    const enum pv_status status = pv_clusters_open(path, &log, &setup->clusters);
    return status ? status : pv_clusters_check(setup->clusters, setup->model);
}

struct pv_engine_params setup_engine_params(const struct setup *setup)
{
    const struct model_options *o = setup->model_options;
    const uint32_t own = pv_model_hparams(setup->model)->n_ctx, ctx = o->ctx;
    return (struct pv_engine_params){
        .devices = setup->devices,
        .n_devices = setup->n_devices,
        .split = setup->split[0] > 0 ? setup->split : NULL,
        .clusters = setup->clusters,
        .n_best = o->best,
        .n_ctx = ctx                   ? ctx
                 : own < SETUP_CTX_MAX ? own
                                       : SETUP_CTX_MAX,
        .failover = o->on_lost && !strcmp(o->on_lost, "continue"),
    };
}

enum pv_status setup_engine(struct app *app, struct setup *setup)
{
    const uint32_t own = pv_model_hparams(setup->model)->n_ctx, ctx = setup->model_options->ctx;
    if (ctx > own)
        console_note(&app->console,
                     "--ctx %u is longer than the %u tokens the model was trained on; expect worse text", ctx,
                     own);
    struct pv_engine_params params = setup_engine_params(setup);
    return pv_engine_create(setup->context, setup->model, &params, &setup->engine);
}

enum pv_status setup_rest(struct app *app, struct setup *setup)
{
    enum pv_status status = setup_clusters(app, setup->model_options->clusters_path, setup);
    if (!status)
        status = setup_context(app, setup);
    if (!status)
        status = setup_devices(app, setup);
    return status ? status : setup_engine(app, setup);
}

/* Files first: their mistakes are the likeliest and the cheapest to find. */
enum pv_status setup_all(struct app *app, struct setup *setup)
{
    const enum pv_status status = setup_model(app, app->common->argument, setup);
    return status ? status : setup_rest(app, setup);
}

enum pv_status setup_find_clusters(struct app *app, bool dense, struct setup_choice *choice)
{
    struct model_options *o = &choice->model;
    if (dense && o->clusters_path) {
        console_error(&app->console, "give -c FILE or --dense, not both");
        return PV_ERR_ARG;
    }
    if (dense || o->clusters_path ||
        !setup_clusters_path(app->common->argument, choice->path, sizeof choice->path) ||
        access(choice->path, F_OK) != 0)
        return PV_OK;
    const enum pv_status status = outputs_check_input(app, choice->path);
    if (status)
        return status;
    o->clusters_path = choice->path;
    console_note(&app->console, "using the clusters of %s; --dense computes every neuron", choice->path);
    return PV_OK;
}

static enum pv_status close_context(struct app *app, struct setup *setup)
{
    enum pv_status status = PV_OK;
    pv_engine_destroy(setup->engine);
    setup->engine = NULL;
    if (setup->context && setup->device_options->validation) {
        const uint64_t n = pv_context_validation_messages(setup->context);
        if (n) {
            console_error(&app->console, "the validation layers sent %llu messages", (unsigned long long)n);
            status = PV_ERR_CHECK;
        }
    }
    pv_context_destroy(setup->context);
    setup->context = NULL;
    setup->n_devices = 0;
    return status;
}

enum pv_status setup_reopen(struct app *app, struct setup *setup)
{
    enum pv_status status = close_context(app, setup);
    if (!status)
        status = setup_context(app, setup);
    return status ? status : setup_devices(app, setup);
}

enum pv_status setup_close(struct app *app, struct setup *setup)
{
    const enum pv_status status = close_context(app, setup);
    pv_clusters_close(setup->clusters);
    pv_model_close(setup->model);
    memset(setup, 0, sizeof *setup);
    return status;
}

/* The text is read before the model is opened, so that a wrong name is told at once. */
enum pv_status calibration_open(struct app *app, const char *path, bool model_only, struct calibration *c)
{
    const struct pv_encode_params params = {0};
    const bool reads = path && !model_only;
    if (!path && !model_only)
        console_note(&app->console,
                     "no --text: the model writes the text it learns from; --text FILE with text like "
                     "yours gives better clusters");
    enum pv_status status = reads ? text_read(&app->console, path, &c->text) : PV_OK;
    if (!status)
        status = setup_all(app, &c->setup);
    if (status || !reads)
        return status;
    status = pv_encode(c->setup.model, c->text.bytes, c->text.n, &params, &c->tokens, &c->n_tokens);
    if (!status && !c->n_tokens) {
        console_error(&app->console, "there is nothing in the text to learn from");
        status = PV_ERR_ARG;
    }
    return status;
}

enum pv_status calibration_close(struct app *app, struct calibration *c)
{
    free(c->tokens);
    text_free(&c->text);
    return setup_close(app, &c->setup);
}

bool learn_place(struct app *app, const char *text, enum pv_learn_on *out)
{
    *out = !text ? PV_LEARN_AUTO : !strcmp(text, "cpu") ? PV_LEARN_CPU : PV_LEARN_DEVICE;
    if (!text || *out == PV_LEARN_CPU || !strcmp(text, "device"))
        return true;
    console_error(&app->console, "--learn-on is device or cpu");
    return false;
}
