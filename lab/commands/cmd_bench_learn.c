/* parvin-lab bench-learn: how long a layer of real size takes to learn, and how that grows. Rows are printed as they
 * come; the exponents once all are there. */
#include "lab/bench/bench_learn.h"

#include "cli/setup.h"
#include "lab/commands/commands.h"

struct bench_learn_options {
    struct common_options common;
    struct device_options device;
    const char *learn_on;
    uint32_t d_model, d_ffn, n_clusters, iters, epochs, threads;
    uint64_t tokens;
    double density;
};

#define AT(field) offsetof(struct bench_learn_options, field)
static const struct option bench_learn_rows[] = {
    {0, "d-model", OPTION_U32, AT(d_model), "N", "4096", 32, 65536,
     "width of the synthetic feed-forward layer"},
    {0, "d-ffn", OPTION_U32, AT(d_ffn), "N", "14336", 32, 65536,
     "neurons of the synthetic feed-forward layer"},
    {'k', "n-clusters", OPTION_U32, AT(n_clusters), "K", "256", 1, 65536,
     "clusters to learn, and groups planted"},
    {0, "density", OPTION_SHARE, AT(density), "SHARE", "0.2", 0.001, 1,
     "share of the neurons that a mask holds"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "65536", 8, 4294967295.0, "tokens to learn from"},
    {0, "iters", OPTION_U32, AT(iters), "N", "20", 1, 10000, "clustering iterations at most"},
    {0, "epochs", OPTION_U32, AT(epochs), "N", "12", 1, 10000, "router epochs at most"},
    {0, "threads", OPTION_U32, AT(threads), "N", "all cores", 1, 1024, "host threads"},
    {0, "learn-on", OPTION_TEXT, AT(learn_on), "PLACE", "by the device's plan", 0, 0,
     "device or cpu: where clusters and router are learned"}};
#undef AT
static const struct option_group bench_learn_groups[] = {
    OPTION_OWN(bench_learn_rows),
    OPTION_GROUP(device_rows, struct bench_learn_options, device),
    OPTION_GROUP(driver_rows, struct bench_learn_options, device),
    OPTION_GROUP(json_rows, struct bench_learn_options, common),
    OPTION_GROUP(common_rows, struct bench_learn_options, common),
};

enum { MOST_ROWS = 8 };

struct rows {
    struct app *app;
    struct pv_learn_bench_row rows[MOST_ROWS];
    uint32_t n;
};

static void print_first(const struct pv_learn_bench_row *r)
{
    printf("d %u, active neurons %.1f %% of F; %u iterations, %u epochs, %.0f s in all\n", r->d_model,
           100.0 * (double)r->n_active / ((double)r->n_tokens * r->d_ffn), r->n_iters, r->n_epochs,
           r->s_total);
    printf("held-out tokens: cluster of their group %.2f %%, routed %.2f %%, router right %.2f %%, energy "
           "kept %.2f %%\n",
           100 * r->purity, 100 * r->routed_purity, 100 * r->router_accuracy, 100 * r->energy_kept);
    printf("router %.2f MB: %.2f %% of the feed-forward layer's %.0f MB (gated: %.2f %%)\n",
           r->router_bytes / 1e6, 100 * r->router_bytes / r->ffn_bytes, r->ffn_bytes / 1e6,
           100 * r->router_bytes / r->ffn_bytes / 1.5);
    printf("peak memory %.2f GiB\n\n", (double)r->peak_bytes / 1073741824.0);
    printf("%10s %7s %7s %12s %14s %12s %12s %10s  %s\n", "tokens", "K", "F", "seeds s", "iteration s",
           "epoch s", "refining s", "masks s", "growing");
}

static void on_row(void *user, const struct pv_learn_bench_row *row)
{
    struct rows *rows = user;
    console_end_bar(&rows->app->console);
    if (rows->n < MOST_ROWS)
        rows->rows[rows->n++] = *row;
    if (rows->app->common->json)
        return;
    if (rows->n == 1)
        print_first(row);
    printf("%10llu %7u %7u %12.2f %14.2f %12.2f %12.2f %10.2f  %s\n", (unsigned long long)row->n_tokens,
           row->n_clusters, row->d_ffn, row->s_seed, row->s_iteration, row->s_epoch, row->s_refine,
           row->s_masks, row->growing);
    fflush(stdout);
}

static void print_growth(const struct rows *rows, const char *growing)
{
    const struct pv_learn_bench_growth g = pv_learn_bench_fit(rows->rows, rows->n, growing);
    printf("%-26s %12.2f %14.2f %12.2f %12.2f %10.2f  exponent\n", growing, g.seed, g.iteration, g.epoch,
           g.refine, g.masks);
}

static json_t *row_json(const struct pv_learn_bench_row *r)
{
    json_t *object = json_object();
    json_put_string(object, "growing", r->growing);
    json_put_count(object, "tokens", r->n_tokens);
    json_put_count(object, "clusters", r->n_clusters);
    json_put_count(object, "d_model", r->d_model);
    json_put_count(object, "d_ffn", r->d_ffn);
    json_put_count(object, "active", r->n_active);
    json_put_count(object, "iterations", r->n_iters);
    json_put_count(object, "epochs", r->n_epochs);
    json_put_number(object, "seconds_seed", r->s_seed);
    json_put_number(object, "seconds_iteration", r->s_iteration);
    json_put_number(object, "seconds_epoch", r->s_epoch);
    json_put_number(object, "seconds_refine_epoch", r->s_refine);
    json_put_number(object, "seconds_masks", r->s_masks);
    json_put_number(object, "seconds", r->s_total);
    json_put_number(object, "purity", r->purity);
    json_put_number(object, "routed_purity", r->routed_purity);
    json_put_number(object, "router_accuracy", r->router_accuracy);
    json_put_number(object, "energy_kept", r->energy_kept);
    json_put_number(object, "router_share", r->router_bytes / r->ffn_bytes);
    json_put_count(object, "peak_bytes", r->peak_bytes);
    return object;
}

static json_t *growth_json(const struct rows *rows, const char *growing)
{
    const struct pv_learn_bench_growth g = pv_learn_bench_fit(rows->rows, rows->n, growing);
    json_t *object = json_object();
    json_put_number(object, "seed", g.seed);
    json_put_number(object, "iteration", g.iteration);
    json_put_number(object, "epoch", g.epoch);
    json_put_number(object, "refine", g.refine);
    json_put_number(object, "masks", g.masks);
    return object;
}

static int print_json(struct app *app, const struct rows *rows)
{
    json_t *object = json_object(), *list = json_array(), *growth = json_object();
    for (uint32_t i = 0; i < rows->n; i++)
        json_array_append_new(list, row_json(&rows->rows[i]));
    json_put(growth, "tokens", growth_json(rows, "tokens"));
    json_put(growth, "clusters", growth_json(rows, "K"));
    json_put(growth, "d_ffn", growth_json(rows, "F"));
    json_put(object, "rows", list);
    json_put(object, "exponents", growth);
    return json_finish(&app->console, object);
}

/* Opens the device to learn on, unless the host is asked for. */
static enum pv_status open_device(struct app *app, const char *learn_on, struct setup *setup,
                                  struct pv_learn_bench_params *params)
{
    enum pv_learn_on place;
    enum pv_status status;
    if (!learn_place(app, learn_on, &place))
        return PV_ERR_ARG;
    params->learn_on = place;
    if (place == PV_LEARN_CPU)
        return PV_OK;
    status = setup_context(app, setup);
    if (!status)
        status = setup_devices(app, setup);
    if (!status) {
        params->context = setup->context;
        params->device = setup->devices[0];
    }
    return status;
}

static int cmd_bench_learn(struct app *app)
{
    const struct bench_learn_options *o = app->options;
    struct rows rows = {.app = app};
    struct setup setup = {.device_options = &o->device};
    struct pv_learn_bench_params params = {.n_tokens = o->tokens,
                                           .d_model = o->d_model,
                                           .d_ffn = o->d_ffn,
                                           .n_clusters = o->n_clusters,
                                           .density = o->density,
                                           .n_iters = o->iters,
                                           .n_epochs = o->epochs,
                                           .n_threads = o->threads,
                                           .growth = true,
                                           .log = console_log(&app->console),
                                           .progress = console_progress(&app->console)};
    console_watch_interrupt();
    enum pv_status status = open_device(app, o->learn_on, &setup, &params);
    if (!status && !o->common.json)
        printf("on %s\n", params.context ? setup.device_names : "the host");
    if (!status)
        status = pv_bench_learn(&params, on_row, &rows);
    console_end_bar(&app->console);
    int code = app_fail(app, status);
    if (!code && o->common.json)
        code = print_json(app, &rows);
    for (int i = 0; !code && !o->common.json && i < 3; i++)
        print_growth(&rows, (const char *const[]){"tokens", "K", "F"}[i]);
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}

const struct command command_bench_learn = {
    .name = "bench-learn",
    .summary = "Time how clusters of a layer of real size are learned",
    .about =
        "Learns one synthetic layer as 'parvin fit' learns a model's, checks it against planted clusters, and says\n"
        "how each stage grows with tokens, K and F.",
    .examples = "  parvin-lab bench-learn\n"
                "  parvin-lab bench-learn --tokens 8192 --d-model 512 --d-ffn 2048 -k 64\n",
    .groups = bench_learn_groups,
    .n_groups = sizeof bench_learn_groups / sizeof bench_learn_groups[0],
    .options_bytes = sizeof(struct bench_learn_options),
    .run = cmd_bench_learn,
};
