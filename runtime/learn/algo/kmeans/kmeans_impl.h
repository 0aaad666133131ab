/* Inside of k-means, shared by kmeans.c, which seeds, iterates and passes, and kmeans_step.c, which assigns
 * and averages. */
#ifndef PV_LEARN_ALGO_KMEANS_KMEANS_IMPL_H
#define PV_LEARN_ALGO_KMEANS_KMEANS_IMPL_H

#include "learn/algo/kmeans/kmeans.h"

enum {
    PV_KMEANS_TILE = 32,
    PV_KMEANS_BLOCK = 256, /* rows a chunk */
};

struct kmeans {
    const struct pv_sparse *x;
    struct pv_rows rows; /* of x */
    enum pv_space space;
    uint32_t n_clusters, n_tiles, n_threads;
    float *inv;                    /* [n_rows] 1 / |f|, 0 for an empty row */
    float *tiles;                  /* [n_tiles][F][TILE] */
    float *centroids;              /* [K][F] */
    float *sums;                   /* [K][F] of all features so far; NULL: those of the rows alone count */
    uint16_t *cluster;             /* [n_rows] */
    float *score;                  /* [n_rows] f . centroid */
    size_t *first;                 /* [K + 1] into order */
    uint32_t *order;               /* [n_rows] rows sorted by cluster, stable */
    const float *seed;             /* [F] newest centroid while seeding */
    struct pv_accel_kmeans *accel; /* NULL: on the host */
};

static inline size_t pv_kmeans_blocks(size_t n_rows)
{
    return (n_rows + PV_KMEANS_BLOCK - 1) / PV_KMEANS_BLOCK;
}

/* Fills in `inv`. */
void pv_kmeans_lengths(struct kmeans *km);
/* Adds row i's feature vector to a dense one. */
void pv_kmeans_add(const struct kmeans *km, size_t i, float *sum);
/* `cluster` and `score` by `centroids`, on the host. */
void pv_kmeans_nearest(struct kmeans *km);
/* `first` and `order` by `cluster`. */
void pv_kmeans_sort(struct kmeans *km);
/* `centroids` by `first` and `order`; with an `accel` the rows' sums must be in them. */
void pv_kmeans_mean(struct kmeans *km);
/* Assigns the rows and moves the centroids; `repair`: gives every empty cluster a row. */
PV_MUST_USE enum pv_status pv_kmeans_step(struct kmeans *km, bool repair);

#endif
