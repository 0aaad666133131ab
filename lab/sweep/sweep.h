/* Every method of choosing neurons, side by side: one calibration text to learn from, one other text to
 * measure on, the same densities, the same judge. The methods and their sources:
 * lab/methods/predict_method.h, baseline_clusters.h.
 *
 * Deterministic for a seed and a device. Not thread-safe. */
#ifndef PV_LAB_SWEEP_SWEEP_H
#define PV_LAB_SWEEP_SWEEP_H

#include "parvin/session.h"

struct pv_sweep_params {
    const uint32_t *clusters; /* [n_clusters] values of K, in the order to be measured */
    uint32_t n_clusters;
    const double *densities;    /* [n_densities] in (0, 1] */
    uint32_t n_densities;       /* 0: only what clusterings reach is judged; no router, nothing run */
    const char *const *methods; /* [n_methods] names; NULL: all */
    uint32_t n_methods;
    uint64_t n_tokens;     /* calibration tokens at most; 0: all of the text */
    uint32_t n_ctx;        /* window of both texts; 0: the engine's context, at most 512 */
    uint32_t n_windows;    /* of the text to measure on, at most; 0: all */
    uint32_t n_iters;      /* clustering rounds at most; 0: 20 */
    uint32_t n_epochs;     /* router epochs at most; 0: 12 */
    uint32_t n_threads;    /* 0: all cores */
    double active_share;   /* neurons a pattern keeps where none are exactly zero; 0: 0.5 */
    uint64_t seed;         /* 0: 1 */
    const char *work_path; /* prefix of two temporary files; the capture in them is used again after an
                              interruption with the same arguments; removed at the end */
    struct pv_progress progress;
};

/* Masks of every token's own cluster that a clustering is judged by, the neurons most often active unless the
 * method has a rule of its own. */
enum pv_sweep_own {
    PV_SWEEP_RUN,          /* of the row's density; the row was run as well */
    PV_SWEEP_OWN_BUDGET,   /* as large as the mean pattern, one budget over all layers and clusters */
    PV_SWEEP_OWN_LAYER,    /* every cluster as large as its layer's mean pattern */
    PV_SWEEP_OWN_MAJORITY, /* what more than half of a cluster's tokens have */
    PV_SWEEP_OWN_COUNT
};

/* One line of the table. NAN where a number does not apply. */
struct pv_sweep_row {
    const char *method, *label; /* name, and words for a legend; valid for good */
    bool clustered;             /* K applies */
    bool knows_truth;           /* a reference: uses what a run cannot know before computing it */
    uint32_t n_clusters;        /* K; 0 if it does not apply */
    uint32_t rank;              /* of a low-rank router, else 0 */
    double density_target;
    uint32_t own_masks; /* enum pv_sweep_own: PV_SWEEP_RUN, or which masks were judged and not run */
    /* run over the test text */
    double ppl, rise;       /* rise: ppl over the dense ppl, less 1 */
    double density;         /* neurons computed */
    double predictor_bytes; /* a token reads to predict, over all layers */
    double bytes;           /* the same, and for the neurons computed */
    double precision, recall, weighted_recall;
    double router_accuracy; /* on the test text: router's cluster == the pattern's own */
    /* every test token with its pattern's own cluster: what clustering itself reaches */
    double own_density, own_precision, own_recall, own_weighted_recall;
    /* per layer, valid during the callback; NULL where nothing was run */
    const double *layer_energy, *layer_density; /* [n_layers] share of energy kept, of neurons computed */
    double seconds;                             /* to learn (shared by methods of one grouping) and measure */
};
struct pv_sweep_info {
    double ppl_dense, dense_bytes; /* of the feed-forward layers, a token */
    double active;                 /* share of neurons in the true patterns of the calibration text */
    uint64_t n_fit_tokens, n_test_tokens;
    uint32_t n_ctx, n_layers, d_model, d_ffn;
};
/* Called once before the first row (row NULL), then for every row. */
typedef void (*pv_sweep_fn)(void *user, const struct pv_sweep_info *info, const struct pv_sweep_row *row);

/* The engine must be dense. PV_ERR_ARG for an unknown method, with the list logged. */
PV_MUST_USE enum pv_status pv_sweep(struct pv_engine *engine, const uint32_t *fit_tokens, size_t n_fit,
                                    const uint32_t *test_tokens, size_t n_test,
                                    const struct pv_sweep_params *params, pv_sweep_fn fn, void *user);
/* Names of all methods, in the order of the table; NULL beyond the last. */
const char *pv_sweep_method_name(uint32_t index);

#endif
