/* Learning a cluster file: capture activation patterns over a text, cluster them, choose masks, train the
 * router. Deterministic for a seed and a device. Interrupted (progress returned false), it leaves a resume
 * file that the next call with the same arguments continues from. The method and its formulas:
 * docs/method.md. */
#ifndef PARVIN_FIT_H
#define PARVIN_FIT_H

#include "parvin/session.h"

PV_API_BEGIN

/* Where clustering and router training run. */
enum pv_learn_on {
    PV_LEARN_AUTO, /* as the plan of the engine's first device says */
    PV_LEARN_CPU,
    PV_LEARN_DEVICE
};
/* As n_clusters: the power of two from 16 to 4096 whose masks keep most energy of held-out tokens, tried on
 * two layers, all K reading the bytes that `density` stands for (0: 0.2), router included. */
#define PV_FIT_CLUSTERS_AUTO UINT32_MAX
/* What k-means puts into clusters (docs/method.md). */
enum pv_fit_space {
    PV_FIT_SPACE_CONTRIBUTION,
    PV_FIT_SPACE_PATTERN,
    PV_FIT_SPACE_INPUT, /* of the router */
    PV_FIT_SPACE_MASK   /* contributions, then by what masks of the density (a search: 0.2) keep */
};
enum pv_fit_router {
    PV_FIT_ROUTER_LINEAR,
    PV_FIT_ROUTER_CENTROID, /* nearest mean input */
    PV_FIT_ROUTER_LOWRANK   /* two smaller matrices, of rank d/16, d/8 or d/4 in each layer */
};
#define PV_FIT_NO_ROUNDS UINT32_MAX
struct pv_fit_params {
    uint32_t n_clusters; /* K, or PV_FIT_CLUSTERS_AUTO; 0: 256 (fewer for small texts) */
    double density;      /* budget over all layers; 0: 0.2, or what max_ppl_rise finds */
    /* Instead of a density: the most that perplexity may rise on calibration text that nothing was learned
     * from, 0.01 for 1 %. The lowest density is searched for whose measured rise plus its standard error is
     * within it; 1 (every neuron) at worst. The text must be there, also with capture_path. 0: no search. */
    double max_ppl_rise;
    uint64_t n_tokens; /* calibration tokens at most; 0: all, or 65536 that the model writes */
    uint32_t thin;     /* keep one token in so many, of as many more; 0: 1 */
    uint32_t n_iters;  /* clustering iterations at most; 0: 20 */
    uint32_t n_epochs; /* router epochs; 0: 12 */
    enum pv_fit_space space;
    enum pv_fit_router router;
    uint32_t n_restarts; /* of k-means, the best is kept; 0: 1 */
    uint32_t n_rounds;   /* of refinement; 0: 2; PV_FIT_NO_ROUNDS: none */
    uint32_t n_threads;  /* 0: all cores */
    enum pv_learn_on learn_on;
    uint64_t seed;           /* 0: 1 */
    uint32_t n_ctx;          /* calibration window, tokens; 0: the engine's context, at most 512 */
    double active_share;     /* neurons a pattern keeps where none are exactly zero (SwiGLU, GELU); 0: 0.5 */
    const char *resume_path; /* capture and stage state; NULL: OUT.resume; removed at the end */
    const char
        *capture_path; /* learn from this capture file; text, n_tokens, thin, n_ctx, active_share are its */
    struct pv_progress progress;
};
/* One layer, on held-out calibration tokens. */
struct pv_fit_layer {
    double density, active, energy_kept; /* neurons computed, neurons active, share of their energy */
    double router_accuracy;
    uint32_t router_rank; /* 0: not of low rank */
};
/* One K that was tried. */
struct pv_fit_try {
    uint32_t n_clusters;
    double router_share, density; /* of the layer's bytes for the router; of the neurons, what it leaves */
    double energy_kept, router_accuracy;
};
struct pv_fit_result {
    double density, router_accuracy, energy_kept; /* on held-out calibration tokens */
    double precision, recall;                     /* of the routed masks, likewise */
    double
        bytes_share; /* bytes a token reads of feed-forward weights and router, over those of all neurons */
    uint64_t n_tokens;
    uint64_t router_bytes; /* of all layers */
    uint32_t n_clusters;
    bool clusters_on_device, router_on_device; /* where they were learned */
    /* Of a search for the density (max_ppl_rise), on the n_ppl_tokens that were kept out of everything; else
     * 0. */
    double ppl_dense, ppl_routed, ppl_rise, ppl_rise_error;
    uint64_t n_ppl_tokens;
    double seconds_sampling;    /* of a text that the model wrote */
    struct pv_fit_try tries[9]; /* with PV_FIT_CLUSTERS_AUTO, ascending */
    uint32_t n_tries;
    double seconds_tries;
    double seconds_capture, seconds_cluster, seconds_router, seconds_budget, seconds_refine, seconds_masks,
        seconds_writing;
    bool resumed;
    uint32_t n_layers;
    struct pv_fit_layer *layers; /* [n_layers], owned by the result */
};
/* The engine must be dense (no clusters). Writes `out_path` atomically. With tokens NULL and no capture_path
 * the model writes its own text: independent samples of n_ctx tokens, kept in RESUME.text until the fit is
 * done. After PV_OK the caller frees the result. */
PV_MUST_USE enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                  const char *out_path, const struct pv_fit_params *params,
                                  struct pv_fit_result *out);
void pv_fit_result_free(struct pv_fit_result *result);

/* Capture alone, into a file that `fit` learns from later, here or elsewhere (docs/capture-file.md). Memory:
 * a window of all layers. Stopped or killed, the same call goes on from OUT.resume and gives the same file.
 */
struct pv_capture_options {
    uint64_t n_tokens; /* kept at most; 0: all, or 65536 that the model writes */
    uint32_t thin;     /* keep one token in so many; 0: 1 */
    uint32_t n_ctx;    /* as in pv_fit_params */
    double active_share;
    uint32_t shard, n_shards; /* part `shard` (from 0) of n_shards; n_shards 0: the whole */
    uint64_t seed;            /* of a text that the model writes (tokens NULL, not in parts); 0: 1 */
    struct pv_progress progress;
};
struct pv_capture_result {
    uint64_t n_tokens;              /* kept, all parts together */
    uint32_t n_windows, n_captured; /* in all, in this file */
    double seconds;
    bool resumed;
};
PV_MUST_USE enum pv_status pv_capture_write(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                            const char *out_path, const struct pv_capture_options *options,
                                            struct pv_capture_result *out);
/* Puts all parts of one capture together, in any order; the same file as a capture in one go. PV_ERR_MISMATCH
 * if they do not belong together, PV_ERR_ARG if one is missing or there twice. */
PV_MUST_USE enum pv_status pv_capture_merge(const char *const *paths, uint32_t n_paths, const char *out_path,
                                            const struct pv_log *log);

/* What a capture file has. */
struct pv_capture_info {
    uint32_t n_layers, d_model, d_ffn, n_ctx, thin;
    uint32_t shard, n_shards;       /* part `shard`, from 0 */
    uint32_t n_windows, n_captured; /* in all parts, in this file */
    uint64_t n_tokens, n_text;      /* kept in all parts, of the text */
    uint64_t n_active;              /* active neurons of the kept tokens in this file, all layers */
    uint64_t n_captured_tokens;     /* kept in this file */
    uint64_t fingerprint;           /* of the model's weights */
    double active_share;            /* that thresholds were made for; 0: inactive neurons are exactly zero */
};
/* Reads and checks the whole file. PV_ERR_IO, PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_capture_read_info(const char *path, const struct pv_log *log,
                                                struct pv_capture_info *out);

PV_API_END

#endif
