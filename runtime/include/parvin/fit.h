/* Learning a cluster file: capture activation patterns over a text, cluster them, choose masks, train the
 * router. Deterministic for a seed and a device. Interrupted (progress returned false), it leaves a resume
 * file that the next call with the same arguments continues from. The method and its formulas:
 * docs/method.md. */
#ifndef PARVIN_FIT_H
#define PARVIN_FIT_H

#include "parvin/session.h"

/* Where clustering and router training run. */
enum pv_learn_on {
    PV_LEARN_AUTO, /* as the plan of the engine's first device says */
    PV_LEARN_CPU,
    PV_LEARN_DEVICE
};
struct pv_fit_params {
    uint32_t n_clusters; /* K; 0: 256 (fewer for small texts) */
    double density;      /* budget over all layers; 0: 0.2 */
    uint64_t n_tokens;   /* calibration tokens at most; 0: all */
    uint32_t thin;       /* keep one token in so many, of as many more; 0: 1 */
    uint32_t n_iters;    /* clustering iterations at most; 0: 20 */
    uint32_t n_epochs;   /* router epochs; 0: 12 */
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
struct pv_fit_result {
    double density, router_accuracy, energy_kept; /* on held-out calibration tokens */
    double precision, recall;                     /* of the routed masks, likewise */
    uint64_t n_tokens;
    uint32_t n_clusters;
    bool clusters_on_device, router_on_device; /* where they were learned */
    double seconds_capture, seconds_cluster, seconds_router, seconds_masks, seconds_writing;
    bool resumed;
};
/* The engine must be dense (no clusters). Writes `out_path` atomically. With capture_path, tokens may be
 * NULL. */
PV_MUST_USE enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                  const char *out_path, const struct pv_fit_params *params,
                                  struct pv_fit_result *out);

/* Capture alone, into a file that `fit` learns from later, here or elsewhere (docs/capture-file.md). Memory:
 * a window of all layers. Stopped or killed, the same call goes on from OUT.resume and gives the same file.
 */
struct pv_capture_options {
    uint64_t n_tokens; /* kept at most; 0: all */
    uint32_t thin;     /* keep one token in so many; 0: 1 */
    uint32_t n_ctx;    /* as in pv_fit_params */
    double active_share;
    uint32_t shard, n_shards; /* part `shard` (from 0) of n_shards; n_shards 0: the whole */
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

#endif
