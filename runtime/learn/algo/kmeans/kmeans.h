/* Spherical k-means over sparse activation patterns (Dhillon and Modha, "Concept decompositions for large
 * sparse text data using clustering", 2001), seeded by k-means++ (Arthur and Vassilvitskii, 2007).
 *
 * More rows than are worth iterating over are passed over once, in batches (Sculley, "Web-scale k-means
 * clustering", 2010).
 *
 * Features are f_j = sqrt(c_j) divided by the row's Euclidean length (contribution space), or the normalised
 * bit pattern (bit space). A row belongs to argmax_k f . centroid_k, ties to the lowest k. Results depend on
 * the rows, the parameters, the seed and the device, never on the number of threads. */
#ifndef PV_LEARN_ALGO_KMEANS_KMEANS_H
#define PV_LEARN_ALGO_KMEANS_KMEANS_H

#include "learn/algo/sparse.h"
#include "learn/algo/steps.h"

struct pv_device;

enum pv_space { PV_SPACE_CONTRIBUTION, PV_SPACE_BITS };

struct pv_kmeans_params {
    uint32_t n_clusters; /* K, 1..65536; clusters beyond the number of distinct rows stay empty */
    uint32_t n_iters;    /* at most */
    uint32_t n_threads;  /* 0: all cores */
    uint64_t seed;
    enum pv_space space;
    struct pv_device *device; /* assigns and averages there, where its bindings can see enough; NULL: here */
};
struct pv_kmeans_result {
    float *centroids;  /* [K][F], unit length; zero for an empty cluster; owned by the caller, free */
    uint32_t n_iters;  /* run */
    uint32_t n_empty;  /* clusters without a row at the end */
    double similarity; /* mean f . centroid over the rows, at the last assignment */
};

/* PV_ERR_ARG without rows or clusters, PV_ERR_NOMEM, PV_ERR_INTERRUPTED if `steps` says stop, or the device's
 * failure. */
PV_MUST_USE enum pv_status pv_kmeans(const struct pv_rows *rows, const struct pv_kmeans_params *params,
                                     const struct pv_steps *steps, struct pv_kmeans_result *out);

/* Takes `centroids` [K][F], made of the sample, over all `rows`, which include the sample.
 * First the sample is assigned once more; then the other rows come in batches in random order: each batch is
 * assigned with the centroids so far, which become the means of all rows that they have had, scaled to unit
 * length. So a centroid moves by 1 / n of the way to its n-th row. `steps` as in pv_kmeans, likewise the
 * errors; n_iters is not used. */
PV_MUST_USE enum pv_status pv_kmeans_pass(const struct pv_rows *sample, const struct pv_rows *rows,
                                          const struct pv_kmeans_params *params, const struct pv_steps *steps,
                                          float *centroids);

/* Of `params` these use the number of clusters, the space and the threads. PV_ERR_NOMEM.
 * centroids [K][F] of `rows`, row r of x in cluster[r]: the unit-length means of their features. */
PV_MUST_USE enum pv_status pv_kmeans_average(const struct pv_rows *rows, const uint16_t *cluster,
                                             const struct pv_kmeans_params *params, float *centroids);
/* cluster[i] and, if not NULL, score[i] = f . centroid of the i-th of `rows`, against any centroids. */
PV_MUST_USE enum pv_status pv_kmeans_assign(const struct pv_rows *rows, const float *centroids,
                                            const struct pv_kmeans_params *params, uint16_t *cluster,
                                            float *score);

#endif
