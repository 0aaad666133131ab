/* The order in which views show a layer's clusters, made anew (see viz/order/align.h) as the tokens that were seen double in
 * number. Until the first time a cluster's place is its number. */
#ifndef PV_VIZ_ORDER_ORDER_H
#define PV_VIZ_ORDER_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_order {
    uint32_t n_layers, n_clusters;
    uint32_t *history; /* [room][L]: the clusters of every `stride`th token */
    uint32_t n_kept, room, stride;
    uint64_t n_seen, made_at;
    uint32_t *place, *at; /* [L][K] both ways; NULL until made */
};

void pv_order_init(struct pv_order *order, uint32_t n_layers, uint32_t n_clusters);
void pv_order_free(struct pv_order *order);
/* Counts a token, clusters [n_layers]. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_order_push(struct pv_order *order, const uint32_t *clusters);
/* Makes the order of all tokens up to now; nothing if it is that already. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_order_make(struct pv_order *order);
/* See pv_align_steadiness: of the tokens that are kept, in this order or by numbers. */
double pv_order_steadiness(const struct pv_order *order, double most);

#endif
