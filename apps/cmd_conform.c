/* parvin conform: every kernel on every device against the CPU reference. */
#include <string.h>

#include "output.h"
#include "setup.h"

enum { KERNELS_MAX = 64 };

struct tally {
    char kernel[32];
    uint32_t n_passed, n_failed, n_skipped;
    double worst; /* largest error as a share of its tolerance */
};
struct conform {
    struct app *app;
    json_t *rows; /* of the device at hand, as are the tallies */
    struct tally tallies[KERNELS_MAX];
    uint32_t n_tallies;
};

/* The kernel's tally; kernels beyond the room share the last one. */
static struct tally *tally_of(struct conform *c, const char *kernel)
{
    uint32_t i = 0;
    while (i < c->n_tallies && strcmp(c->tallies[i].kernel, kernel) != 0)
        i++;
    if (i == c->n_tallies && i < KERNELS_MAX) {
        snprintf(c->tallies[i].kernel, sizeof c->tallies[i].kernel, "%s", kernel);
        c->n_tallies++;
    }
    return &c->tallies[i < KERNELS_MAX ? i : KERNELS_MAX - 1];
}

static void print_tallies(const struct conform *c)
{
    for (uint32_t i = 0; i < c->n_tallies; i++) {
        const struct tally *t = &c->tallies[i];
        printf("  %-20s %5u passed", t->kernel, t->n_passed);
        if (t->n_skipped)
            printf(", %u skipped", t->n_skipped);
        if (t->n_failed)
            printf(", %u FAILED", t->n_failed);
        if (t->worst > 0)
            printf("; largest error %.1g of the tolerance", t->worst);
        putchar('\n');
    }
}

static json_t *row_json(const struct pv_conform_row *row)
{
    json_t *object = json_object();
    json_put(object, "kernel", json_string(row->kernel));
    json_put_string(object, "case", row->name);
    json_put(object, "result", json_string(row->skipped ? "skipped" : row->passed ? "passed" : "failed"));
    json_put_number(object, "error", row->error);
    json_put_number(object, "tolerance", row->tolerance);
    if (row->detail[0])
        json_put_string(object, "detail", row->detail);
    return object;
}

static void on_row(void *user, const struct pv_conform_row *row)
{
    struct conform *c = user;
    bool failed = !row->passed && !row->skipped;
    struct tally *t = tally_of(c, row->kernel);
    t->n_passed += row->passed && !row->skipped;
    t->n_skipped += row->skipped;
    t->n_failed += failed;
    if (!row->skipped && row->tolerance > 0 && row->error / row->tolerance > t->worst)
        t->worst = row->error / row->tolerance;
    if (c->app->options.json)
        json_array_append_new(c->rows, row_json(row));
    else if (failed || c->app->options.verbose)
        printf("  %-6s %s/%s: error %.3g, allowed %.3g%s%s\n",
               row->skipped  ? "skip"
               : row->passed ? "ok"
                             : "FAILED",
               row->kernel, row->name, row->error, row->tolerance, row->detail[0] ? "; " : "", row->detail);
}

static enum pv_status check_device(struct conform *c, struct pv_context *context, uint32_t index,
                                   json_t *devices, struct pv_conform_result *total)
{
    const struct options *o = &c->app->options;
    const struct pv_conform_params params = {.filter = o->filter, .seed = o->seed, .quick = o->quick};
    const struct pv_device_info *info = pv_context_device_info(context, index);
    struct pv_conform_result result = {0};
    c->rows = json_array();
    c->n_tallies = 0;
    memset(c->tallies, 0, sizeof c->tallies);
    if (!o->json)
        printf("%s (%s)\n", info->name, info->driver);
    enum pv_status status = pv_conform(context, index, &params, on_row, c, &result);
    json_t *object = json_object();
    json_put_string(object, "name", info->name);
    json_put_string(object, "driver", info->driver);
    json_put_count(object, "passed", result.n_passed);
    json_put_count(object, "failed", result.n_failed);
    json_put_count(object, "skipped", result.n_skipped);
    json_put(object, "rows", c->rows);
    json_array_append_new(devices, object);
    if (!o->json) {
        print_tallies(c);
        printf("%s: %u passed, %u failed, %u skipped\n", info->name, result.n_passed, result.n_failed,
               result.n_skipped);
    }
    total->n_passed += result.n_passed;
    total->n_failed += result.n_failed;
    return status;
}

/* The devices to check: the one that --device names, or every usable one. */
static enum pv_status check_all(struct app *app, struct setup *setup, json_t *devices)
{
    struct conform c = {.app = app};
    struct pv_conform_result total = {0};
    uint32_t only = UINT32_MAX, n_checked = 0;
    enum pv_status status = PV_OK, worst = PV_OK;
    if (app->options.device)
        status = pv_context_find_device(setup->context, app->options.device, &only);
    for (uint32_t i = 0; !status && i < pv_context_n_devices(setup->context); i++) {
        if (only != UINT32_MAX ? i != only : !pv_context_device_info(setup->context, i)->usable)
            continue;
        enum pv_status checked = check_device(&c, setup->context, i, devices, &total);
        worst = checked ? checked : worst;
        n_checked++;
    }
    if (status || worst)
        return status ? status : worst;
    if (!n_checked) {
        console_error(&app->console, "no usable Vulkan device; 'parvin devices' says why");
        return PV_ERR_NO_DEVICE;
    }
    if (total.n_failed) {
        console_error(&app->console, "%u cases failed", total.n_failed);
        return PV_ERR_CHECK;
    }
    if (!total.n_passed) {
        console_error(&app->console, "nothing was checked; does the filter name a kernel?");
        return PV_ERR_ARG;
    }
    return PV_OK;
}

int cmd_conform(struct app *app)
{
    struct setup setup = {0};
    json_t *object = json_object(), *devices = json_array();
    json_put(object, "devices", devices);
    enum pv_status status = setup_context(app, &setup);
    if (!status)
        status = check_all(app, &setup, devices);
    int code = app_fail(app, status);
    if (app->options.json && (!status || status == PV_ERR_CHECK)) {
        int printed = json_finish(&app->console, object);
        code = code ? code : printed;
    } else {
        json_decref(object);
    }
    status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}
