/* A queue from the thread that runs a model to the thread that shows it: one producer, one consumer, no
 * locks. The producer never waits. */
#ifndef PV_VIZ_LIVE_H
#define PV_VIZ_LIVE_H

#include "viz/player.h"

struct pv_live;

/* Room for n_slots tokens (0: 8192; with oracle statistics as many as take 64 MiB, 64 at least) that the
 * viewer has not yet taken. `oracle`: tokens carry oracle statistics, which are passed on. */
PV_MUST_USE enum pv_status pv_live_create(const struct pv_trace_header *header, uint32_t n_slots, bool oracle,
                                          struct pv_live **out);
void pv_live_destroy(struct pv_live *live);
/* Producer. The token is copied. If the viewer is so far behind that there is no
 * room, the token is not shown; see pv_live_lost. */
void pv_live_push(struct pv_live *live, const struct pv_trace_token *token);
/* Producer: nothing more will come. */
void pv_live_end(struct pv_live *live);
uint64_t pv_live_lost(const struct pv_live *live);
/* The consumer's end. */
struct pv_source pv_live_source(struct pv_live *live);

#endif
