/* parvin info: a model or a cluster file in words. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/text_print.h"
#include "cli/setup.h"
#include "commands/commands.h"

struct info_options {
    struct common_options common;
    struct model_options model;
};

static const struct option_group info_groups[] = {
    OPTION_GROUP(ffn_act_rows, struct info_options, model),
    OPTION_GROUP(pre_rows, struct info_options, model),
    OPTION_GROUP(json_rows, struct info_options, common),
    OPTION_GROUP(common_rows, struct info_options, common),
};

static const struct info_options *options_of(const struct app *app)
{
    return app->options;
}

static void print_line(void *user, const char *text)
{
    (void)user;
    text_print(stdout, text, strlen(text));
    putchar('\n');
}

static const char *act_name(enum pv_act act)
{
    static const char *const names[] = {"relu2", "relu", "silu", "gelu", "drelu"};
    return names[act];
}

static void print_model(const struct pv_model *model)
{
    const struct pv_hparams *h = pv_model_hparams(model);
    printf("model          %s (%s)\n", h->name[0] ? h->name : "unnamed", h->arch);
    printf("parameters     %.2f million in %.1f MiB\n", (double)pv_model_n_params(model) / 1e6,
           (double)pv_model_weight_bytes(model) / 1048576);
    printf("layers         %u of width %u; context %u; vocabulary %u%s\n", h->n_layers, h->d_model, h->n_ctx,
           h->n_vocab, h->tied_output ? ", output tied to the embedding" : "");
    printf("attention      %u heads of %u, %u for keys and values; RoPE on %u of them, %s, base %g\n",
           h->n_heads, h->head_dim, h->n_kv_heads, h->rope_dim,
           h->rope == PV_ROPE_NEOX ? "in halves" : "in adjacent pairs", (double)h->rope_freq_base);
    printf("feed-forward   %u neurons, %s, %s\n", h->d_ffn, act_name(h->act), h->gated ? "gated" : "ungated");
    if (h->n_experts > 0)
        printf("experts        %u a layer, %u for a token\n", h->n_experts, h->n_experts_used);
}

static int model_json(struct app *app, const struct pv_model *model)
{
    const struct pv_hparams *h = pv_model_hparams(model);
    json_t *object = json_object();
    char fingerprint[24] = "";
    if (app->common->verbose) /* it reads every feed-forward weight */
        snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)pv_model_fingerprint(model));
    json_put(object, "kind", json_string("model"));
    json_put_string(object, "file", app->common->argument);
    json_put_string(object, "name", h->name);
    json_put_string(object, "arch", h->arch);
    json_put_count(object, "n_params", pv_model_n_params(model));
    json_put_count(object, "weight_bytes", pv_model_weight_bytes(model));
    json_put_count(object, "n_vocab", h->n_vocab);
    json_put_count(object, "n_ctx", h->n_ctx);
    json_put_count(object, "d_model", h->d_model);
    json_put_count(object, "n_layers", h->n_layers);
    json_put_count(object, "n_heads", h->n_heads);
    json_put_count(object, "n_kv_heads", h->n_kv_heads);
    json_put_count(object, "head_dim", h->head_dim);
    json_put_count(object, "d_ffn", h->d_ffn);
    if (h->n_experts > 0) {
        json_put_count(object, "n_experts", h->n_experts);
        json_put_count(object, "n_experts_used", h->n_experts_used);
    }
    json_put(object, "ffn_act", json_string(act_name(h->act)));
    json_put(object, "gated", json_boolean(h->gated));
    json_put(object, "tied_output", json_boolean(h->tied_output));
    if (fingerprint[0])
        json_put(object, "fingerprint", json_string(fingerprint));
    return json_finish(&app->console, object);
}

static void print_clusters(const struct pv_clusters *clusters)
{
    const struct pv_clusters_info *c = pv_clusters_info(clusters);
    printf("clusters       %u in each of %u layers; width %u, %u neurons\n", c->n_clusters, c->n_layers,
           c->d_model, c->d_ffn);
    printf("density        %.4f expected, %.4f asked for; masks by %s\n", c->density, c->density_target,
           c->method);
    printf("router         %.1f %% accurate on held-out tokens, %.1f KiB", 100 * c->router_accuracy,
           (double)c->router_bytes / 1024);
    if (c->max_rank > c->min_rank)
        printf(", low rank: %u to %u by layer", c->min_rank, c->max_rank);
    else if (c->max_rank)
        printf(", low rank: %u", c->max_rank);
    putchar('\n');
    printf("learned from   %llu tokens, seed %llu\n", (unsigned long long)c->n_tokens,
           (unsigned long long)c->seed);
    printf("belongs to     weights with fingerprint %016llx\n", (unsigned long long)c->fingerprint);
}

static json_t *mask_sizes(const struct pv_clusters *clusters)
{
    const struct pv_clusters_info *c = pv_clusters_info(clusters);
    json_t *layers = json_array();
    for (uint32_t l = 0; l < c->n_layers; l++) {
        json_t *sizes = json_array();
        for (uint32_t k = 0; k < c->n_clusters; k++)
            json_array_append_new(sizes, json_integer(pv_clusters_mask_size(clusters, l, k)));
        json_array_append_new(layers, sizes);
    }
    return layers;
}

static int clusters_json(struct app *app, const struct pv_clusters *clusters)
{
    const struct pv_clusters_info *c = pv_clusters_info(clusters);
    json_t *object = json_object();
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)c->fingerprint);
    json_put(object, "kind", json_string("clusters"));
    json_put_string(object, "file", app->common->argument);
    json_put_count(object, "n_layers", c->n_layers);
    json_put_count(object, "n_clusters", c->n_clusters);
    json_put_count(object, "d_model", c->d_model);
    json_put_count(object, "d_ffn", c->d_ffn);
    json_put_number(object, "density", c->density);
    json_put_number(object, "density_target", c->density_target);
    json_put_number(object, "router_accuracy", c->router_accuracy);
    json_put_count(object, "router_bytes", c->router_bytes);
    if (c->max_rank) {
        json_put_count(object, "router_rank_min", c->min_rank);
        json_put_count(object, "router_rank_max", c->max_rank);
    }
    json_put_count(object, "calibration_tokens", c->n_tokens);
    json_put_count(object, "seed", c->seed);
    json_put_string(object, "method", c->method);
    json_put(object, "model_fingerprint", json_string(fingerprint));
    json_put(object, "mask_sizes", mask_sizes(clusters));
    return json_finish(&app->console, object);
}

static int info_clusters(struct app *app, const struct pv_clusters *clusters)
{
    if (app->common->json)
        return clusters_json(app, clusters);
    if (app->common->verbose)
        pv_clusters_describe(clusters, print_line, NULL);
    else
        print_clusters(clusters);
    return EXIT_GOOD;
}

static int info_model(struct app *app, const struct pv_model *model)
{
    if (app->common->json)
        return model_json(app, model);
    if (app->common->verbose)
        pv_model_describe(model, print_line, NULL);
    else
        print_model(model);
    return EXIT_GOOD;
}

/* The first bytes of a regular file; 0 of anything else. A pipe must not hang. */
static size_t read_head(const char *path, char *head, size_t room)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_NONBLOCK);
    ssize_t n = 0;
    if (fd >= 0 && !fstat(fd, &info) && S_ISREG(info.st_mode))
        n = read(fd, head, room);
    if (fd >= 0)
        close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* The key general.architecture comes early in a GGUF file, and its value tells the two kinds apart: only then
 * is the reason that the right reader gives the one that the user sees. */
static bool looks_like_clusters(const char *head, size_t n)
{
    static const char sign[] = "parvin-clusters";
    for (size_t i = 0; i + sizeof sign - 1 <= n; i++)
        if (!memcmp(head + i, sign, sizeof sign - 1))
            return true;
    return false;
}

static bool looks_like_capture(const char *head, size_t n)
{
    static const char sign[] = "PVRESUM1";
    return n >= sizeof sign - 1 && !memcmp(head, sign, sizeof sign - 1);
}

static int capture_json(struct app *app, const struct pv_capture_info *c)
{
    json_t *object = json_object();
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)c->fingerprint);
    json_put(object, "kind", json_string("capture"));
    json_put_string(object, "file", app->common->argument);
    json_put_count(object, "n_layers", c->n_layers);
    json_put_count(object, "d_model", c->d_model);
    json_put_count(object, "d_ffn", c->d_ffn);
    json_put_count(object, "ctx", c->n_ctx);
    json_put_count(object, "thin", c->thin);
    json_put_count(object, "part", c->shard + 1);
    json_put_count(object, "parts", c->n_shards);
    json_put_count(object, "windows", c->n_windows);
    json_put_count(object, "captured", c->n_captured);
    json_put_count(object, "tokens", c->n_tokens);
    json_put_count(object, "captured_tokens", c->n_captured_tokens);
    json_put_count(object, "text_tokens", c->n_text);
    json_put_count(object, "active", c->n_active);
    json_put(object, "model_fingerprint", json_string(fingerprint));
    return json_finish(&app->console, object);
}

static int info_capture(struct app *app, const struct pv_log *log)
{
    struct pv_capture_info c;
    const enum pv_status status = pv_capture_read_info(app->common->argument, log, &c);
    if (status)
        return app_fail(app, status);
    if (app->common->json)
        return capture_json(app, &c);
    printf("capture        %u layers; width %u, %u neurons\n", c.n_layers, c.d_model, c.d_ffn);
    printf("part           %u of %u: %u of %u windows of %u tokens\n", c.shard + 1, c.n_shards, c.n_captured,
           c.n_windows, c.n_ctx);
    printf("tokens         %llu in this file, %llu in all, from a text of %llu",
           (unsigned long long)c.n_captured_tokens, (unsigned long long)c.n_tokens,
           (unsigned long long)c.n_text);
    if (c.thin > 1)
        printf("; one kept in %u", c.thin);
    putchar('\n');
    if (c.n_captured_tokens)
        printf("active         %.1f %% of the neurons\n",
               100 * (double)c.n_active / ((double)c.n_captured_tokens * c.n_layers * c.d_ffn));
    printf("belongs to     weights with fingerprint %016llx\n", (unsigned long long)c.fingerprint);
    return EXIT_GOOD;
}

static int cmd_info(struct app *app)
{
    struct setup setup = {.model_options = &options_of(app)->model};
    struct pv_log log = console_log(&app->console);
    enum pv_status status;
    int code;
    char head[4096];
    const size_t n = read_head(app->common->argument, head, sizeof head);
    if (looks_like_capture(head, n))
        return info_capture(app, &log);
    if (looks_like_clusters(head, n)) {
        status = pv_clusters_open(app->common->argument, &log, &setup.clusters);
        code = status ? app_fail(app, status) : info_clusters(app, setup.clusters);
    } else {
        status = setup_model(app, app->common->argument, &setup);
        code = status ? app_fail(app, status) : info_model(app, setup.model);
    }
    (void)setup_close(app, &setup);
    return code;
}

const struct command command_info = {
    .name = "info",
    .argument = "FILE.gguf",
    .summary = "Say what is in a model, a cluster file or a capture file",
    .about = "-v lists every key and tensor of a model, every layer of a cluster file.",
    .examples = "  parvin info models/fables-5m-f16.gguf\n"
                "  parvin info -v my.clusters.gguf\n",
    .groups = info_groups,
    .n_groups = sizeof info_groups / sizeof info_groups[0],
    .options_bytes = sizeof(struct info_options),
    .run = cmd_info,
};
