/* The router: a linear softmax regression from the feed-forward input z to the cluster, r(z) = argmax_k (w_k
 * . z + b_k). One of low rank reads h = B z instead of z, B its down-projection (router_lowrank.h).
 *
 * z is standardised per dimension for training and the scaling is folded into the weights afterwards.
 * Trained for labels, the loss is cross-entropy. Trained for gains it is minus the expected gain sum_k p_k
 * gain_k, p = softmax of the scores, plus label_weight times the cross-entropy: the regret of a wrong cluster
 * is what its mask loses. Minibatch Adam (Kingma and Ba, 2015) with a cosine schedule and decoupled weight
 * decay; the weights of the best epoch on held-out rows are kept. Results depend on the data, the parameters,
 * the seed and the device, never on the number of threads. */
#ifndef PV_LEARN_ALGO_ROUTER_ROUTER_H
#define PV_LEARN_ALGO_ROUTER_ROUTER_H

#include <stddef.h>
#include <stdint.h>
#include "learn/algo/router/down_projection.h"
#include "learn/algo/steps.h"

struct pv_device;
struct pv_gain;

struct pv_router {
    uint32_t n_clusters, n_in;      /* K; d, or the rank of the down-projection */
    uint16_t *weight;               /* [K][n_in] float16, as the device reads it */
    float *bias;                    /* [K]; -1e9 for a cluster without training rows */
    struct pv_down_projection down; /* of low rank; zeroed: none */
    double accuracy;                /* on the held-out rows, of the float16 weights */
    double kept;       /* trained on gains: share of the held-out rows' energy in the chosen masks */
    uint32_t n_epochs; /* run */
};
/* Room for a router's numbers, which are zero. PV_ERR_NOMEM; nothing is to be freed then. */
PV_MUST_USE enum pv_status pv_router_create(struct pv_router *router, uint32_t n_clusters, uint32_t n_in);
void pv_router_free(struct pv_router *router); /* safe on a zeroed struct */
/* Bytes that a token reads of a router of d inputs; rank 0: a linear one. */
double pv_router_bytes(uint32_t n_clusters, uint32_t d_model, uint32_t rank);

struct pv_router_params {
    uint32_t n_clusters, d_model;
    uint32_t n_epochs;
    uint32_t n_threads; /* 0: all cores */
    uint64_t seed;
    float rate;               /* peak learning rate; 0: 0.01 */
    float decay;              /* weight decay per step, times the rate; 0: none */
    float label_weight;       /* of the cross-entropy beside gains */
    struct pv_device *device; /* trains there, where its bindings can see enough and decay is 0; NULL: here */
};
/* Rows of z are float16 [n_rows][d]; labels are below n_clusters. */
struct pv_router_data {
    const uint16_t *z;
    size_t n_rows;
    const uint16_t *label;    /* [n_rows] */
    const uint32_t *train;    /* [n_train] rows to learn from */
    const uint32_t *held_out; /* [n_held_out] rows to judge by; none: the training rows */
    size_t n_train, n_held_out;
    const struct pv_gain *gain; /* train for the gain of the chosen cluster (gain.h); NULL: for its label */
    const struct pv_router *start; /* go on from this one, on what it reads; NULL: from zero */
};

/* How a refinement is trained, measured in docs/method.md: sets n_epochs, rate and label_weight. */
void pv_router_refinement(struct pv_router_params *params);
enum { PV_REFINE_ROUNDS = 2 }; /* by default */

/* `out` has no down-projection: a start's is to be moved over. */
PV_MUST_USE enum pv_status pv_router_train(const struct pv_router_params *params,
                                           const struct pv_router_data *data, const struct pv_steps *steps,
                                           struct pv_router *out);
/* Sets accuracy and kept of the weights as stored, on the rows to judge by. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_router_judge(struct pv_router *router, const struct pv_router_data *data,
                                           uint32_t n_threads);

/* cluster[i] = r(z of rows[i]), rows NULL: row i. As the kernels do it: float32 sums of float16 weights, ties
 * to the lowest k. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_router_apply(const struct pv_router *router, const uint16_t *z,
                                           const uint32_t *rows, size_t n_rows, uint32_t n_threads,
                                           uint16_t *cluster);

#endif
