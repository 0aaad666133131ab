/* Inside of a grouping (baseline_clusters.h), shared by the files that make it, route it and use it. */
#ifndef PV_LAB_METHODS_BASELINE_GROUP_H
#define PV_LAB_METHODS_BASELINE_GROUP_H

#include "lab/methods/baseline_clusters.h"
#include "learn/algo/layer.h"

struct pv_group_router {
    struct pv_router trained; /* empty: there is none */
    float *weight_t;          /* [n_in][K] its weights */
    double accuracy;          /* on the test text */
};
struct pv_group_layer {
    struct pv_learned learned;                      /* its centroids and own clusters */
    uint16_t *own_test;                             /* [n test rows] */
    struct pv_mask_lists lists;                     /* of the refinement under way */
    struct pv_group_router routers[PV_ROUTE_COUNT]; /* PV_ROUTE_OWN is empty */
    uint16_t *pairs; /* [n_pairs][2] best two of a sample of training tokens, linear */
    size_t n_pairs;
};
struct pv_grouping {
    struct pv_grouping_params params;
    struct pv_group_layer *layers;                           /* [n_layers] */
    struct pv_mask_budget budget;                            /* of the lists */
    uint32_t round;                                          /* of refinement */
    struct pv_energy *tables[PV_ROUTE_COUNT][PV_RULE_COUNT]; /* [n_layers], NULL where not asked for */
};
/* Work on one layer. */
struct pv_group_work {
    struct pv_grouping *g;
    const struct pv_predict_layer *in;
    struct pv_group_layer *out;
    struct pv_layer_params params;
    struct pv_layer_tokens tokens;
    uint16_t *ones; /* float16 1 for every entry of x: its energies are frequencies */
    const struct pv_steps *steps;
    double done, part; /* share of the layer's work before, and in, the stage under way */
};

/* Steps of the next stage, which is `part` of the layer's work. */
struct pv_steps pv_group_stage(struct pv_group_work *w, double part);
/* Sums over the rows' clusters: their own, or where a router sends them. */
PV_MUST_USE enum pv_status pv_group_sum(struct pv_group_work *w, enum pv_route_by route,
                                        const uint16_t *cluster);
/* Every router that is wanted, its sums, and how it does on the test text; own clusters must be there. */
PV_MUST_USE enum pv_status pv_group_train_routers(struct pv_group_work *w);
/* The grouping's round of refinement towards the masks of w->out->lists, likewise. */
PV_MUST_USE enum pv_status pv_group_train_refined(struct pv_group_work *w);
void pv_group_router_clear(struct pv_group_router *router);

/* The router's best two clusters (best[1] == best[0] if K is 1); room [n_in + K]. */
void pv_group_best(const struct pv_group_router *router, const float *z, float *room, uint16_t best[2]);

#endif
