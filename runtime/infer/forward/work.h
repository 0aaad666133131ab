/* Activation buffers of one stage. work.c has the one table of them: a row says a buffer's field, shape, name
 * and when it is there; making, counting and freeing them all follow it. */
#ifndef PV_INFER_FORWARD_WORK_H
#define PV_INFER_FORWARD_WORK_H

#include "infer/load/engine.h"

/* T is engine->n_batch rows. Decode uses row 0 of the same buffers. */
struct pv_work {
    struct pv_buffer *x;         /* [T][d] residual stream */
    struct pv_buffer *h;         /* [T][d] normalised input of attention, feed-forward or output */
    struct pv_buffer *qkv;       /* [T][(n_heads + 2 n_kv_heads) * head_dim] */
    struct pv_buffer *attn;      /* [T][n_heads*head_dim] */
    struct pv_buffer *up, *gate; /* [T][F]; gate NULL if ungated */
    struct pv_buffer *partial;   /* slices of the decode ffn_down */
    /* [T][rank], the greatest of the layers; NULL without low-rank routers */
    struct pv_buffer *down_projection;
    struct pv_buffer *scores;  /* [T][K] router; NULL without clusters, like the next two */
    struct pv_buffer *cluster; /* uint32 [T] */
    struct pv_buffer *margin;  /* [T] */
    /* uint32 [T][ceil(F/32)] of the best two clusters; NULL if the best will do */
    struct pv_buffer *mask_bits;
    struct pv_buffer *list; /* uint32 [F] the same of one token, ascending; or of its experts; likewise */
    struct pv_buffer *expert_scores, *expert_weights; /* [T][n_experts]; NULL without experts */
    /* for capture and the evaluation modes; made when first needed */
    struct pv_buffer *row_index;    /* uint32 [T]: 0, 1, 2, ...; also of the best two clusters */
    struct pv_buffer *contribution; /* [T][F] */
    struct pv_buffer *bits;         /* uint32 [T][ceil(F/32)] */
    struct pv_buffer *zeros;        /* uint32 [T] */
    /* output stage only */
    struct pv_buffer *last;          /* [d] last row of a batch */
    struct pv_buffer *logits;        /* [logit_rows][n_vocab] */
    struct pv_buffer *h_rows;        /* [logit_rows][d] */
    struct pv_buffer *targets, *nll; /* uint32, float [logit_rows] */
    struct pv_buffer *argmax;        /* uint32 [1] */
    struct pv_buffer *logits_host;   /* [n_vocab], host memory */
    struct pv_buffer *argmax_host;   /* uint32 [1], host memory */
};

/* Conditions under which a buffer is there; a row of the table may name several. */
enum {
    PV_WORK_ALWAYS = 1,
    PV_WORK_GATED = 2,
    PV_WORK_ROUTED = 4,       /* there are clusters */
    PV_WORK_LOW_RANK = 8,     /* with low-rank routers */
    PV_WORK_BEST_TWO = 16,    /* a routed token computes two clusters */
    PV_WORK_OUTPUT = 32,      /* of the last stage */
    PV_WORK_OBSERVED = 64,    /* capture and evaluation modes */
    PV_WORK_STATIC_SET = 128, /* of PV_FFN_STATIC */
    PV_WORK_EXPERTS = 256,    /* of mixtures */
};

/* The conditions that an engine's stage meets; a session adds the last two when it first needs them. */
uint32_t pv_work_conditions(const struct pv_engine *engine, bool has_output);
/* Rows of logits a session makes at once. */
uint32_t pv_logit_rows(const struct pv_engine *engine);
/* Bytes of the buffers under these conditions. */
uint64_t pv_work_bytes(const struct pv_engine *engine, const struct pv_plan *plan, uint32_t conditions);
/* Makes those that are not there yet. After a failure the rest stays for pv_work_destroy. */
PV_MUST_USE enum pv_status pv_work_create(struct pv_device *device, const struct pv_engine *engine,
                                          uint32_t conditions, struct pv_work *work);
void pv_work_destroy(struct pv_work *work); /* safe on a zeroed struct */

#endif
