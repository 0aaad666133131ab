/* A fit under way, shared by the files that do its stages: learn.c runs them, group.c makes the clusters,
 * routing.c trains routers, spend.c chooses and judges masks. */
#ifndef PV_LEARN_FIT_LEARNER_H
#define PV_LEARN_FIT_LEARNER_H

#include "learn/capture/capture_file.h"
#include "learn/fit/learn.h"
#include "learn/algo/masks.h"
#include "learn/algo/router/router_lowrank.h"

struct learned_layer {
    uint16_t *centroids;     /* [K][F] float16 */
    uint16_t *own;           /* [n_tokens] the cluster of the token's pattern */
    struct pv_router router; /* of width d, or narrow.rank */
    struct pv_narrow narrow; /* of a low-rank router */
    uint16_t *routed;        /* [n_tokens] the router's choice */
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
    uint32_t round; /* of refinement, 0 before the first */
    float *tau;     /* [n_layers] */
    uint32_t *train, *held_out;
    size_t n_train, n_held_out;
    struct learned_layer *layers; /* [n_layers] */
    double group_density;         /* of the masks that PV_FIT_SPACE_MASK groups by */
    float threshold;              /* of the last masks: scale * energy above it */
    double reached;               /* density expected on the training tokens */
};

/* Records of a fit's journal besides those of its capture; each has a layer or a window as its number. */
enum { PV_RECORD_CLUSTER = 16, PV_RECORD_ROUTER = 17, PV_RECORD_SCORE = 18, PV_RECORD_NARROW = 20 };

/* One captured layer, out of the journal or the capture file. */
PV_MUST_USE enum pv_status pv_learner_load(const struct learner *ln, uint32_t layer, bool with_z,
                                           struct pv_layer_data *data);
/* Work on a layer; `steps` counts layers. The clusters and every token's own (from the journal, or made and
 * put there), the router that learns to name them, and one more round of its refinement at
 * ln->params.density, for which the masks must be there. */
PV_MUST_USE enum pv_status pv_learner_group(struct learner *ln, uint32_t l, const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_learner_train(struct learner *ln, uint32_t l, const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_learner_refine(struct learner *ln, uint32_t l, const struct pv_steps *steps);
/* cluster[i] = where the layer's router sends row i of float16 z [n_rows][d]. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_learner_route(const struct learner *ln, uint32_t l, const uint16_t *z,
                                            size_t n_rows, uint16_t *cluster);
/* With PV_FIT_SPACE_MASK: the energies of the clusters so far, and, with masks of all layers at
 * ln->group_density, every token to the cluster whose mask keeps most of it for its size. */
PV_MUST_USE enum pv_status pv_learner_measure_own(struct learner *ln, uint32_t l,
                                                  const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_learner_regroup(struct learner *ln, uint32_t l, const struct pv_steps *steps);
/* What the router is called in the journal: it changes with each round of refinement. */
uint64_t pv_learner_router_key(const struct learner *ln);

/* Rounds of refinement to be run. */
static inline uint32_t pv_learner_rounds(const struct learner *ln)
{
    return ln->params.n_rounds == PV_FIT_NO_ROUNDS || ln->params.method != PV_FIT_ENERGY
               ? 0
               : ln->params.n_rounds;
}
/* Are neurons chosen by how often they are active, not by their energy? */
static inline bool pv_learner_by_use(const struct learner *ln)
{
    return ln->params.method != PV_FIT_ENERGY;
}

/* Spends a budget: masks from the energies of all layers. Again and again, if wanted. A density of 1 is every
 * neuron, also those that were never active. */
PV_MUST_USE enum pv_status pv_learner_spend(struct learner *ln, double density);
/* Bytes of a layer's router, of low rank unless `rank` is 0. */
double pv_learner_router_bytes(const struct pv_source *source, uint32_t n_clusters, uint32_t rank);
/* Bytes of a layer's neurons. */
double pv_learner_neuron_bytes(const struct pv_source *source);
/* The static hot sets, by the same rule. */
PV_MUST_USE enum pv_status pv_learner_spend_hot(struct learner *ln);
/* Masks against the held-out tokens, layer by layer and their means. steps->done goes on from the number of
 * layers. */
PV_MUST_USE enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps,
                                            struct pv_fit_result *out);

#endif
