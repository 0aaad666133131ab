/* A text, or a step of many, through all stages. */
#ifndef PV_INFER_BATCH_H
#define PV_INFER_BATCH_H

#include "infer/session.h"

enum { PV_MIN_CHUNK = 16 }; /* tokens; smaller chunks cost more in overhead than a pipeline gains */
struct pv_batch {
    const uint32_t *tokens;
    uint32_t n, first_pos;
    bool last_logits;            /* logits of the last row into the session */
    const struct pv_step *steps; /* [n] each row's own place, of a session of sequences; else NULL */
    uint32_t n_logits;           /* with steps: the first rows whose logits are wanted */
    const uint32_t *targets;     /* or NULL */
    float *nll, *logits_rows;    /* with targets; logits_rows may be NULL */
};
/* The FFN mode of a batch. */
enum pv_ffn_mode pv_batch_mode(const struct pv_session *s, const struct pv_batch *batch);
/* Feeds a checked text of any length that fits the context; sets text->first_pos. */
PV_MUST_USE enum pv_status pv_session_text(struct pv_session *s, struct pv_batch *text);
/* Rows with steps, in one piece. */
PV_MUST_USE enum pv_status pv_session_rows(struct pv_session *s, struct pv_batch *rows);

#endif
