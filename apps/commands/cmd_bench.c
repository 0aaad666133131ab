/* parvin bench: kernels against the device's own copy, then decode steps of a model if one is given. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "decode_bench.h"
#include "reports/report.h"
#include "cli/setup.h"
#include "view_bench.h"
#include "commands/commands.h"

struct bench_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct view_options view;
    uint32_t d_model, d_ffn, n_clusters, reps;
    double density;
    const char *type, *filter;
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
    {0, "reps", OPTION_U32, AT(reps), "N", "9", 1, 10000, "runs that a median is taken of"},
    {0, "filter", OPTION_TEXT, AT(filter), "TEXT", "all", 0, 0, "only rows whose name contains TEXT"},
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

enum { TOKENS_PER_ROUND = 33 };

/* What decode is timed on: text of a common kind, for the density that a mask has on text. */
static const char bench_text[] =
    "The old man walked slowly down to the harbour, where the boats lay side by side in the morning light. "
    "He had not "
    "been there for many years, and everything seemed smaller than he remembered. A boy was sitting on the "
    "wall with a "
    "fishing rod in his hands, and when he saw the stranger he moved a little to make room for him.";

struct bench {
    struct app *app;
    json_t *rows;
    uint32_t n_rows, n_here; /* of all devices, of this one */
    const char *device;
    double dense_ms, masked_ms; /* of the feed-forward rows */
};

static void on_row(void *user, const struct pv_bench_row *row)
{
    struct bench *bench = user;
    if (!bench->app->common->json && bench->n_here == 0)
        report_bench_head();
    bench->n_rows++;
    bench->n_here++;
    if (!strcmp(row->name, "ffn dense"))
        bench->dense_ms = row->ms;
    if (!strcmp(row->name, "ffn masked"))
        bench->masked_ms = row->ms;
    if (bench->app->common->json)
        json_array_append_new(bench->rows, report_bench_json(bench->device, row));
    else
        report_bench_row(row);
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
        .filter = o->filter,
    };
    enum pv_status status = setup_context(app, setup);
    if (!status)
        status = setup_devices(app, setup);
    if (status)
        return status;
    for (uint32_t i = 0; !status && i < setup->n_devices; i++) {
        bench->device = pv_context_device_info(setup->context, setup->devices[i])->name;
        bench->n_here = 0;
        if (!o->common.json)
            printf("%s%s\n", i ? "\n" : "", bench->device);
        status = pv_bench_kernels(setup->context, setup->devices[i], &params, on_row, bench);
        if (!status && !o->common.json && bench->masked_ms > 0)
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
static enum pv_status bench_decode(struct app *app, struct setup *setup, struct decode_bench *out)
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
    n = n < TOKENS_PER_ROUND ? n : TOKENS_PER_ROUND;
    if (!status)
        status = decode_bench(setup->engine, tokens, (uint32_t)n, setup->clusters != NULL,
                              options_of(app)->reps, out);
    if (!status)
        status = decode_bench_bytes(setup->engine, tokens, (uint32_t)n, pv_model_hparams(setup->model)->d_ffn,
                                    out);
    free(tokens);
    return status;
}

static void print_bytes(const char *mode, const struct decode_bytes *b)
{
    printf(
        "feed-forward %s reads %.3f MB a token, %.3f with rows of zeros: %.3f of it; %.3f of ffn_down's rows\n",
        mode, b->read / 1e6, b->all / 1e6, b->read / b->all, b->rows);
}

static json_t *bytes_json(const struct decode_bytes *b)
{
    json_t *object = json_object();
    json_put_number(object, "read", b->read);
    json_put_number(object, "with_zeros", b->all);
    json_put_number(object, "down_rows", b->rows);
    return object;
}

static void print_decode(const struct decode_bench *d)
{
    printf("\ndecode dense   %10.3f ms a token, %8.1f tok/s\n", d->dense_ms, 1e3 / d->dense_ms);
    if (d->masked_ms > 0)
        printf("decode masked  %10.3f ms a token, %8.1f tok/s, density %.3f: %.2f times as fast\n",
               d->masked_ms, 1e3 / d->masked_ms, d->density, d->dense_ms / d->masked_ms);
    print_bytes("dense ", &d->bytes[0]);
    if (d->masked_ms > 0)
        print_bytes("masked", &d->bytes[1]);
}

static int print_json(struct app *app, const struct setup *setup, const struct bench *bench,
                      const struct decode_bench *d)
{
    json_t *object = json_object();
    json_put_string(object, "device", setup->device_names);
    json_put(object, "rows", json_incref(bench->rows));
    if (bench->masked_ms > 0)
        json_put_number(object, "ffn_speedup", bench->dense_ms / bench->masked_ms);
    if (d->dense_ms > 0) {
        json_t *decode = json_object();
        json_put_number(decode, "dense_tok_s", 1e3 / d->dense_ms);
        json_put(decode, "dense_ffn_bytes", bytes_json(&d->bytes[0]));
        if (d->masked_ms > 0) {
            json_put(decode, "masked_ffn_bytes", bytes_json(&d->bytes[1]));
            json_put_number(decode, "masked_tok_s", 1e3 / d->masked_ms);
            json_put_number(decode, "density", d->density);
            json_put_number(decode, "speedup", d->dense_ms / d->masked_ms);
        }
        json_put(object, "decode", decode);
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
    struct bench bench = {.app = app, .rows = json_array()};
    struct decode_bench decode = {0};
    enum pv_status status = PV_OK;
    if (o->view.view) {
        json_decref(bench.rows);
        return bench_view(app);
    }
    if (o->model.clusters_path && !o->common.argument) {
        console_error(&app->console, "-c needs its model: parvin bench MODEL.gguf -c FILE");
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
        status = bench_decode(app, &setup, &decode);
    int code = app_fail(app, status);
    if (!code && o->common.json)
        code = print_json(app, &setup, &bench, &decode);
    else if (!code && decode.dense_ms > 0)
        print_decode(&decode);
    json_decref(bench.rows);
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}

const struct command command_bench = {
    .name = "bench",
    .argument = "[MODEL.gguf]",
    .summary = "Time kernels, dense against masked, and whole decode steps of a model",
    .about =
        "The first row is the device's own copy; other rows are shares of it. With a model (and -c) decode is timed too.\n"
        "--view times decode with the heatmap shown and without.",
    .examples = "  parvin bench\n"
                "  parvin bench --d-model 2560 --d-ffn 18432 --density 0.1 --filter ffn\n"
                "  parvin bench model.gguf -c model.clusters.gguf\n"
                "  parvin bench model.gguf -c model.clusters.gguf --view window\n",
    .groups = bench_groups,
    .n_groups = sizeof bench_groups / sizeof bench_groups[0],
    .options_bytes = sizeof(struct bench_options),
    .run = cmd_bench,
};
