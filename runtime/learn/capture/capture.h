/* Capture: what every feed-forward layer sees (z) and does (contributions) over a calibration text, one layer
 * at a time in memory, the rest in the journal. Memory: one window of all layers, whatever the text's length.
 *
 * The text is fed in windows of n_ctx tokens at positions 0.., no BOS. A text longer than asked for is
 * sampled: windows spread evenly over it, since a book's first chapter is not the book (docs/method.md has
 * the numbers). With thin > 1 a window keeps one token in `thin`, at a place drawn by window and position
 * alone, so that as many tokens come from more places. */
#ifndef PV_LEARN_CAPTURE_CAPTURE_H
#define PV_LEARN_CAPTURE_CAPTURE_H

#include "learn/capture/journal.h"
#include "learn/algo/sparse.h"
#include "learn/algo/steps.h"
#include "parvin/fit.h"

struct pv_device;

/* A model that can be watched: a dense session, or a stand-in for tests. */
struct pv_source {
    uint32_t n_layers, d_model, d_ffn, n_ctx;
    uint64_t fingerprint; /* of the weights */
    uint32_t variant; /* what else changes the activations, e.g. an activation function that was asked for */
    double neuron_bytes; /* of a neuron's rows in all matrices, as stored; 0: of float16, by `variant` */
    bool exact_zeros;    /* inactive neurons are exactly zero (ReLU family): tau = 0 */
    /* Forgets the past, feeds n <= n_ctx tokens and calls `fn` for every layer and batch, positions
     * ascending. */
    enum pv_status (*run)(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn, void *fn_user);
    /* Forgets the past and sets nll[i] = -ln p(targets[i] | tokens[0..i]), with the neurons that `mask` says
     * for each layer and batch, or with all of them where that is NULL. NULL: cannot be scored. */
    enum pv_status (*score)(void *user, const uint32_t *tokens, const uint32_t *targets, uint32_t n,
                            pv_mask_fn mask, void *mask_user, float *nll);
    void *user;
    struct pv_device *device; /* that could learn from it; NULL: none */
};

/* Bytes of a layer's neurons, in all matrices. */
double pv_source_neuron_bytes(const struct pv_source *source);

/* Which tokens of the text are used. */
struct pv_windows {
    const uint32_t *text;           /* NULL where a capture file stands for it */
    size_t n_text, n_run, n_tokens; /* in all, fed, kept */
    uint32_t n_ctx, n_windows, thin;
    uint64_t text_hash; /* where text is NULL */
};
/* n_tokens 0 or more than the text has: all. */
struct pv_windows pv_windows_plan(const uint32_t *text, size_t n_text, uint64_t n_tokens, uint32_t n_ctx);
/* The same, one token kept in `thin` >= 1: up to thin * n_tokens are fed. */
struct pv_windows pv_windows_plan_thin(const uint32_t *text, size_t n_text, uint64_t n_tokens, uint32_t n_ctx,
                                       uint32_t thin);
/* Sets n_windows and n_tokens from the other sizes. */
void pv_windows_count(struct pv_windows *windows);
/* First token of window w in the text; *n its length (n_ctx, but for the last). */
size_t pv_windows_at(const struct pv_windows *windows, uint32_t w, uint32_t *n);
/* How many tokens of window w are kept, and whether the one at `pos` of its n is. */
uint32_t pv_windows_kept(const struct pv_windows *windows, uint32_t w);
bool pv_windows_keeps(const struct pv_windows *windows, uint32_t w, uint32_t pos, uint32_t n);
uint64_t pv_windows_text_hash(const struct pv_windows *windows);

struct pv_capture_params {
    double active_share;      /* share of neurons a pattern keeps where none are exactly zero */
    uint32_t shard, n_shards; /* only windows w with w % n_shards == shard; n_shards 0: all */
    struct pv_log log;
};
struct pv_capture_state {
    float *
        tau; /* [n_layers] set: 0 where inactive neurons are exactly zero, else the contribution quantile that
                   keeps active_share, measured on the first windows */
    bool resumed; /* some windows were there */
};
/* Runs the windows that `j` does not have yet. */
PV_MUST_USE enum pv_status pv_capture_text(const struct pv_source *source, const struct pv_windows *windows,
                                           const struct pv_capture_params *params, struct pv_journal *j,
                                           const struct pv_steps *steps, struct pv_capture_state *state);
/* What the journal's records depend on. */
uint64_t pv_capture_key(const struct pv_source *source, const struct pv_windows *windows,
                        const struct pv_capture_params *params);

/* The record of window w, NULL if it is not captured yet. */
const struct pv_journal_record *pv_capture_find(const struct pv_journal *j, uint64_t key, uint32_t w);

/* One captured layer; rows are the used tokens in order. */
struct pv_layer_data {
    struct pv_sparse x;
    uint16_t *z; /* [n_tokens][d] float16; NULL if not asked for */
    uint64_t *offset;
    uint16_t *col, *root; /* what x points to */
};
/* What was captured, and where it is. */
struct pv_captured {
    const struct pv_journal *journal;
    uint64_t key; /* of its records */
    const struct pv_source *source;
    const struct pv_windows *windows;
};
PV_MUST_USE enum pv_status pv_capture_load(const struct pv_captured *captured, uint32_t layer, bool with_z,
                                           struct pv_layer_data *out);
void pv_layer_data_free(struct pv_layer_data *data); /* safe on a zeroed struct */

/* As pv_capture_write. */
struct pv_text {
    const uint32_t *tokens;
    size_t n;
};
PV_MUST_USE enum pv_status pv_capture_to_file(const struct pv_source *source, struct pv_text text,
                                              const char *out_path, const struct pv_capture_options *options,
                                              const struct pv_log *log, struct pv_capture_result *out);
/* The calibration window where none is asked for: the context, at most 512. */
uint32_t pv_capture_ctx(uint32_t n_ctx);
/* Where work on `out_path` is resumed from: as asked, or OUT.resume; to be freed. NULL without memory. */
char *pv_resume_path(const char *out_path, const char *asked);

#endif
