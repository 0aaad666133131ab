/* Inside of a grouping: what training leaves for the methods. */
#ifndef PV_LAB_METHODS_BASELINE_GROUP_H
#define PV_LAB_METHODS_BASELINE_GROUP_H

#include "lab/methods/baseline_clusters.h"
#include "learn/algo/router/router_lowrank.h"

struct pv_group_router {
    float *weight_t;         /* [width][K] */
    float *bias;             /* [K] */
    struct pv_narrow narrow; /* B of the low-rank router; empty for others, whose width is d */
    uint32_t width;
    double accuracy; /* on the test text */
    double bytes;    /* a token reads */
};
struct pv_group_layer {
    uint16_t *own, *own_test;                       /* [n rows], [n test rows] */
    struct pv_mask_lists lists;                     /* of the refinement under way */
    struct pv_group_router routers[PV_ROUTE_COUNT]; /* PV_ROUTE_OWN is empty */
    uint16_t *pairs; /* [n_pairs][2] best two of a sample of training tokens, linear */
    size_t n_pairs;
};
struct pv_grouping {
    struct pv_grouping_params params;
    struct pv_group_layer *layers;                           /* [n_layers] */
    float threshold;                                         /* of the lists */
    uint32_t round;                                          /* of refinement */
    struct pv_energy *tables[PV_ROUTE_COUNT][PV_RULE_COUNT]; /* [n_layers], NULL where not asked for */
};
/* Work on one layer. */
struct pv_group_work {
    struct pv_grouping *g;
    const struct pv_predict_layer *in;
    struct pv_group_layer *out;
    uint16_t *own, *routed; /* [n_rows] */
    uint16_t *ones;         /* float16 1 for every entry of x: its energies are frequencies */
    uint32_t n_clusters, d, n_threads;
    const struct pv_steps *steps;
    double done, part; /* share of the layer's work before, and in, the stage under way */
};

/* Steps of the next stage, which is `part` of the layer's work. */
struct pv_steps pv_group_stage(struct pv_group_work *w, double part);
/* Sums over the rows' own clusters. */
PV_MUST_USE enum pv_status pv_group_sum_own(struct pv_group_work *w);
/* Every router that is wanted, its sums, and how it does on the test text; w->own must be there. */
PV_MUST_USE enum pv_status pv_group_train_routers(struct pv_group_work *w);
/* The grouping's round of refinement towards the masks of w->out->lists, likewise. */
PV_MUST_USE enum pv_status pv_group_train_refined(struct pv_group_work *w);
void pv_group_router_clear(struct pv_group_router *router);

/* The router's best two clusters (best[1] == best[0] if K is 1); room [width + K]. */
void pv_group_best(const struct pv_group_router *router, uint32_t n_clusters, const float *z, float *room,
                   uint16_t best[2]);

#endif
