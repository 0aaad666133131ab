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
    /* as the plan of the engine's first device says */
    PV_LEARN_AUTO,
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
    /* the router's input */
    PV_FIT_SPACE_INPUT,
    /* contributions, then by what masks of the density (a search: 0.2) keep */
    PV_FIT_SPACE_MASK
};
enum pv_fit_router {
    PV_FIT_ROUTER_LINEAR,
    /* nearest mean input */
    PV_FIT_ROUTER_CENTROID,
    /* two smaller matrices, of rank d/16, d/8 or d/4 in each layer */
    PV_FIT_ROUTER_LOWRANK
};
#define PV_FIT_NO_ROUNDS UINT32_MAX
struct pv_fit_params {
    /* K, or PV_FIT_CLUSTERS_AUTO; 0: 256 (fewer for small texts) */
    uint32_t n_clusters;
    /* budget over all layers; 0: 0.2, or what max_ppl_rise finds */
    double density;
    /* Instead of a density: the most that perplexity may rise on calibration text that nothing was learned
     * from, 0.01 for 1 %. The lowest density is searched for whose measured rise plus its standard error is
     * within it; 1 (every neuron) at worst. The text must be there, also with capture_path. 0: no search. */
    double max_ppl_rise;
    /* calibration tokens at most; 0: all, or 65536 that the model writes */
    uint64_t n_tokens;
    /* keep one token in so many, of as many more; 0: 1 */
    uint32_t thin;
    /* clustering iterations at most; 0: 20 */
    uint32_t n_iters;
    /* router epochs; 0: 12 */
    uint32_t n_epochs;
    enum pv_fit_space space;
    enum pv_fit_router router;
    /* runs of k-means, of which the best is kept; 0: 1 */
    uint32_t n_restarts;
    /* rounds of refinement; 0: 2; PV_FIT_NO_ROUNDS: none */
    uint32_t n_rounds;
    /* 0: all cores */
    uint32_t n_threads;
    enum pv_learn_on learn_on;
    /* 0: 1 */
    uint64_t seed;
    /* calibration window, tokens; 0: the engine's context, at most 512 */
    uint32_t n_ctx;
    /* neurons a pattern keeps where none are exactly zero (SwiGLU, GELU); 0: 0.5 */
    double active_share;
    /* capture and stage state; NULL: OUT.resume; removed at the end */
    const char *resume_path;
    /* learn from this capture file, which has text, n_tokens, thin, n_ctx and active_share in it */
    const char *capture_path;
    struct pv_progress progress;
};
/* One layer, on held-out calibration tokens. */
struct pv_fit_layer {
    /* neurons computed, neurons active, share of their energy */
    double density, active, energy_kept;
    double router_accuracy;
    /* 0: not of low rank */
    uint32_t router_rank;
};
/* One K that was tried. */
struct pv_fit_try {
    uint32_t n_clusters;
    /* the router's share of the layer's bytes; the share of neurons that the rest pays for */
    double router_share, density;
    double energy_kept, router_accuracy;
};
/* A rise of perplexity and the lowest density tried that stays within it, with the clusters and router that were
 * learned for the fit's own; 1 (every neuron) where none did. */
enum { PV_FIT_N_WITHIN = 3 };
struct pv_fit_within {
    /* the bound; the density; the rise measured there */
    double max_rise, density, rise;
};
struct pv_fit_result {
    /* on held-out calibration tokens */
    double density, router_accuracy, energy_kept;
    /* of the routed masks, on the same tokens */
    double precision, recall;
    /* bytes a token reads of feed-forward weights and router, over those of all neurons */
    double bytes_share;
    uint64_t n_tokens;
    /* of all layers */
    uint64_t router_bytes;
    uint32_t n_clusters;
    /* where they were learned */
    bool clusters_on_device, router_on_device;
    /* What the masks cost, on n_ppl_tokens that nothing was learned from: with a search for the density
     * (max_ppl_rise) windows of their own, else held-out tokens. 0 tokens: not measured, since there was no text to
     * score (capture_path without it). ppl_rise_error is the standard error of the rise. */
    double ppl_dense, ppl_routed, ppl_rise, ppl_rise_error;
    uint64_t n_ppl_tokens;
    /* for 1, 3 and 10 %, where the rise is above 10 %; n_within is 0 or PV_FIT_N_WITHIN */
    struct pv_fit_within within[PV_FIT_N_WITHIN];
    uint32_t n_within;
    /* the model writing its own text */
    double seconds_sampling;
    /* with PV_FIT_CLUSTERS_AUTO, ascending */
    struct pv_fit_try tries[9];
    uint32_t n_tries;
    double seconds_tries;
    double seconds_capture, seconds_cluster, seconds_router, seconds_budget, seconds_refine, seconds_masks,
        seconds_loss, seconds_writing;
    bool resumed;
    uint32_t n_layers;
    /* [n_layers], owned by the result */
    struct pv_fit_layer *layers;
};
/* The engine must be dense (no clusters). Writes `out_path` atomically. With tokens NULL and no capture_path
 * the model writes its own text: independent samples of n_ctx tokens, kept in RESUME.text until the fit is
 * done. After PV_OK the caller frees the result. */
PV_MUST_USE enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                  const char *out_path, const struct pv_fit_params *params,
                                  struct pv_fit_result *out);
void pv_fit_result_free(struct pv_fit_result *result);

/* Capture alone, into a file that `fit` learns from later, here or elsewhere (docs/capture-file.md). Memory:
 * a window of all layers. Stopped or killed, the same call goes on from OUT.resume to the same
 * file. */
struct pv_capture_options {
    /* kept at most; 0: all, or 65536 that the model writes */
    uint64_t n_tokens;
    /* keep one token in so many; 0: 1 */
    uint32_t thin;
    /* as in pv_fit_params */
    uint32_t n_ctx;
    double active_share;
    /* part `shard` (from 0) of n_shards; n_shards 0: the whole */
    uint32_t shard, n_shards;
    /* of a text that the model writes (tokens NULL, not in parts); 0: 1 */
    uint64_t seed;
    struct pv_progress progress;
};
struct pv_capture_result {
    /* kept, all parts together */
    uint64_t n_tokens;
    /* in all parts; in this file */
    uint32_t n_windows, n_captured;
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
    /* part `shard`, from 0 */
    uint32_t shard, n_shards;
    /* in all parts; in this file */
    uint32_t n_windows, n_captured;
    /* kept in all parts; of the text */
    uint64_t n_tokens, n_text;
    /* active neurons of the kept tokens in this file, all layers */
    uint64_t n_active;
    /* kept in this file */
    uint64_t n_captured_tokens;
    /* of the model's weights */
    uint64_t fingerprint;
    /* that thresholds were made for; 0: inactive neurons are exactly zero */
    double active_share;
};
/* Reads and checks the whole file. PV_ERR_IO, PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_capture_read_info(const char *path, const struct pv_log *log,
                                                struct pv_capture_info *out);

PV_API_END

#endif
