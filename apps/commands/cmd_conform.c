/* parvin conform: every kernel on every device against the CPU reference. */
#include <stdlib.h>
#include <string.h>

#include "reports/compile_report.h"
#include "reports/conform_report.h"
#include "reports/device_report.h"
#include "commands/commands.h"
#include "conform/page.h"
#include "conform/run.h"

#define AT(field) offsetof(struct conform_options, field)
static const struct option conform_rows[] = {
    {0, "filter", OPTION_TEXT, AT(filter), "TEXT", "none", 0, 0, "only rows whose name contains TEXT"},
    {0, "quick", OPTION_FLAG, AT(quick), NULL, NULL, 0, 0,
     "small cases only, and two weight types in forced variants"},
    {0, "seed", OPTION_U64, AT(seed), "N", "1", 0, OPTION_U64_MAX, "seed of the random inputs"},
    {0, "variant", OPTION_TEXT, AT(variant), "NAME", "every one", 0, 0,
     "only this variant of the plan; --list-variants names them"},
    {0, "list-variants", OPTION_FLAG, AT(list_variants), NULL, NULL, 0, 0,
     "say which variants each device can be forced into, and check nothing"},
    {0, "compile-only", OPTION_FLAG, AT(compile_only), NULL, NULL, 0, 0,
     "build every pipeline of every variant and run nothing, on drivers without a device too; show what the compiler says of them"},
    {0, "against", OPTION_TEXT, AT(against), "PATH", NULL, 0, 0,
     "tell what changed since the JSON reports saved there (a file or a folder); with --compile-only, what rose"},
    {0, "isolate", OPTION_FLAG, AT(isolate), NULL, NULL, 0, 0,
     "run in a child process: a driver that crashes, or loses the device, costs the row at hand and no other"},
    {0, "repeat", OPTION_FLAG, AT(repeat), NULL, NULL, 0, 0,
     "run each case four times: twice alike, with other poison, with the workgroups in another order; what changes failed"},
    {0, "record-only", OPTION_FLAG, AT(record_only), NULL, NULL, 0, 0,
     "compile, record and submit under the validation layers, and ignore results: for drivers without a device"},
    {0, "minutes", OPTION_REAL, AT(minutes), "N", "one round", 0.001, 1e6,
     "go on with new seeds until the time is up"},
    {0, "junit", OPTION_OUTPUT, AT(junit), "FILE", NULL, 0, 0, "write a report as JUnit XML"},
    {0, "markdown", OPTION_OUTPUT, AT(markdown), "FILE", NULL, 0, 0, "write a report as Markdown"},
    {0, "report", OPTION_OUTPUT, AT(report), "FILE", NULL, 0, 0,
     "write one page to attach to a bug, as Markdown: what was tried, what is wrong, the commands that repeat it"},
    {0, "table", OPTION_TEXT, AT(table), "FOLDER", NULL, 0, 0,
     "check nothing; print a table of the JSON reports saved there"},
    {'d', "device", OPTION_TEXT, AT(device.device), "DEVICE", "every usable one", 0, 0,
     "number, UUID, or part of the name or driver, as 'parvin devices' lists them"},
};
#undef AT

static const struct option_group conform_groups[] = {
    OPTION_OWN(conform_rows),
    OPTION_GROUP(driver_rows, struct conform_options, device),
    OPTION_GROUP(force_rows, struct conform_options, common),
    OPTION_GROUP(json_rows, struct conform_options, common),
    OPTION_GROUP(common_rows, struct conform_options, common),
};

static const struct conform_options *options_of(const struct app *app)
{
    return app->options;
}

/* What is reported of the run. */
struct conform {
    struct app *app;
    struct pv_device_info info;
    json_t *devices, *device; /* reports of all, and of the device at hand */
    uint64_t first, last;     /* seeds of the device at hand */
    double started;
    struct pv_conform_result result, total; /* of the device at hand; of all */
    json_t *saved;                          /* with --against: the devices of its reports */
    enum pv_status compared;
};

/* The command line that runs this row alone. Names of cases hold no quotes. */
static void reproduce(const struct conform *c, uint64_t seed, const struct pv_conform_row *row, char *out,
                      size_t size)
{
    const struct conform_options *o = options_of(c->app);
    snprintf(out, size, "parvin conform --device %s --variant %s --filter '%s/%s' --seed %llu%s%s%s%s",
             c->info.uuid, row->variant, row->kernel, row->name, (unsigned long long)seed,
             o->isolate       ? " --isolate"
             : o->record_only ? " --record-only"
             : o->repeat      ? " --repeat"
                              : "",
             o->device.plan ? " --plan " : "", o->device.plan ? o->device.plan : "",
             o->device.validation ? " --validation" : "");
}

static void add(const struct pv_conform_result *result, struct pv_conform_result *total)
{
    total->n_passed += result->n_passed;
    total->n_failed += result->n_failed;
    total->n_skipped += result->n_skipped;
}

static void on_row(void *user, uint64_t seed, const struct pv_conform_row *row)
{
    struct conform *c = user;
    const bool failed = !row->passed && !row->skipped;
    char command[1024];
    if (seed > c->last && options_of(c->app)->minutes > 0) {
        json_t *report = json_pack("{s:[O]}", "devices", c->device);
        conform_report_shorten(report); /* hours of rows that passed would fill the memory */
        json_decref(report);
    }
    c->last = seed > c->last ? seed : c->last;
    add(&(struct pv_conform_result){row->passed && !row->skipped, failed, row->skipped}, &c->result);
    if (failed)
        reproduce(c, seed, row, command, sizeof command);
    conform_report_row(c->device, row, seed, failed ? command : NULL);
    if (c->app->common->json || (!failed && !c->app->common->verbose))
        return;
    printf("  %-6s %s/%s: %s%serror %.3g, allowed %.3g%s%s\n",
           row->skipped  ? "skip"
           : row->passed ? "ok"
                         : "FAILED",
           row->kernel, row->name, failed ? pv_conform_fault_name(row->fault) : "", failed ? "; " : "",
           row->error, row->tolerance, row->detail[0] ? "; " : "", row->detail);
    if (failed)
        printf("         %s\n", command);
}

static void on_device(void *user, uint32_t index, const struct pv_device_info *info, double until)
{
    struct conform *c = user;
    const struct conform_options *o = options_of(c->app);
    (void)index;
    (void)until;
    c->info = *info;
    c->first = c->last = o->seed ? o->seed : 1;
    c->started = console_seconds();
    c->result = (struct pv_conform_result){0};
    c->device = conform_report_device(&c->info, c->first, o->quick);
    json_array_append_new(c->devices, c->device);
    if (!o->common.json)
        printf("%s (%s), seed %llu\n", c->info.name, c->info.driver, (unsigned long long)c->first);
}

static void on_device_end(void *user)
{
    struct conform *c = user;
    json_put_count(c->device, "rounds", c->last - c->first + 1);
    json_put_number(c->device, "seconds", console_seconds() - c->started);
    add(&c->result, &c->total);
    if (c->saved && !c->compared)
        c->compared =
            conform_page_compare(&c->app->console, options_of(c->app)->against, c->saved, c->device);
    if (c->app->common->json)
        return;
    conform_report_tallies(c->device, stdout);
    printf("%s: %u passed, %u failed, %u skipped", c->info.name, c->result.n_passed, c->result.n_failed,
           c->result.n_skipped);
    if (c->last > c->first)
        printf(", seeds %llu to %llu", (unsigned long long)c->first, (unsigned long long)c->last);
    putchar('\n');
    if (json_object_get(c->device, "changes")) {
        printf("changed since %s:\n", json_string_value(json_object_get(c->device, "against")));
        conform_page_changes(c->device, stdout);
    }
}

/* ---- compiling only ---- */

static void on_compiled(void *user, const struct pv_compile_row *row)
{
    struct conform *c = user;
    const struct conform_options *o = options_of(c->app);
    compile_report_row(c->device, row);
    if (o->common.json || (row->compiled && !o->common.verbose))
        return;
    if (!row->compiled) {
        printf("  FAILED %s [%s]: %s\n", row->shader, row->variant, row->detail);
        return;
    }
    printf("  %s %s [%s] %.1f ms", row->shader, row->constants, row->variant, row->ms);
    for (uint32_t i = 0; i < row->n_statistics; i++)
        printf("; %s %.0f", row->statistics[i].name, row->statistics[i].value);
    putchar('\n');
}

/* What got worse; the first of it, or with -v all. */
static void print_rises(const struct app *app, const json_t *device)
{
    enum { SHOWN = 20 };
    const json_t *rises = json_object_get(device, "rises");
    const size_t n = json_array_size(rises);
    const char *before = json_string_value(json_object_get(device, "against"));
    if (!before)
        return;
    for (size_t i = 0; i < n && (i < SHOWN || app->common->verbose); i++)
        printf("  rise: %s\n", json_string_value(json_array_get(rises, i)));
    printf("  %zu numbers rose against the saved report", n);
    if (strcmp(before, json_string_value(json_object_get(device, "driver"))) != 0)
        printf(", which is of another driver: %s", before);
    putchar('\n');
}

/* What is listed or compiled, a device at a time. */
struct listing {
    struct app *app;
    struct pv_context *context;
    struct conform *all;
};

static enum pv_status compile_device(void *user, uint32_t index)
{
    const struct listing *l = user;
    struct app *app = l->app;
    const struct conform_options *o = options_of(app);
    struct conform c = {.app = app, .info = *pv_context_device_info(l->context, index)};
    const struct pv_conform_params params = {.filter = o->filter,
                                             .variant = o->variant       ? o->variant
                                                        : o->device.plan ? "plan"
                                                                         : NULL,
                                             .quick = o->quick};
    struct pv_compile_result result = {0};
    const double start = console_seconds();
    c.device = compile_report_device(&c.info);
    json_array_append_new(l->all->devices, c.device);
    if (!o->common.json)
        printf("%s (%s)\n", c.info.name, c.info.driver);
    enum pv_status status = pv_conform_compile(l->context, index, &params, on_compiled, &c, &result);
    compile_report_finish(c.device, console_seconds() - start);
    if (!status && l->all->saved)
        status = compile_report_against(&app->console, o->against, l->all->saved, c.device);
    if (!o->common.json) {
        compile_report_table(c.device, stdout);
        print_rises(app, c.device);
        printf("%s: %u pipelines built, %u failed, %d spill\n", c.info.name, result.n_compiled,
               result.n_failed, (int)json_integer_value(json_object_get(c.device, "spilling")));
    }
    l->all->total.n_passed += result.n_compiled;
    l->all->total.n_failed += result.n_failed;
    return status;
}

/* ---- variants ---- */

static void on_variant(void *user, const struct pv_conform_variant *v)
{
    json_t *list = user;
    json_t *object = json_object();
    json_put_string(object, "name", v->name);
    json_put_string(object, "about", v->about);
    json_put(object, "runs", json_boolean(v->runs));
    if (!v->runs)
        json_put_string(object, "why_not", v->why_not);
    json_array_append_new(list, object);
}

static enum pv_status list_device(void *user, uint32_t index)
{
    const struct listing *l = user;
    const struct pv_device_info *info = pv_context_device_info(l->context, index);
    json_t *object = json_object(), *list = json_array(), *v;
    size_t i;
    const enum pv_status status = pv_conform_variants(l->context, index, on_variant, list);
    json_put_string(object, "name", info->name);
    json_put(object, "variants", list);
    json_array_append_new(l->all->devices, object);
    if (l->app->common->json)
        return status;
    printf("%s (%s)\n", info->name, info->driver);
    json_array_foreach(list, i, v)
    {
        const char *why = json_string_value(json_object_get(v, "why_not"));
        printf("  %-20s %s%s%s%s\n", json_string_value(json_object_get(v, "name")),
               json_string_value(json_object_get(v, "about")), why ? " (not run: " : "", why ? why : "",
               why ? ")" : "");
    }
    return status;
}

static enum pv_status verdict(struct app *app, const struct pv_conform_result *total)
{
    if (total->n_failed) {
        console_error(&app->console, "%u cases failed", total->n_failed);
        return PV_ERR_CHECK;
    }
    if (!total->n_passed) {
        console_error(&app->console, "nothing was checked; does the filter name a kernel?");
        return PV_ERR_ARG;
    }
    return PV_OK;
}

static enum pv_status list_or_compile(struct app *app, struct conform *c)
{
    struct setup setup = {.device_options = &options_of(app)->device};
    enum pv_status status = setup_context(app, &setup);
    struct listing listing = {app, setup.context, c};
    if (!status)
        status = conform_each_device(app, &setup, 0, false,
                                     options_of(app)->list_variants ? list_device : compile_device, &listing);
    const enum pv_status closed = setup_close(app, &setup);
    return status ? status : closed;
}

static enum pv_status check_all(struct app *app, struct conform *c)
{
    const struct conform_options *o = options_of(app);
    const struct conform_events events = {c, on_device, NULL, on_row, on_device_end};
    enum pv_status status;
    if (o->list_variants || o->compile_only)
        status = list_or_compile(app, c);
    else
        status = o->isolate ? conform_isolated(app, &events) : conform_run(app, NULL, &events);
    if (o->list_variants || (status && status != PV_ERR_CHECK))
        return status;
    if (c->compared)
        return c->compared;
    const enum pv_status said = verdict(app, &c->total);
    return said ? said : status;
}

/* The files that were asked for; written for failed runs too. */
static enum pv_status write_reports(struct app *app, const json_t *report)
{
    const struct conform_options *o = options_of(app);
    enum pv_status status = PV_OK;
    if (o->junit)
        status = conform_report_junit(&app->console, o->junit, report);
    if (!status && o->report)
        status = conform_page_write(&app->console, o->report, report);
    if (!status && o->markdown)
        status = conform_report_markdown(&app->console, o->markdown, report);
    return status;
}

static int cmd_conform(struct app *app)
{
    if (options_of(app)->compile_only &&
        (options_of(app)->junit || options_of(app)->report || options_of(app)->minutes > 0)) {
        console_error(&app->console, "--compile-only runs nothing: no --junit, no --report, no --minutes");
        return EXIT_USAGE;
    }
    if (options_of(app)->isolate && (options_of(app)->compile_only || options_of(app)->list_variants)) {
        console_error(&app->console, "--isolate is about cases that run: leave out %s",
                      options_of(app)->compile_only ? "--compile-only" : "--list-variants");
        return EXIT_USAGE;
    }
    if (options_of(app)->table)
        return app_fail(app, conform_report_folder(&app->console, options_of(app)->table, stdout));
    json_t *report = json_object();
    struct conform c = {.app = app, .devices = json_array()};
    json_put(report, "parvin", json_string(PV_VERSION));
    json_put(report, "devices", c.devices);
    if (options_of(app)->minutes > 0)
        console_watch_interrupt();
    enum pv_status status = PV_OK;
    if (options_of(app)->against) { /* a wrong one is found before the work, not after it */
        c.saved = json_array();
        status = device_report_load(&app->console, options_of(app)->against, c.saved);
    }
    if (!status)
        status = check_all(app, &c);
    json_decref(c.saved);
    int code = app_fail(app, status);
    if (!status || status == PV_ERR_CHECK) {
        const int written = app_fail(app, write_reports(app, report));
        code = code ? code : written;
    }
    if (app->common->json && (!status || status == PV_ERR_CHECK)) {
        if (!app->common->verbose)
            conform_report_shorten(report);
        const int printed = options_of(app)->compile_only ? json_finish_flat(&app->console, report)
                                                          : json_finish(&app->console, report);
        code = code ? code : printed;
    } else {
        json_decref(report);
    }
    return code;
}

const struct command command_conform = {
    .name = "conform",
    .argument = NULL,
    .summary = "Check every kernel on every device against the CPU reference",
    .about =
        "Runs each case in every variant of the plan that the device can be forced into. Prints what failed, with the\n"
        "command that repeats it, and a line per kernel; -v prints every case (and puts it into --json). Exit 1 if anything\n"
        "failed.",
    .examples = "  parvin conform\n"
                "  parvin conform --quick --junit report.xml\n"
                "  parvin conform --device llvmpipe --filter ffn --variant texel-odd -v\n"
                "  parvin conform --minutes 60 --json > report.json\n"
                "  parvin conform --compile-only --against docs/devices\n",
    .groups = conform_groups,
    .n_groups = sizeof conform_groups / sizeof conform_groups[0],
    .options_bytes = sizeof(struct conform_options),
    .run = cmd_conform,
};
