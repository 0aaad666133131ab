/* The cluster file inside the library: see docs/cluster-file.md. Per layer, K neuron lists (ascending), the
 * router (weights [K][d] float16 rows, bias [K] float32; of low rank: weights [K][r] after a matrix [r][d]),
 * pattern threshold tau and, for evaluation, centroids. */
#ifndef PV_FORMAT_CLUSTERS_CLUSTER_FILE_H
#define PV_FORMAT_CLUSTERS_CLUSTER_FILE_H

#include "format/gguf/gguf.h"
#include "parvin/clusters.h"

struct pv_cluster_layer {
    const uint32_t *offset;    /* [K+1] into neurons */
    const uint16_t *neurons;   /* [offset[K]] ascending within a cluster; F <= 65536 */
    const uint16_t *router;    /* [K][d] float16; of low rank [K][rank] */
    const float *router_bias;  /* [K] */
    const uint16_t *centroids; /* [K][F] float16, unit length, in the space of `feature`; NULL if left out */
    const uint16_t *hot;       /* [n_hot] the static hot set: neurons of highest mean energy, ascending */
    const uint16_t *down_projection; /* [rank][d] float16, what comes before a low-rank router; else NULL */
    uint32_t rank;                   /* 1 to d - 1; 0: the router is not of low rank */
    uint32_t n_hot;
    float tau;     /* pattern threshold on c_j */
    float density; /* expected on calibration text */
};
/* How a token's contributions become the vector that is compared with the centroids:
 * f_j = sqrt(c_j) where c_j > tau, else 0; divided by its Euclidean length. The assignment is argmax_k f .
 * centroid_k (ties: lowest k). */
struct pv_clusters {
    struct pv_clusters_info info;
    struct pv_cluster_layer *layers; /* [n_layers] */
    struct pv_gguf gguf;             /* empty when built in memory */
    struct pv_arena arena;
    struct pv_log log;
};
/* Numbers in a row of a layer's router. */
static inline uint32_t pv_cluster_router_width(const struct pv_clusters *clusters, uint32_t layer)
{
    const uint32_t rank = clusters->layers[layer].rank;

    return rank != 0 ? rank : clusters->info.d_model;
}
/* Writes atomically. `clusters` may be built in memory by the learner; info.method must be set. */
PV_MUST_USE enum pv_status pv_clusters_write(const struct pv_clusters *clusters, const char *path,
                                             const struct pv_log *log);
/* Parses from memory (fuzzing). */
PV_MUST_USE enum pv_status pv_clusters_parse(const void *data, size_t size_bytes, const struct pv_log *log,
                                             struct pv_clusters **out);

#endif
