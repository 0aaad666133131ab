/* One token through all stages: recorded once per FFN mode, submitted for every token. */
#ifndef PV_INFER_DECODE_H
#define PV_INFER_DECODE_H

#include "infer/session.h"

PV_MUST_USE enum pv_status pv_session_decode_step(struct pv_session *s, uint32_t token);

#endif
