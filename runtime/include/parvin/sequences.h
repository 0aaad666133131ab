/* Many texts of one model at once: each sequence has a KV cache of its own, and a step feeds rows, each a token of any of
 * them at any position, so that a weight that is read serves all rows. Texts may begin, end and be cut short independently.
 *
 * One thread per engine at a time, sessions included. */
#ifndef PARVIN_SEQUENCES_H
#define PARVIN_SEQUENCES_H

#include "parvin/session.h"

PV_API_BEGIN

struct pv_sequences;

/* n_seqs caches of n_ctx tokens each. PV_ERR_ARG if there are more sequences than a batch or its logits have rows, or the
 * context is longer than the engine's. Destroy before the engine. */
PV_MUST_USE enum pv_status pv_sequences_create(struct pv_engine *engine, uint32_t n_seqs, uint32_t n_ctx,
                                               struct pv_sequences **out);
void pv_sequences_destroy(struct pv_sequences *sequences);
/* Rows that a step may have. It may change from step to step, as the device's speed becomes known. */
uint32_t pv_sequences_most_rows(const struct pv_sequences *sequences);

struct pv_sequence_row {
    uint32_t seq, pos; /* below n_seqs and n_ctx */
    uint32_t token;
    bool logits; /* wanted after the step; in at most n_seqs rows */
};

/* Feeds the rows in one pass. A row sees the positions before its own of its sequence: those of steps before, and of this step.
 * What a sequence held from a row's position on is replaced. `ffn`: PV_FFN_DENSE or PV_FFN_ROUTED. A single row goes the
 * way of pv_session_decode and computes its cluster's neurons alone; with more, all are computed and those outside are
 * cleared.
 *
 * After a failure nothing of what any sequence held may be relied on. Where the engine fails over (PV_ERR_DEVICE_LOST), further
 * steps run on the devices that are left, and every text must be fed again from its beginning. */
PV_MUST_USE enum pv_status pv_sequences_step(struct pv_sequences *sequences,
                                             const struct pv_sequence_row *rows, uint32_t n,
                                             enum pv_ffn_mode ffn);
/* Logits [n_vocab] of row `row` of the last step, which asked for them; valid until the next call. PV_ERR_CHECK, logged, if
 * they are not numbers: of the other rows nothing is known by that. */
PV_MUST_USE enum pv_status pv_sequences_logits(struct pv_sequences *sequences, uint32_t row,
                                               const float **out);
/* What row `row` of the last step computed; pointers are valid until the next call. */
PV_MUST_USE enum pv_status pv_sequences_stats(struct pv_sequences *sequences, uint32_t row,
                                              struct pv_token_stats *out);

PV_API_END

#endif
