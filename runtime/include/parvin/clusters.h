/* The cluster file: per layer, K neuron masks and the router that picks one from the feed-forward input.
 * Specified byte for byte in docs/cluster-file.md. Immutable after opening. */
#ifndef PARVIN_CLUSTERS_H
#define PARVIN_CLUSTERS_H

#include "parvin/model.h"

PV_API_BEGIN

struct pv_clusters;

struct pv_clusters_info {
    uint32_t n_layers, n_clusters, d_model, d_ffn;
    /* of the model it belongs to */
    uint64_t fingerprint;
    /* expected share of neurons computed, on the calibration text */
    double density;
    /* as asked for */
    double density_target;
    /* on held-out calibration tokens */
    double router_accuracy;
    /* calibration tokens */
    uint64_t n_tokens;
    /* all layers, as stored */
    uint64_t router_bytes;
    /* of the layers' routers, if they are of low rank; else 0 */
    uint32_t min_rank, max_rank;
    uint64_t seed;
    /* how masks were chosen, e.g. "energy" */
    const char *method;
};

PV_MUST_USE enum pv_status pv_clusters_open(const char *path, const struct pv_log *log,
                                            struct pv_clusters **out);
void pv_clusters_close(struct pv_clusters *clusters);
const struct pv_clusters_info *pv_clusters_info(const struct pv_clusters *clusters);
/* PV_ERR_MISMATCH, with the reason logged, unless the file was made for these weights. */
PV_MUST_USE enum pv_status pv_clusters_check(const struct pv_clusters *clusters,
                                             const struct pv_model *model);
/* Number of neurons in mask `k` of `layer`. */
uint32_t pv_clusters_mask_size(const struct pv_clusters *clusters, uint32_t layer, uint32_t k);
/* The neurons of mask `k` of `layer`, ascending, [*n]; valid as long as the clusters. */
const uint16_t *pv_clusters_mask(const struct pv_clusters *clusters, uint32_t layer, uint32_t k, uint32_t *n);
/* A text dump through `line` (used by `parvin info`). */
void pv_clusters_describe(const struct pv_clusters *clusters, void (*line)(void *user, const char *text),
                          void *user);

PV_API_END

#endif
