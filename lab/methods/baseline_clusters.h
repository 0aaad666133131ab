/* Everything that clusters tokens, as methods of predict_method.h: three ways to group patterns, two rules
 * for a cluster's neurons, three routers, and the union of the router's best two. A grouping (labels,
 * routers, statistics) is trained once per K and shared by the methods that differ only in what they take
 * from it.
 *
 * Groupings: k-modes on bits (baseline_kmodes.h); spherical k-means on bits; on root contributions
 * (kmeans.h); k-means on z (router_centroid.h); the contributions' again, by what their masks keep of c_j^2,
 * or hit of the active neurons (gain.h).
 *
 * Rules, both with one budget over all layers and clusters (masks.h): neurons most often active in the
 * cluster, or of highest mean c_j^2. Means are over the tokens the method's own router sends to a cluster.
 *
 * Routers: linear softmax (router.h), its rows [K][d]; low rank (router_lowrank.h); nearest centroid: argmax
 * m_k . z
 * - |m_k|^2 / 2, m_k the mean z of cluster k; refined: the linear router trained on for the energy its masks
 * keep, at one density (router.h). */
#ifndef PV_LAB_METHODS_BASELINE_CLUSTERS_H
#define PV_LAB_METHODS_BASELINE_CLUSTERS_H

#include "learn/algo/masks.h"
#include "lab/methods/predict_method.h"
#include "lab/sweep/sweep.h"

enum pv_group_by {
    PV_GROUP_KMODES,
    PV_GROUP_BITS,
    PV_GROUP_CONTRIBUTION,
    PV_GROUP_INPUT,
    PV_GROUP_MASK, /* contributions, then by what their masks keep */
    PV_GROUP_HITS, /* contributions, then by what their masks hit */
    PV_GROUP_COUNT
};
/* How often tokens move to other masks once the contributions are clustered. */
static inline uint32_t pv_group_moves(enum pv_group_by by)
{
    return by == PV_GROUP_MASK ? 1 : by == PV_GROUP_HITS ? 4 : 0;
}
enum pv_mask_rule { PV_RULE_ACTIVE, PV_RULE_ENERGY, PV_RULE_COUNT };
enum pv_route_by {
    PV_ROUTE_OWN,
    PV_ROUTE_LINEAR,
    PV_ROUTE_LOWRANK,
    PV_ROUTE_CENTROID,
    PV_ROUTE_REFINED, /* needs the linear one */
    PV_ROUTE_COUNT
};

struct pv_grouping_params {
    struct pv_predict_params base;
    enum pv_group_by by;
    bool route[PV_ROUTE_COUNT]; /* routers to train; PV_ROUTE_OWN, the pattern's own cluster, needs none */
    uint32_t n_iters, n_epochs; /* at most */
};
struct pv_grouping;
PV_MUST_USE enum pv_status pv_grouping_create(const struct pv_grouping_params *params,
                                              struct pv_grouping **out);
void pv_grouping_destroy(struct pv_grouping *grouping);
/* Layers in any order, each once; `layer` must have its test text. */
PV_MUST_USE enum pv_status pv_grouping_train(struct pv_grouping *grouping,
                                             const struct pv_predict_layer *layer,
                                             const struct pv_steps *steps);
/* Where pv_group_moves is not 0, `train` leaves the routers for later. As many times: masks of all layers at
 * a density, then each layer's tokens to the masks that keep, or hit, most of them for their size. Then each
 * layer's routers. */
PV_MUST_USE enum pv_status pv_grouping_regroup_begin(struct pv_grouping *grouping, double density);
PV_MUST_USE enum pv_status pv_grouping_regroup(struct pv_grouping *grouping,
                                               const struct pv_predict_layer *layer,
                                               const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_grouping_route(struct pv_grouping *grouping,
                                             const struct pv_predict_layer *layer,
                                             const struct pv_steps *steps);
/* One more round of the linear router's refinement: masks of all layers at a density, then each layer. */
PV_MUST_USE enum pv_status pv_grouping_refine_begin(struct pv_grouping *grouping, uint32_t round,
                                                    double density);
PV_MUST_USE enum pv_status pv_grouping_refine(struct pv_grouping *grouping,
                                              const struct pv_predict_layer *layer,
                                              const struct pv_steps *steps);
/* Share of test tokens whose router names their pattern's own cluster, mean over layers; NAN while there is
 * no such router. */
double pv_grouping_accuracy(const struct pv_grouping *grouping, enum pv_route_by route);
/* Rank of the low-rank router, the largest of the layers; 0 without one. */
uint32_t pv_grouping_rank(const struct pv_grouping *grouping);

struct pv_cluster_kind {
    const char *name, *label;
    enum pv_group_by by;
    enum pv_mask_rule rule;
    enum pv_route_by route;
    uint32_t n_union; /* clusters a token computes: 1 or 2 */
};
extern const struct pv_cluster_kind pv_cluster_kinds[];
extern const uint32_t pv_n_cluster_kinds;

/* A method over a trained grouping, which must outlive it. Its `train` does nothing. */
PV_MUST_USE enum pv_status pv_predict_clusters_create(const struct pv_cluster_kind *kind,
                                                      const struct pv_grouping *grouping,
                                                      struct pv_predictor **out);
/* Adds up how the clusters' masks do when every test token has its pattern's own cluster: the paper's
 * clustering precision. Masks follow the method's rule, from the tokens' own clusters: with `density` over
 * all layers (PV_SWEEP_RUN, PV_SWEEP_OWN_BUDGET), or as the others are told, which take the neurons most
 * often active; PV_SWEEP_OWN_LAYER is for methods with that rule. */
PV_MUST_USE enum pv_status pv_predict_clusters_choose_own(struct pv_predictor *p, enum pv_sweep_own masks,
                                                          double density);
PV_MUST_USE enum pv_status pv_predict_clusters_judge_own(const struct pv_predictor *p, uint32_t layer,
                                                         const struct pv_sparse *test_x,
                                                         struct pv_mask_score *score);

#endif
