/* The network, top to bottom. Each function records for rows that are already in `x`. */
#ifndef PV_INFER_FORWARD_FORWARD_H
#define PV_INFER_FORWARD_FORWARD_H

#include "infer/forward/work.h"

/* One layer for n rows, and where the recording goes. */
struct pv_layer_pass {
    struct pv_recorder *recorder;
    const struct pv_hparams *hp;
    const struct pv_layer *weights;
    struct pv_work *work;
    struct pv_buffer *cache_k, *cache_v;
    struct pv_buffer *route;     /* struct pv_route; NULL without clusters and experts */
    struct pv_buffer *rows_read; /* of ffn_down in decode; NULL: not counted */
    struct pv_buffer *step;
    struct pv_buffer *rope_factors; /* NULL: all 1 */
    float rope_amplitude;
    struct pv_layer_traits traits;
    uint32_t n, n_ctx;
    uint32_t n_best; /* clusters a routed token computes */
    uint32_t n_seqs; /* as in kernels.h */
    bool one_token;  /* decode: n is 1 and the feed-forward layer computes listed neurons */
    bool weighted;   /* decode: h is x times attn_norm, left there by the layer before */
    /* decode: what the layer leaves in h is x times this, if pv_forward_weighs_next; NULL: nothing */
    struct pv_buffer *next_norm;
};
/* Whether a layer of decode can spare the next norm of its output a dispatch: it is the last to write x, and the norm is of root
 * mean squares. */
bool pv_forward_weighs_next(const struct pv_hparams *hp, const struct pv_layer *layer);
PV_MUST_USE enum pv_status pv_forward_attention(const struct pv_layer_pass *p);
/* Feed-forward of one token, dense or routed on the device. */
PV_MUST_USE enum pv_status pv_forward_ffn_decode(const struct pv_layer_pass *p, bool routed);
/* Feed-forward of a batch in two halves: activations into `up` (router choices into `cluster`), then mask and
 * down. */
PV_MUST_USE enum pv_status pv_forward_ffn_up(const struct pv_layer_pass *p, bool routed);
PV_MUST_USE enum pv_status pv_forward_ffn_down(const struct pv_layer_pass *p, enum pv_ffn_mode mode);
/* What the embedding's rows are multiplied by on their way into `x`. */
float pv_forward_embed_scale(const struct pv_hparams *hp);
/* n rows on their way out. */
struct pv_output_rows {
    struct pv_buffer *x, *h;  /* [n][d] before and after the final norm */
    struct pv_buffer *logits; /* [n][n_vocab] */
    uint32_t n;
    bool weighted; /* h is x times output_norm, of one row */
};
PV_MUST_USE enum pv_status pv_forward_output_norm(struct pv_recorder *r, const struct pv_hparams *hp,
                                                  const struct pv_stage *stage,
                                                  const struct pv_output_rows *rows);
PV_MUST_USE enum pv_status pv_forward_logits(struct pv_recorder *r, const struct pv_hparams *hp,
                                             const struct pv_stage *stage, const struct pv_output_rows *rows);
/* Logits of the row in `x` (a buffer of one row or the first row of more); weighted: h is x times output_norm already. */
PV_MUST_USE enum pv_status pv_forward_output(struct pv_recorder *r, const struct pv_hparams *hp,
                                             const struct pv_stage *stage, struct pv_work *work,
                                             struct pv_buffer *x, bool weighted);

#endif
