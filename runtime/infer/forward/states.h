/* The states of all stages of a session. */
#ifndef PV_INFER_FORWARD_STATES_H
#define PV_INFER_FORWARD_STATES_H

#include "infer/session.h"

/* Makes them where there are none. On failure there are none. */
PV_MUST_USE enum pv_status pv_session_make_states(struct pv_session *s);
void pv_session_drop_states(struct pv_session *s); /* waits for what is running; the devices are still open */

#endif
