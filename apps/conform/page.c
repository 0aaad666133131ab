/* The page is a view of the report's JSON, so it says nothing that the report does not. Changes are found by the names of
 * rows: a saved report need not hold the rows that passed. */
#include "conform/page.h"

#include <string.h>

#include "reports/compile_report.h"
#include "reports/device_report.h"

enum { MOST_COMMANDS = 12, MOST_CHANGES = 60 };

static int count_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static bool is_failed(const json_t *row)
{
    return !strcmp(device_report_text(row, "result"), "failed");
}

static void row_name(const json_t *row, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", device_report_text(row, "kernel"), device_report_text(row, "case"));
}

/* ---- what is wrong ---- */

static void put_once(json_t *set, const char *key)
{
    if (!json_object_get(set, key))
        json_put(set, key, json_true());
}

/* {FAULT: {"rows", "kernels": {NAME}, "variants": {NAME}}} */
static json_t *gather_faults(const json_t *rows)
{
    json_t *faults = json_object(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *name = device_report_text(row, "fault");
        if (!is_failed(row))
            continue;
        if (!json_object_get(faults, name))
            json_put(faults, name, json_pack("{s:i,s:{},s:{}}", "rows", 0, "kernels", "variants"));
        json_t *fault = json_object_get(faults, name);
        json_put_count(fault, "rows", (uint64_t)count_of(fault, "rows") + 1);
        put_once(json_object_get(fault, "kernels"), device_report_text(row, "kernel"));
        put_once(json_object_get(fault, "variants"), device_report_text(row, "variant"));
    }
    return faults;
}

static void put_names(json_t *set, FILE *to)
{
    const char *name, *before = "";
    json_t *unused;
    json_object_foreach(set, name, unused)
    {
        fputs(before, to);
        device_report_cell(to, name);
        before = ", ";
    }
}

/* The first row of each fault in each kernel, with its command. */
static void put_commands(const json_t *rows, FILE *to)
{
    json_t *row, *said = json_object();
    size_t i, n = 0;
    json_array_foreach(rows, i, row)
    {
        char key[256], name[256];
        snprintf(key, sizeof key, "%s/%s", device_report_text(row, "fault"),
                 device_report_text(row, "kernel"));
        if (!is_failed(row) || json_object_get(said, key) || n == MOST_COMMANDS)
            continue;
        put_once(said, key);
        n++;
        row_name(row, name, sizeof name);
        fprintf(to, "\n**%s**: %s; %s\n\n    %s\n", name, device_report_text(row, "fault"),
                device_report_text(row, "detail"), device_report_text(row, "reproduce"));
    }
    json_decref(said);
}

static void put_faults(const json_t *rows, FILE *to)
{
    json_t *faults = gather_faults(rows), *fault;
    const char *name;
    fputs("\n## What is wrong\n\n| what | rows | kernels | variants |\n|---|---:|---|---|\n", to);
    json_object_foreach(faults, name, fault)
    {
        fprintf(to, "| %s | %d | ", name, count_of(fault, "rows"));
        put_names(json_object_get(fault, "kernels"), to);
        fputs(" | ", to);
        put_names(json_object_get(fault, "variants"), to);
        fputs(" |\n", to);
    }
    json_decref(faults);
    put_commands(rows, to);
}

static void put_head(const json_t *report, const json_t *device, FILE *to)
{
    const int passed = count_of(device, "passed"), failed = count_of(device, "failed");
    fprintf(to, "# parvin conform: %s\n\n| | |\n|---|---|\n| device | ", device_report_text(device, "name"));
    device_report_cell(to, device_report_text(device, "name"));
    fprintf(to, ", %s |\n| driver | ", device_report_text(device, "type"));
    device_report_cell(to, device_report_text(device, "driver"));
    fprintf(to, " |\n| Vulkan | %s |\n| Parvin | %s |\n", device_report_text(device, "vulkan"),
            device_report_text(report, "parvin"));
    fprintf(to, "| tried | %d cases of %zu kernels in %zu variants, seed %d%s, %.0f s |\n", passed + failed,
            json_object_size(json_object_get(device, "kernels")),
            json_object_size(json_object_get(device, "variants")), count_of(device, "seed"),
            json_is_true(json_object_get(device, "quick")) ? ", small cases only" : "",
            json_number_value(json_object_get(device, "seconds")));
    if (failed)
        fprintf(to, "| result | **%d of %d failed** |\n", failed, passed + failed);
    else
        fprintf(to, "| result | all passed |\n");
}

static void put_kernels(const json_t *device, FILE *to)
{
    const char *name;
    json_t *t;
    fputs(
        "\n## Kernels\n\n| kernel | passed | failed | largest error over tolerance |\n|---|---:|---:|---:|\n",
        to);
    json_object_foreach(json_object_get(device, "kernels"), name, t)
        fprintf(to, "| %s | %d | %d | %.2g |\n", name, count_of(t, "passed"), count_of(t, "failed"),
                json_number_value(json_object_get(t, "worst")));
}

enum pv_status conform_page_write(struct console *console, const char *path, const json_t *report)
{
    struct output_file out;
    json_t *device;
    size_t i;
    const enum pv_status status = output_open(console, path, &out);
    if (status)
        return status;
    json_array_foreach(json_object_get(report, "devices"), i, device)
    {
        if (i)
            fputc('\n', out.file);
        put_head(report, device, out.file);
        if (count_of(device, "failed"))
            put_faults(json_object_get(device, "rows"), out.file);
        if (json_object_get(device, "changes")) {
            fprintf(out.file, "\n## Changed since %s\n\n", device_report_text(device, "against"));
            conform_page_changes(device, out.file);
        }
        put_kernels(device, out.file);
    }
    return output_close(console, &out, true);
}

/* ---- what changed ---- */

static const json_t *find_failed(const json_t *device, const char *name)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(device, "rows"), i, row)
    {
        char other[256];
        row_name(row, other, sizeof other);
        if (is_failed(row) && !strcmp(other, name))
            return row;
    }
    return NULL;
}

/* The failed rows of `one` that have not failed in `other`, whose kernel has been tried there. */
static void compare_rows(const json_t *one, const json_t *other, const char *words, json_t *changes)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(one, "rows"), i, row)
    {
        char name[256], text[512];
        row_name(row, name, sizeof name);
        if (!is_failed(row) || find_failed(other, name) ||
            !json_object_get(json_object_get(other, "kernels"), device_report_text(row, "kernel")))
            continue;
        snprintf(text, sizeof text, "%s: %s (%s)", name, words, device_report_text(row, "fault"));
        json_array_append_new(changes, json_string(text));
    }
}

static void compare_errors(const json_t *before, const json_t *now, json_t *changes)
{
    const char *kernel;
    json_t *t;
    json_object_foreach(json_object_get(now, "kernels"), kernel, t)
    {
        char text[256];
        const json_t *then = json_object_get(json_object_get(before, "kernels"), kernel);
        const double a = json_number_value(json_object_get(then, "worst")),
                     b = json_number_value(json_object_get(t, "worst"));
        if (!then || (a <= 2 * b && b <= 2 * a))
            continue;
        snprintf(text, sizeof text, "%s: largest error over tolerance %.2g -> %.2g", kernel, a, b);
        json_array_append_new(changes, json_string(text));
    }
}

enum pv_status conform_page_compare(struct console *console, const char *path, const json_t *saved,
                                    json_t *device)
{
    json_t *one, *changes = json_array();
    const json_t *before = NULL;
    size_t i, n = 0;
    enum pv_status status = PV_OK;
    json_array_foreach(saved, i, one)
    {
        const bool same = !strcmp(device_report_text(one, "name"), device_report_text(device, "name"));
        if (compile_report_is(one))
            continue;
        if (same || n == 0)
            before = one;
        n++;
        if (same)
            break;
    }
    if (before && n > 1 &&
        strcmp(device_report_text(before, "name"), device_report_text(device, "name")) != 0)
        before = NULL; /* of several none has the name */
    if (!before) {
        console_error(console, "%s: there is no report of a run on %s to compare with", path,
                      device_report_text(device, "name"));
        status = PV_ERR_IO;
    }
    if (before) {
        compare_rows(device, before, "fails now", changes);
        compare_rows(before, device, "no longer fails", changes);
        compare_errors(before, device, changes);
        json_put_string(device, "against", device_report_text(before, "driver"));
        json_put(device, "changes", json_incref(changes));
    }
    json_decref(changes);
    return status;
}

void conform_page_changes(const json_t *device, FILE *to)
{
    const json_t *changes = json_object_get(device, "changes");
    const size_t n = json_array_size(changes);
    if (changes && n == 0)
        fputs("- nothing\n", to);
    for (size_t i = 0; i < n && i < MOST_CHANGES; i++)
        fprintf(to, "- %s\n", json_string_value(json_array_get(changes, i)));
    if (n > MOST_CHANGES)
        fprintf(to, "- and %zu more\n", n - MOST_CHANGES);
}
