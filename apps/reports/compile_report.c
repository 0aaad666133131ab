/* Drivers name their statistics as they like. A small table says which of them are registers, spills and so
 * on; what it does not know is kept in the JSON all the same. */
#include "reports/compile_report.h"

#include <string.h>

#include "reports/device_report.h"

enum meaning { REGISTERS, SCALARS, SPILLS, SHARED, SCRATCH, CODE, WAVES, LATENCY, N_MEANINGS };
static const struct {
    const char *title;
    bool more_is_better, compared;
} meanings[N_MEANINGS] = {
    [REGISTERS] = {"registers", false, true}, [SCALARS] = {"scalar", false, true},
    [SPILLS] = {"spills", false, true},       [SHARED] = {"shared bytes", false, true},
    [SCRATCH] = {"scratch", false, true},     [CODE] = {"code bytes", false, true},
    [WAVES] = {"waves", true, true},          [LATENCY] = {"latency", false, false},
};
/* As Mesa 22 to 26 write them, and NVIDIA. Statistics of one meaning in one pipeline add up. A fill follows a spill, and
 * registers that nvk moves to other registers stay on the chip: neither is counted. */
static const struct {
    const char *statistic;
    enum meaning meaning;
} known[] = {
    {"VGPRs", REGISTERS},              /* radv */
    {"Max live registers", REGISTERS}, /* anv */
    {"Register Count", REGISTERS},     /* NVIDIA */
    {"Number of GPRs", REGISTERS},     /* nvk */
    {"Registers used", REGISTERS},     /* turnip */
    {"GPRs", REGISTERS},               /* honeykrisp */
    {"SGPRs", SCALARS},
    {"Uniforms", SCALARS},
    {"Spilled VGPRs", SPILLS},
    {"Spilled SGPRs", SPILLS},
    {"Spill Count", SPILLS},      /* hasvk, old anv */
    {"Spills", SPILLS},           /* anv, honeykrisp, panvk */
    {"Spills to memory", SPILLS}, /* nvk */
    {"STP Count", SPILLS},        /* turnip: stores to private memory */
    {"LDS size", SHARED},
    {"Workgroup Memory Size", SHARED},
    {"Scratch size", SCRATCH},
    {"Scratch Memory Size", SCRATCH},
    {"SLM size", SCRATCH}, /* nvk: memory of a thread, not of the workgroup */
    {"Scratch", SCRATCH},
    {"Code size", CODE},
    {"Binary Size", CODE},
    {"Subgroups per SIMD", WAVES},
    {"Max warps/SM", WAVES},
    {"Max Waves Per Core", WAVES},
    {"Latency", LATENCY},
    {"Cycles", LATENCY},
    {"Cycle Count", LATENCY},
    {"Static cycle count", LATENCY},
};

/* Numbers of one pipeline, or the worst of several (spills: their sum); below 0: not said. */
struct numbers {
    double value[N_MEANINGS];
};
struct kernel_sum {
    char name[32];
    uint32_t n_pipelines;
    struct numbers worst;
};
enum { KERNELS_MAX = 64 };

static const struct numbers nothing = {{-1, -1, -1, -1, -1, -1, -1, -1}};

static int int_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* ---- gathering ---- */

json_t *compile_report_device(const struct pv_device_info *info)
{
    json_t *device = json_object();
    device_report_identity(device, info);
    json_put(device, "compile_only", json_true());
    json_put_count(device, "compiled", 0);
    json_put_count(device, "failed", 0);
    json_put(device, "columns", json_array());
    json_put(device, "pipelines", json_object());
    json_put(device, "failures", json_array());
    return device;
}

/* Hashes of code say nothing to a reader. */
static bool is_kept(const char *statistic)
{
    return !strstr(statistic, "hash") && !strstr(statistic, "Hash");
}

static size_t column_of(json_t *columns, const char *statistic)
{
    size_t i = 0;
    while (i < json_array_size(columns) &&
           strcmp(json_string_value(json_array_get(columns, i)), statistic) != 0)
        i++;
    if (i == json_array_size(columns))
        json_array_append_new(columns, json_string(statistic));
    return i;
}

static json_t *number(double value)
{
    const double limit = 9007199254740992.0; /* 2^53 */
    const bool whole = value >= -limit && value <= limit && value == (double)(json_int_t)value;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

void compile_report_row(json_t *device, const struct pv_compile_row *row)
{
    json_t *pipelines = json_object_get(device, "pipelines"), *columns = json_object_get(device, "columns");
    const char *counter = row->compiled ? "compiled" : "failed";
    json_put_count(device, counter, (uint64_t)int_of(device, counter) + 1);
    if (!row->compiled) {
        json_t *failure = json_object();
        json_put_string(failure, "shader", row->shader);
        json_put_string(failure, "variant", row->variant);
        json_put_string(failure, "detail", row->detail);
        json_array_append_new(json_object_get(device, "failures"), failure);
        return;
    }
    char name[256];
    json_t *values = json_array();
    snprintf(name, sizeof name, "%s %s", row->shader, row->constants);
    if (row->subgroup_size) {
        const size_t n = strlen(name);
        snprintf(name + n, sizeof name - n, " SUBGROUP=%u", row->subgroup_size);
    }
    for (uint32_t i = 0; i < row->n_statistics; i++) {
        if (!is_kept(row->statistics[i].name))
            continue;
        const size_t at = column_of(columns, row->statistics[i].name);
        while (json_array_size(values) <= at)
            json_array_append_new(values, json_null());
        json_array_set_new(values, at, number(row->statistics[i].value));
    }
    if (!json_object_get(pipelines, row->variant))
        json_put(pipelines, row->variant, json_object());
    json_put(json_object_get(pipelines, row->variant), name, values);
}

bool compile_report_is(const json_t *device)
{
    return json_is_true(json_object_get(device, "compile_only"));
}

/* ---- numbers ---- */

static struct numbers numbers_of(const json_t *columns, const json_t *values)
{
    struct numbers n = nothing;
    for (size_t i = 0; i < json_array_size(columns) && i < json_array_size(values); i++) {
        const char *column = json_string_value(json_array_get(columns, i));
        const json_t *value = json_array_get(values, i);
        for (size_t k = 0; column && k < sizeof known / sizeof *known; k++) {
            double *at = &n.value[known[k].meaning];
            if (strcmp(column, known[k].statistic) == 0 && json_is_number(value))
                *at = (*at < 0 ? 0 : *at) + json_number_value(value);
        }
    }
    return n;
}

static void worsen(struct numbers *sum, const struct numbers *one)
{
    for (int m = 0; m < N_MEANINGS; m++) {
        const double a = sum->value[m], b = one->value[m];
        if (b < 0)
            continue;
        if (m == SPILLS && a >= 0)
            sum->value[m] = a + b;
        else if (a < 0 || (meanings[m].more_is_better ? b < a : b > a))
            sum->value[m] = b;
    }
}

static struct kernel_sum *find_kernel(struct kernel_sum *sums, uint32_t *n, const char *pipeline)
{
    const size_t length = strcspn(pipeline, ". ");
    for (uint32_t i = 0; i < *n; i++)
        if (strlen(sums[i].name) == length && !memcmp(sums[i].name, pipeline, length))
            return &sums[i];
    if (*n == KERNELS_MAX)
        return NULL;
    struct kernel_sum *sum = &sums[(*n)++];
    *sum = (struct kernel_sum){.worst = nothing};
    snprintf(sum->name, sizeof sum->name, "%.*s", (int)length, pipeline);
    return sum;
}

/* Sums by kernel, in the order of first use; `only` NULL: of all variants. Returns how many. */
static uint32_t sum_kernels(const json_t *device, const char *only, struct kernel_sum sums[KERNELS_MAX],
                            struct numbers *all)
{
    json_t *columns = json_object_get(device, "columns"), *pipelines, *values;
    const char *variant, *name;
    uint32_t n = 0;
    *all = nothing;
    json_object_foreach(json_object_get(device, "pipelines"), variant, pipelines)
    {
        if (only && strcmp(only, variant) != 0)
            continue;
        json_object_foreach(pipelines, name, values)
        {
            const struct numbers one = numbers_of(columns, values);
            struct kernel_sum *sum = find_kernel(sums, &n, name);
            worsen(all, &one);
            if (!sum)
                continue;
            sum->n_pipelines++;
            worsen(&sum->worst, &one);
        }
    }
    return n;
}

/* Pipelines that keep registers in memory; `only` NULL: of all variants. */
static uint32_t count_spilling(const json_t *device, const char *only)
{
    json_t *columns = json_object_get(device, "columns"), *pipelines, *values;
    const char *variant, *name;
    uint32_t n_spilling = 0;
    json_object_foreach(json_object_get(device, "pipelines"), variant, pipelines)
    {
        if (only && strcmp(only, variant) != 0)
            continue;
        json_object_foreach(pipelines, name, values)
        {
            const struct numbers n = numbers_of(columns, values);
            n_spilling += n.value[SPILLS] > 0 || n.value[SCRATCH] > 0;
        }
    }
    return n_spilling;
}

void compile_report_finish(json_t *device, double seconds)
{
    json_put_count(device, "spilling", count_spilling(device, NULL));
    json_put_count(device, "spilling_in_plan", count_spilling(device, "plan"));
    json_put_number(device, "seconds", seconds);
}

/* ---- terminal ---- */

static void put_number(FILE *to, double value, int width)
{
    if (value < 0)
        fprintf(to, "%*s", width, "-");
    else
        fprintf(to, "%*.0f", width, value);
}

void compile_report_table(const json_t *device, FILE *to)
{
    struct kernel_sum sums[KERNELS_MAX];
    struct numbers all;
    const uint32_t n = sum_kernels(device, NULL, sums, &all);
    if (json_array_size(json_object_get(device, "columns")) == 0) {
        fprintf(to,
                "  the driver says nothing about what it compiles (VK_KHR_pipeline_executable_properties); "
                "that it compiles is all there is to see\n");
        for (uint32_t i = 0; i < n; i++)
            fprintf(to, "  %-16s %5u pipelines\n", sums[i].name, sums[i].n_pipelines);
        return;
    }
    fprintf(to, "  %-16s %9s", "kernel", "pipelines");
    for (int m = 0; m < N_MEANINGS; m++)
        fprintf(to, " %12s", meanings[m].title);
    fputc('\n', to);
    for (uint32_t i = 0; i < n; i++) {
        fprintf(to, "  %-16s %9u", sums[i].name, sums[i].n_pipelines);
        for (int m = 0; m < N_MEANINGS; m++)
            put_number(to, sums[i].worst.value[m], 13);
        fputc('\n', to);
    }
}

/* ---- Markdown ---- */

static void put_cell(FILE *to, double value)
{
    if (value < 0)
        fputs(" |", to);
    else
        fprintf(to, " %.0f |", value);
}

static void put_device(FILE *to, const json_t *device)
{
    struct kernel_sum sums[KERNELS_MAX];
    struct numbers all;
    (void)sum_kernels(device, NULL, sums, &all);
    fprintf(to, "| %s | %s | %d | %d | %u | %u |", device_report_text(device, "name"),
            device_report_text(device, "driver"), int_of(device, "compiled"), int_of(device, "failed"),
            count_spilling(device, NULL), count_spilling(device, "plan"));
    for (int m = 0; m < N_MEANINGS; m++)
        put_cell(to, all.value[m]);
    fputc('\n', to);
}

/* A cell a device: registers, and the subgroups that fit on a SIMD with them. */
static void put_kernel_cell(FILE *to, const json_t *device, const char *kernel)
{
    struct kernel_sum sums[KERNELS_MAX];
    struct numbers all;
    const uint32_t n = sum_kernels(device, "plan", sums, &all);
    for (uint32_t i = 0; i < n; i++) {
        const double registers = sums[i].worst.value[REGISTERS], waves = sums[i].worst.value[WAVES];
        if (strcmp(sums[i].name, kernel) != 0)
            continue;
        if (registers >= 0)
            fprintf(to, " %.0f", registers);
        if (waves >= 0)
            fprintf(to, " / %.0f", waves);
    }
    fputs(" |", to);
}

void compile_report_markdown(const json_t *devices, FILE *to)
{
    struct kernel_sum sums[KERNELS_MAX];
    struct numbers all;
    json_t *device;
    size_t i;
    fputs("| device | driver | pipelines | failed | spilling | of the plan |", to);
    for (int m = 0; m < N_MEANINGS; m++)
        fprintf(to, " %s |", meanings[m].title);
    fputs("\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", to);
    json_array_foreach(devices, i, device) put_device(to, device);
    fputs("\nThe pipelines of the device's own plan: registers / waves, the worst of each kernel's.\n\n| "
          "kernel |",
          to);
    json_array_foreach(devices, i, device) fprintf(to, " %s |", device_report_text(device, "name"));
    fputs("\n|---|", to);
    json_array_foreach(devices, i, device) fputs("---:|", to);
    fputc('\n', to);
    const uint32_t n = sum_kernels(json_array_get(devices, 0), "plan", sums, &all);
    for (uint32_t k = 0; k < n; k++) {
        fprintf(to, "| %s |", sums[k].name);
        json_array_foreach(devices, i, device) put_kernel_cell(to, device, sums[k].name);
        fputc('\n', to);
    }
}

/* ---- comparison ---- */

static void compare(json_t *rises, const char *pipeline, const struct numbers *before,
                    const struct numbers *now)
{
    for (int m = 0; m < N_MEANINGS; m++) {
        char text[400];
        const double a = before->value[m], b = now->value[m];
        if (!meanings[m].compared || a < 0 || b < 0 || (meanings[m].more_is_better ? b >= a : b <= a))
            continue;
        snprintf(text, sizeof text, "%s: %s %.0f -> %.0f", pipeline, meanings[m].title, a, b);
        json_array_append_new(rises, json_string(text));
    }
}

/* A pipeline may stand under another variant than before. */
static json_t *find_pipeline(const json_t *device, const char *name)
{
    json_t *pipelines;
    const char *variant;
    json_object_foreach(json_object_get(device, "pipelines"), variant, pipelines)
    {
        json_t *values = json_object_get(pipelines, name);
        if (values)
            return values;
    }
    return NULL;
}

static void compare_devices(const json_t *before, json_t *now)
{
    json_t *rises = json_array(), *pipelines, *values;
    const char *variant, *name;
    json_object_foreach(json_object_get(now, "pipelines"), variant, pipelines)
    {
        json_object_foreach(pipelines, name, values)
        {
            const struct numbers new = numbers_of(json_object_get(now, "columns"), values);
            const struct numbers old =
                numbers_of(json_object_get(before, "columns"), find_pipeline(before, name));
            compare(rises, name, &old, &new);
        }
    }
    json_put(now, "rises", rises);
    json_put_string(now, "against", device_report_text(before, "driver"));
}

enum pv_status compile_report_against(struct console *console, const char *path, const json_t *saved,
                                      json_t *device)
{
    json_t *one;
    size_t i;
    json_array_foreach(saved, i, one)
    {
        if (!compile_report_is(one) ||
            strcmp(device_report_text(one, "name"), device_report_text(device, "name")) != 0)
            continue;
        compare_devices(one, device);
        return PV_OK;
    }
    console_error(console, "%s: there is no compile-only report of %s to compare with", path,
                  device_report_text(device, "name"));
    return PV_ERR_IO;
}
