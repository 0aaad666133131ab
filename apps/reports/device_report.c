/* Reports are saved as {"devices": [...]}, in one file or in a folder of files. */
#include "reports/device_report.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *device_report_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void device_report_identity(json_t *device, const struct pv_device_info *info)
{
    char version[48];
    snprintf(version, sizeof version, "%u.%u.%u", info->api_major, info->api_minor, info->api_patch);
    json_put_string(device, "name", info->name);
    json_put_string(device, "driver", info->driver);
    json_put_string(device, "uuid", info->uuid);
    json_put_string(device, "type", info->type);
    json_put_string(device, "vulkan", version);
}

static int is_json(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && !strcmp(dot, ".json");
}

static enum pv_status load(struct console *console, const char *path, json_t *all)
{
    json_error_t error;
    json_t *device, *report = json_load_file(path, 0, &error);
    size_t i;
    if (!json_is_array(json_object_get(report, "devices"))) {
        console_error(console, "%s is not a report of 'parvin conform --json': %s", path,
                      report ? "it has no list of devices" : error.text);
        json_decref(report);
        return PV_ERR_FORMAT;
    }
    json_array_foreach(json_object_get(report, "devices"), i, device) json_array_append(all, device);
    json_decref(report);
    return PV_OK;
}

enum pv_status device_report_load(struct console *console, const char *path, json_t *all)
{
    struct dirent **entries = NULL;
    struct stat info;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
        return load(console, path, all);
    const int n = scandir(path, &entries, is_json, alphasort);
    enum pv_status status = PV_OK;
    if (n <= 0) {
        console_error(console, "%s: no saved reports (*.json) there", path);
        status = PV_ERR_IO;
    }
    for (int k = 0; k < n; k++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[k]->d_name);
        if (!status)
            status = load(console, name, all);
        free(entries[k]);
    }
    free(entries);
    return status;
}
