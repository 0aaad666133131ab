/* A session inside the library: per stage the KV cache, activation buffers and recordings. */
#ifndef PV_INFER_SESSION_H
#define PV_INFER_SESSION_H

#include "infer/engine.h"
#include "infer/link.h"

/* Activations of one stage; T is engine->n_batch rows. Decode uses row 0 of the same buffers. */
struct pv_work {
    struct pv_buffer *x;         /* [T][d] residual stream */
    struct pv_buffer *h;         /* [T][d] normalised input of attention, feed-forward or output */
    struct pv_buffer *q, *attn;  /* [T][n_heads*head_dim] */
    struct pv_buffer *k, *v;     /* [T][n_kv_heads*head_dim] */
    struct pv_buffer *up, *gate; /* [T][F]; gate NULL if ungated */
    struct pv_buffer *partial;   /* slices of the decode ffn_down */
    struct pv_buffer *narrow;    /* [T][rank], the greatest of the layers; NULL without low-rank routers */
    struct pv_buffer *scores;    /* [T][K] router; NULL without clusters, like the next two */
    struct pv_buffer *cluster;   /* uint32 [T] */
    struct pv_buffer *margin;    /* [T] */
    struct pv_buffer
        *mask_bits;         /* uint32 [T][ceil(F/32)] of the best two clusters; NULL if the best will do */
    struct pv_buffer *list; /* uint32 [F] the same of one token, ascending; likewise */
    struct pv_buffer *row_index; /* uint32 [T]: 0, 1, 2, ...; made when first needed */
    /* for capture and the evaluation modes; made when first needed */
    struct pv_buffer *contribution; /* [T][F] */
    struct pv_buffer *bits;         /* uint32 [T][ceil(F/32)] */
    struct pv_buffer *zeros;        /* uint32 [T] */
    /* output stage only */
    struct pv_buffer *last;          /* [d] last row of a batch */
    struct pv_buffer *logits;        /* [logit_rows][n_vocab] */
    struct pv_buffer *h_rows;        /* [logit_rows][d] */
    struct pv_buffer *targets, *nll; /* uint32, float [logit_rows] */
    struct pv_buffer *argmax;        /* uint32 [1] */
};

/* One chunk of a text on its way through a stage. Slots take turns, so that a stage can be given its next
 * chunk while it works on one. */
struct pv_slot {
    struct pv_buffer *step;   /* struct pv_step, host memory */
    struct pv_buffer *tokens; /* uint32 [T], host memory, first stage */
    struct pv_recorder *
        *parts;       /* [n_layers + 1], made when needed: the recording, cut where plan.submit_ms asks */
    uint32_t n_parts; /* of the recording there is */
    uint32_t n;       /* its rows; 0: none. It is submitted again for the same shape and mode */
    enum pv_ffn_mode mode;
    bool logits;
    uint64_t value; /* timeline value of the last submit */
};

struct pv_stage_state {
    const struct pv_stage *stage;
    struct pv_buffer **cache_k, **cache_v; /* [n_layers] */
    struct pv_buffer **route;              /* [n_layers] struct pv_route; NULL without clusters */
    struct pv_buffer *logits_host;         /* [n_vocab], output stage */
    struct pv_buffer *argmax_host;         /* uint32 [1], output stage */
    struct pv_buffer *route_host;          /* [n_layers] struct pv_route */
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
    uint32_t n_seqs; /* sequences that go on side by side, all at n_past (sequences.c); 0: one text */
    uint32_t logit_rows;
    struct pv_stage_state *states; /* [engine->n_stages]; NULL after the loss of a device */
    uint32_t *fed;    /* [n_ctx] the n_past tokens, where the engine may go on without a device */
    uint8_t *fed_ffn; /* [n_ctx] the FFN mode each was fed with */
    float *logits;
    uint32_t argmax;
    bool decoded; /* the last call was a decode: token statistics are valid */
    /* host copies for capture and the evaluation modes, [n_batch] rows without padding */
    float *host_rows; /* one row block as the device has it, padded */
    float *host_z, *host_contribution, *host_margin;
    uint32_t *host_bits, *host_masks, *host_cluster;
    float **centroids_t;             /* [n_layers] [F][K], made when first needed */
    uint32_t *stat_cluster, *stat_n; /* [n_layers] */
    float *stat_margin;
};

/* Does this session stop at each layer of a batch for the host to look at the activations? */
bool pv_session_looks(const struct pv_session *s);
/* Buffers for that; idempotent. */
PV_MUST_USE enum pv_status pv_session_prepare_look(struct pv_session *s);

/* states.c: the states of all stages, made where there are none. On failure there are none. */
PV_MUST_USE enum pv_status pv_session_make_states(struct pv_session *s);
void pv_session_drop_states(struct pv_session *s); /* waits for what is running; the devices are still open */
/* One token through all stages. */
PV_MUST_USE enum pv_status pv_session_step(struct pv_session *s, uint32_t token);

/* sequences.c: a dense session of n_seqs texts, at most the engine's n_batch, of up to n_ctx tokens each,
 * that are written side by side: one matrix product serves all of them. It is stepped and reset, nothing
 * else, and does not go on after the loss of a device. */
PV_MUST_USE enum pv_status pv_sequences_create(struct pv_engine *engine, uint32_t n_seqs, uint32_t n_ctx,
                                               struct pv_session **out);
/* tokens [n_seqs], the next of each; logits [n_seqs][n_vocab] after it. */
PV_MUST_USE enum pv_status pv_sequences_step(struct pv_session *s, const uint32_t *tokens, float *logits);
/* How many to take at once: as many as a batch has rows, within a bound and what caches may take. */
uint32_t pv_sequences_best(const struct pv_engine *engine, uint32_t n_ctx);

/* recover.c: what the public calls do, again after the loss of a device where the engine may go on. */
struct pv_batch;
/* The states of a new session. */
PV_MUST_USE enum pv_status pv_session_begin(struct pv_session *s);
/* Feeds a checked text, or where that is NULL a checked token through the decode path. */
PV_MUST_USE enum pv_status pv_session_feed(struct pv_session *s, struct pv_batch *text, uint32_t token);

/* forward.c: the network, top to bottom. Each records for n rows already in `x`. */
PV_MUST_USE enum pv_status pv_forward_attention(struct pv_recorder *r, struct pv_session *s,
                                                struct pv_stage_state *st, uint32_t layer, uint32_t n);
/* Feed-forward of one token, dense or routed on the device. */
PV_MUST_USE enum pv_status pv_forward_ffn_decode(struct pv_recorder *r, struct pv_session *s,
                                                 struct pv_stage_state *st, uint32_t layer, bool routed);
/* Feed-forward of a batch in two halves: activations into `up` (router choices into `cluster`), then mask and
 * down. */
PV_MUST_USE enum pv_status pv_forward_ffn_up(struct pv_recorder *r, struct pv_session *s,
                                             struct pv_stage_state *st, uint32_t layer, uint32_t n,
                                             bool routed);
PV_MUST_USE enum pv_status pv_forward_ffn_down(struct pv_recorder *r, struct pv_session *s,
                                               struct pv_stage_state *st, uint32_t layer, uint32_t n,
                                               enum pv_ffn_mode mode);
/* Logits of the row in `x` (a buffer of one row or the first row of more). */
PV_MUST_USE enum pv_status pv_forward_output(struct pv_recorder *r, struct pv_session *s,
                                             struct pv_stage_state *st, struct pv_buffer *x);

/* batch.c */
enum { PV_MIN_CHUNK = 16 }; /* tokens; smaller chunks cost more in overhead than a pipeline gains */
struct pv_batch {
    const uint32_t *tokens;
    uint32_t n, first_pos;
    bool last_logits;         /* logits of the last row into the session */
    const uint32_t *targets;  /* or NULL */
    float *nll, *logits_rows; /* with targets; logits_rows may be NULL */
};
/* The FFN mode of a batch. */
enum pv_ffn_mode pv_batch_mode(const struct pv_session *s, const struct pv_batch *batch);
/* Feeds a checked text of any length that fits the context; sets text->first_pos. */
PV_MUST_USE enum pv_status pv_session_text(struct pv_session *s, struct pv_batch *text);
/* As pv_session_text, but the rows are the next token of each of n_seqs sequences, in one piece. */
PV_MUST_USE enum pv_status pv_session_rows(struct pv_session *s, struct pv_batch *rows);
/* score.c: nll (and logits) of the batch whose rows are in the last stage's `x`. */
PV_MUST_USE enum pv_status pv_session_score_batch(struct pv_session *s, const struct pv_batch *batch);
/* Reads logits and argmax back after a submit of the output stage. */
PV_MUST_USE enum pv_status pv_session_fetch_logits(struct pv_session *s);
/* submit.c: a slot's recording in parts. Layers a submit may hold so that it stays within plan.submit_ms,
 * when a layer takes `ms` (0: not known yet). */
uint32_t pv_layers_per_submit(const struct pv_plan *plan, uint32_t n_layers, double ms);
/* Rows a batch may have for the same reason, at most n. */
uint32_t pv_rows_per_submit(const struct pv_session *s, uint32_t n);
/* Begins a recording, or its next part (the part before is submitted); the part is `batch` of the state. */
PV_MUST_USE enum pv_status pv_slot_begin(struct pv_stage_state *st, struct pv_slot *slot,
                                         uint32_t n_timestamps);
PV_MUST_USE enum pv_status pv_slot_cut(struct pv_stage_state *st, struct pv_slot *slot,
                                       uint32_t n_timestamps);
PV_MUST_USE enum pv_status pv_slot_end(struct pv_stage_state *st,
                                       struct pv_slot *slot); /* submits the last */
PV_MUST_USE enum pv_status
pv_slot_again(struct pv_slot *slot); /* submits all parts of a recording once more */
void pv_slot_destroy(struct pv_slot *slot, uint32_t n_layers);
/* The row before the layers, and after them: from the stage before, to the next. */
PV_MUST_USE enum pv_status pv_stage_take(struct pv_session *s, struct pv_stage_state *st, uint32_t slot,
                                         uint32_t n);
PV_MUST_USE enum pv_status pv_stage_give(struct pv_session *s, struct pv_stage_state *st, uint32_t slot,
                                         uint32_t n);

/* oracle.c: what only the evaluation may know, computed on the host from true contributions. */
/* cluster[t] = the pattern's own assignment. PV_ERR_UNSUPPORTED if the file has no centroids. */
PV_MUST_USE enum pv_status pv_oracle_assign(struct pv_session *s, uint32_t layer, const float *contribution,
                                            uint32_t n, uint32_t *cluster);
/* bits[t] = the n_keep neurons of largest contribution (ties: lowest index). */
PV_MUST_USE enum pv_status pv_oracle_top(const float *contribution, uint32_t n, uint32_t d_ffn,
                                         uint32_t n_keep, uint32_t *bits);

#endif
