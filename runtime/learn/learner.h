/* A fit under way, shared by the files that do its stages: learn.c runs them, spend.c chooses and judges
 * masks. */
#ifndef PV_LEARN_LEARNER_H
#define PV_LEARN_LEARNER_H

#include "learn/capture_file.h"
#include "learn/learn.h"
#include "learn/masks.h"
#include "learn/router.h"

struct learned_layer {
    uint16_t *centroids; /* [K][F] float16 */
    struct pv_router router;
    uint16_t *routed; /* [n_tokens] the router's choice */
    struct pv_energy energy, hot_energy;
    struct pv_mask_lists lists, hot;
};
struct learner {
    const struct pv_source *source;
    struct pv_fit_params params; /* resolved */
    struct pv_log log;
    struct pv_device *clusters_on, *router_on; /* NULL: the host */
    struct pv_windows windows;
    struct pv_journal journal;
    struct pv_capture_file file;       /* if learning from one */
    const struct pv_journal *captured; /* whichever of the two has the windows */
    uint64_t capture_key, cluster_key, router_key;
    float *tau; /* [n_layers] */
    uint32_t *train, *held_out;
    size_t n_train, n_held_out;
    struct learned_layer *layers; /* [n_layers] */
    double reached;               /* density expected on the training tokens */
};

/* One captured layer, out of the journal or the capture file. */
PV_MUST_USE enum pv_status pv_learner_load(const struct learner *ln, uint32_t layer, bool with_z,
                                           struct pv_layer_data *data);
/* Spends a budget: masks from the energies of all layers. Again and again, if wanted. A density of 1 is every
 * neuron, also those that were never active. */
PV_MUST_USE enum pv_status pv_learner_spend(struct learner *ln, double density);
/* Bytes of a layer's router over those of its neurons. */
double pv_learner_router_share(const struct pv_source *source, uint32_t n_clusters);
/* The static hot sets, by the same rule. */
PV_MUST_USE enum pv_status pv_learner_spend_hot(struct learner *ln);
/* Masks against the held-out tokens, layer by layer and their means. steps->done goes on from the number of
 * layers. */
PV_MUST_USE enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps,
                                            struct pv_fit_result *out);

#endif
