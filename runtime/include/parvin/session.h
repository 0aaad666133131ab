/* Running a model: an engine holds the weights on one or several devices, a session holds one conversation
 * (KV cache, position). One thread per engine at a time.
 *
 * Life of a token: pv_session_decode submits one pre-recorded command buffer per device; the router's choice
 * stays on the device; only logits (or the sampled token) come back. */
#ifndef PARVIN_SESSION_H
#define PARVIN_SESSION_H

#include "parvin/clusters.h"
#include "parvin/device.h"
#include "parvin/model.h"

PV_API_BEGIN

struct pv_engine;
struct pv_session;

/* Which neurons a feed-forward layer computes. */
enum pv_ffn_mode {
    /* all of them */
    PV_FFN_DENSE,
    /* the mask of the cluster (n_best 2: clusters) the router names (decode and prefill) */
    PV_FFN_ROUTED,
    /* the mask of the true pattern's own cluster (evaluation only) */
    PV_FFN_ORACLE_CLUSTER,
    /* one hot set for all tokens, as large as the masks (evaluation only) */
    PV_FFN_STATIC,
    /* the token's own top neurons by contribution, same count (evaluation only) */
    PV_FFN_ORACLE_MASK,
    /* masks from the session's `mask` callback (evaluation only; needs no clusters) */
    PV_FFN_CALLBACK,
};

struct pv_engine_params {
    /* indices into the context, layers are split over them; NULL: the best device */
    const uint32_t *devices;
    uint32_t n_devices;
    /* [n_devices] shares of the layers, > 0; NULL: by measured speed (one device: all) */
    const double *split;
    /* NULL: dense only; must outlive the engine */
    const struct pv_clusters *clusters;
    /* A token computes the neurons of this many of the clusters that its router puts first, in every layer
     * and session: 1, or 2 for the union of the best two, which loses less and computes more. 0: 1. */
    uint32_t n_best;
    /* 0: the model's own context length */
    uint32_t n_ctx;
    /* tokens per prefill submit; 0: from the plan */
    uint32_t n_batch;
    /* Go on without a device on which a call fails (lost, out of memory): its layers are loaded on the others
     * as far as they have room, and sessions feed their tokens again, all within the call that met the
     * failure. Warnings say so. Not in sessions with a capture or an evaluation mode. The last device's
     * failure is reported as ever. */
    bool failover;
};

PV_MUST_USE enum pv_status pv_engine_create(struct pv_context *context, const struct pv_model *model,
                                            const struct pv_engine_params *params, struct pv_engine **out);
void pv_engine_destroy(struct pv_engine *engine);
/* Bytes of device memory in use by the engine and its sessions. */
uint64_t pv_engine_device_bytes(const struct pv_engine *engine);
/* Devices in use, one a stage; fewer than were asked for after a loss. */
uint32_t pv_engine_n_stages(const struct pv_engine *engine);
uint32_t pv_engine_device_index(const struct pv_engine *engine, uint32_t stage);
uint32_t pv_engine_n_ctx(const struct pv_engine *engine);
/* Seconds that the drivers have spent on compiling shaders for it. */
double pv_engine_compile_seconds(const struct pv_engine *engine);

/* What one layer did with one batch of tokens, on the host, valid during the callback only.
 * Rows are tokens: z [n_tokens][d], contribution [n_tokens][F], bits [n_tokens][ceil(F/32)], cluster
 * [n_tokens]. */
struct pv_capture {
    uint32_t layer, n_tokens, first_pos;
    /* normalised feed-forward input */
    const float *z;
    /* c_j = |a_j| * ||W_down[:, j]||; true (dense) activations */
    const float *contribution;
    /* c_j > tau of the layer */
    const uint32_t *bits;
    /* the router's choice; NULL without clusters */
    const uint32_t *cluster;
    /* best minus second best router score; NULL without clusters */
    const float *margin;
    /* neurons computed [n_tokens][ceil(F/32)], if not those of `cluster` alone; else NULL */
    const uint32_t *mask;
};
/* A failure ends the call that was running with that status. */
typedef enum pv_status (*pv_capture_fn)(void *user, const struct pv_capture *capture);

/* Chooses the neurons of a batch by any rule: sets bits [n_tokens][ceil(F/32)] (given zeroed) from what it
 * sees. For methods that are measured against clusters. */
typedef enum pv_status (*pv_mask_fn)(void *user, const struct pv_capture *capture, uint32_t *bits);

struct pv_session_params {
    /* of both prefill and decode */
    enum pv_ffn_mode ffn;
    /* use dense FFNs for prompts even if ffn is PV_FFN_ROUTED */
    bool prefill_dense;
    /* called per layer and batch during prefill; NULL: off */
    pv_capture_fn capture;
    void *capture_user;
    /* for PV_FFN_CALLBACK */
    pv_mask_fn mask;
    void *mask_user;
    /* [n_layers] pattern thresholds; NULL: zeros */
    const float *tau;
    /* count what decode reads, for pv_token_stats; slows it a little */
    bool count_rows;
    /* time every dispatch of decode, for pv_session_dispatches; slows it a little */
    bool time_dispatches;
    /* Asked between the batches of a text that has several. Stopped, the call is PV_ERR_INTERRUPTED and nothing
     * of its text counts as fed. */
    struct pv_progress progress;
};

PV_MUST_USE enum pv_status pv_session_create(struct pv_engine *engine, const struct pv_session_params *params,
                                             struct pv_session **out);
void pv_session_destroy(struct pv_session *session);
/* Forget the conversation; the mode may be changed between texts. */
void pv_session_reset(struct pv_session *session);
PV_MUST_USE enum pv_status pv_session_set_ffn(struct pv_session *session, enum pv_ffn_mode ffn);
uint32_t pv_session_n_past(const struct pv_session *session);
/* Forget what was fed behind the first n tokens, so that another text may follow them. PV_ERR_ARG if there are fewer. */
PV_MUST_USE enum pv_status pv_session_rewind(struct pv_session *session, uint32_t n);

/* Feeds n >= 1 tokens; afterwards pv_session_logits is the last token's. PV_ERR_ARG if they do not fit the
 * context; PV_ERR_CHECK if the output is not a number, here, in scoring and in decode. */
PV_MUST_USE enum pv_status pv_session_prefill(struct pv_session *session, const uint32_t *tokens, uint32_t n);
/* As prefill, and also: nll[i] = -ln p(targets[i] | tokens[0..i]) for each i; logits_rows, if not NULL,
 * receives all rows [n][n_vocab]. Used by perplexity. */
PV_MUST_USE enum pv_status pv_session_score(struct pv_session *session, const uint32_t *tokens,
                                            const uint32_t *targets, uint32_t n, float *nll,
                                            float *logits_rows);
/* Feeds one token through the decode path. */
PV_MUST_USE enum pv_status pv_session_decode(struct pv_session *session, uint32_t token);
/* Logits [n_vocab] of the last token fed, host memory, valid until the next call. */
const float *pv_session_logits(const struct pv_session *session);
/* Argmax of them, computed on the device (ties: lowest id). */
uint32_t pv_session_argmax(const struct pv_session *session);

/* Statistics of the last decoded token, per layer. */
struct pv_token_stats {
    uint32_t n_layers;
    /* [n_layers]; UINT32_MAX when dense */
    const uint32_t *cluster;
    /* [n_layers] neurons computed */
    const uint32_t *n_neurons;
    /* [n_layers] */
    const float *margin;
    /* mean over layers */
    double density;
    /* With count_rows, else NULL and zeros: the rows of ffn_down that were read [n_layers], bytes of feed-forward
     * weights that were read, and those that would have been read with the rows of zeros. */
    const uint32_t *n_rows;
    double ffn_bytes, ffn_bytes_all;
    /* Likewise everything large that the token read: ffn_bytes, other matrices, keys and values. */
    double bytes;
    /* kernels that the token ran, over all devices */
    uint32_t n_dispatches;
    /* GPU time by timestamps, 0 if the device has none */
    double device_ms;
};
PV_MUST_USE enum pv_status pv_session_token_stats(const struct pv_session *session,
                                                  struct pv_token_stats *out);

/* A dispatch of the last decoded token on its device's clock. */
struct pv_dispatch_time {
    /* lives as long as the library */
    const char *shader;
    /* see pv_engine_device_index */
    uint32_t stage;
    /* from the token's start; what passes between submits is not counted */
    double start_us, duration_us;
};
/* Fills out [n] in the order of the token's way through the stages; returns how many there are. 0 without
 * time_dispatches, before the first decode, and on devices without timestamps. */
uint32_t pv_session_dispatches(const struct pv_session *session, struct pv_dispatch_time *out, uint32_t n);

/* Sampling. Zero in a field means off; temperature 0 is greedy. */
struct pv_sampler_params {
    float temperature;
    uint32_t top_k;
    float top_p, min_p;
    /* 0 or 1: off */
    float repeat_penalty;
    /* window of the penalty in tokens; 0: 64 */
    uint32_t repeat_last;
    uint64_t seed;
};
struct pv_sampler;
PV_MUST_USE enum pv_status pv_sampler_create(const struct pv_sampler_params *params, uint32_t n_vocab,
                                             struct pv_sampler **out);
void pv_sampler_destroy(struct pv_sampler *sampler);
void pv_sampler_accept(struct pv_sampler *sampler, uint32_t token);
/* Picks a token from logits [n_vocab] (not modified). NaN logits: PV_ERR_CHECK. */
PV_MUST_USE enum pv_status pv_sampler_pick(struct pv_sampler *sampler, const float *logits, uint32_t *out);

PV_API_END

#endif
