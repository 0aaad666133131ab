/* One token through all stages: recorded once per FFN mode, submitted for every token. */
#ifndef PV_INFER_DECODE_H
#define PV_INFER_DECODE_H

#include "iface.h"
#include "infer/session.h"

PV_MUST_USE enum pv_status pv_session_decode_step(struct pv_session *s, uint32_t token);
/* A token of one of the session's sequences. */
PV_MUST_USE enum pv_status pv_session_decode_row(struct pv_session *s, uint32_t token, struct pv_step at);

#endif
