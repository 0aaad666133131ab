/* Rows are printed as they come; the exponents once all are there. */
#include "learn_bench.h"

#include "calibration.h"

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
    printf("most memory %.2f GiB\n\n", (double)r->peak_bytes / 1073741824.0);
    printf("%10s %7s %7s %12s %14s %12s %12s %10s  %s\n", "tokens", "K", "F", "seeds s", "iteration s",
           "epoch s", "refining s", "masks s", "growing");
}

static void on_row(void *user, const struct pv_learn_bench_row *row)
{
    struct rows *rows = user;
    console_end_bar(&rows->app->console);
    if (rows->n < MOST_ROWS)
        rows->rows[rows->n++] = *row;
    if (rows->app->options.json)
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
static enum pv_status open_device(struct app *app, struct setup *setup, struct pv_learn_bench_params *params)
{
    enum pv_learn_on place;
    enum pv_status status;
    if (!learn_place(app, &place))
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

int learn_bench(struct app *app)
{
    const struct options *o = &app->options;
    struct rows rows = {.app = app};
    struct setup setup = {0};
    struct pv_learn_bench_params params = {.n_tokens = o->tokens,
                                           .d_model = o->d_model,
                                           .d_ffn = o->d_ffn,
                                           .n_clusters = o->clusters,
                                           .density = o->density,
                                           .n_iters = o->iters,
                                           .n_epochs = o->epochs,
                                           .n_threads = o->threads,
                                           .growth = true,
                                           .log = console_log(&app->console),
                                           .progress = console_progress(&app->console)};
    console_watch_interrupt();
    enum pv_status status = open_device(app, &setup, &params);
    if (!status && !o->json)
        printf("on %s\n", params.context ? setup.device_names : "the host");
    if (!status)
        status = pv_bench_learn(&params, on_row, &rows);
    console_end_bar(&app->console);
    int code = app_fail(app, status);
    if (!code && o->json)
        code = print_json(app, &rows);
    for (int i = 0; !code && !o->json && i < 3; i++)
        print_growth(&rows, (const char *const[]){"tokens", "K", "F"}[i]);
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}
