/* Inside of a grouping: what training leaves for the methods. */
#ifndef PV_LEARN_BASELINE_GROUP_H
#define PV_LEARN_BASELINE_GROUP_H

#include "learn/baseline_clusters.h"
#include "learn/predict_lowrank.h"

struct pv_group_router {
    float *weight_t;          /* [width][K] */
    float *bias;              /* [K] */
    struct pv_lowrank narrow; /* B of the low-rank router; empty for others, whose width is d */
    uint32_t width;
    double accuracy; /* on the test text */
    double bytes;    /* a token reads */
};
struct pv_group_layer {
    uint16_t *own_test;                             /* [n test rows] */
    struct pv_group_router routers[PV_ROUTE_COUNT]; /* PV_ROUTE_OWN is empty */
    uint16_t *pairs; /* [n_pairs][2] best two of a sample of training tokens, linear */
    size_t n_pairs;
};
struct pv_grouping {
    struct pv_grouping_params params;
    struct pv_group_layer *layers;                           /* [n_layers] */
    struct pv_energy *tables[PV_ROUTE_COUNT][PV_RULE_COUNT]; /* [n_layers], NULL where not asked for */
};
/* The router's best two clusters (best[1] == best[0] if K is 1); room [width + K]. */
void pv_group_best(const struct pv_group_router *router, uint32_t n_clusters, const float *z, float *room,
                   uint16_t best[2]);

#endif
