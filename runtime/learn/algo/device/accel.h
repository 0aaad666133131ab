/* Clustering and router training on a Vulkan device. The host keeps what decides (seeding, repair, the order
 * of rows, the learning rate); the device does the products: rows x centroids, sums by cluster, scores,
 * gains, gradient, Adam. Every sum has a fixed order, so a device gives the same result every time; it
 * differs from the host's in rounding alone.
 *
 * All return PV_ERR_NOMEM or what the device failed with, logged by the layer below. One thread at a time. */
#ifndef PV_LEARN_ALGO_DEVICE_ACCEL_H
#define PV_LEARN_ALGO_DEVICE_ACCEL_H

#include "learn/algo/sparse.h"
#include "parvin/status.h"

struct pv_device;
struct pv_gain;
struct pv_accel_kmeans;
struct pv_accel_router;

/* Whether the device's bindings can see what clustering rows of n_cols into n_clusters needs. */
bool pv_accel_kmeans_fits(const struct pv_device *device, uint32_t n_clusters, uint32_t n_cols);

/* Rows, scaled by inv [rows.n]; bits: every entry counts 1. All are borrowed. */
struct pv_accel_rows {
    struct pv_rows rows;
    const float *inv;
    bool bits;
    uint32_t n_threads;
};
PV_MUST_USE enum pv_status pv_accel_kmeans_create(struct pv_device *device, const struct pv_accel_rows *rows,
                                                  uint32_t n_clusters, struct pv_accel_kmeans **out);
void pv_accel_kmeans_destroy(struct pv_accel_kmeans *a); /* NULL-safe */
/* From here on it works on these rows of the same x. */
void pv_accel_kmeans_aim(struct pv_accel_kmeans *a, const struct pv_rows *rows, const float *inv);
/* cluster[i] = argmax_k row i . centroids[k], ties to the lowest; centroids [K][F], rounded to float16. */
PV_MUST_USE enum pv_status pv_accel_kmeans_assign(struct pv_accel_kmeans *a, const float *centroids,
                                                  uint16_t *cluster);
/* sums[k] = sum of the scaled rows with cluster[i] == k, [K][F]. */
PV_MUST_USE enum pv_status pv_accel_kmeans_sum(struct pv_accel_kmeans *a, const uint16_t *cluster,
                                               float *sums);

/* What is trained, as in router.h. All pointers are borrowed. */
struct pv_accel_router_params {
    uint32_t n_clusters, d_model;
    uint32_t n_batch;           /* rows at most */
    const float *bias;          /* [K] added to every score and never trained: what forbids a cluster */
    const float *weight;        /* [K][d] to start from; NULL: 0 */
    const struct pv_gain *gain; /* train for gains; NULL: for labels */
    float label_weight;         /* of the labels beside gains */
    uint32_t n_threads;
};
bool pv_accel_router_fits(const struct pv_device *device, const struct pv_accel_router_params *params);
PV_MUST_USE enum pv_status pv_accel_router_create(struct pv_device *device,
                                                  const struct pv_accel_router_params *params,
                                                  struct pv_accel_router **out);
void pv_accel_router_destroy(struct pv_accel_router *a); /* NULL-safe */
/* choice[i] = argmax_k w_k . z_i + b_k + bias_k; z [n][d], n <= n_batch. */
PV_MUST_USE enum pv_status pv_accel_router_choose(struct pv_accel_router *a, const float *z, uint32_t n,
                                                  uint16_t *choice);
/* One step of Adam on the mean loss of a batch. */
struct pv_accel_step {
    const float *z;        /* [n][d] */
    const uint32_t *label; /* [n] */
    const uint32_t *rows;  /* [n] of the gain's x, if there is a gain */
    uint32_t n;
    float rate, moment_scale, square_scale;
};
PV_MUST_USE enum pv_status pv_accel_router_step(struct pv_accel_router *a, const struct pv_accel_step *step);
/* weight [K][d] and trained bias b [K]. */
PV_MUST_USE enum pv_status pv_accel_router_read(struct pv_accel_router *a, float *weight, float *bias);

#endif
