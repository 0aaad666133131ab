/* What is left to do after the loss of a device. Nothing on the way of a token calls it: session.c and
 * engine.c do, when a call has failed. */
#ifndef PV_INFER_FAILOVER_H
#define PV_INFER_FAILOVER_H

#include "infer/session.h"

/* After `failure`: closes the device that has failed and gives its layers to the others. Every session loses
 * its states and makes them anew at its next call. Returns `failure` (said, where it adds anything) if the
 * engine may not go on, no device has failed, or none is left. `done` says what had been done by then: "at
 * token 12". */
PV_MUST_USE enum pv_status pv_engine_failover(struct pv_engine *engine, enum pv_status failure,
                                              const char *done);
/* New states that hold the tokens fed so far, where the session has none. */
PV_MUST_USE enum pv_status pv_session_restore(struct pv_session *s);
/* The last n tokens fed, and the mode they were fed with, for pv_session_restore. */
void pv_session_remember(struct pv_session *s, const uint32_t *tokens, uint32_t n, enum pv_ffn_mode mode);

#endif
