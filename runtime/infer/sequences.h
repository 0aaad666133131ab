/* Inside the library: texts that are written side by side, all of one length. */
#ifndef PV_INFER_SEQUENCES_H
#define PV_INFER_SEQUENCES_H

#include "infer/session.h"
#include "parvin/sequences.h"

/* A dense step of one row for each sequence, all at `pos`: tokens [n_seqs], logits [n_seqs][n_vocab]. */
PV_MUST_USE enum pv_status pv_sequences_lockstep(struct pv_sequences *sequences, uint32_t pos,
                                                 const uint32_t *tokens, float *logits);
/* How many to take at once: as many as a batch has rows, within a bound and what caches may take. */
uint32_t pv_sequences_best(const struct pv_engine *engine, uint32_t n_ctx);

#endif
