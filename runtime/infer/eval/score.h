/* What comes out of the last stage. */
#ifndef PV_INFER_EVAL_SCORE_H
#define PV_INFER_EVAL_SCORE_H

#include "infer/eval/overflow.h"

/* PV_ERR_CHECK, with the layer and what to try, where the output is NaN or infinite: in both of these. */
/* nll (and logits where `logits_rows` is not NULL) of the rows that are in the last stage's `x`. */
struct pv_scored_rows {
    struct pv_fed_rows fed;
    const uint32_t *targets;  /* [fed.n] */
    float *nll, *logits_rows; /* [fed.n], [fed.n][n_vocab] */
};
PV_MUST_USE enum pv_status pv_session_score_rows(struct pv_session *s, const struct pv_scored_rows *rows);
/* Reads logits and argmax back after a submit of the output stage; `fed` is what the pass was given. */
PV_MUST_USE enum pv_status pv_session_fetch_logits(struct pv_session *s, const struct pv_fed_rows *fed);
/* The same of logits [n_vocab] that were read already. */
PV_MUST_USE enum pv_status pv_session_check_logits(struct pv_session *s, const float *logits,
                                                   const struct pv_fed_rows *fed);

#endif
