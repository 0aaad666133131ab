/* A fit under way, shared by the files that do its stages: learn.c runs them, stage_cluster.c makes the
 * clusters, stage_router.c trains routers, stage_masks.c chooses and judges masks. What is learned of a layer
 * is arithmetic alone (learn/algo/layer.h); here it is loaded, kept in the journal and logged. */
#ifndef PV_LEARN_FIT_LEARNER_H
#define PV_LEARN_FIT_LEARNER_H

#include "learn/algo/layer.h"
#include "learn/capture/capture_file.h"
#include "learn/fit/learn.h"

struct learner {
    const struct pv_source *source;
    struct pv_fit_params params;      /* resolved */
    const struct pv_baseline *method; /* NULL: Parvin's */
    struct pv_log log;
    struct pv_device *clusters_on, *router_on; /* NULL: the host */
    struct pv_windows windows;
    struct pv_journal journal;
    struct pv_capture_file file;       /* if learning from one */
    const struct pv_journal *captured; /* whichever of the two has the windows */
    uint64_t capture_key, cluster_key, router_key;
    uint32_t round; /* of refinement, 0 before the first */
    float *tau;     /* [n_layers] */
    struct pv_split split;
    /* [n_layers] each */
    struct pv_learned *layers;
    uint16_t **centroids;                      /* [K][F] float16 of contributions, for the file */
    struct pv_energy *energies, *hot_energies; /* of the routed clusters, of all tokens */
    struct pv_mask_lists *masks, *hot;         /* of the clusters, and the static hot sets */
    struct pv_mask_budget budget;              /* that the masks were last chosen for */
    double group_density;                      /* of the masks that PV_FIT_SPACE_MASK groups by */
};

/* One captured layer, out of the journal or the capture file. */
static inline enum pv_status pv_learner_load(const struct learner *ln, uint32_t layer, bool with_z,
                                             struct pv_layer_data *data)
{
    const struct pv_captured captured = {
        .journal = ln->captured, .key = ln->capture_key, .source = ln->source, .windows = &ln->windows};

    return pv_capture_load(&captured, layer, with_z, data);
}
/* How layer l is learned, and from what. */
struct pv_layer_params pv_learner_params(const struct learner *ln, uint32_t l);
static inline struct pv_layer_tokens pv_learner_tokens(const struct learner *ln,
                                                       const struct pv_layer_data *data)
{
    return (struct pv_layer_tokens){.x = &data->x, .z = data->z, .split = &ln->split};
}

/* Work on a layer, from the journal or done and put there; `steps` counts layers. The clusters and every token's
 * own; and the router of ln->round, in round 0 to name the clusters, then on from there for what the masks, which
 * must be there at ln->params.density, keep. */
PV_MUST_USE enum pv_status pv_learner_cluster(struct learner *ln, uint32_t l, const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_learner_train(struct learner *ln, uint32_t l, const struct pv_steps *steps);
/* With PV_FIT_SPACE_MASK: the energies of the clusters so far, and, with masks of all layers at
 * ln->group_density, every token to the cluster whose mask keeps most of it for its size. */
PV_MUST_USE enum pv_status pv_learner_measure_own(struct learner *ln, uint32_t l,
                                                  const struct pv_steps *steps);
PV_MUST_USE enum pv_status pv_learner_regroup(struct learner *ln, uint32_t l, const struct pv_steps *steps);
/* What the router is called in the journal: it changes with each round of refinement. */
uint64_t pv_learner_router_key(const struct learner *ln);

/* Rounds of refinement to be run: masks that are not chosen by energy have none. */
static inline uint32_t pv_learner_rounds(const struct learner *ln)
{
    return ln->params.n_rounds == PV_FIT_NO_ROUNDS || ln->method ? 0 : ln->params.n_rounds;
}

/* Where the router sends the layer's tokens, and the energies there. */
PV_MUST_USE enum pv_status pv_learner_measure(struct learner *ln, uint32_t l);
/* Spends a budget: masks from the energies of all layers. Again and again, if wanted. */
PV_MUST_USE enum pv_status pv_learner_spend(struct learner *ln, double density);
/* The static hot sets, by the same rule. */
PV_MUST_USE enum pv_status pv_learner_spend_hot(struct learner *ln);
/* Masks against the held-out tokens, layer by layer and their means. steps->done goes on from the number of
 * layers. */
PV_MUST_USE enum pv_status pv_learner_judge(struct learner *ln, struct pv_steps *steps,
                                            struct pv_fit_result *out);

#endif
