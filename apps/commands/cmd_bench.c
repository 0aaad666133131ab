/* parvin bench: kernels against the device's own copy, then prompts and decode of a model if one is given. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model_bench.h"
#include "reports/report.h"
#include "reports/speed_report.h"
#include "cli/setup.h"
#include "view_bench.h"
#include "commands/commands.h"

struct bench_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct view_options view;
    uint32_t d_model, d_ffn, n_clusters, reps, n_prompt, n_decode;
    double density;
    const char *type, *filter, *format;
    bool costs;
};

#define AT(field) offsetof(struct bench_options, field)
static const struct option bench_rows[] = {
    {0, "d-model", OPTION_U32, AT(d_model), "N", "1024", 32, 65536,
     "width of the synthetic feed-forward layer"},
    {0, "d-ffn", OPTION_U32, AT(d_ffn), "N", "8192", 32, 65536,
     "neurons of the synthetic feed-forward layer"},
    {'k', "n-clusters", OPTION_U32, AT(n_clusters), "K", "256", 1, 65536,
     "clusters of the synthetic layer's router"},
    {0, "density", OPTION_SHARE, AT(density), "SHARE", "0.2", 0.001, 1,
     "share of its neurons that a mask holds"},
    {0, "type", OPTION_TEXT, AT(type), "TYPE", "f16", 0, 0, "weight type of GGUF: f16, q8_0, q4_k, ..."},
    {0, "reps", OPTION_U32, AT(reps), "N", "9", 1, 10000,
     "runs that a median is taken of, of a model the mean"},
    {0, "n-prompt", OPTION_U32, AT(n_prompt), "N", "512", 0, 1048576,
     "tokens of the prompts that a model reads; 0: none"},
    {0, "n-decode", OPTION_U32, AT(n_decode), "N", "128", 0, 1048576, "tokens that it decodes; 0: none"},
    {0, "format", OPTION_TEXT, AT(format), "table|md|csv", "table", 0, 0,
     "of the model's rows: as Markdown or CSV they stand alone"},
    {0, "filter", OPTION_TEXT, AT(filter), "TEXT", "none", 0, 0, "only rows whose name contains TEXT"},
    {0, "costs", OPTION_FLAG, AT(costs), NULL, NULL, 0, 0,
     "what a submit, a wait, a dispatch and a barrier cost, and matrix products in seven types, instead"},
    {0, "view", OPTION_TEXT, AT(view.view), "window|term", NULL, 0, 0,
     "time decode with the heatmap shown and without instead, in turns"},
    {0, "learn", OPTION_MOVED, 0, NULL, NULL, 0, 0,
     "timing how clusters are learned is the lab's: parvin-lab bench-learn"},
};
#undef AT

static const struct option_group bench_groups[] = {
    OPTION_OWN(bench_rows),
    OPTION_GROUP(view_device_rows, struct bench_options, view),
    OPTION_GROUP(clusters_rows, struct bench_options, model),
    OPTION_GROUP(best_rows, struct bench_options, model),
    OPTION_GROUP(ffn_act_rows, struct bench_options, model),
    OPTION_GROUP(pre_rows, struct bench_options, model),
    OPTION_GROUP(device_rows, struct bench_options, device),
    OPTION_GROUP(split_rows, struct bench_options, device),
    OPTION_GROUP(driver_rows, struct bench_options, device),
    OPTION_GROUP(json_rows, struct bench_options, common),
    OPTION_GROUP(common_rows, struct bench_options, common),
};

static const struct bench_options *options_of(const struct app *app)
{
    return app->options;
}

/* What a model is timed on: text of a common kind, for the density that a mask has on text. */
static const char bench_text[] =
    "The old man walked slowly down to the harbour, where the boats lay side by side in the morning light. "
    "He had not "
    "been there for many years, and everything seemed smaller than he remembered. A boy was sitting on the "
    "wall with a "
    "fishing rod in his hands, and when he saw the stranger he moved a little to make room for him.";

struct bench {
    struct app *app;
    json_t *rows, *costs;
    uint32_t n_rows, n_here; /* of all devices, of this one */
    const char *device;
    double dense_ms, masked_ms; /* of the feed-forward rows */
    double copy_gb_s;           /* of the last device; 0: not measured */
    enum speed_format format;
};

/* Whether kernel rows are for people to see. */
static bool shows_kernels(const struct bench *bench)
{
    return !bench->app->common->json && bench->format == SPEED_TABLE;
}

static void on_row(void *user, const struct pv_bench_row *row)
{
    struct bench *bench = user;
    if (shows_kernels(bench) && bench->n_here == 0)
        report_bench_head();
    bench->n_rows++;
    bench->n_here++;
    if (!strcmp(row->name, "ffn dense"))
        bench->dense_ms = row->ms;
    if (!strcmp(row->name, "ffn masked"))
        bench->masked_ms = row->ms;
    if (!strncmp(row->name, "copy", 4) && row->share >= 1) /* the better of two */
        bench->copy_gb_s = row->gb_s;
    if (bench->app->common->json)
        json_array_append_new(bench->rows, report_bench_json(bench->device, row));
    else if (shows_kernels(bench))
        report_bench_row(row);
}

static json_t *costs_json(const char *device, const struct pv_device_costs *costs)
{
    json_t *object = json_object();
    json_put_string(object, "device", device);
    json_put_number(object, "submit_us", costs->submit_us);
    json_put_number(object, "wait_us", costs->wait_us);
    json_put_number(object, "dispatch_us", costs->dispatch_us);
    json_put_number(object, "barrier_us", costs->barrier_us);
    return object;
}

/* What surrounds the work, then matrix products type by type. */
static enum pv_status bench_costs(struct bench *bench, struct pv_context *context, uint32_t device,
                                  struct pv_bench_params params)
{
    static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"};
    struct pv_device_costs costs;
    enum pv_status status = pv_bench_costs(context, device, &costs);
    if (status)
        return status;
    json_array_append_new(bench->costs, costs_json(bench->device, &costs));
    if (!bench->app->common->json)
        printf("submit %.1f us, wait %.1f us, dispatch %.2f us, barrier %.2f us\n", costs.submit_us,
               costs.wait_us, costs.dispatch_us, costs.barrier_us);
    params.filter = params.filter ? params.filter : "mat";
    for (size_t i = 0; !status && i < sizeof types / sizeof types[0]; i++) {
        params.type = types[i];
        status = pv_bench_kernels(context, device, &params, on_row, bench);
    }
    return status;
}

static enum pv_status bench_kernels(struct app *app, struct setup *setup, struct bench *bench)
{
    const struct bench_options *o = options_of(app);
    const struct pv_bench_params params = {
        .d_model = o->d_model,
        .d_ffn = o->d_ffn,
        .n_clusters = o->n_clusters,
        .density = o->density,
        .type = o->type,
        .n_reps = o->reps,
        .filter = bench->format == SPEED_TABLE ? o->filter : "copy", /* what the model's rows are shares of */
    };
    enum pv_status status = setup_context(app, setup);
    if (!status)
        status = setup_devices(app, setup);
    if (status)
        return status;
    for (uint32_t i = 0; !status && i < setup->n_devices; i++) {
        bench->device = pv_context_device_info(setup->context, setup->devices[i])->name;
        bench->n_here = 0;
        if (shows_kernels(bench))
            printf("%s%s\n", i ? "\n" : "", bench->device);
        status = o->costs ? bench_costs(bench, setup->context, setup->devices[i], params)
                          : pv_bench_kernels(setup->context, setup->devices[i], &params, on_row, bench);
        if (!status && shows_kernels(bench) && bench->masked_ms > 0)
            printf("\nmasked feed-forward: %.2f times as fast as dense at density %.2f (bound: %.2f)\n",
                   bench->dense_ms / bench->masked_ms, o->density, 1 / o->density);
    }
    return status;
}

static enum pv_status encode_text(const struct setup *setup, uint32_t **tokens, size_t *n)
{
    const struct pv_encode_params params = {.add_bos = pv_model_wants_bos(setup->model)};
    return pv_encode(setup->model, bench_text, sizeof bench_text - 1, &params, tokens, n);
}

/* In a context of its own, as `run` makes it. */
static enum pv_status bench_model(struct app *app, struct setup *setup, struct model_bench *out)
{
    uint32_t *tokens = NULL;
    size_t n = 0;
    setup->decodes = true;
    enum pv_status status = setup_reopen(app, setup);
    if (!status)
        status = setup_engine(app, setup);
    if (!status)
        status = encode_text(setup, &tokens, &n);
    console_watch_interrupt();
    if (!status) {
        out->n_modes = setup->clusters ? 2 : 1;
        out->d_ffn = pv_model_hparams(setup->model)->d_ffn;
        status = model_bench(setup->engine, tokens, (uint32_t)n, out);
    }
    free(tokens);
    return status;
}

static struct speed_report speed_report(const struct setup *setup, const struct bench *bench,
                                        const struct model_bench *m)
{
    return (struct speed_report){.model = setup->model,
                                 .device = setup->device_names,
                                 .bench = m,
                                 .copy_gb_s = setup->n_devices == 1 ? bench->copy_gb_s : 0};
}

static int print_json(struct app *app, const struct setup *setup, const struct bench *bench,
                      const struct model_bench *m)
{
    json_t *object = json_object();
    json_put_string(object, "device", setup->device_names);
    json_put(object, "rows", json_incref(bench->rows));
    if (json_array_size(bench->costs) > 0)
        json_put(object, "costs", json_incref(bench->costs));
    if (bench->masked_ms > 0)
        json_put_number(object, "ffn_speedup", bench->dense_ms / bench->masked_ms);
    if (m->n_modes > 0) {
        const struct speed_report report = speed_report(setup, bench, m);
        json_put(object, "tests", speed_report_json(&report));
    }
    return json_finish(&app->console, object);
}

static int report_view(struct app *app, const struct setup *setup, const struct view_bench *v)
{
    const char *view = options_of(app)->view.view;
    if (app->common->json) {
        json_t *object = json_object(), *part = json_object();
        json_put_string(object, "device", setup->device_names);
        json_put_string(part, "kind", view);
        json_put_number(part, "off_tok_s", v->off_tok_s);
        json_put_number(part, "on_tok_s", v->on_tok_s);
        json_put_number(part, "ratio", v->ratio);
        json_put_number(part, "frames_s", v->frames_s);
        json_put_count(part, "tokens_lost", v->n_lost);
        json_put_count(part, "tokens_a_round", v->n_timed);
        json_put_count(part, "rounds", v->n_rounds);
        json_put(object, "view", part);
        return json_finish(&app->console, object);
    }
    printf("view off     %8.1f tok/s\nview %-6s  %8.1f tok/s, %.0f frames a second\n", v->off_tok_s, view,
           v->on_tok_s, v->frames_s);
    printf("with the view %.1f %% of the speed without (median of %u pairs of rounds of %u tokens); "
           "%" PRIu64 " tokens not shown\n",
           100 * v->ratio, v->n_rounds, v->n_timed, v->n_lost);
    return EXIT_GOOD;
}

static int bench_view(struct app *app)
{
    const struct bench_options *o = options_of(app);
    struct setup setup = {.device_options = &o->device, .model_options = &o->model, .decodes = true};
    struct view_bench result;
    enum view_kind kind = VIEW_NONE;
    enum pv_status status = PV_OK;
    uint32_t *tokens = NULL;
    size_t n = 0;
    if (!o->common.argument) {
        console_error(&app->console, "--view needs a model: parvin bench MODEL.gguf -c FILE --view %s",
                      o->view.view);
        status = PV_ERR_ARG;
    }
    if (!status)
        status = view_choose(app, o->view.view, VIEW_NONE, &kind);
    if (!status)
        status = setup_all(app, &setup);
    if (!status)
        status = encode_text(&setup, &tokens, &n);
    console_watch_interrupt();
    if (!status)
        status = view_bench(app,
                            &(struct view_bench_params){.setup = &setup,
                                                        .options = &o->view,
                                                        .kind = kind,
                                                        .tokens = tokens,
                                                        .n = (uint32_t)n,
                                                        .n_rounds = o->reps},
                            &result);
    free(tokens);
    int code = app_fail(app, status);
    if (!code)
        code = report_view(app, &setup, &result);
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}

static int cmd_bench(struct app *app)
{
    const struct bench_options *o = options_of(app);
    struct setup setup = {.device_options = &o->device, .model_options = &o->model};
    struct bench bench = {.app = app, .rows = json_array(), .costs = json_array()};
    struct model_bench model = {.n_prompt = o->n_prompt, .n_decode = o->n_decode, .n_rounds = o->reps};
    enum pv_status status = PV_OK;
    if (o->view.view) {
        json_decref(bench.rows);
        json_decref(bench.costs);
        return bench_view(app);
    }
    if (o->model.clusters_path && !o->common.argument) {
        console_error(&app->console, "-c needs its model: parvin bench MODEL.gguf -c FILE");
        status = PV_ERR_ARG;
    }
    if (!status && !speed_format(o->format, &bench.format)) {
        console_error(&app->console, "--format %s: choose table, md or csv", o->format);
        status = PV_ERR_ARG;
    }
    if (!status && bench.format != SPEED_TABLE && !o->common.argument) {
        console_error(&app->console, "--format is of a model's rows: parvin bench MODEL.gguf --format %s",
                      o->format);
        status = PV_ERR_ARG;
    }
    if (!status && o->common.argument)
        status = setup_model(app, o->common.argument, &setup);
    if (!status)
        status = setup_clusters(app, o->model.clusters_path, &setup);
    if (!status)
        status = bench_kernels(app, &setup, &bench);
    if (!status && !bench.n_rows && o->filter) {
        console_error(&app->console, "no row has '%s' in its name", o->filter);
        status = PV_ERR_ARG;
    }
    if (!status && o->common.argument)
        status = bench_model(app, &setup, &model);
    int code = app_fail(app, status);
    if (!code && o->common.json)
        code = print_json(app, &setup, &bench, &model);
    else if (!code && model.n_modes > 0) {
        const struct speed_report report = speed_report(&setup, &bench, &model);
        speed_report_print(&report, bench.format);
    }
    json_decref(bench.rows);
    json_decref(bench.costs);
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}

const struct command command_bench = {
    .name = "bench",
    .argument = "[MODEL.gguf]",
    .summary = "Time kernels, dense against masked, and prompts and decode of a model",
    .about =
        "The first row is the device's own copy; other rows are shares of it. With a model (and -c) its prompts (pp) and decode (tg)\n"
        "are timed as llama-bench times them.\n"
        "--view times decode with the heatmap shown and without.",
    .examples = "  parvin bench\n"
                "  parvin bench --costs\n"
                "  parvin bench --d-model 2560 --d-ffn 18432 --density 0.1 --filter ffn\n"
                "  parvin bench model.gguf -c model.clusters.gguf\n"
                "  parvin bench model.gguf -c model.clusters.gguf --format md\n"
                "  parvin bench model.gguf -c model.clusters.gguf --view window\n",
    .groups = bench_groups,
    .n_groups = sizeof bench_groups / sizeof bench_groups[0],
    .options_bytes = sizeof(struct bench_options),
    .run = cmd_bench,
};
