/* The cluster file is read in place: router and centroids stay in the map. What indexes something else is copied
 * first and checked then, so that a file that changes while it is in use cannot lead past an end. Little-endian
 * hosts, as with every tensor. Specified in docs/cluster-file.md. */
#include "format/clusters/cluster_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/utf8.h"
#include "format/clusters/cluster_impl.h"
#include "format/model/model.h"
#include "format/model/model_impl.h"

static enum pv_status read_u32(const struct pv_clusters *c, const char *key, uint32_t high, uint32_t *out)
{
    uint64_t value;

    if (!pv_gguf_u64(&c->gguf, key, &value))
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: key %s is missing or no positive integer", c->gguf.path,
                       key);
    if (value < 1 || value > high)
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: %s is %" PRIu64 ", not within 1 to %" PRIu32,
                       c->gguf.path, key, value, high);
    *out = (uint32_t)value;
    return PV_OK;
}

static enum pv_status read_u64(const struct pv_clusters *c, const char *key, uint64_t *out)
{
    if (!pv_gguf_u64(&c->gguf, key, out))
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: key %s is missing or no positive integer", c->gguf.path,
                       key);
    return PV_OK;
}

static enum pv_status read_share(const struct pv_clusters *c, const char *key, double *out)
{
    if (!pv_gguf_f64(&c->gguf, key, out) || !(*out >= 0.0 && *out <= 1.0))
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: key %s is missing or no number from 0 to 1", c->gguf.path,
                       key);
    return PV_OK;
}

static enum pv_status read_info(struct pv_clusters *c)
{
    struct pv_clusters_info *info = &c->info;
    struct pv_str arch, method;
    uint32_t version = 0;

    if (!pv_gguf_str(&c->gguf, "general.architecture", &arch) ||
        arch.size_bytes != strlen(PV_CLUSTERS_ARCH) ||
        memcmp(arch.data, PV_CLUSTERS_ARCH, arch.size_bytes) != 0)
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: not a cluster file", c->gguf.path);
    PV_TRY(read_u32(c, "parvin.version", UINT32_MAX, &version));
    if (version != PV_CLUSTERS_VERSION)
        return pv_fail(&c->log, PV_ERR_UNSUPPORTED,
                       "%s: cluster file of version %" PRIu32 "; this Parvin reads %d", c->gguf.path, version,
                       PV_CLUSTERS_VERSION);
    PV_TRY(read_u32(c, "parvin.n_layers", PV_CLUSTERS_MAX_LAYERS, &info->n_layers));
    PV_TRY(read_u32(c, "parvin.n_clusters", PV_CLUSTERS_MAX_CLUSTERS, &info->n_clusters));
    PV_TRY(read_u32(c, "parvin.d_model", PV_CLUSTERS_MAX_WIDTH, &info->d_model));
    PV_TRY(read_u32(c, "parvin.d_ffn", PV_CLUSTERS_MAX_NEURONS, &info->d_ffn));
    PV_TRY(read_u64(c, "parvin.fingerprint", &info->fingerprint));
    PV_TRY(read_u64(c, "parvin.n_tokens", &info->n_tokens));
    PV_TRY(read_u64(c, "parvin.seed", &info->seed));
    PV_TRY(read_share(c, "parvin.density", &info->density));
    PV_TRY(read_share(c, "parvin.density_target", &info->density_target));
    PV_TRY(read_share(c, "parvin.router_accuracy", &info->router_accuracy));
    if (!pv_gguf_str(&c->gguf, "parvin.method", &method) || method.size_bytes > 64)
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: key parvin.method is missing or longer than 64 bytes",
                       c->gguf.path);
    char *words = pv_arena_strndup(&c->arena, method.data, method.size_bytes);
    info->method = words;
    if (!words)
        return pv_fail(&c->log, PV_ERR_NOMEM, "%s: no memory to read it", c->gguf.path);
    pv_utf8_clean(words);
    return PV_OK;
}

/* A per-layer array of numbers, one an item. */
static enum pv_status find_array(const struct pv_clusters *c, const char *key, enum pv_gguf_type item_type,
                                 const struct pv_gguf_kv **out)
{
    *out = pv_gguf_find(&c->gguf, key);
    if (!*out || (*out)->type != PV_GGUF_ARRAY || (*out)->item_type != item_type ||
        (*out)->n_items != c->info.n_layers)
        return pv_fail(&c->log, PV_ERR_FORMAT,
                       "%s: key %s is missing or not one number for each of %" PRIu32 " layers", c->gguf.path,
                       key, c->info.n_layers);
    return PV_OK;
}

static const struct pv_gguf_tensor *layer_tensor(const struct pv_clusters *c, uint32_t layer,
                                                 const char *name, char full_name[64])
{
    snprintf(full_name, 64, "blk.%" PRIu32 ".%.32s", layer, name);
    return pv_gguf_tensor(&c->gguf, full_name);
}

/* A tensor of exactly this type and shape, [n_rows][n_cols] or [n_cols] with n_rows 0; NULL if missing and
 * optional. */
static enum pv_status find_tensor(const struct pv_clusters *c, uint32_t layer, const char *name,
                                  enum pv_type type, uint64_t n_rows, uint64_t n_cols, bool optional,
                                  const void **out)
{
    char full_name[64];
    const struct pv_gguf_tensor *t = layer_tensor(c, layer, name, full_name);

    *out = t != NULL ? t->data : NULL;
    if (!t && optional)
        return PV_OK;
    if (!t)
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: tensor %s is missing", c->gguf.path, full_name);
    if (t->type != type || t->dims[0] != n_cols || t->dims[1] != (n_rows != 0 ? n_rows : 1) ||
        t->dims[2] != 1 || t->dims[3] != 1)
        return pv_fail(&c->log, PV_ERR_FORMAT,
                       "%s: tensor %s is %s [%" PRIu64 "][%" PRIu64 "] (expected %s [%" PRIu64 "][%" PRIu64
                       "])",
                       c->gguf.path, full_name, pv_type_name(t->type), t->dims[1], t->dims[0],
                       pv_type_name(type), n_rows != 0 ? n_rows : 1, n_cols);
    return PV_OK;
}

/* As find_tensor, of indices [n_cols], copied. */
static enum pv_status copy_indices(struct pv_clusters *c, uint32_t layer, const char *name, enum pv_type type,
                                   uint64_t n_cols, const void **out)
{
    const size_t item_bytes = type == PV_I32 ? 4 : 2;
    const void *in_file = NULL;
    void *copy;

    PV_TRY(find_tensor(c, layer, name, type, 0, n_cols, false, &in_file));
    copy = pv_arena_alloc(&c->arena, (size_t)n_cols, item_bytes);
    if (!copy)
        return pv_fail(&c->log, PV_ERR_NOMEM, "%s: no memory to read it", c->gguf.path);
    memcpy(copy, in_file, (size_t)n_cols * item_bytes);
    *out = copy;
    return PV_OK;
}

/* What comes before a low-rank router, if the file has it; its rows are the rank. */
static enum pv_status read_down_projection(struct pv_clusters *c, uint32_t layer)
{
    struct pv_cluster_layer *l = &c->layers[layer];
    char full_name[64];
    const struct pv_gguf_tensor *t = layer_tensor(c, layer, "router.narrow", full_name);
    const void *data;

    if (!t)
        return PV_OK;
    PV_TRY(pv_clusters_check_rank(c, layer, t->dims[1], c->gguf.path, &c->log));
    PV_TRY(find_tensor(c, layer, "router.narrow", PV_F16, t->dims[1], c->info.d_model, false, &data));
    l->down_projection = data;
    l->rank = (uint32_t)t->dims[1];
    return PV_OK;
}

static enum pv_status read_layer(struct pv_clusters *c, uint32_t layer)
{
    const struct pv_clusters_info *info = &c->info;
    struct pv_cluster_layer *l = &c->layers[layer];
    uint64_t n_clusters = info->n_clusters, n_listed;
    const void *data = NULL;

    PV_TRY(copy_indices(c, layer, "cluster.offset", PV_I32, n_clusters + 1, &data));
    l->offset = data;
    n_listed = l->offset[n_clusters] != 0 ? l->offset[n_clusters] : 1;
    PV_TRY(copy_indices(c, layer, "cluster.neurons", PV_I16, n_listed, &data));
    l->neurons = data;
    PV_TRY(read_down_projection(c, layer));
    PV_TRY(find_tensor(c, layer, "router.weight", PV_F16, n_clusters, pv_cluster_router_width(c, layer),
                       false, &data));
    l->router = data;
    PV_TRY(find_tensor(c, layer, "router.bias", PV_F32, 0, n_clusters, false, &data));
    l->router_bias = data;
    PV_TRY(find_tensor(c, layer, "cluster.centroids", PV_F16, n_clusters, info->d_ffn, true, &data));
    l->centroids = data;
    PV_TRY(copy_indices(c, layer, "cluster.hot", PV_I16, l->n_hot != 0 ? l->n_hot : 1, &data));
    l->hot = data;
    return pv_clusters_check_layer(c, layer, c->gguf.path, &c->log);
}

static enum pv_status read_layers(struct pv_clusters *c)
{
    const struct pv_gguf_kv *tau, *density, *n_hot;
    const uint32_t n_layers = c->info.n_layers;

    if (c->gguf.n_tensors / 5 < n_layers) /* before allocating for them */
        return pv_fail(&c->log, PV_ERR_FORMAT, "%s: %zu tensors are too few for %" PRIu32 " layers",
                       c->gguf.path, c->gguf.n_tensors, n_layers);
    PV_TRY(find_array(c, "parvin.layer.tau", PV_GGUF_F32, &tau));
    PV_TRY(find_array(c, "parvin.layer.density", PV_GGUF_F32, &density));
    PV_TRY(find_array(c, "parvin.layer.n_hot", PV_GGUF_U32, &n_hot));
    c->layers = pv_arena_alloc(&c->arena, n_layers, sizeof c->layers[0]);
    if (!c->layers)
        return pv_fail(&c->log, PV_ERR_NOMEM, "%s: no memory for %" PRIu32 " layers", c->gguf.path, n_layers);
    for (uint32_t i = 0; i < n_layers; i++) {
        c->layers[i].tau = (float)pv_gguf_item_f64(tau, i);
        c->layers[i].density = (float)pv_gguf_item_f64(density, i);
        c->layers[i].n_hot = (uint32_t)pv_gguf_item_i64(n_hot, i);
        PV_TRY(read_layer(c, i));
    }
    pv_clusters_sum_routers(c);
    return PV_OK;
}

/* From the file at `path`, or from `data` where path is NULL. */
static enum pv_status clusters_create(const char *path, const void *data, size_t size_bytes,
                                      const struct pv_log *log, struct pv_clusters **out)
{
    struct pv_clusters *c = pv_calloc(1, sizeof *c);
    enum pv_status status;

    *out = NULL;
    if (!c)
        return pv_fail(log, PV_ERR_NOMEM, "no memory to read a cluster file");
    if (log)
        c->log = *log;
    status =
        path ? pv_gguf_open(&c->gguf, path, &c->log) : pv_gguf_parse(&c->gguf, data, size_bytes, &c->log);
    if (status == PV_OK)
        status = read_info(c);
    if (status == PV_OK)
        status = read_layers(c);
    if (status != PV_OK) {
        pv_clusters_close(c);
        return status;
    }
    *out = c;
    return PV_OK;
}

enum pv_status pv_clusters_open(const char *path, const struct pv_log *log, struct pv_clusters **out)
{
    return clusters_create(path, NULL, 0, log, out);
}

enum pv_status pv_clusters_parse(const void *data, size_t size_bytes, const struct pv_log *log,
                                 struct pv_clusters **out)
{
    return clusters_create(NULL, data, size_bytes, log, out);
}

void pv_clusters_close(struct pv_clusters *clusters)
{
    if (!clusters)
        return;
    pv_arena_free(&clusters->arena);
    pv_gguf_close(&clusters->gguf);
    free(clusters);
}

const struct pv_clusters_info *pv_clusters_info(const struct pv_clusters *clusters)
{
    return &clusters->info;
}

enum pv_status pv_clusters_check(const struct pv_clusters *clusters, const struct pv_model *model)
{
    const struct pv_clusters_info *info = &clusters->info;
    const struct pv_hparams *hp = pv_model_hparams(model);
    const char *path = clusters->gguf.path ? clusters->gguf.path : "clusters";

    if (info->n_layers != hp->n_layers || info->d_model != hp->d_model || info->d_ffn != hp->d_ffn)
        return pv_fail(&clusters->log, PV_ERR_MISMATCH,
                       "%s: made for %" PRIu32 " layers of width %" PRIu32 " with %" PRIu32
                       " neurons, but %s has %" PRIu32 ", %" PRIu32 " and %" PRIu32
                       ": use its own cluster file, or learn one",
                       path, info->n_layers, info->d_model, info->d_ffn, pv_model_path(model), hp->n_layers,
                       hp->d_model, hp->d_ffn);
    const uint64_t fingerprint = pv_model_fingerprint(model);
    if (info->fingerprint != fingerprint)
        return pv_fail(&clusters->log, PV_ERR_MISMATCH,
                       "%s: made for other weights (fingerprint %016" PRIx64 ") than %s (%016" PRIx64
                       "): use its own cluster file, or learn one",
                       path, info->fingerprint, pv_model_path(model), fingerprint);
    return PV_OK;
}

uint32_t pv_clusters_mask_size(const struct pv_clusters *clusters, uint32_t layer, uint32_t k)
{
    const uint32_t *offset = clusters->layers[layer].offset;

    return offset[k + 1] - offset[k];
}

const uint16_t *pv_clusters_mask(const struct pv_clusters *clusters, uint32_t layer, uint32_t k, uint32_t *n)
{
    const struct pv_cluster_layer *l = &clusters->layers[layer];

    *n = l->offset[k + 1] - l->offset[k];
    return l->neurons + l->offset[k];
}

static void describe_layer(const struct pv_clusters *c, uint32_t layer, const struct pv_lines *lines)
{
    const struct pv_cluster_layer *l = &c->layers[layer];
    uint32_t smallest = UINT32_MAX, largest = 0, n_clusters = c->info.n_clusters;
    char rank[32] = "";

    for (uint32_t k = 0; k < n_clusters; k++) {
        const uint32_t n = pv_clusters_mask_size(c, layer, k);

        smallest = n < smallest ? n : smallest;
        largest = n > largest ? n : largest;
    }
    if (l->rank != 0)
        snprintf(rank, sizeof rank, ", router of rank %" PRIu32, l->rank);
    pv_lines_add(lines,
                 "  layer %-3" PRIu32 "   masks of %" PRIu32 " to %" PRIu32
                 " neurons (mean %.1f), density %.4f, "
                 "tau %g, hot set of %" PRIu32 "%s%s",
                 layer, smallest, largest, (double)l->offset[n_clusters] / n_clusters, (double)l->density,
                 (double)l->tau, l->n_hot, rank, l->centroids ? ", centroids" : "");
}

void pv_clusters_describe(const struct pv_clusters *clusters, void (*line)(void *user, const char *text),
                          void *user)
{
    const struct pv_clusters_info *info = &clusters->info;
    struct pv_lines lines = {.line = line, .user = user};

    pv_lines_add(&lines, "clusters      %" PRIu32 " in each of %" PRIu32 " layers", info->n_clusters,
                 info->n_layers);
    pv_lines_add(&lines,
                 "model         width %" PRIu32 ", %" PRIu32 " neurons a layer, fingerprint %016" PRIx64,
                 info->d_model, info->d_ffn, info->fingerprint);
    pv_lines_add(&lines, "density       %.4f (asked for %.4f)", info->density, info->density_target);
    pv_lines_add(&lines, "router        %" PRIu64 " bytes, accuracy %.4f", info->router_bytes,
                 info->router_accuracy);
    pv_lines_add(&lines, "fitted on     %" PRIu64 " tokens, seed %" PRIu64, info->n_tokens, info->seed);
    for (uint32_t i = 0; i < info->n_layers; i++)
        describe_layer(clusters, i, &lines);
    if (clusters->gguf.n_kv != 0)
        pv_gguf_describe(&clusters->gguf, &lines);
}
