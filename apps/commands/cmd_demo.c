/* parvin demo: the whole job on the model that comes with Parvin. Learns clusters from the first half of the
 * tales, measures on the second half, writes a tale with the masked model, and times it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model_bench.h"
#include "generate.h"
#include "reports/report.h"
#include "cli/setup.h"
#include "commands/commands.h"

struct demo_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
};

static const struct option_group demo_groups[] = {
    OPTION_GROUP(device_rows, struct demo_options, device),
    OPTION_GROUP(driver_rows, struct demo_options, device),
    OPTION_GROUP(common_rows, struct demo_options, common),
};

static const struct demo_options *options_of(const struct app *app)
{
    return app->options;
}

enum {
    DEMO_CLUSTERS = 96,
    DEMO_CTX = 128,
    DEMO_WINDOWS = 24,
    DEMO_TOKENS = 80,
    BENCH_ROUNDS = 5,
    BENCH_TOKENS = 24
};
static const double demo_density = 0.2;
static const char demo_prompt[] = "Once upon a time there was a king who had";

struct demo {
    struct app *app;
    struct setup setup;
    char model_path[4096], tales_path[4096], clusters_path[4096];
    struct text tales;
    double ffn_dense_ms, ffn_masked_ms;
};

static void heading(const char *text)
{
    printf("\n== %s\n", text);
    fflush(stdout);
}

/* The cluster file stays, so that the lines at the end can be tried: in the cache folder, or a temporary one.
 */
static enum pv_status choose_clusters_path(struct demo *demo)
{
    char folder[4000];
    const char *cache =
        options_of(demo->app)->device.no_cache ? NULL : setup_cache_dir(folder, sizeof folder);
    if (!cache || access(cache, W_OK) != 0) {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/parvin-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
        cache = mkdtemp(folder);
    }
    if (!cache) {
        console_error(&demo->app->console, "no folder to write the demo's cluster file to; set TMPDIR");
        return PV_ERR_IO;
    }
    snprintf(demo->clusters_path, sizeof demo->clusters_path, "%s/demo.clusters.gguf", folder);
    return PV_OK;
}

static enum pv_status find_files(struct demo *demo)
{
    if (!find_bundled("fables-5m-f16.gguf", demo->model_path, sizeof demo->model_path) ||
        !find_bundled("tales.txt", demo->tales_path, sizeof demo->tales_path)) {
        console_error(&demo->app->console, "fables-5m-f16.gguf and tales.txt are not beside the program; say "
                                           "where with PARVIN_MODELS=FOLDER");
        return PV_ERR_IO;
    }
    const enum pv_status status = text_read(&demo->app->console, demo->tales_path, &demo->tales);
    return status ? status : choose_clusters_path(demo);
}

/* The end of the paragraph that ends nearest to the middle. */
static size_t middle_paragraph(const struct text *text)
{
    size_t middle = text->n / 2, best = text->n;
    for (size_t i = 0; i < text->n; i++) {
        const size_t distance = i > middle ? i - middle : middle - i;
        const size_t best_distance = best > middle ? best - middle : middle - best;
        if (text->bytes[i] == '\n' && distance < best_distance)
            best = i + 1;
    }
    return best;
}

static enum pv_status encode(const struct demo *demo, size_t begin, size_t end, uint32_t **tokens, size_t *n)
{
    const struct pv_encode_params params = {0};
    return pv_encode(demo->setup.model, demo->tales.bytes + begin, end - begin, &params, tokens, n);
}

static enum pv_status fit(struct demo *demo)
{
    uint32_t *tokens = NULL;
    size_t n = 0;
    struct pv_fit_result r = {0};
    const struct pv_fit_params params = {.n_clusters = DEMO_CLUSTERS,
                                         .density = demo_density,
                                         .progress = console_progress(&demo->app->console)};
    heading("learning clusters from the first half of the tales");
    enum pv_status status = setup_engine(demo->app, &demo->setup);
    if (!status)
        status = encode(demo, 0, middle_paragraph(&demo->tales), &tokens, &n);
    if (!status)
        status = pv_fit(demo->setup.engine, tokens, n, demo->clusters_path, &params, &r);
    console_end_bar(&demo->app->console);
    if (!status)
        printf("%llu tokens, %u clusters per layer in %.1f s; held-out tokens: density %.3f, %.1f %% of the "
               "energy kept, "
               "router %.0f %% accurate\n",
               (unsigned long long)r.n_tokens, r.n_clusters,
               r.seconds_capture + r.seconds_cluster + r.seconds_router + r.seconds_masks, r.density,
               100 * r.energy_kept, 100 * r.router_accuracy);
    pv_fit_result_free(&r);
    free(tokens);
    return status;
}

/* The fitting engine is dense; the rest of the demo needs one with the clusters. */
static enum pv_status reopen_with_clusters(struct demo *demo)
{
    pv_engine_destroy(demo->setup.engine);
    demo->setup.engine = NULL;
    const enum pv_status status = setup_clusters(demo->app, demo->clusters_path, &demo->setup);
    return status ? status : setup_engine(demo->app, &demo->setup);
}

static enum pv_status evaluate(struct demo *demo)
{
    uint32_t *tokens = NULL;
    size_t n = 0;
    struct pv_eval_result result = {0};
    struct pv_eval_params params = {
        .n_ctx = DEMO_CTX, .n_windows = DEMO_WINDOWS, .progress = console_progress(&demo->app->console)};
    params.n_modes = report_eval_modes(true, &params.modes);
    heading("perplexity on the second half, which the clusters have not seen");
    enum pv_status status = encode(demo, middle_paragraph(&demo->tales), demo->tales.n, &tokens, &n);
    if (!status)
        status = pv_eval(demo->setup.engine, tokens, n, &params, &result);
    console_end_bar(&demo->app->console);
    if (!status)
        report_eval(&result, false);
    pv_eval_result_free(&result);
    free(tokens);
    return status;
}

static enum pv_status write_tale(struct demo *demo)
{
    const struct pv_session_params session_params = {.ffn = PV_FFN_ROUTED};
    const struct pv_encode_params encode_params = {.add_bos = pv_model_wants_bos(demo->setup.model)};
    struct pv_session *session = NULL;
    struct generate_result result = {0};
    uint32_t *prompt = NULL;
    size_t n = 0;
    heading("a tale by the masked model");
    enum pv_status status =
        pv_encode(demo->setup.model, demo_prompt, sizeof demo_prompt - 1, &encode_params, &prompt, &n);
    if (!status)
        status = pv_session_create(demo->setup.engine, &session_params, &session);
    if (!status) {
        const struct generate_params params = {
            .prompt = prompt,
            .n_prompt = (uint32_t)n,
            .n_predict = DEMO_TOKENS,
            .stream = true,
            .sampler = {.temperature = 0.7f, .top_k = 40, .top_p = 0.95f, .seed = 7}};
        fputs(demo_prompt, stdout);
        fflush(stdout);
        status = generate(demo->setup.engine, demo->setup.model, session, &params, &result);
        printf(" ...\n");
    }
    generate_result_free(&result);
    pv_session_destroy(session);
    free(prompt);
    return status;
}

static void on_bench_row(void *user, const struct pv_bench_row *row)
{
    struct demo *demo = user;
    if (!strcmp(row->name, "ffn dense"))
        demo->ffn_dense_ms = row->ms;
    if (!strcmp(row->name, "ffn masked"))
        demo->ffn_masked_ms = row->ms;
}

/* Dense and masked decode of the second half's first tokens. */
static enum pv_status time_decode(struct demo *demo)
{
    struct model_bench b = {.n_decode = BENCH_TOKENS,
                            .n_rounds = BENCH_ROUNDS,
                            .n_modes = 2,
                            .d_ffn = pv_model_hparams(demo->setup.model)->d_ffn};
    uint32_t *tokens = NULL;
    size_t n = 0;
    enum pv_status status = encode(demo, middle_paragraph(&demo->tales), demo->tales.n, &tokens, &n);
    if (!status)
        status = model_bench(demo->setup.engine, tokens, (uint32_t)n, &b);
    const struct model_bench_mode *dense = &b.modes[0], *masked = &b.modes[1];
    if (!status)
        printf("this model, decode:         dense %.1f tok/s, masked %.1f tok/s at density %.2f: %.2f times "
               "as fast\n",
               dense->decode.mean, masked->decode.mean, masked->density,
               masked->decode.mean / dense->decode.mean);
    free(tokens);
    return status;
}

static enum pv_status time_it(struct demo *demo)
{
    const struct pv_bench_params params = {.density = demo_density, .n_reps = BENCH_ROUNDS, .filter = "ffn"};
    heading("speed");
    enum pv_status status = time_decode(demo);
    if (!status)
        status = pv_bench_kernels(demo->setup.context, demo->setup.devices[0], &params, on_bench_row, demo);
    if (!status && demo->ffn_masked_ms > 0)
        printf("feed-forward of 1024 x 8192: dense %.2f ms, masked %.2f ms at density %.2f: %.2f times as "
               "fast\n",
               demo->ffn_dense_ms, demo->ffn_masked_ms, demo_density,
               demo->ffn_dense_ms / demo->ffn_masked_ms);
    return status;
}

static void where_next(const struct demo *demo)
{
    const char *program = demo->app->argv0;
    heading("where to go next");
    printf("%s run %s \\\n    -c %s -p 'The fox said'\n", program, demo->model_path, demo->clusters_path);
    printf("%s fit MODEL.gguf --text BOOK.txt      clusters for a model of yours\n", program);
    printf("%s bench                               what masks gain on this device, kernel by kernel\n",
           program);
    printf("%s --help                              everything else\n", program);
}

static enum pv_status start(struct demo *demo)
{
    enum pv_status status = find_files(demo);
    if (!status)
        status = setup_model(demo->app, demo->model_path, &demo->setup);
    if (!status)
        status = setup_context(demo->app, &demo->setup);
    if (!status)
        status = setup_devices(demo->app, &demo->setup);
    if (status)
        return status;
    const struct pv_hparams *h = pv_model_hparams(demo->setup.model);
    heading("the device and the plan chosen for it");
    report_device(demo->setup.context, demo->setup.devices[0], false);
    heading("the model");
    printf("%s: %s, %u layers of %u neurons, width %u, %.1f million parameters\n", h->name, h->arch,
           h->n_layers, h->d_ffn, h->d_model, (double)pv_model_n_params(demo->setup.model) / 1e6);
    return PV_OK;
}

static int cmd_demo(struct app *app)
{
    static enum pv_status (*const steps[])(struct demo *) = {start,    fit,        reopen_with_clusters,
                                                             evaluate, write_tale, time_it};
    struct demo demo = {
        .app = app,
        .setup = {.device_options = &options_of(app)->device, .model_options = &options_of(app)->model}};
    enum pv_status status = PV_OK;
    const double started = console_seconds();
    console_watch_interrupt();
    for (size_t i = 0; !status && i < sizeof steps / sizeof steps[0]; i++) {
        status = steps[i](&demo);
        if (!status && console_interrupted())
            status = PV_ERR_INTERRUPTED;
    }
    const int code = app_fail(app, status);
    if (!code) {
        where_next(&demo);
        printf("\nThat took %.0f seconds.\n", console_seconds() - started);
    }
    text_free(&demo.tales);
    status = setup_close(app, &demo.setup);
    return code ? code : app_fail(app, status);
}

const struct command command_demo = {
    .name = "demo",
    .argument = NULL,
    .summary = "Fit, evaluate, generate and time the model that comes with Parvin, in about a minute",
    .about = NULL,
    .examples = "  parvin demo\n",
    .groups = demo_groups,
    .n_groups = sizeof demo_groups / sizeof demo_groups[0],
    .options_bytes = sizeof(struct demo_options),
    .run = cmd_demo,
};
