/* Nearest centroid as a linear router, and k-means in the space of the router's input, whose clusters that
 * router names without a mistake.
 *
 * argmin_k |z - m_k|^2 = argmax_k (m_k . z - |m_k|^2 / 2), m_k the mean z of cluster k. Results depend on the
 * data, the parameters and the seed, never on the number of threads. */
#ifndef PV_LEARN_ALGO_ROUTER_ROUTER_CENTROID_H
#define PV_LEARN_ALGO_ROUTER_ROUTER_CENTROID_H

#include "learn/algo/router/router.h"

/* Means over the training rows by label. A cluster without a row is never chosen. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_router_centroid(const struct pv_router_params *params,
                                              const struct pv_router_data *data, struct pv_router *out);

struct pv_input_params {
    uint32_t n_clusters, d_model;
    uint32_t n_iters;   /* at most */
    uint32_t n_threads; /* 0: all cores */
    uint64_t seed;
};
/* k-means (Lloyd) on z [n_rows][d] float16 of the training rows of `data`, seeded with random rows; a cluster
 * that runs empty takes a random row. label[i] for every row. PV_ERR_NOMEM, PV_ERR_INTERRUPTED. */
PV_MUST_USE enum pv_status pv_input_cluster(const struct pv_input_params *params,
                                            const struct pv_router_data *data, const struct pv_steps *steps,
                                            uint16_t *label);

#endif
