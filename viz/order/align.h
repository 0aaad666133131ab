/* Orders of clusters that mean the same in every layer: clusters that take the same tokens get like places, so a
 * token's colour changes from layer to layer only where the model changes its mind. Pure, deterministic. */
#ifndef PV_VIZ_ORDER_ALIGN_H
#define PV_VIZ_ORDER_ALIGN_H

#include <stdbool.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_chosen {
    const uint32_t *clusters; /* [n_tokens][n_layers]; a number from n_clusters on is none */
    uint32_t n_tokens, n_layers, n_clusters;
};

/* Places 0..n_clusters - 1 of every layer's clusters, place [n_layers][n_clusters]; clusters without a token stand
 * between the others. `again`: place holds an earlier answer, and the new one stays near it. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_align_places(const struct pv_chosen *align, bool again, uint32_t *place);
/* Share of the steps of all tokens from a layer to the next in which the place moves by less than `most` of all
 * places. 1 without a step. */
double pv_align_steadiness(const struct pv_chosen *align, const uint32_t *place, double most);

#endif
