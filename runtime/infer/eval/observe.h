/* Sessions whose batches stop at each layer for the host to observe the activations: capture, and the
 * evaluation modes in which the host chooses the masks. */
#ifndef PV_INFER_EVAL_OBSERVE_H
#define PV_INFER_EVAL_OBSERVE_H

#include "infer/session.h"

bool pv_session_observes(const struct pv_session *s);
/* Buffers for that and for the static set; idempotent. */
PV_MUST_USE enum pv_status pv_session_prepare_observing(struct pv_session *s);
/* Activations of the stage's layer `local` are on the device, those of n rows from first_pos on: fetches what
 * is wanted, calls back, and sets the masks that only the host can know. */
struct pv_observed_rows {
    uint32_t n, first_pos;
    enum pv_ffn_mode mode;
};
PV_MUST_USE enum pv_status pv_session_observe(struct pv_session *s, struct pv_stage_state *st, uint32_t local,
                                              const struct pv_observed_rows *rows);

#endif
