/* The devices in turn; of each, one round of the case table and the small models, or with --minutes as many as the time
 * allows, each with a seed of its own. */
#include "conform/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct run {
    struct app *app;
    struct setup *setup;
    const struct conform_place *from; /* NULL: the beginning */
    const struct conform_events *events;
    uint64_t seed; /* of the round at hand */
};

static const struct conform_options *options_of(const struct app *app)
{
    return app->options;
}

static bool on_starting(void *user, const struct pv_conform_row *row)
{
    const struct run *run = user;
    return !run->events->starting || run->events->starting(run->events->user, run->seed, row);
}

static void on_row(void *user, const struct pv_conform_row *row)
{
    const struct run *run = user;
    run->events->row(run->events->user, run->seed, row);
}

/* Where a tiny model may lie for a moment. */
static void temporary_path(char *out, size_t size)
{
    const char *folder = getenv("TMPDIR");
    snprintf(out, size, "%s/parvin-conform-%ld.gguf", folder && folder[0] == '/' ? folder : "/tmp",
             (long)getpid());
}

static enum pv_status one_round(struct run *run, uint32_t index)
{
    const struct conform_options *o = options_of(run->app);
    const struct pv_conform_params params = {.filter = o->filter,
                                             .variant = o->variant       ? o->variant
                                                        : o->device.plan ? "plan"
                                                                         : NULL,
                                             .seed = run->seed,
                                             .quick = o->quick,
                                             .repeat = o->repeat,
                                             .record_only = o->record_only,
                                             .starting = on_starting};
    struct pv_conform_result result = {0};
    char temporary[4096];
    temporary_path(temporary, sizeof temporary);
    const enum pv_status status = pv_conform(run->setup->context, index, &params, on_row, run, &result);
    return status ? status
                  : pv_conform_models(run->setup->context, index, temporary, &params, on_row, run, &result);
}

static enum pv_status run_device(void *user, uint32_t index)
{
    struct run *run = user;
    const struct conform_options *o = options_of(run->app);
    const bool resumed = run->from && run->from->device == index && run->from->seed;
    const double until = resumed ? run->from->until : console_seconds() + o->minutes * 60;
    enum pv_status status;
    run->seed = resumed ? run->from->seed : o->seed ? o->seed : 1;
    run->events->device(run->events->user, index, pv_context_device_info(run->setup->context, index), until);
    do
        status = one_round(run, index);
    while (!status && ++run->seed && o->minutes > 0 && console_seconds() < until && !console_interrupted());
    if (!run->from || !status)
        run->events->device_end(run->events->user);
    return status;
}

enum pv_status conform_each_device(struct app *app, struct setup *setup, uint32_t first, bool stop,
                                   enum pv_status (*one)(void *user, uint32_t index), void *user)
{
    const bool compile_only = options_of(app)->compile_only;
    uint32_t only = UINT32_MAX, n_found = 0;
    enum pv_status status = PV_OK, worst = PV_OK;
    if (options_of(app)->device.device)
        status = (compile_only ? pv_context_find_compiler : pv_context_find_device)(
            setup->context, options_of(app)->device.device, &only);
    for (uint32_t i = 0; !status && i < pv_context_n_devices(setup->context); i++) {
        const struct pv_device_info *info = pv_context_device_info(setup->context, i);
        if (only != UINT32_MAX ? i != only : !(compile_only ? info->compiles : info->usable))
            continue;
        n_found++;
        const enum pv_status checked = i < first || (stop && worst) ? PV_OK : one(user, i);
        worst = checked ? checked : worst;
    }
    if (status || worst)
        return status ? status : worst;
    if (!n_found) {
        console_error(&app->console, "no usable Vulkan device; 'parvin devices' says why");
        return PV_ERR_NO_DEVICE;
    }
    return PV_OK;
}

enum pv_status conform_run(struct app *app, const struct conform_place *from,
                           const struct conform_events *events)
{
    struct device_options device = options_of(app)->device;
    device.validation = device.validation || options_of(app)->record_only;
    struct setup setup = {.device_options = &device};
    struct run run = {.app = app, .setup = &setup, .from = from, .events = events};
    enum pv_status status = setup_context(app, &setup);
    if (!status)
        status = conform_each_device(app, &setup, from ? from->device : 0, from != NULL, run_device, &run);
    const enum pv_status closed = setup_close(app, &setup);
    return status ? status : closed;
}
