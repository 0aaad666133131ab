/* Internals of the cluster file, shared by its reader and its writer only. */
#ifndef PV_FORMAT_CLUSTERS_CLUSTER_IMPL_H
#define PV_FORMAT_CLUSTERS_CLUSTER_IMPL_H

#include "format/clusters/cluster_file.h"

#define PV_CLUSTERS_ARCH "parvin-clusters"
enum {
    PV_CLUSTERS_VERSION = 1,
    PV_CLUSTERS_MAX_LAYERS = 1024,
    PV_CLUSTERS_MAX_CLUSTERS = 65536,
    PV_CLUSTERS_MAX_WIDTH = 1 << 18,
    PV_CLUSTERS_MAX_NEURONS = 65536, /* so that a neuron's number fits 16 bits */
};

/* Sets what the info says about the routers of all layers: their bytes as stored, and ranks. */
void pv_clusters_sum_routers(struct pv_clusters *clusters);
/* Can a low-rank router of this width have this rank? */
enum pv_status pv_clusters_check_rank(const struct pv_clusters *c, uint32_t layer, uint64_t rank,
                                      const char *what, const struct pv_log *log);
/* Every rule on a layer's values: offsets rise, lists ascend below F, numbers are finite. Shapes were
 * checked. */
enum pv_status pv_clusters_check_layer(const struct pv_clusters *c, uint32_t layer, const char *what,
                                       const struct pv_log *log);

#endif
