/* One method over the test text, counted. */
#ifndef PV_LAB_SWEEP_SWEEP_RUN_H
#define PV_LAB_SWEEP_SWEEP_RUN_H

#include "lab/sweep/sweep_data.h"

/* Where the sweep is, for progress: work done and in all, in tokens through the network. */
struct pv_sweep_progress {
    struct pv_progress sink;
    double done, total;
};
bool pv_sweep_report(const struct pv_sweep_progress *progress, const char *stage, double more);

/* Perplexity with every neuron. */
PV_MUST_USE enum pv_status pv_sweep_run_dense(const struct pv_sweep_data *data,
                                              const struct pv_sweep_params *params,
                                              struct pv_sweep_progress *progress, double *ppl);
/* Perplexity with the method's neurons (its density is set), and the row's counts; layer_energy and
 * layer_density [n_layers] are filled. */
PV_MUST_USE enum pv_status pv_sweep_run(const struct pv_sweep_data *data,
                                        const struct pv_sweep_params *params, struct pv_predictor *method,
                                        double ppl_dense, struct pv_sweep_progress *progress,
                                        struct pv_sweep_row *row, double *layer_energy,
                                        double *layer_density);
/* Tokens that such a run feeds. */
double pv_sweep_run_tokens(const struct pv_sweep_data *data);

#endif
