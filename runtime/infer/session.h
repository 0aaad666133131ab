/* A session inside the library: per stage the KV cache, activation buffers and recordings. */
#ifndef PV_INFER_SESSION_H
#define PV_INFER_SESSION_H

#include "infer/load/engine.h"
#include "infer/forward/forward.h"
#include "infer/forward/link.h"
#include "infer/forward/work.h"

/* One chunk of a text on its way through a stage. Slots take turns, so that a stage can be given its next
 * chunk while it works on one. */
struct pv_slot {
    struct pv_buffer *step;   /* struct pv_step, of sequences one for each row; host memory */
    struct pv_buffer *tokens; /* uint32 [T], host memory, first stage */
    /* [n_layers + 1], made when needed: the recording, cut where plan.submit_ms asks */
    struct pv_recorder **parts;
    uint32_t n_parts; /* of the recording there is */
    uint32_t n;       /* its rows; 0: none. It is submitted again for the same shape and mode */
    enum pv_ffn_mode mode;
    uint32_t n_logits;
    uint64_t value; /* timeline value of the last submit */
};

struct pv_stage_state {
    const struct pv_stage *stage;
    struct pv_buffer **cache_k, **cache_v; /* [n_layers] */
    struct pv_buffer **route;              /* [n_layers] struct pv_route; NULL without clusters and experts */
    struct pv_buffer *route_host;          /* [n_layers] struct pv_route; NULL without clusters */
    /* [n_layers] uint32 [plan.ffn_down_splits], host memory, with params.count_rows; else of NULL */
    struct pv_buffer **rows_read;
    /* Of sequences, in host memory: logits [n_seqs][n_vocab] in the last stage, and with clusters what the layers' routers
     * chose, [n_layers][n_batch]. Else NULL. */
    struct pv_buffer *rows_logits, *rows_cluster, *rows_margin;
    struct pv_work work;
    struct pv_slot slots[PV_SLOTS]; /* of prompts and scored texts */
    struct pv_slot decode;          /* recorded once per FFN mode, submitted for every token */
    struct pv_link from_last;       /* hidden state from the stage before; zeroed in the first */
    /* of the slot that is being recorded */
    struct pv_buffer *step;
    struct pv_recorder *batch;
    double row_ms;   /* measured time of a layer for one row of a batch; 0: not yet */
    double token_ms; /* of a layer in decode */
    double decode_ms;
};

struct pv_session {
    struct pv_engine *engine;
    struct pv_session *next; /* of the engine */
    struct pv_session_params params;
    float *tau; /* [n_layers of the model] */
    uint32_t n_past;
    uint32_t n_ctx;  /* positions in the cache: the engine's, or of each sequence */
    uint32_t n_seqs; /* sequences, each with a cache of its own (sequences.c); 0: one text */
    uint32_t logit_rows;
    struct pv_stage_state *states; /* [engine->n_stages]; NULL after the loss of a device */
    uint32_t *fed;                 /* [n_ctx] the n_past tokens, where the engine may fail over */
    uint8_t *fed_ffn;              /* [n_ctx] the FFN mode each was fed with */
    float *logits;
    uint32_t argmax;
    bool decoded; /* the last call was a decode: token statistics are valid */
    /* host copies for capture and the evaluation modes, [n_batch] rows without padding */
    float *host_rows; /* one row block as the device has it, padded */
    float *host_z, *host_contribution, *host_margin;
    uint32_t *host_bits, *host_masks, *host_cluster;
    float **centroids_t;                         /* [n_layers] [F][K], made when first needed */
    uint32_t *stat_cluster, *stat_n, *stat_rows; /* [n_layers] */
    double stat_bytes, stat_bytes_all, stat_bytes_other;
    float *stat_margin;
};

/* A session of one text (n_seqs 0) or of as many sequences; what the public pv_session_create is made of. */
PV_MUST_USE enum pv_status pv_session_open(struct pv_engine *engine, const struct pv_session_params *params,
                                           uint32_t n_seqs, uint32_t n_ctx, struct pv_session **out);

#endif
