/* parvin devices: what is there, what it can do, what Parvin makes of it. */
#include <stdlib.h>
#include <string.h>

#include "reports/report.h"
#include "setup.h"

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
    enum pv_status status = text_read(&app->console, app->options.caps, &caps);
    if (!status)
        status = pv_plan_for_caps(caps.bytes ? caps.bytes : "", app->options.plan, &log, &plan);
    if (!status)
        puts(plan);
    free(plan);
    text_free(&caps);
    return app_fail(app, status);
}

int cmd_devices(struct app *app)
{
    struct setup setup = {0};
    if (app->options.caps)
        return plan_for_saved(app);
    if (app->options.fit)
        return cmd_devices_fit(app);
    if (app->options.devices || app->options.split || app->options.clusters_path || app->options.ctx) {
        console_error(&app->console, "--devices, --split, -c and --ctx go with --fit MODEL");
        return EXIT_USAGE;
    }
    int code = app_fail(app, setup_context(app, &setup));
    if (!code) {
        const uint32_t n = pv_context_n_devices(setup.context);
        json_t *object = json_object(), *list = json_array();
        for (uint32_t i = 0; i < n; i++) {
            if (app->options.json)
                json_array_append_new(list, device_json(setup.context, i));
            else
                report_device(setup.context, i, app->options.verbose > 0);
        }
        json_put(object, "devices", list);
        if (app->options.json)
            code = json_finish(&app->console, object);
        else
            json_decref(object);
    }
    const enum pv_status status = setup_close(app, &setup);
    return code ? code : app_fail(app, status);
}
