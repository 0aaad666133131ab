/* The methods that cluster tokens, as the sweep names them. */
#include "lab/methods/baseline_clusters.h"

const struct pv_cluster_kind pv_cluster_kinds[] = {
    {"k-modes", "k-modes, most often active (the paper)", PV_GROUP_KMODES, PV_RULE_ACTIVE, PV_ROUTE_LINEAR,
     1},
    {"k-means", "k-means on bits, most often active", PV_GROUP_BITS, PV_RULE_ACTIVE, PV_ROUTE_LINEAR, 1},
    {"parvin-active", "Parvin's clusters, most often active", PV_GROUP_CONTRIBUTION, PV_RULE_ACTIVE,
     PV_ROUTE_LINEAR, 1},
    {"parvin-plain", "Parvin, not refined", PV_GROUP_CONTRIBUTION, PV_RULE_ENERGY, PV_ROUTE_LINEAR, 1},
    {"parvin", "Parvin", PV_GROUP_CONTRIBUTION, PV_RULE_ENERGY, PV_ROUTE_REFINED, 1},
    {"parvin-lowrank", "Parvin, low-rank router", PV_GROUP_CONTRIBUTION, PV_RULE_ENERGY, PV_ROUTE_LOWRANK, 1},
    {"parvin-centroid", "Parvin, nearest centroid", PV_GROUP_CONTRIBUTION, PV_RULE_ENERGY, PV_ROUTE_CENTROID,
     1},
    {"parvin-two", "Parvin, union of the best two", PV_GROUP_CONTRIBUTION, PV_RULE_ENERGY, PV_ROUTE_LINEAR,
     2},
    {"parvin-input", "Parvin, clusters of the router's input", PV_GROUP_INPUT, PV_RULE_ENERGY,
     PV_ROUTE_REFINED, 1},
    {"parvin-mask", "Parvin, clusters by what masks keep", PV_GROUP_MASK, PV_RULE_ENERGY, PV_ROUTE_REFINED,
     1},
    {"parvin-hits", "Parvin, clusters by what masks hit", PV_GROUP_HITS, PV_RULE_ACTIVE, PV_ROUTE_LINEAR, 1},
};
const uint32_t pv_n_cluster_kinds = sizeof pv_cluster_kinds / sizeof pv_cluster_kinds[0];
