/* Reports are saved as {"devices": [...]}, in one file or in a folder of files. */
#include "reports/device_report.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "viz/picture/text.h"

const char *device_report_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void device_report_cell(FILE *to, const char *text)
{
    for (; *text; text++)
        fputs(*text == '|' ? "\\|" : (const char[2]){*text, 0}, to);
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

/* Whether the text would do more in a terminal, a table or a page than be read. */
static bool has_controls(const char *text)
{
    for (size_t n = strlen(text), i = 0, length; i < n; i += length) {
        uint32_t code = 0;
        length = pv_text_char(text + i, n - i, &code);
        if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return true;
    }
    return false;
}

/* A saved report may be anybody's: texts are shown as pictures show them, and names that need it are nobody's. */
static void clean(json_t *json)
{
    const char *key;
    json_t *value;
    void *next;
    size_t i;
    json_array_foreach(json, i, value) clean(value);
    json_object_foreach_safe(json, next, key, value)
    {
        if (has_controls(key))
            json_object_del(json, key);
        else
            clean(value);
    }
    const char *text = json_string_value(json);
    if (!text || !has_controls(text))
        return;
    char shown[1024];
    pv_text_display(text, strlen(text), shown, sizeof shown);
    if (json_string_set(json, shown) != 0)
        json_string_set(json, ""); /* no memory for it */
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
    clean(report);
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
