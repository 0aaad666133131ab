/* What comes out of the last stage. */
#ifndef PV_INFER_EVAL_SCORE_H
#define PV_INFER_EVAL_SCORE_H

#include "infer/session.h"

/* PV_ERR_CHECK, with what to try, where the output is NaN or infinite: in both of these. */
/* nll (and logits where `logits_rows` is not NULL) of the n rows that are in the last stage's `x`. */
struct pv_scored_rows {
    const uint32_t *targets;
    float *nll, *logits_rows;
    uint32_t n;
};
PV_MUST_USE enum pv_status pv_session_score_rows(struct pv_session *s, const struct pv_scored_rows *rows);
/* Reads logits and argmax back after a submit of the output stage. */
PV_MUST_USE enum pv_status pv_session_fetch_logits(struct pv_session *s);

#endif
