/* Choosing the number of clusters (fit --clusters auto): powers of two from 16 up, each tried on two layers
 * and some of the tokens, compared by the energy that masks keep on held-out tokens when every try reads
 * equally many bytes a token, router included. Not thread-safe. */
#ifndef PV_LEARN_FIT_AUTO_K_H
#define PV_LEARN_FIT_AUTO_K_H

#include "learn/fit/learner.h"

/* Sets ln->params.n_clusters and the tries of `out`. The capture must be there; finished tries go into the
 * journal. */
PV_MUST_USE enum pv_status pv_auto_k(struct learner *ln, struct pv_fit_result *out);
/* How many K would be tried at most. */
uint32_t pv_auto_k_candidates(const struct learner *ln, uint32_t n_train);

#endif
