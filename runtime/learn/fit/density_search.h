/* Finding the density for a rise of perplexity that was asked for (fit --max-ppl-rise).
 *
 * Some windows of the calibration text are kept out of clusters, routers and masks; on them the model is
 * scored dense and with the masks of one density after another. They lie in a few stretches of neighbours,
 * since a window between two training windows is not unseen text. Not thread-safe. */
#ifndef PV_LEARN_FIT_DENSITY_SEARCH_H
#define PV_LEARN_FIT_DENSITY_SEARCH_H

#include "learn/fit/learner.h"

/* How many windows are kept out: about one in ten; 0 if the text has a single window. */
uint32_t pv_density_n_windows(const struct pv_windows *windows);
/* Is window w kept out? */
bool pv_density_keeps_out(const struct pv_windows *windows, uint32_t w);
/* That what the search needs is there, else PV_ERR_ARG. */
PV_MUST_USE enum pv_status pv_density_check(const struct learner *ln);
/* Units of progress that a search reports at most. */
double pv_density_steps(const struct learner *ln);
/* Sets ln->params.density to the lowest whose rise, with one standard error on top, is within
 * ln->params.max_ppl_rise, and the ppl fields of `out`. Routers and energies of all layers must be there.
 * Scores go into the journal. */
PV_MUST_USE enum pv_status pv_density_search(struct learner *ln, struct pv_steps *steps,
                                             struct pv_fit_result *out);

#endif
