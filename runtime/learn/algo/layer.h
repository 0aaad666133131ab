/* Learning one feed-forward layer from its tokens: clusters of their patterns, a router that names a token's
 * cluster, the router refined for what the clusters' masks keep. Masks themselves share one budget over all
 * layers and are in masks.h, where they are judged too. Arrays in, arrays out: no file, no engine, no log.
 *
 * This is what `fit` does with each layer, what its search for the number of clusters tries, and what the
 * experiments measure. Results depend on tokens, parameters and devices, never on the number of threads.
 *
 * All return PV_ERR_NOMEM, PV_ERR_INTERRUPTED if `steps` says stop, or what a device failed with. */
#ifndef PV_LEARN_ALGO_LAYER_H
#define PV_LEARN_ALGO_LAYER_H

#include "learn/algo/kmeans/kmeans.h"
#include "learn/algo/masks.h"
#include "learn/algo/router/router.h"
#include "learn/algo/split.h"
#include "parvin/fit.h"

struct pv_layer_tokens {
    const struct pv_sparse *x; /* contributions */
    const uint16_t *z;         /* [n_rows][d] float16, the router's input; NULL where nothing reads it */
    const struct pv_split *split;
};

struct pv_layer_params;
/* Another way to put tokens into clusters: own[i] for every row of tokens->x, made of the sample alone. */
struct pv_clusterer {
    enum pv_status (*run)(const struct pv_layer_params *params, const struct pv_layer_tokens *tokens,
                          const struct pv_rows *sample, const struct pv_steps *steps, uint16_t *own);
};
struct pv_layer_params {
    uint32_t layer, n_layers; /* this one, from 0, and how many there are: seeds differ by it */
    uint32_t n_clusters, d_model;
    enum pv_fit_space
        space; /* PV_FIT_SPACE_MASK is clustered by contributions; pv_gain_regroup does the rest */
    const struct pv_clusterer *clusterer; /* instead of `space`; NULL: none */
    enum pv_fit_router router;
    uint32_t n_iters, n_restarts, n_epochs;
    uint32_t n_sample;   /* tokens a cluster that are iterated over, the rest are passed once; 0: all are */
    bool half_centroids; /* rounded to float16, as files have them, before tokens are named by them */
    uint32_t n_threads;  /* 0: all cores */
    uint64_t seed;
    struct pv_device *clusters_on, *router_on; /* NULL: the host */
};

/* What is learned. Zeroed: nothing is. */
struct pv_learned {
    float *centroids; /* [K][F] of the space; NULL where clusters have none */
    uint16_t *own,
        *routed; /* [n_rows] cluster of the token's pattern; the router's choice. 0 for rows that the
                                split leaves out */
    struct pv_router router;
    double linear_accuracy; /* of the linear router that one of low rank was made from */
    struct pv_layer_clustering {
        uint32_t n_iters, n_empty;
        size_t n_sample;
        double sample_similarity, similarity; /* mean f . centroid of the sample, of all training tokens */
    } clustering;
};
void pv_layer_free(struct pv_learned *layer);

/* Sets centroids and own. */
PV_MUST_USE enum pv_status pv_layer_cluster(const struct pv_layer_params *params,
                                            const struct pv_layer_tokens *tokens,
                                            const struct pv_steps *steps, struct pv_learned *layer);
/* Sets centroids to the mean contributions of the tokens' own clusters. */
PV_MUST_USE enum pv_status pv_layer_average(const struct pv_layer_params *params,
                                            const struct pv_layer_tokens *tokens, struct pv_learned *layer);
/* Sets the router, trained to name a token's own cluster; refine goes on from it, towards what `lists` keep, in
 * round 1, 2, ... A little of the first loss stays in the second, so that the clusters keep their meaning. */
PV_MUST_USE enum pv_status pv_layer_train(const struct pv_layer_params *params,
                                          const struct pv_layer_tokens *tokens, const struct pv_steps *steps,
                                          struct pv_learned *layer);
PV_MUST_USE enum pv_status pv_layer_refine(const struct pv_layer_params *params,
                                           const struct pv_layer_tokens *tokens,
                                           const struct pv_mask_lists *lists, uint32_t round,
                                           const struct pv_steps *steps, struct pv_learned *layer);
/* Sets routed. */
PV_MUST_USE enum pv_status pv_layer_route(const struct pv_layer_params *params,
                                          const struct pv_layer_tokens *tokens, struct pv_learned *layer);

/* How all of the above train routers: in round 0 for names, then refined. */
struct pv_router_params pv_layer_router_params(const struct pv_layer_params *params, uint32_t round);
struct pv_router_data pv_layer_router_data(const struct pv_layer_tokens *tokens, const uint16_t *own);

#endif
