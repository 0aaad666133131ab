/* The masks of a cluster file as bits, and an order of neurons in which those that work together stand together.
 * Immutable after pv_maskset_add. */
#ifndef PV_VIZ_MASKS_H
#define PV_VIZ_MASKS_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_maskset;

/* Empty masks. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_maskset_create(uint32_t n_layers, uint32_t n_clusters, uint32_t d_ffn,
                                             struct pv_maskset **out);
void pv_maskset_destroy(struct pv_maskset *masks);
uint32_t pv_maskset_n_layers(const struct pv_maskset *masks);
uint32_t pv_maskset_n_clusters(const struct pv_maskset *masks);
uint32_t pv_maskset_d_ffn(const struct pv_maskset *masks);
/* Adds neurons to a mask; those past d_ffn are ignored. */
void pv_maskset_add(struct pv_maskset *masks, uint32_t layer, uint32_t cluster, const uint16_t *neurons,
                    uint32_t n);
/* Packed bits [ceil(d_ffn / 32)], bit j of word j / 32. */
const uint32_t *pv_maskset_row(const struct pv_maskset *masks, uint32_t layer, uint32_t cluster);
uint32_t pv_maskset_size(const struct pv_maskset *masks, uint32_t layer, uint32_t cluster);
static inline int pv_maskset_bit(const uint32_t *row, uint32_t neuron)
{
    return (int)(row[neuron / 32] >> (neuron % 32) & 1u);
}
/* |A and B| / |A or B|: 1 for equal masks, 0 for disjoint (and for two empty) ones. */
double pv_maskset_jaccard(const struct pv_maskset *masks, uint32_t layer, uint32_t a, uint32_t b);
/* Orders all neurons of a layer, out [d_ffn], by the clusters (in the order given) that hold them: first
 * neurons of most clusters, then the others, each beside those that the same clusters hold, last those that
 * none holds. */
PV_MUST_USE enum pv_status pv_maskset_order_neurons(const struct pv_maskset *masks, uint32_t layer,
                                                    const uint32_t *clusters, uint32_t n, uint32_t *out);

#endif
