/* Where a pass's numbers ended, once its output is known not to be a number. */
#ifndef PV_INFER_EVAL_OVERFLOW_H
#define PV_INFER_EVAL_OVERFLOW_H

#include "infer/session.h"

/* The tokens of a pass, in the KV cache from first_pos on. */
struct pv_fed_rows {
    const uint32_t *tokens;
    uint32_t n, first_pos;
    enum pv_ffn_mode mode;
    const struct pv_step *steps; /* [n] of sequences: each row's place, instead of first_pos; else NULL */
};
/* Computes them again, half a layer at a time, and logs the first half whose result is not finite, with what to
 * try. Where the host chooses masks, the layers are repeated dense. PV_ERR_CHECK, or the failure of a device. */
PV_MUST_USE enum pv_status pv_session_fail_overflow(struct pv_session *s, const struct pv_fed_rows *rows);

#endif
