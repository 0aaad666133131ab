/* A dense session of n_seqs texts, at most the engine's n_batch, of up to n_ctx tokens each, that are written
 * side by side: one matrix product serves all of them. It is stepped and reset, nothing else, and does not go
 * on after the loss of a device. */
#ifndef PV_INFER_SEQUENCES_H
#define PV_INFER_SEQUENCES_H

#include "infer/session.h"

PV_MUST_USE enum pv_status pv_sequences_create(struct pv_engine *engine, uint32_t n_seqs, uint32_t n_ctx,
                                               struct pv_session **out);
/* tokens [n_seqs], the next of each; logits [n_seqs][n_vocab] after it. */
PV_MUST_USE enum pv_status pv_sequences_step(struct pv_session *s, const uint32_t *tokens, float *logits);
/* How many to take at once: as many as a batch has rows, within a bound and what caches may take. */
uint32_t pv_sequences_best(const struct pv_engine *engine, uint32_t n_ctx);

#endif
