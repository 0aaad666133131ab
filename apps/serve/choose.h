/* The next token of a choice, as its request wants it. */
#ifndef SERVE_CHOOSE_H
#define SERVE_CHOOSE_H

#include "serve/job.h"

/* Makes the choice's sampler; choices of a job differ by their seeds. `seed`: where the request names none. */
PV_MUST_USE enum pv_status serve_choose_begin(struct serve_choice *choice, uint64_t seed, uint32_t n_vocab);
/* Picks from logits [n_vocab], `room` [n_vocab] is written over, and notes the logprobs that were asked for.
 * PV_ERR_CHECK where a logit is not a number. */
PV_MUST_USE enum pv_status serve_choose(struct serve_choice *choice, const struct pv_model *model,
                                        const float *logits, float *room, uint32_t *token);

#endif
