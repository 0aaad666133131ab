/* The rules of the cluster file and its writer, which holds what it writes to the rules that the reader
 * checks: a file that was written can be read. */
#include "format/clusters/cluster_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"

void pv_clusters_sum_routers(struct pv_clusters *c)
{
    struct pv_clusters_info *info = &c->info;

    info->router_bytes = 0;
    info->min_rank = info->max_rank = c->layers[0].rank;
    for (uint32_t i = 0; i < info->n_layers; i++) {
        const uint64_t rank = c->layers[i].rank, width = pv_cluster_router_width(c, i);

        info->router_bytes += info->n_clusters * (2 * width + 4) + 2 * rank * info->d_model;
        info->min_rank = rank < info->min_rank ? (uint32_t)rank : info->min_rank;
        info->max_rank = rank > info->max_rank ? (uint32_t)rank : info->max_rank;
    }
}

enum pv_status pv_clusters_check_rank(const struct pv_clusters *c, uint32_t layer, uint64_t rank,
                                      const char *what, const struct pv_log *log)
{
    if (rank >= 1 && rank < c->info.d_model)
        return PV_OK;
    return pv_fail(log, PV_ERR_FORMAT,
                   "%s: layer %" PRIu32 ": a low-rank router of rank %" PRIu64
                   ", which must be from 1 to below the width of %" PRIu32,
                   what, layer, rank, c->info.d_model);
}

static bool all_ascending(const uint16_t *list, uint32_t n, uint32_t d_ffn)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] >= d_ffn || (i > 0 && list[i] <= list[i - 1]))
            return false;
    return true;
}

static enum pv_status check_lists(const struct pv_clusters *c, uint32_t layer, const char *what,
                                  const struct pv_log *log)
{
    const struct pv_cluster_layer *l = &c->layers[layer];
    const uint32_t n_clusters = c->info.n_clusters, d_ffn = c->info.d_ffn;

    if (l->offset[0] != 0)
        return pv_fail(log, PV_ERR_FORMAT, "%s: layer %" PRIu32 ": the first neuron list does not start at 0",
                       what, layer);
    for (uint32_t k = 0; k < n_clusters; k++) /* all of them before any list is touched */
        if (l->offset[k + 1] < l->offset[k] || l->offset[k + 1] - l->offset[k] > d_ffn)
            return pv_fail(log, PV_ERR_FORMAT,
                           "%s: layer %" PRIu32 ", cluster %" PRIu32 ": offsets do not rise, or "
                           "by more than the %" PRIu32 " neurons there are",
                           what, layer, k, d_ffn);
    for (uint32_t k = 0; k < n_clusters; k++)
        if (!all_ascending(l->neurons + l->offset[k], l->offset[k + 1] - l->offset[k], d_ffn))
            return pv_fail(log, PV_ERR_FORMAT,
                           "%s: layer %" PRIu32 ", cluster %" PRIu32
                           ": neurons are not ascending below %" PRIu32,
                           what, layer, k, d_ffn);
    if (l->n_hot > d_ffn || !all_ascending(l->hot, l->n_hot, d_ffn))
        return pv_fail(log, PV_ERR_FORMAT,
                       "%s: layer %" PRIu32 ": the hot set is not ascending below %" PRIu32, what, layer,
                       d_ffn);
    return PV_OK;
}

enum pv_status pv_clusters_check_layer(const struct pv_clusters *c, uint32_t layer, const char *what,
                                       const struct pv_log *log)
{
    const struct pv_cluster_layer *l = &c->layers[layer];
    const uint64_t n_clusters = c->info.n_clusters;

    PV_TRY(check_lists(c, layer, what, log));
    if (!isfinite(l->tau) || l->tau < 0.0f || !(l->density >= 0.0f && l->density <= 1.0f))
        return pv_fail(log, PV_ERR_FORMAT, "%s: layer %" PRIu32 ": tau %g or density %g is out of range",
                       what, layer, (double)l->tau, (double)l->density);
    for (uint32_t k = 0; k < n_clusters; k++)
        if (!isfinite(l->router_bias[k]))
            return pv_fail(log, PV_ERR_FORMAT, "%s: layer %" PRIu32 ": router bias %" PRIu32 " is not finite",
                           what, layer, k);
    if (l->down_projection) {
        PV_TRY(pv_clusters_check_rank(c, layer, l->rank, what, log));
        if (!pv_halves_finite(l->down_projection, (uint64_t)l->rank * c->info.d_model))
            return pv_fail(log, PV_ERR_FORMAT,
                           "%s: layer %" PRIu32 ": a weight before the low-rank router is not finite", what,
                           layer);
    }
    if (!pv_halves_finite(l->router, n_clusters * pv_cluster_router_width(c, layer)))
        return pv_fail(log, PV_ERR_FORMAT, "%s: layer %" PRIu32 ": a router weight is not finite", what,
                       layer);
    if (l->centroids && !pv_halves_finite(l->centroids, n_clusters * c->info.d_ffn))
        return pv_fail(log, PV_ERR_FORMAT, "%s: layer %" PRIu32 ": a centroid is not finite", what, layer);
    return PV_OK;
}

static bool is_share(double value)
{
    return value >= 0.0 && value <= 1.0;
}

static enum pv_status check_info(const struct pv_clusters_info *info, const char *path,
                                 const struct pv_log *log)
{
    if (info->n_layers < 1 || info->n_layers > PV_CLUSTERS_MAX_LAYERS || info->n_clusters < 1 ||
        info->n_clusters > PV_CLUSTERS_MAX_CLUSTERS || info->d_model < 1 ||
        info->d_model > PV_CLUSTERS_MAX_WIDTH || info->d_ffn < 1 || info->d_ffn > PV_CLUSTERS_MAX_NEURONS)
        return pv_fail(log, PV_ERR_ARG,
                       "%s: %" PRIu32 " layers, %" PRIu32 " clusters, width %" PRIu32 ", %" PRIu32
                       " neurons: over the limits of a cluster file",
                       path, info->n_layers, info->n_clusters, info->d_model, info->d_ffn);
    if (!is_share(info->density) || !is_share(info->density_target) || !is_share(info->router_accuracy) ||
        !info->method || strlen(info->method) > 64)
        return pv_fail(log, PV_ERR_ARG, "%s: density, accuracy or method of the clusters is out of range",
                       path);
    return PV_OK;
}

static void add_tensor(struct pv_gguf_writer *w, uint32_t layer, const char *name, enum pv_type type,
                       uint64_t n_rows, uint64_t n_cols, const void *data)
{
    uint64_t dims[2] = {n_cols, n_rows};
    char full_name[64];

    snprintf(full_name, sizeof full_name, "blk.%" PRIu32 ".%.32s", layer, name);
    pv_gguf_add_tensor(w, full_name, type, n_rows != 0 ? 2 : 1, dims, data);
}

/* An empty list is one zero in the file, since a tensor cannot be empty. */
static void add_list(struct pv_gguf_writer *w, uint32_t layer, const char *name, const uint16_t *list,
                     uint32_t n)
{
    static const uint16_t zero = 0;

    add_tensor(w, layer, name, PV_I16, 0, n != 0 ? n : 1, n != 0 ? list : &zero);
}

static void add_info(struct pv_gguf_writer *w, const struct pv_clusters_info *info)
{
    pv_gguf_add_str(w, "general.architecture", PV_CLUSTERS_ARCH);
    pv_gguf_add_u32(w, "parvin.version", PV_CLUSTERS_VERSION);
    pv_gguf_add_u32(w, "parvin.n_layers", info->n_layers);
    pv_gguf_add_u32(w, "parvin.n_clusters", info->n_clusters);
    pv_gguf_add_u32(w, "parvin.d_model", info->d_model);
    pv_gguf_add_u32(w, "parvin.d_ffn", info->d_ffn);
    pv_gguf_add_u64(w, "parvin.fingerprint", info->fingerprint);
    pv_gguf_add_u64(w, "parvin.n_tokens", info->n_tokens);
    pv_gguf_add_u64(w, "parvin.seed", info->seed);
    pv_gguf_add_f64(w, "parvin.density", info->density);
    pv_gguf_add_f64(w, "parvin.density_target", info->density_target);
    pv_gguf_add_f64(w, "parvin.router_accuracy", info->router_accuracy);
    pv_gguf_add_str(w, "parvin.method", info->method);
}

static void add_layer(struct pv_gguf_writer *w, const struct pv_clusters *c, uint32_t layer)
{
    const struct pv_cluster_layer *l = &c->layers[layer];
    const uint64_t n_clusters = c->info.n_clusters;

    add_tensor(w, layer, "cluster.offset", PV_I32, 0, n_clusters + 1, l->offset);
    add_list(w, layer, "cluster.neurons", l->neurons, l->offset[n_clusters]);
    add_list(w, layer, "cluster.hot", l->hot, l->n_hot);
    add_tensor(w, layer, "router.weight", PV_F16, n_clusters, pv_cluster_router_width(c, layer), l->router);
    add_tensor(w, layer, "router.bias", PV_F32, 0, n_clusters, l->router_bias);
    if (l->down_projection)
        add_tensor(w, layer, "router.narrow", PV_F16, l->rank, c->info.d_model, l->down_projection);
    if (l->centroids)
        add_tensor(w, layer, "cluster.centroids", PV_F16, n_clusters, c->info.d_ffn, l->centroids);
}

enum pv_status pv_clusters_write(const struct pv_clusters *clusters, const char *path,
                                 const struct pv_log *log)
{
    float tau[PV_CLUSTERS_MAX_LAYERS], density[PV_CLUSTERS_MAX_LAYERS];
    uint32_t n_hot[PV_CLUSTERS_MAX_LAYERS], n_layers = clusters->info.n_layers;
    struct pv_gguf_writer *w;
    enum pv_status status;

    PV_TRY(check_info(&clusters->info, path, log));
    for (uint32_t i = 0; i < n_layers; i++) {
        PV_TRY(pv_clusters_check_layer(clusters, i, path, log));
        tau[i] = clusters->layers[i].tau;
        density[i] = clusters->layers[i].density;
        n_hot[i] = clusters->layers[i].n_hot;
    }
    if (pv_gguf_writer_create(&w) != PV_OK)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    add_info(w, &clusters->info);
    pv_gguf_add_array(w, "parvin.layer.tau", PV_GGUF_F32, tau, n_layers);
    pv_gguf_add_array(w, "parvin.layer.density", PV_GGUF_F32, density, n_layers);
    pv_gguf_add_array(w, "parvin.layer.n_hot", PV_GGUF_U32, n_hot, n_layers);
    for (uint32_t i = 0; i < n_layers; i++)
        add_layer(w, clusters, i);
    status = pv_gguf_write(w, path, log);
    pv_gguf_writer_destroy(w);
    return status;
}
