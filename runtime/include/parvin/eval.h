/* Perplexity of a text under several FFN modes, and how good masks and router are on it.
 * No BOS, windows of n_ctx tokens, stride n_ctx; window w feeds tokens [wT, wT+T)
 * at positions 0..T-1 and scores [wT+1, wT+T+1); a tail too short for that is dropped. */
#ifndef PARVIN_EVAL_H
#define PARVIN_EVAL_H

#include "parvin/session.h"

PV_API_BEGIN

struct pv_eval_params {
    /* window T; 0: the model's context length */
    uint32_t n_ctx;
    /* 0: as many as the text has */
    uint32_t n_windows;
    const enum pv_ffn_mode *modes;
    uint32_t n_modes;
    /* for PV_FFN_CALLBACK */
    pv_mask_fn mask;
    void *mask_user;
    struct pv_progress progress;
};

struct pv_eval_layer {
    /* mean share of neurons in the routed mask */
    double density;
    /* mean share of neurons in the true pattern */
    double active;
    /* of the routed mask against the true pattern */
    double precision, recall, weighted_recall;
    /* router's cluster == pattern's own; NAN if the file has no centroids */
    double router_accuracy;
};
struct pv_eval_mode_result {
    enum pv_ffn_mode mode;
    double ppl, density;
    /* NAN for dense, static hot set and oracle mask: not measured */
    double precision, recall, weighted_recall;
};
struct pv_eval_result {
    /* scored */
    uint64_t n_tokens;
    uint32_t n_ctx, n_windows, n_layers, n_modes;
    struct pv_eval_mode_result modes[8];
    struct pv_eval_layer mean;
    /* [n_layers], owned by the result; NULL without clusters */
    struct pv_eval_layer *layers;
};
PV_MUST_USE enum pv_status pv_eval(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                   const struct pv_eval_params *params, struct pv_eval_result *out);
void pv_eval_result_free(struct pv_eval_result *result);

PV_API_END

#endif
