/* Which neurons of a dense run fire: how often lately, one by one, and an order in which those that fire for the same
 * tokens stand together. Memory is bounded by the model's size, not by the number of tokens. */
#ifndef PV_VIZ_ORDER_FIRE_H
#define PV_VIZ_ORDER_FIRE_H

#include <stdint.h>
#include "parvin/status.h"

struct pv_fire;

PV_MUST_USE enum pv_status pv_fire_create(uint32_t n_layers, uint32_t d_ffn, struct pv_fire **out);
void pv_fire_destroy(struct pv_fire *fire);
/* Forgets how often neurons fired; the order stays. */
void pv_fire_forget(struct pv_fire *fire);
/* Lets all that was weigh `factor` of what it did, then adds a token: active [n_layers] as in a trace; a NULL row:
 * unknown, none. */
void pv_fire_add(struct pv_fire *fire, const uint32_t *const *active, double factor);
/* Remembers some of the tokens, and makes the order anew as they double in number. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_fire_learn(struct pv_fire *fire, const uint32_t *const *active);
PV_MUST_USE enum pv_status pv_fire_settle(struct pv_fire *fire);
/* Share of a layer's group of neurons that fired, weighed mean of the tokens, 0..1; group < n_groups <= d_ffn. */
double pv_fire_share(const struct pv_fire *fire, uint32_t layer, uint32_t group, uint32_t n_groups);

#endif
