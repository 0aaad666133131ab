/* Tables for people and the same numbers as JSON. */
#include "reports/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mode_names {
    enum pv_ffn_mode mode;
    const char *title, *key; /* key: suffix of ppl_ and rise_ in JSON */
};
static const struct mode_names mode_names[] = {
    {PV_FFN_DENSE, "dense", "dense"},
    {PV_FFN_STATIC, "static hot set", "static"},
    {PV_FFN_ORACLE_MASK, "oracle mask", "oracle_mask"},
    {PV_FFN_ORACLE_CLUSTER, "oracle cluster", "oracle"},
    {PV_FFN_ROUTED, "routed", "routed"},
};
enum { N_MODES = sizeof mode_names / sizeof mode_names[0] };

uint32_t report_eval_modes(bool with_clusters, const enum pv_ffn_mode **modes)
{
    static const enum pv_ffn_mode all[] = {PV_FFN_DENSE, PV_FFN_STATIC, PV_FFN_ORACLE_MASK,
                                           PV_FFN_ORACLE_CLUSTER, PV_FFN_ROUTED};
    *modes = all;
    return with_clusters ? sizeof all / sizeof all[0] : 1;
}

static const struct mode_names *names_of(enum pv_ffn_mode mode)
{
    for (uint32_t i = 0; i < N_MODES; i++)
        if (mode_names[i].mode == mode)
            return &mode_names[i];
    return &mode_names[0];
}

static double dense_ppl(const struct pv_eval_result *result)
{
    for (uint32_t i = 0; i < result->n_modes; i++)
        if (result->modes[i].mode == PV_FFN_DENSE)
            return result->modes[i].ppl;
    return NAN;
}

static void print_share(double share)
{
    if (isfinite(share))
        printf(" %10.3f", share);
    else
        printf(" %10s", "");
}

static void print_mode(const struct pv_eval_mode_result *m, double dense)
{
    printf("%-16s %8.3f %12.3f", names_of(m->mode)->title, m->density, m->ppl);
    if (m->mode != PV_FFN_DENSE) {
        printf(" %+9.2f %%", 100 * (m->ppl / dense - 1));
        print_share(m->precision);
        print_share(m->recall);
        print_share(m->weighted_recall);
    }
    putchar('\n');
}

static void print_layer(const char *title, const struct pv_eval_layer *l)
{
    printf("%-16s %8.3f %8.3f", title, l->density, l->active);
    print_share(l->precision);
    print_share(l->recall);
    print_share(l->weighted_recall);
    print_share(l->router_accuracy);
    putchar('\n');
}

void report_eval(const struct pv_eval_result *result, bool layers)
{
    const double dense = dense_ppl(result);
    printf("%-16s %8s %12s", "mode", "density", "perplexity");
    puts(result->layers ? "        rise  precision     recall   weighted" : "");
    for (uint32_t i = 0; i < result->n_modes; i++)
        print_mode(&result->modes[i], dense);
    printf("%llu tokens in %u windows of %u", (unsigned long long)result->n_tokens, result->n_windows,
           result->n_ctx);
    if (result->layers)
        printf("; %.1f %% of the neurons were active", 100 * result->mean.active);
    if (result->layers && isfinite(result->mean.router_accuracy))
        printf("; the router was right on %.1f %% of the tokens", 100 * result->mean.router_accuracy);
    putchar('\n');
    if (!result->layers || !layers)
        return;
    printf("\n%-16s %8s %8s %10s %10s %10s %10s\n", "routed, by layer", "density", "active", "precision",
           "recall", "weighted", "router");
    for (uint32_t i = 0; i < result->n_layers; i++) {
        char title[24];
        snprintf(title, sizeof title, "layer %u", i);
        print_layer(title, &result->layers[i]);
    }
    print_layer("mean", &result->mean);
}

static void put_layer(json_t *object, const struct pv_eval_layer *l)
{
    json_put_number(object, "density", l->density);
    json_put_number(object, "active", l->active);
    json_put_number(object, "precision", l->precision);
    json_put_number(object, "recall", l->recall);
    json_put_number(object, "weighted_recall", l->weighted_recall);
    json_put_number(object, "router_accuracy", l->router_accuracy);
}

void report_eval_json(const struct pv_eval_result *result, json_t *object)
{
    const double dense = dense_ppl(result);
    json_t *modes = json_array();
    json_put_count(object, "tokens", result->n_tokens);
    json_put_count(object, "ctx", result->n_ctx);
    json_put_count(object, "windows", result->n_windows);
    for (uint32_t i = 0; i < result->n_modes; i++) {
        const struct pv_eval_mode_result *m = &result->modes[i];
        const struct mode_names *names = names_of(m->mode);
        char key[32];
        json_t *mode = json_object();
        snprintf(key, sizeof key, "ppl_%s", names->key);
        json_put_number(object, key, m->ppl);
        if (m->mode != PV_FFN_DENSE) {
            snprintf(key, sizeof key, "rise_%s", names->key);
            json_put_number(object, key, m->ppl / dense - 1);
        }
        json_put(mode, "mode", json_string(names->title));
        json_put_number(mode, "density", m->density);
        json_put_number(mode, "ppl", m->ppl);
        if (m->mode != PV_FFN_DENSE) {
            json_put_number(mode, "precision", m->precision);
            json_put_number(mode, "recall", m->recall);
            json_put_number(mode, "weighted_recall", m->weighted_recall);
        }
        json_array_append_new(modes, mode);
    }
    json_put(object, "modes", modes);
    if (!result->layers)
        return;
    put_layer(object, &result->mean);
    json_t *layers = json_array();
    for (uint32_t i = 0; i < result->n_layers; i++) {
        json_t *layer = json_object();
        put_layer(layer, &result->layers[i]);
        json_array_append_new(layers, layer);
    }
    json_put(object, "layers", layers);
}

void report_bench_head(void)
{
    printf("%-22s %-32s %-24s %9s %7s %8s %8s\n", "kernel", "shape", "variant", "ms", "GB/s", "of copy",
           "GFLOP/s");
}

void report_bench_row(const struct pv_bench_row *row)
{
    printf("%-22s %-32s %-24s %9.3f %7.2f %6.1f %%", row->name, row->shape, row->variant, row->ms, row->gb_s,
           100 * row->share);
    if (row->gflop_s > 0)
        printf(" %8.1f", row->gflop_s);
    putchar('\n');
    fflush(stdout);
}

json_t *report_bench_json(const char *device, const struct pv_bench_row *row)
{
    json_t *object = json_object();
    json_put_string(object, "device", device);
    json_put_string(object, "name", row->name);
    json_put_string(object, "shape", row->shape);
    json_put_string(object, "variant", row->variant);
    json_put_number(object, "ms", row->ms);
    json_put_number(object, "bytes", row->bytes);
    json_put_number(object, "gb_s", row->gb_s);
    json_put_number(object, "share_of_copy", row->share);
    json_put_number(object, "gflop_s", row->gflop_s);
    return object;
}

static void print_value(const json_t *value)
{
    if (json_is_string(value))
        fputs(json_string_value(value), stdout);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", stdout);
    else if (json_is_integer(value))
        printf("%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        printf("%g", json_real_value(value));
    else {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        fputs(text ? text : "", stdout);
        free(text);
    }
}

/* "title key value, key value" broken at about 100 columns; with `only_true`, the names of the true flags
 * alone. */
static void print_object(const char *title, json_t *object, bool only_true)
{
    const char *key;
    json_t *value;
    int column = 0;
    json_object_foreach(object, key, value)
    {
        if (only_true && !json_is_true(value))
            continue;
        if (column == 0)
            column = printf("   %-8s", title);
        else if (column > 80)
            column = printf(",\n   %-8s", "") - 2;
        else
            column += printf(", ");
        column += printf(only_true ? "%s" : "%s ", key) + 6;
        if (!only_true)
            print_value(value);
    }
    if (column)
        putchar('\n');
}

void report_device(const struct pv_context *context, uint32_t index, bool all)
{
    const struct pv_device_info *info = pv_context_device_info(context, index);
    printf("%u  %s\n   driver  %s\n   is      Vulkan %u.%u.%u, %s, %.1f GiB, %s\n", index, info->name,
           info->driver, info->api_major, info->api_minor, info->api_patch, info->type,
           (double)info->memory_bytes / (1024.0 * 1024 * 1024), info->uuid);
    if (!info->usable)
        printf("   not usable: %s\n", info->why_not);
    char *caps_text = pv_context_caps_json(context, index), *plan_text = pv_context_plan_json(context, index);
    json_t *caps = caps_text ? json_loads(caps_text, 0, NULL) : NULL;
    json_t *plan = plan_text ? json_loads(plan_text, 0, NULL) : NULL;
    print_object(all ? "caps" : "has", caps, !all);
    if (info->usable)
        print_object("plan", plan, false);
    json_decref(caps);
    json_decref(plan);
    free(caps_text);
    free(plan_text);
}
