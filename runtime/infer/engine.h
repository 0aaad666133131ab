/* The engine inside the library: a model's weights on its devices. Layers are split into stages, one per
 * device, in order; the hidden state travels from stage to stage through host memory. */
#ifndef PV_INFER_ENGINE_H
#define PV_INFER_ENGINE_H

#include "format/clusters/cluster_file.h"
#include "format/model/model.h"
#include "kernel/kernels.h"
#include "parvin/placement.h"

struct pv_layer {
    struct pv_buffer *attn_norm, *ffn_norm; /* [d] */
    struct pv_tensor q;                     /* [n_heads*head_dim][d] */
    struct pv_tensor k, v;                  /* [n_kv_heads*head_dim][d] */
    struct pv_tensor o;                     /* [d][n_heads*head_dim] */
    struct pv_tensor up, gate;              /* [F][d]; gate zeroed if ungated */
    struct pv_tensor down_t;                /* [F][d]: neuron j of W_down is row j */
    struct pv_buffer *down_norm;            /* [F] ||W_down[:, j]||_2 */
    struct pv_masks masks;                  /* routed masks; zeroed without clusters */
    struct pv_masks hot;                    /* one mask: the static hot set; zeroed without clusters */
    bool loaded;                            /* all of it */
};

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
    struct pv_buffer *output_norm; /* [d] */
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
    bool go_on;   /* without devices that fail: recover.c */
    bool settled; /* every layer is on a device */
    bool has_split;
    double split[PV_PLACEMENT_MAX]; /* share of each stage */
    struct pv_session *sessions;    /* those there are */
};

/* The type ffn_down has on the device, where its rows are d long. */
enum pv_type pv_transposed_type(enum pv_type type, uint32_t d);
/* Makes `layers` those of the stage's new range: unloads what it no longer has, keeps what it has and leaves
 * the rest to be loaded. */
PV_MUST_USE enum pv_status pv_stage_trim(struct pv_stage *stage, const struct pv_engine *engine);
/* Loads what is missing of the stage's share of the weights. After a failure it may be called again. */
PV_MUST_USE enum pv_status pv_stage_load(struct pv_stage *stage, const struct pv_engine *engine);
void pv_stage_unload(struct pv_stage *stage); /* safe on a zeroed struct; leaves the device open */
/* Splits the layers over the stages there are and loads what they have not; PV_ERR_DEVICE_MEMORY if they do
 * not fit. */
PV_MUST_USE enum pv_status pv_engine_settle(struct pv_engine *engine, struct pv_placement *placement);
/* recover.c: after `failure`: closes the device that has failed and gives its layers to the others. Every
 * session loses its states and makes them anew at its next call. Returns `failure` (said, where it adds
 * anything) if the engine may not go on, no device has failed, or none is left. `done` says what had been
 * done by then: "at token 12". */
PV_MUST_USE enum pv_status pv_engine_go_on(struct pv_engine *engine, enum pv_status failure,
                                           const char *done);

#endif
