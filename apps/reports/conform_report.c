/* One JSON object holds a conformance run; JUnit XML, Markdown and the terminal are views of it, so that they
 * cannot disagree. */
#include "reports/conform_report.h"

#include <stdlib.h>
#include <string.h>

#include "reports/compile_report.h"
#include "reports/device_report.h"

static uint64_t count_of(const json_t *object, const char *key)
{
    const json_int_t v = json_integer_value(json_object_get(object, key));
    return v > 0 ? (uint64_t)v : 0;
}

/* ---- gathering ---- */

json_t *conform_report_device(const struct pv_device_info *info, uint64_t seed, bool quick)
{
    json_t *device = json_object();
    device_report_identity(device, info);
    json_put_count(device, "seed", seed);
    json_put(device, "quick", json_boolean(quick));
    json_put_count(device, "passed", 0);
    json_put_count(device, "failed", 0);
    json_put_count(device, "skipped", 0);
    json_put(device, "variants", json_object());
    json_put(device, "kernels", json_object());
    json_put(device, "rows", json_array());
    return device;
}

static void count_up(json_t *object, const char *key)
{
    json_put_count(object, key, count_of(object, key) + 1);
}

static json_t *tally(json_t *device, const char *group, const char *name, const char *result)
{
    json_t *all = json_object_get(device, group), *one = json_object_get(all, name);
    if (!one) {
        json_put(all, name, json_pack("{s:i,s:i,s:i}", "passed", 0, "failed", 0, "skipped", 0));
        one = json_object_get(all, name);
    }
    count_up(one, result);
    return one;
}

void conform_report_row(json_t *device, const struct pv_conform_row *row, uint64_t seed,
                        const char *reproduce)
{
    const char *result = row->skipped ? "skipped" : row->passed ? "passed" : "failed";
    json_t *kernel = tally(device, "kernels", row->kernel, result), *object = json_object();
    const double worst = row->tolerance > 0 && !row->skipped ? row->error / row->tolerance : 0;
    if (!(worst <= json_number_value(json_object_get(kernel, "worst"))))
        json_put_number(kernel, "worst", worst);
    tally(device, "variants", row->variant, result);
    count_up(device, result);
    json_put_string(object, "kernel", row->kernel);
    json_put_string(object, "case", row->name);
    json_put_string(object, "variant", row->variant);
    json_put_count(object, "seed", seed);
    json_put_string(object, "result", result);
    if (!row->passed && !row->skipped)
        json_put_string(object, "fault", pv_conform_fault_name(row->fault));
    json_put_number(object, "error", row->error);
    json_put_number(object, "tolerance", row->tolerance);
    if (row->detail[0])
        json_put_string(object, "detail", row->detail);
    if (reproduce)
        json_put_string(object, "reproduce", reproduce);
    json_array_append_new(json_object_get(device, "rows"), object);
}

void conform_report_shorten(json_t *report)
{
    json_t *device, *rows;
    size_t i;
    json_array_foreach(json_object_get(report, "devices"), i, device)
    {
        rows = json_object_get(device, "rows");
        for (size_t k = json_array_size(rows); k-- > 0;)
            if (!strcmp(device_report_text(json_array_get(rows, k), "result"), "passed"))
                json_array_remove(rows, k);
    }
}

void conform_report_tallies(const json_t *device, FILE *to)
{
    const char *kernel;
    json_t *t;
    json_object_foreach(json_object_get(device, "kernels"), kernel, t)
    {
        const double worst = json_number_value(json_object_get(t, "worst"));
        fprintf(to, "  %-20s %5d passed", kernel, (int)count_of(t, "passed"));
        if (count_of(t, "skipped"))
            fprintf(to, ", %d skipped", (int)count_of(t, "skipped"));
        if (count_of(t, "failed"))
            fprintf(to, ", %d FAILED", (int)count_of(t, "failed"));
        if (worst > 0)
            fprintf(to, "; largest error %.1g of the tolerance", worst);
        fputc('\n', to);
    }
}

/* ---- JUnit XML ---- */

/* Text of an attribute; control characters, which XML cannot hold, become '?'. */
static void put_xml(FILE *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        default:
            fputc((unsigned char)*text < 0x20 ? '?' : *text, to);
        }
    }
}

static void put_attribute(FILE *to, const char *name, const char *value)
{
    fprintf(to, " %s=\"", name);
    put_xml(to, value);
    fputc('"', to);
}

static void put_testcase(FILE *to, const json_t *device, const json_t *row)
{
    const char *result = device_report_text(row, "result"), *reproduce = device_report_text(row, "reproduce");
    fputs("    <testcase", to);
    fprintf(to, " classname=\"");
    put_xml(to, device_report_text(device, "name"));
    fputc('.', to);
    put_xml(to, device_report_text(row, "kernel"));
    fputc('"', to);
    put_attribute(to, "name", device_report_text(row, "case"));
    if (!strcmp(result, "passed")) {
        fputs("/>\n", to);
        return;
    }
    fprintf(to, "><%s", !strcmp(result, "failed") ? "failure" : "skipped");
    put_attribute(to, "message", device_report_text(row, "detail"));
    if (!strcmp(result, "failed")) {
        fputs(">", to);
        put_xml(to, reproduce);
        fputs("</failure></testcase>\n", to);
    } else {
        fputs("/></testcase>\n", to);
    }
}

static void put_junit(FILE *to, const json_t *report)
{
    json_t *device, *row;
    size_t i, k;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"parvin conform\">\n", to);
    json_array_foreach(json_object_get(report, "devices"), i, device)
    {
        const json_t *rows = json_object_get(device, "rows");
        fputs("  <testsuite", to);
        put_attribute(to, "name", device_report_text(device, "name"));
        fprintf(to, " tests=\"%zu\" failures=\"%d\" skipped=\"%d\" time=\"%.3f\">\n", json_array_size(rows),
                (int)count_of(device, "failed"), (int)count_of(device, "skipped"),
                json_number_value(json_object_get(device, "seconds")));
        json_array_foreach(rows, k, row) put_testcase(to, device, row);
        fputs("  </testsuite>\n", to);
    }
    fputs("</testsuites>\n", to);
}

/* ---- Markdown ---- */

static void put_cell(FILE *to, const char *text)
{
    fputs("| ", to);
    device_report_cell(to, text);
    fputc(' ', to);
}

static void put_device_row(FILE *to, const json_t *device)
{
    const char *name;
    json_t *t;
    uint32_t n_run = 0;
    json_object_foreach(json_object_get(device, "variants"), name, t) n_run += count_of(t, "passed") > 0;
    put_cell(to, device_report_text(device, "name"));
    put_cell(to, device_report_text(device, "driver"));
    put_cell(to, device_report_text(device, "vulkan"));
    fprintf(to, "| %d | %d | %d | %u | %.0f |\n", (int)count_of(device, "passed"),
            (int)count_of(device, "failed"), (int)count_of(device, "skipped"), n_run,
            json_number_value(json_object_get(device, "seconds")));
}

static void put_device_head(FILE *to)
{
    fputs("| device | driver | Vulkan | passed | failed | skipped | variants run | seconds |\n"
          "|---|---|---|---:|---:|---:|---:|---:|\n",
          to);
}

static void put_detail(FILE *to, const json_t *device)
{
    const char *name;
    json_t *t, *row;
    size_t i;
    fprintf(to, "\n## %s\n\n%s; seed %d%s.\n\n", device_report_text(device, "name"),
            device_report_text(device, "driver"), (int)count_of(device, "seed"),
            json_is_true(json_object_get(device, "quick")) ? ", small cases only" : "");
    fputs(
        "| kernel | passed | failed | skipped | largest error over tolerance |\n|---|---:|---:|---:|---:|\n",
        to);
    json_object_foreach(json_object_get(device, "kernels"), name, t) fprintf(
        to, "| %s | %d | %d | %d | %.2g |\n", name, (int)count_of(t, "passed"), (int)count_of(t, "failed"),
        (int)count_of(t, "skipped"), json_number_value(json_object_get(t, "worst")));
    json_array_foreach(json_object_get(device, "rows"), i, row)
    {
        if (strcmp(device_report_text(row, "result"), "failed") != 0)
            continue;
        fprintf(to, "\n**%s/%s** failed: %s; %s\n\n    %s\n", device_report_text(row, "kernel"),
                device_report_text(row, "case"), device_report_text(row, "fault"),
                device_report_text(row, "detail"), device_report_text(row, "reproduce"));
    }
}

static void put_markdown(FILE *to, const json_t *report)
{
    json_t *device, *devices = json_object_get(report, "devices");
    size_t i;
    fprintf(to, "# parvin conform (%s)\n\n", device_report_text(report, "parvin"));
    if (compile_report_is(json_array_get(devices, 0))) {
        compile_report_markdown(devices, to);
        return;
    }
    put_device_head(to);
    json_array_foreach(devices, i, device) put_device_row(to, device);
    json_array_foreach(devices, i, device) put_detail(to, device);
}

static enum pv_status write_with(struct console *console, const char *path, const json_t *report,
                                 void (*put)(FILE *to, const json_t *report))
{
    struct output_file out;
    enum pv_status status = output_open(console, path, &out);
    if (status)
        return status;
    put(out.file, report);
    return output_close(console, &out, true);
}

enum pv_status conform_report_junit(struct console *console, const char *path, const json_t *report)
{
    return write_with(console, path, report, put_junit);
}

enum pv_status conform_report_markdown(struct console *console, const char *path, const json_t *report)
{
    return write_with(console, path, report, put_markdown);
}

/* ---- docs/devices.md ---- */

/* Both kinds of report live in one folder. */
static json_t *only(const json_t *all, bool compile_only)
{
    json_t *some = json_array(), *device;
    size_t i;
    json_array_foreach(all, i, device) if (compile_report_is(device) == compile_only)
        json_array_append(some, device);
    return some;
}

enum pv_status conform_report_folder(struct console *console, const char *folder, FILE *to)
{
    json_t *all = json_array(), *device;
    size_t i;
    const enum pv_status status = device_report_load(console, folder, all);
    json_t *run = only(all, false), *compiled = only(all, true);
    if (!status) {
        fputs(
            "# Devices\n\nA row for each device and driver that `parvin conform` was run on and whose report "
            "is in docs/devices/.\nThis page is made of those files: `parvin conform --table docs/devices > "
            "docs/devices.md`. Yours is welcome:\n`parvin conform --json > docs/devices/NAME.json`.\n\n",
            to);
        put_device_head(to);
        json_array_foreach(run, i, device) put_device_row(to, device);
    }
    if (!status && json_array_size(compiled) > 0) {
        fputs(
            "\n## Compiled without the hardware\n\nEvery pipeline of every variant, built by `parvin conform "
            "--compile-only`; the numbers are what the driver's\ncompiler says, the worst of all pipelines "
            "(spills: their sum). `--against docs/devices` reports what rose since.\n\n",
            to);
        compile_report_markdown(compiled, to);
    }
    json_decref(run);
    json_decref(compiled);
    json_decref(all);
    return status;
}
