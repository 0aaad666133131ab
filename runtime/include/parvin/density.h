/* How sparse a model is by itself: which share of its feed-forward neurons a token of a text uses, layer by layer, and
 * what leaving out the weak ones would cost. Needs no cluster file.
 *
 * A neuron is active for a token if its activation a_j is not exactly zero. Its contribution is
 * c_j = |a_j| * ||W_down[:, j]||, its energy c_j^2. ReLU and squared ReLU make exact zeros, which cost nothing to leave
 * out; SiLU and GELU make none. For those a threshold can be measured: a layer leaves out the neurons with
 * c_j <= tau, where tau is chosen so that the rest holds a given share of the text's energy. */
#ifndef PARVIN_DENSITY_H
#define PARVIN_DENSITY_H

#include "parvin/session.h"

PV_API_BEGIN

enum { PV_DENSITY_MOST_THRESHOLDS = 8 };

struct pv_density_params {
    /* Window of tokens, fed from position 0; 0: the engine's context. */
    uint32_t n_ctx;
    /* Windows of the text at most; 0: all. */
    uint32_t n_windows;
    /* Shares of energy, in (0, 1), whose thresholds are measured: [n_kept], PV_DENSITY_MOST_THRESHOLDS at most. Each
     * reads the text once more. */
    const double *kept;
    uint32_t n_kept;
    struct pv_progress progress;
};

/* Shares of a layer's neurons, 0..1. */
struct pv_density_layer {
    double active; /* of a token, mean */
    double low;    /* 5 % of the tokens have no more active ones */
    double high;   /* 95 % of the tokens have no more */
    double in_8;   /* active for any of 8 tokens in a row */
    double unused; /* not active for any token of the text */
    double half_energy,
        most_energy; /* the strongest ones that hold 50 % and 99 % of the text's energy, a token's mean */
};

struct pv_density_threshold {
    double kept;    /* share of energy, as asked for */
    double density; /* share of neurons that pass */
    double ppl;     /* perplexity with the others left out */
};

struct pv_density_result {
    uint64_t n_tokens;
    uint32_t n_ctx, n_windows, n_layers, n_thresholds;
    struct pv_density_layer mean;
    struct pv_density_layer *layers; /* [n_layers], owned by the result */
    double ppl;                      /* dense */
    struct pv_density_threshold thresholds[PV_DENSITY_MOST_THRESHOLDS];
    /* Bytes of weights that a decoded token reads, dense: of the whole model, of its feed-forward layers, and of their
     * down-projections. */
    double token_bytes, ffn_bytes, down_bytes;
};

/* PV_ERR_ARG: no window in the text, a share out of range. PV_ERR_CHECK: the model's values are not finite. */
PV_MUST_USE enum pv_status pv_density(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                      const struct pv_density_params *params, struct pv_density_result *out);
void pv_density_result_free(struct pv_density_result *result);

PV_API_END

#endif
