/* parvin devices: what is there, what it can do, what Parvin makes of it. */
#include <stdlib.h>
#include <string.h>

#include "reports/report.h"
#include "cli/setup.h"
#include "commands/commands.h"
#include "commands/devices_place.h"

struct devices_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *place; /* a model to place */
    const char *caps;  /* a saved device to plan for */
};

#define AT(field) offsetof(struct devices_options, field)
static const struct option devices_rows[] = {
    {0, "place", OPTION_INPUT, AT(place), "MODEL", NULL, 0, 0,
     "say what the model takes and what fits where, and load nothing"},
    {0, "caps", OPTION_INPUT, AT(caps), "FILE", NULL, 0, 0,
     "print the plan for a saved device (the caps of 'parvin devices --json'), here or not"},
    {0, "fit", OPTION_MOVED, 0, NULL, NULL, 0, 0, "placing a model is --place: parvin devices --place MODEL"},
};
#undef AT

static const struct option_group devices_groups[] = {
    OPTION_OWN(devices_rows),
    OPTION_GROUP(clusters_rows, struct devices_options, model),
    OPTION_GROUP(ctx_rows, struct devices_options, model),
    OPTION_GROUP(split_rows, struct devices_options, device),
    OPTION_GROUP(driver_rows, struct devices_options, device),
    OPTION_GROUP(json_rows, struct devices_options, common),
    OPTION_GROUP(common_rows, struct devices_options, common),
};

static const struct devices_options *options_of(const struct app *app)
{
    return app->options;
}

static json_t *device_json(const struct pv_context *context, uint32_t index)
{
    const struct pv_device_info *info = pv_context_device_info(context, index);
    json_t *object = json_object();
    char version[48];
    snprintf(version, sizeof version, "%u.%u.%u", info->api_major, info->api_minor, info->api_patch);
    json_put_count(object, "index", index);
    json_put_string(object, "name", info->name);
    json_put_string(object, "driver", info->driver);
    json_put(object, "uuid", json_string(info->uuid));
    json_put(object, "type", json_string(info->type));
    json_put(object, "vulkan", json_string(version));
    json_put_count(object, "memory_bytes", info->memory_bytes);
    json_put(object, "usable", json_boolean(info->usable));
    if (!info->usable)
        json_put(object, "why_not", json_string(info->why_not));
    json_put_parsed(object, "caps", pv_context_caps_json(context, index));
    if (info->usable)
        json_put_parsed(object, "plan", pv_context_plan_json(context, index));
    return object;
}

static int plan_for_saved(struct app *app)
{
    struct text caps = {0};
    char *plan = NULL;
    const struct pv_log log = console_log(&app->console);
    enum pv_status status = text_read(&app->console, options_of(app)->caps, &caps);
    if (!status)
        status = pv_plan_for_caps(caps.bytes ? caps.bytes : "", options_of(app)->device.plan, &log, &plan);
    if (!status)
        puts(plan);
    free(plan);
    text_free(&caps);
    return app_fail(app, status);
}

static int cmd_devices(struct app *app)
{
    const struct devices_options *o = options_of(app);
    struct setup setup = {.device_options = &o->device, .model_options = &o->model};
    if (o->caps)
        return plan_for_saved(app);
    if (o->place)
        return devices_place(app, o->place, &setup);
    if (o->device.devices || o->device.split || o->model.clusters_path || o->model.ctx) {
        console_error(&app->console, "--devices, --split, -c and --ctx go with --place MODEL");
        return EXIT_USAGE;
    }
    int code = app_fail(app, setup_context(app, &setup));
    if (!code) {
        const uint32_t n = pv_context_n_devices(setup.context);
        json_t *object = json_object(), *list = json_array();
        for (uint32_t i = 0; i < n; i++) {
            if (app->common->json)
                json_array_append_new(list, device_json(setup.context, i));
            else
                report_device(setup.context, i, app->common->verbose > 0);
        }
        json_put(object, "devices", list);
        if (app->common->json)
            code = json_finish(&app->console, object);
        else
            json_decref(object);
    }
    const enum pv_status status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}

const struct command command_devices = {
    .name = "devices",
    .argument = NULL,
    .summary = "List every Vulkan device, what it can do, and the plan chosen for it",
    .about = NULL,
    .examples = "  parvin devices\n"
                "  parvin devices --json | jq '.devices[].plan'\n"
                "  parvin devices --place model.gguf --ctx 4096\n"
                "  parvin devices --place model.gguf --devices 0,1 --json\n",
    .groups = devices_groups,
    .n_groups = sizeof devices_groups / sizeof devices_groups[0],
    .options_bytes = sizeof(struct devices_options),
    .run = cmd_devices,
};
