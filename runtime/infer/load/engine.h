/* The engine inside the library: a model's weights on its devices. Layers are split into stages, one per
 * device, in order; the hidden state travels from stage to stage through host memory. */
#ifndef PV_INFER_LOAD_ENGINE_H
#define PV_INFER_LOAD_ENGINE_H

#include "format/clusters/cluster_file.h"
#include "format/model/model.h"
#include "kernel/kernels.h"
#include "parvin/placement.h"

/* What the model has not is zeroed. */
struct pv_layer {
    struct pv_buffer *attn_norm, *attn_norm_bias, *attn_post_norm; /* [d] */
    /* [n_heads*head_dim][d], twice [n_kv_heads*head_dim][d]: queries, keys, values. One that has the type of the one before is
     * the end of that one's matrix, and zeroed here. */
    struct pv_tensor qkv[3];
    struct pv_buffer *qkv_bias;                                 /* [(n_heads + 2 n_kv_heads) * head_dim] */
    struct pv_buffer *q_norm, *k_norm;                          /* [head_dim], or of a whole row */
    struct pv_tensor o;                                         /* [d][n_heads*head_dim] */
    struct pv_buffer *o_bias;                                   /* [d] */
    struct pv_buffer *ffn_norm, *ffn_norm_bias, *ffn_post_norm; /* [d] */
    struct pv_tensor router;                                    /* [n_experts][d], of a mixture */
    struct pv_tensor up, gate;                                  /* [F][d]; gate zeroed if ungated */
    struct pv_tensor down_t;                                    /* [F][d]: neuron j of W_down is row j */
    struct pv_buffer *up_bias, *gate_bias, *down_bias;          /* [F], [F], [d] */
    struct pv_buffer *down_norm;                                /* [F] ||W_down[:, j]||_2 */
    struct pv_masks masks;                                      /* routed masks; zeroed without clusters */
    struct pv_masks hot; /* one mask: the static hot set; zeroed without clusters */
    bool loaded;         /* all of it */
};

enum { PV_MAX_CTX = 1 << 20 }; /* tokens */

struct pv_stage {
    struct pv_device *device;
    uint32_t device_index;
    uint32_t first_layer, n_layers;
    uint32_t first_held, n_held; /* the range of `layers`: the same but for a moment after a new split */
    struct pv_layer *layers;     /* [n_held], layer first_held + i */
    bool has_embed, has_output;
    struct pv_tensor token_embd; /* [n_vocab][d] */
    struct pv_tensor output_own; /* [n_vocab][d], untied models */
    const struct pv_tensor *output;
    struct pv_buffer *output_norm, *output_norm_bias; /* [d], times the logits' scale */
    struct pv_buffer *rope_factors;                   /* [rope_dim / 2]; NULL: all 1 */
    float rope_amplitude;
};

struct pv_engine {
    struct pv_context *context;
    const struct pv_model *model;
    const struct pv_clusters *clusters; /* or NULL */
    const struct pv_log *log;
    struct pv_hparams hp;
    uint32_t n_ctx, n_batch;
    uint32_t n_best; /* clusters whose neurons a routed token computes: 1 or 2 */
    uint32_t n_stages;
    struct pv_stage *stages;
    bool failover; /* go on without devices that fail: failover.c */
    bool placed;   /* every layer is on a device */
    bool has_split;
    double split[PV_PLACEMENT_MAX]; /* share of each stage */
    struct pv_session *sessions;    /* those there are */
};

#endif
