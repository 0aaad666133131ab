/* The kernels: each function checks shapes, chooses the variant by the device's plan and records one dispatch
 * (or the few it consists of). All activations are float32 buffers, row-major, rows are tokens; T = n_tokens;
 * a row of n floats takes pv_row_stride(n) floats, its padding is never read as data. Shapes [T][n] below
 * mean that. Source of the position: `step` holds {pos, ...} (struct pv_step of shaders/iface.h): the
 * position of row 0, so that a recorded decode step can be submitted again. Each has a CPU reference pv_ref_*
 * in kernel/reference.h and rows in kernel/cases.c. Errors: PV_ERR_ARG for shapes that do not fit the buffers
 * (logged with the kernel's name). */
#ifndef PV_KERNEL_KERNELS_H
#define PV_KERNEL_KERNELS_H

#include "kernel/tensor.h"
#include "parvin/model.h"
#include "vk/recorder.h"

/* Floats a row of n takes in an activation buffer: a whole number of vec4. */
static inline uint32_t pv_row_stride(uint32_t n)
{
    return (n + 3u) & ~3u;
}
/* Bytes of an activation buffer of T rows. */
static inline uint64_t pv_rows_bytes(uint32_t n_tokens, uint32_t n)
{
    return (uint64_t)n_tokens * pv_row_stride(n) * sizeof(float);
}

/* out[t] = scale * table[tokens[t]]; tokens: uint32 [T]; out [T][d]. */
PV_MUST_USE enum pv_status pv_kernel_embed(struct pv_recorder *r, const struct pv_tensor *table,
                                           struct pv_buffer *tokens, struct pv_buffer *out, uint32_t n_tokens,
                                           float scale);
/* Rows normalised by their root mean square: out = x / sqrt(mean(x^2) + eps) * weight; as a layer norm
 * (x - mean) / sqrt(var + eps) * weight + bias. */
struct pv_norm_args {
    struct pv_buffer *x, *out; /* [n_rows][n_cols]; may be the same */
    struct pv_buffer *weight;  /* [n_cols] */
    struct pv_buffer *bias;    /* [n_cols], of a layer norm, or NULL */
    uint32_t n_rows, n_cols;
    float eps;
    bool layer;
    bool accumulate; /* out += */
    /* Not 0: the n_rows lie in n_rows / n_inner rows of `width` floats, n_inner behind each other from `first` on; first and
     * n_cols are multiples of 4. */
    uint32_t n_inner, first, width;
};
PV_MUST_USE enum pv_status pv_kernel_norm(struct pv_recorder *r, const struct pv_norm_args *a);
/* An input that is weighted but not yet normalised: x = stream * weight of a root-mean-square norm. The product divides
 * by the root of the stream's mean square, so that the norm takes no dispatch. T = 1. */
struct pv_unnormed {
    struct pv_buffer *stream; /* [n_cols] of the product; NULL: x is as it is meant */
    float eps;
};
/* The next such input, made beside y: out = y * weight. T = 1. */
struct pv_next_input {
    struct pv_buffer *weight, *out; /* as y, another buffer; NULL: none */
};
struct pv_linear {
    const struct pv_tensor *w; /* [n_rows][n_cols] */
    struct pv_buffer *bias;    /* [n_rows] or NULL */
    struct pv_buffer *x;       /* [T][n_cols] */
    struct pv_buffer *y;       /* [T][n_rows] */
    uint32_t n_tokens;
    bool accumulate; /* y += instead of y = */
    /* Not 0: a row of y and the bias have y_width floats, and those from y_first on are the product's. */
    uint32_t y_first, y_width;
    struct pv_unnormed unnormed;
    struct pv_next_input next;
};
/* y = W x + bias: matvec for T = 1, matmul otherwise. */
PV_MUST_USE enum pv_status pv_kernel_linear(struct pv_recorder *r, const struct pv_linear *a);
/* The same with w stored transposed: w [n_in][n_out], x [T][n_in], y [T][n_out]; any T >= 1 (ffn_down of a
 * batch). */
PV_MUST_USE enum pv_status pv_kernel_linear_t(struct pv_recorder *r, const struct pv_linear *a);
/* In the next two, the T rows follow each other in one sequence, from the step's position on. Or, with n_seqs, the step
 * has T entries, and each says its row's position and which of n_seqs sequences it belongs to (below n_seqs); their KV
 * caches lie one behind the other. Several rows may belong to one sequence. */
/* Queries turned by their position, in place; keys, turned, and values into the KV cache of one layer: k and v each
 * [n_kv_heads][n_ctx][head_dim, padded], float32, or packed float16 (plan.kv_f16); pv_kv_cache_bytes says how large one
 * of the two is. */
struct pv_rope_kv_args {
    struct pv_buffer *qkv; /* [T][n_heads + 2 n_kv_heads][head_dim]: a token's queries, keys, values */
    struct pv_buffer *cache_k, *cache_v, *step;
    uint32_t n_tokens, n_heads, n_kv_heads, head_dim, n_ctx;
    uint32_t rope_dim; /* even; 0: nothing is turned */
    float freq_base;
    struct pv_buffer *factors; /* [rope_dim / 2] what each frequency is divided by; NULL: 1 */
    float amplitude;           /* of what is turned; 0: 1 */
    enum pv_rope kind;
    uint32_t n_seqs;
};
PV_MUST_USE enum pv_status pv_kernel_rope_kv(struct pv_recorder *r, const struct pv_rope_kv_args *a);
uint64_t pv_kv_cache_bytes(const struct pv_plan *plan, uint32_t n_ctx, uint32_t n_kv_heads,
                           uint32_t head_dim);
/* out [T][n_heads][head_dim] = softmax(scale * q k^T) v over positions 0..pos+t (causal), grouped queries. */
struct pv_attention_args {
    struct pv_buffer *q, *cache_k, *cache_v, *out, *step;
    uint32_t n_tokens, n_heads, n_kv_heads, head_dim, n_ctx;
    float scale;      /* 0: 1 / sqrt(head_dim) */
    float softcap;    /* scores s are softcap * tanh(s / softcap); 0: as they are */
    uint32_t window;  /* positions a query sees, its own included; 0: all */
    uint32_t q_width; /* floats of a row of q, whose first are the queries; 0: n_heads * head_dim */
    uint32_t n_seqs;
};
PV_MUST_USE enum pv_status pv_kernel_attention(struct pv_recorder *r, const struct pv_attention_args *a);

/* The masks and router of one layer on the device. */
struct pv_masks {
    struct pv_tensor router;          /* [K][d] F16; of low rank [K][rank] */
    struct pv_tensor down_projection; /* [rank][d] F16 before a low-rank router; zeroed if there is none */
    struct pv_buffer *router_bias;    /* [K] float */
    struct pv_buffer *entries;        /* struct pv_cluster_entry [K] of shaders/iface.h */
    struct pv_buffer *neurons;        /* uint32, each list starts on a multiple of 4 */
    struct pv_buffer *bits;           /* uint32 [K][ceil(F/32)] */
    uint32_t n_clusters, max_neurons; /* max_neurons: of the largest list */
};
/* Uploads the lists: counts[k] neurons of cluster k start at lists[k]; fills entries, neurons and bits, not
 * the router. */
PV_MUST_USE enum pv_status pv_masks_create_lists(struct pv_device *device, uint32_t n_clusters,
                                                 uint32_t d_ffn, const uint16_t *const *lists,
                                                 const uint32_t *counts, struct pv_masks *out);
/* A router's weights on the host: scores = W z + bias, of low rank W (B z) + bias. */
struct pv_router_weights {
    const uint16_t *weight;          /* W, float16 [K][d], of low rank [K][rank] */
    const uint16_t *down_projection; /* B, float16 [rank][d]; NULL: not of low rank */
    const float *bias;               /* [K] */
    uint32_t d_model, rank;
};
/* Uploads them beside the lists. */
PV_MUST_USE enum pv_status pv_masks_create_router(struct pv_device *device,
                                                  const struct pv_router_weights *weights,
                                                  struct pv_masks *masks);
void pv_masks_destroy(struct pv_masks *masks); /* safe on a zeroed struct */
/* The router's decision for one token, written on the device; struct pv_route of shaders/iface.h. */
uint64_t pv_route_bytes(void);
/* Decode feed-forward, T = 1. masks NULL: dense. gate NULL: ungated. */
struct pv_ffn_args {
    const struct pv_tensor *up, *gate;                 /* [F][d] */
    const struct pv_tensor *down_t;                    /* [F][d], W_down transposed */
    struct pv_buffer *up_bias, *gate_bias, *down_bias; /* [F], [F], [d]; NULL: none */
    const struct pv_masks *masks;
    struct pv_buffer *route; /* if masks; ffn_up writes it if there are scores */
    struct pv_buffer
        *scores; /* [K], the router's, of which ffn_up takes the best; NULL: route and masks say what to do */
    struct pv_buffer *z;       /* [d] */
    struct pv_buffer *a;       /* [F] scratch: activations in list order */
    struct pv_buffer *partial; /* pv_ffn_partial_bytes scratch */
    struct pv_buffer *y;       /* [d] */
    /* uint32 [plan.ffn_down_splits]: how many rows of down_t each slice has read; NULL: not counted */
    struct pv_buffer *rows_read;
    bool accumulate;             /* y += */
    struct pv_unnormed unnormed; /* z */
    struct pv_next_input next;
    /* Where it makes zeros (the ReLU family), ffn_down reads no row whose activation is zero; same bits. */
    enum pv_act act;
};
uint64_t pv_ffn_partial_bytes(const struct pv_plan *plan, uint32_t d_model);
PV_MUST_USE enum pv_status pv_kernel_ffn_up(struct pv_recorder *r, const struct pv_ffn_args *a);
PV_MUST_USE enum pv_status pv_kernel_ffn_down(struct pv_recorder *r, const struct pv_ffn_args *a);
/* Batch helpers. a[t][j] = phi(gate) * up or phi(up), in place in `up` [T][F]; gate [T][F] or NULL. */
PV_MUST_USE enum pv_status pv_kernel_act_rows(struct pv_recorder *r, struct pv_buffer *up,
                                              struct pv_buffer *gate, uint32_t n_tokens, uint32_t d_ffn,
                                              enum pv_act act);
/* cluster[t] = argmax_k scores[t][k] (ties: lowest), margin[t]; scores [T][K]. */
PV_MUST_USE enum pv_status pv_kernel_route_rows(struct pv_recorder *r, struct pv_buffer *scores,
                                                struct pv_buffer *cluster, struct pv_buffer *margin,
                                                uint32_t n_tokens, uint32_t n_clusters);
/* The union of the router's best two clusters instead of the best one. */
struct pv_union_args {
    const struct pv_masks *masks;
    struct pv_buffer *scores;  /* [T][K] */
    struct pv_buffer *cluster; /* uint32 [T], the best */
    struct pv_buffer *margin;  /* [T] */
    struct pv_buffer *bits;    /* uint32 [T][ceil(F/32)], the neurons of either */
    uint32_t n_tokens, d_ffn;
};
/* cluster and margin as pv_kernel_route_rows, and bits; K = 1: of that one cluster. */
PV_MUST_USE enum pv_status pv_kernel_union_rows(struct pv_recorder *r, const struct pv_union_args *a);
/* Then for one token: the neurons of `bits`, ascending, into list (uint32, room for F in whole vec4) and
 * `route`, for masked kernels that are given no scores and `list` as the masks' neurons. */
PV_MUST_USE enum pv_status pv_kernel_union_list(struct pv_recorder *r, const struct pv_union_args *a,
                                                struct pv_buffer *route, struct pv_buffer *list);
/* A mixture of experts: expert e has the neurons e * d_ffn / n_experts and on. */
struct pv_experts_args {
    struct pv_buffer *scores;  /* [T][n_experts] */
    struct pv_buffer *weights; /* [T][n_experts], 0 of those that were not chosen */
    /* of one token: the neurons of the chosen experts, the best expert's first (uint32, whole vec4), and what the masked
     * kernels are to do with them; NULL: of all neurons of a batch */
    struct pv_buffer *list, *route;
    uint32_t n_tokens, n_experts, n_used, d_ffn; /* d_ffn: of all experts */
    enum pv_gating gating;
};
/* Chooses the n_used best (ties: lowest) and weighs them; the weights' sum is 1. */
PV_MUST_USE enum pv_status pv_kernel_top_experts(struct pv_recorder *r, const struct pv_experts_args *a);
/* activations, [T][d_ffn] or those of the list, times their expert's weight. */
PV_MUST_USE enum pv_status pv_kernel_scale_experts(struct pv_recorder *r, const struct pv_experts_args *a,
                                                   struct pv_buffer *activations);
/* a[t][j] = 0 where bit j of bits[cluster[t]] is clear. */
PV_MUST_USE enum pv_status pv_kernel_mask_rows(struct pv_recorder *r, struct pv_buffer *a,
                                               struct pv_buffer *bits, struct pv_buffer *cluster,
                                               uint32_t n_tokens, uint32_t d_ffn);
/* contribution[t][j] = |a[t][j]| * norm[j]; bits of contribution > tau; contribution [T][F], bits
 * [T][ceil(F/32)]. */
PV_MUST_USE enum pv_status pv_kernel_capture(struct pv_recorder *r, struct pv_buffer *a,
                                             struct pv_buffer *norm, struct pv_buffer *contribution,
                                             struct pv_buffer *bits, uint32_t n_tokens, uint32_t d_ffn,
                                             float tau);
/* y = cap * tanh(y / cap), [n_rows][n_cols], in place. */
PV_MUST_USE enum pv_status pv_kernel_soft_cap(struct pv_recorder *r, struct pv_buffer *y, uint32_t n_rows,
                                              uint32_t n_cols, float cap);
/* y [n][2] for the n invocations of a matvec's workgroups: how many share a row, as they see it, and the sum of a one
 * of each. Both must be what the plan says. */
PV_MUST_USE enum pv_status pv_kernel_lanes(struct pv_recorder *r, struct pv_buffer *y, uint32_t n);
/* y += x, n floats. */
PV_MUST_USE enum pv_status pv_kernel_add(struct pv_recorder *r, struct pv_buffer *y, struct pv_buffer *x,
                                         uint32_t n);
/* out[0] = argmax of x [n] (ties: lowest). */
PV_MUST_USE enum pv_status pv_kernel_argmax(struct pv_recorder *r, struct pv_buffer *x, struct pv_buffer *out,
                                            uint32_t n);
/* nll[t] = logsumexp(logits[t]) - logits[t][targets[t]]; logits [T][n_vocab]. */
PV_MUST_USE enum pv_status pv_kernel_nll_rows(struct pv_recorder *r, struct pv_buffer *logits,
                                              struct pv_buffer *targets, struct pv_buffer *nll,
                                              uint32_t n_tokens, uint32_t n_vocab);

/* Learning. x [T][n_cols] from sparse rows: offset uint32 [T + 1] into entries (column | float16 << 16,
 * columns ascending within a row, below n_cols), each or its fourth power times scale [T]. */
struct pv_sparse_rows_args {
    struct pv_buffer *offset, *entries, *scale, *x;
    uint32_t n_tokens, n_cols;
    bool energy; /* of root contributions sqrt(c): c^2 */
};
PV_MUST_USE enum pv_status pv_kernel_sparse_rows(struct pv_recorder *r, const struct pv_sparse_rows_args *a);
/* sums[k] += the rows order[first[k]..first[k + 1]) of x, in that order. */
struct pv_cluster_sum_args {
    struct pv_buffer *x;             /* [T][n_cols] */
    struct pv_buffer *first, *order; /* uint32 [K + 1], [T] */
    struct pv_buffer *sums;          /* [K][n_cols] */
    uint32_t n_tokens, n_clusters, n_cols;
};
PV_MUST_USE enum pv_status pv_kernel_cluster_sum(struct pv_recorder *r, const struct pv_cluster_sum_args *a);
/* Gradient of a loss over the scores, times scale: share times the cross-entropy and, if there are gains,
 * minus the expected gain; formula in shaders/iface.h. */
struct pv_softmax_grad_args {
    struct pv_buffer *scores, *targets; /* [T][K], uint32 [T] */
    struct pv_buffer *gains;            /* [T][K] or NULL */
    struct pv_buffer *gradient_t;       /* [K][T] */
    uint32_t n_tokens, n_clusters;
    float scale, share;
};
PV_MUST_USE enum pv_status pv_kernel_softmax_grad(struct pv_recorder *r,
                                                  const struct pv_softmax_grad_args *a);
/* One step of Adam, betas 0.9 and 0.999, on n floats; formula in shaders/iface.h. */
struct pv_adam_args {
    struct pv_buffer *w, *moment, *square, *gradient;
    uint32_t n;
    float rate, moment_scale, square_scale, decay;
};
PV_MUST_USE enum pv_status pv_kernel_adam(struct pv_recorder *r, const struct pv_adam_args *a);

#endif
