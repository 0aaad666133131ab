/* What the masks that were made cost, on tokens that were held out: said after every fit, since the share of energy
 * that is kept does not say it. Not thread-safe. */
#ifndef PV_LEARN_FIT_LOSS_H
#define PV_LEARN_FIT_LOSS_H

#include "learn/fit/learner.h"

/* Sets the ppl fields of `out` where there is text to score and no search has set them, and `within` where the rise
 * is large. The masks are those of ln->params.density before and after. A failure, such as a lost device, ends the
 * fit; the journal has what was learned, and the next run measures. */
PV_MUST_USE enum pv_status pv_learner_measure_loss(struct learner *ln, struct pv_steps *steps,
                                                   struct pv_fit_result *out);

#endif
