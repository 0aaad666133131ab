/* parvin-lab sweep: methods of choosing neurons side by side, as a table, a report and charts; parvin-lab report makes
 * the report and the charts of a table again. */
#include "lab/sweep/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/output.h"
#include "cli/outputs.h"
#include "cli/setup.h"
#include "lab/commands/commands.h"
#include "lab/sweep/sweep_csv.h"
#include "lab/report/sweep_report.h"

enum { LIST_MAX = 64 };

struct sweep_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *n_clusters, *densities, *fit_text, *text, *methods, *out;
    bool clustering_only;
    uint64_t tokens, seed;
    uint32_t windows, iters, epochs, threads;
};

#define AT(field) offsetof(struct sweep_options, field)
static const struct option sweep_rows[] = {
    {'k', "n-clusters", OPTION_TEXT, AT(n_clusters), "A,B,...", "16,64,256", 0, 0,
     "numbers of clusters to try"},
    {0, "density", OPTION_TEXT, AT(densities), "A,B,...", "0.05,0.1,0.2", 0, 0,
     "shares of neurons to compute"},
    {0, "fit-text", OPTION_INPUT, AT(fit_text), "FILE", NULL, 0, 0, "text to learn from; needed"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", NULL, 0, 0, "text to measure on; needed"},
    {0, "methods", OPTION_TEXT, AT(methods), "A,B,...", "all", 0, 0, "only these methods"},
    {0, "clustering-only", OPTION_FLAG, AT(clustering_only), NULL, NULL, 0, 0,
     "only how precise the clusterings are; no routers, no perplexities"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all", 1, 1e12, "tokens to learn from at most"},
    {0, "windows", OPTION_U32, AT(windows), "N", "all", 1, OPTION_U32_MAX,
     "windows of the text to score at most"},
    {0, "iters", OPTION_U32, AT(iters), "N", "20", 1, 10000, "clustering iterations at most"},
    {0, "epochs", OPTION_U32, AT(epochs), "N", "12", 1, 10000, "router epochs at most"},
    {0, "threads", OPTION_U32, AT(threads), "N", "all cores", 1, 1024, "host threads"},
    {0, "seed", OPTION_U64, AT(seed), "N", "1", 0, OPTION_U64_MAX, "seed of clusterings and routers"},
    {'o', "out", OPTION_TEXT, AT(out), "FOLDER", "report", 0, 0, "where table, report and charts go"}};
#undef AT
static const struct option_group sweep_groups[] = {
    OPTION_OWN(sweep_rows),
    OPTION_GROUP(ctx_rows, struct sweep_options, model),
    OPTION_GROUP(ffn_act_rows, struct sweep_options, model),
    OPTION_GROUP(pre_rows, struct sweep_options, model),
    OPTION_GROUP(device_rows, struct sweep_options, device),
    OPTION_GROUP(split_rows, struct sweep_options, device),
    OPTION_GROUP(driver_rows, struct sweep_options, device),
    OPTION_GROUP(force_rows, struct sweep_options, common),
    OPTION_GROUP(json_rows, struct sweep_options, common),
    OPTION_GROUP(common_rows, struct sweep_options, common),
};

struct report_options {
    struct common_options common;
    const char *out;
};
static const struct option report_rows[] = {{'o', "out", OPTION_TEXT, offsetof(struct report_options, out),
                                             "FOLDER", "report", 0, 0, "where report and charts go"}};
static const struct option_group report_groups[] = {
    OPTION_OWN(report_rows),
    OPTION_GROUP(force_rows, struct report_options, common),
    OPTION_GROUP(json_rows, struct report_options, common),
    OPTION_GROUP(common_rows, struct report_options, common),
};

struct sweep {
    struct app *app;
    struct setup setup;
    struct text fit_text, test_text;
    uint32_t *fit, *test;
    size_t n_fit, n_test;
    uint32_t clusters[LIST_MAX], n_clusters;
    double densities[LIST_MAX];
    uint32_t n_densities;
    const char *methods[LIST_MAX];
    uint32_t n_methods;
    char *method_names; /* cut up */
    char folder[3900], table_path[4000], work_path[4000];
    FILE *file;
    uint32_t n_rows;
};

/* Numbers with commas between them. */
static uint32_t parse_list(const char *text, double least, double most, double *out)
{
    uint32_t n = 0;
    for (const char *at = text; n < LIST_MAX;) {
        char *end = NULL;
        const double value = strtod(at, &end);
        if (end == at || !(value >= least && value <= most) || (*end && *end != ','))
            return 0;
        out[n++] = value;
        if (!*end)
            return n;
        at = end + 1;
    }
    return 0;
}

static enum pv_status parse(struct sweep *sweep)
{
    const struct sweep_options *o = sweep->app->options;
    struct console *console = &sweep->app->console;
    double values[LIST_MAX];
    sweep->n_clusters = parse_list(o->n_clusters ? o->n_clusters : "16,64,256", 1, 65536, values);
    for (uint32_t i = 0; i < sweep->n_clusters; i++)
        sweep->clusters[i] = (uint32_t)values[i];
    sweep->n_densities = parse_list(o->densities ? o->densities : "0.05,0.1,0.2", 0.001, 1, sweep->densities);
    if (!sweep->n_clusters || !sweep->n_densities) {
        console_error(
            console,
            "-k takes numbers from 1 to 65536, as in 16,64,256, and --density shares from 0.001 to 1, as in 0.05,0.1,0.2");
        return PV_ERR_ARG;
    }
    if (!o->text || !o->fit_text) {
        console_error(console, "give two texts: --fit-text FILE to learn from, --text FILE to measure on");
        return PV_ERR_ARG;
    }
    if (!o->methods)
        return PV_OK;
    const size_t n_bytes = strlen(o->methods) + 1;
    sweep->method_names = malloc(n_bytes);
    if (!sweep->method_names)
        return PV_ERR_NOMEM;
    memcpy(sweep->method_names, o->methods, n_bytes);
    for (char *at = strtok(sweep->method_names, ","); at && sweep->n_methods < LIST_MAX;
         at = strtok(NULL, ","))
        sweep->methods[sweep->n_methods++] = at;
    return PV_OK;
}

static enum pv_status make_folder(struct sweep *sweep, const char *out)
{
    out = out ? out : "report";
    const int n = snprintf(sweep->folder, sizeof sweep->folder, "%s", out);
    if (n > 1 && (size_t)n < sizeof sweep->folder && sweep->folder[n - 1] == '/')
        sweep->folder[n - 1] = 0;
    if (n <= 0 || (size_t)n >= sizeof sweep->folder || (mkdir(sweep->folder, 0777) != 0 && errno != EEXIST)) {
        console_error(&sweep->app->console, "cannot make the folder '%s': %s", out, strerror(errno));
        return PV_ERR_IO;
    }
    snprintf(sweep->table_path, sizeof sweep->table_path, "%s/sweep.csv", sweep->folder);
    snprintf(sweep->work_path, sizeof sweep->work_path, "%s/capture", sweep->folder);
    return PV_OK;
}

/* Report and charts, which are written into the folder, against what is read and what is there. */
static enum pv_status check_outputs(struct app *app, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/sweep.md", folder);
    enum pv_status status = outputs_check_path(app, path);
    for (uint32_t i = 0; !status && sweep_chart_name(i); i++) {
        snprintf(path, sizeof path, "%s/%s.svg", folder, sweep_chart_name(i));
        status = outputs_check_path(app, path);
    }
    return status;
}

static enum pv_status encode(struct sweep *sweep, const char *path, struct text *text, uint32_t **tokens,
                             size_t *n)
{
    const struct pv_encode_params params = {0};
    const enum pv_status status = text_read(&sweep->app->console, path, text);
    return status ? status : pv_encode(sweep->setup.model, text->bytes, text->n, &params, tokens, n);
}

static void on_row(void *user, const struct pv_sweep_info *info, const struct pv_sweep_row *row)
{
    struct sweep *sweep = user;
    const char *model = pv_model_hparams(sweep->setup.model)->name;
    if (!row) {
        sweep_write_head(sweep->file, info->n_layers);
        return;
    }
    sweep_write_row(sweep->file, model, sweep->setup.device_names, info, row);
    sweep->n_rows++;
    if (sweep->app->common->verbose)
        console_note(&sweep->app->console, "%s, K=%u, density %.3f: rise %.2f %%, own precision %.2f %%",
                     row->method, row->n_clusters, row->density_target, 100 * row->rise,
                     100 * row->own_precision);
}

static enum pv_status measure(struct sweep *sweep)
{
    const struct sweep_options *o = sweep->app->options;
    enum pv_status status = setup_all(sweep->app, &sweep->setup);
    if (!status)
        status = encode(sweep, o->fit_text, &sweep->fit_text, &sweep->fit, &sweep->n_fit);
    if (!status)
        status = encode(sweep, o->text, &sweep->test_text, &sweep->test, &sweep->n_test);
    if (status)
        return status;
    const struct pv_sweep_params params = {
        .clusters = sweep->clusters,
        .n_clusters = sweep->n_clusters,
        .densities = sweep->densities,
        .n_densities = o->clustering_only ? 0 : sweep->n_densities,
        .methods = sweep->n_methods ? sweep->methods : NULL,
        .n_methods = sweep->n_methods,
        .n_tokens = o->tokens,
        .n_windows = o->windows,
        .n_iters = o->iters,
        .n_epochs = o->epochs,
        .n_threads = o->threads,
        .seed = o->seed,
        .work_path = sweep->work_path,
        .progress = console_progress(&sweep->app->console),
    };
    sweep->file = fopen(sweep->table_path, "wb");
    if (!sweep->file) {
        console_error(&sweep->app->console, "cannot write '%s': %s", sweep->table_path, strerror(errno));
        return PV_ERR_IO;
    }
    status = pv_sweep(sweep->setup.engine, sweep->fit, sweep->n_fit, sweep->test, sweep->n_test, &params,
                      on_row, sweep);
    console_end_bar(&sweep->app->console);
    if (fclose(sweep->file) != 0 && !status) {
        console_error(&sweep->app->console, "cannot write '%s': %s", sweep->table_path, strerror(errno));
        status = PV_ERR_IO;
    }
    return status;
}

/* Report and charts of the table, which may be an earlier one. */
static enum pv_status report(struct sweep *sweep, const char *path)
{
    const struct pv_log log = console_log(&sweep->app->console);
    struct sweep_table table;
    enum pv_status status = sweep_read(&log, path, &table);
    if (status)
        return status;
    status = sweep_write_report(&sweep->app->console, &table, sweep->folder);
    if (!status)
        status = sweep_write_charts(&sweep->app->console, &table, sweep->folder);
    if (!status && !sweep->app->common->json)
        printf("%s: %u rows in sweep.csv, report in sweep.md, charts as SVG\n", sweep->folder, table.n_rows);
    if (!status && sweep->app->common->json) {
        json_t *object = json_object();
        json_put_string(object, "folder", sweep->folder);
        json_put_count(object, "rows", table.n_rows);
        json_put_number(object, "ppl_dense", table.info.ppl_dense);
        json_finish(&sweep->app->console, object);
    }
    sweep_table_free(&table);
    return status;
}

static int cmd_sweep(struct app *app)
{
    const struct sweep_options *o = app->options;
    struct sweep sweep = {.app = app, .setup = {.device_options = &o->device, .model_options = &o->model}};
    console_watch_interrupt();
    enum pv_status status = parse(&sweep), reported = PV_OK;
    if (!status)
        status = make_folder(&sweep, o->out);
    if (!status)
        status = outputs_check_path(app, sweep.table_path);
    if (!status)
        status = check_outputs(app, sweep.folder);
    if (!status)
        status = measure(&sweep);
    if (!status || (status == PV_ERR_INTERRUPTED && sweep.n_rows > 0))
        reported = report(&sweep, sweep.table_path);
    const int code = app_fail(app, status ? status : reported);
    free(sweep.fit);
    free(sweep.test);
    free(sweep.method_names);
    text_free(&sweep.fit_text);
    text_free(&sweep.test_text);
    status = setup_close(app, &sweep.setup);
    return code ? code : app_fail(app, status);
}

static int cmd_report(struct app *app)
{
    const struct report_options *o = app->options;
    struct sweep sweep = {.app = app};
    enum pv_status status = make_folder(&sweep, o->out);
    if (!status)
        status = check_outputs(app, sweep.folder);
    if (!status)
        status = report(&sweep, o->common.argument);
    return app_fail(app, status);
}

const struct command command_sweep = {
    .name = "sweep",
    .argument = "MODEL.gguf",
    .summary = "Learn and measure every method of choosing neurons, side by side",
    .about = "Writes sweep.csv, a report and charts into a folder. Interrupted it reports what there is.",
    .examples = "  parvin-lab sweep model.gguf --fit-text book.txt --text other.txt -k 16,64,256 -o report\n",
    .groups = sweep_groups,
    .n_groups = sizeof sweep_groups / sizeof sweep_groups[0],
    .options_bytes = sizeof(struct sweep_options),
    .run = cmd_sweep,
};

const struct command command_report = {
    .name = "report",
    .argument = "SWEEP.csv",
    .summary = "Make report and charts of an earlier sweep's table again",
    .examples = "  parvin-lab report report/sweep.csv -o again\n",
    .groups = report_groups,
    .n_groups = sizeof report_groups / sizeof report_groups[0],
    .options_bytes = sizeof(struct report_options),
    .run = cmd_report,
};
