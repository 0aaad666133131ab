/* What every kernel must compute, on the host, written for clarity and summed in double precision. Arrays are
 * plain and dense: rows of n floats take n floats, without the padding of device buffers. Pure functions, no
 * allocation. */
#ifndef PV_KERNEL_REFERENCE_H
#define PV_KERNEL_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/model.h"

struct pv_step; /* shaders/iface.h */

struct pv_ref_matrix {
    uint32_t n_rows, n_cols;
    const float *w; /* [n_rows][n_cols], dequantised */
};

double pv_ref_act(enum pv_act act, double x);
double pv_ref_act_gated(enum pv_act act, double gate, double up);
/* out [T][d]; a token outside the table gives zeros. */
void pv_ref_embed(const struct pv_ref_matrix *table, const uint32_t *tokens, uint32_t n_tokens, float scale,
                  float *out);
struct pv_ref_norm {
    const float *weight, *bias; /* [n_cols]; bias may be NULL */
    uint32_t n_rows, n_cols;
    float eps;
    bool layer, accumulate;
};
void pv_ref_norm(const struct pv_ref_norm *a, const float *x, float *out); /* x, out [n_rows][n_cols] */
/* y [n][2] where `lanes` invocations share a row. */
void pv_ref_lanes(uint32_t lanes, size_t n, uint32_t *y);
void pv_ref_soft_cap(float *y, size_t n, float cap);
/* y [T][n_rows] = (or += if accumulate) x [T][n_cols] W^T + bias [n_rows] (NULL: none). */
void pv_ref_linear(const struct pv_ref_matrix *w, const float *bias, const float *x, uint32_t n_tokens,
                   bool accumulate, float *y);
/* The same, W stored transposed: y [T][n_cols] from x [T][n_rows]. */
void pv_ref_linear_t(const struct pv_ref_matrix *w, const float *bias, const float *x, uint32_t n_tokens,
                     bool accumulate, float *y);

struct pv_ref_rope {
    uint32_t n_tokens, n_heads, head_dim, rope_dim, pos;
    float freq_base, amplitude; /* amplitude 0: 1 */
    const float *factors;       /* [rope_dim / 2] or NULL */
    enum pv_rope kind;
    const struct pv_step *rows; /* [T] with n_seqs of kernels.h; else NULL */
};
void pv_ref_rope(const struct pv_ref_rope *a, float *x); /* x [T][n_heads][head_dim], in place */

/* Attention. Caches are [n_kv_heads][n_ctx][head_stride] floats. */
struct pv_ref_attention {
    uint32_t n_tokens, n_heads, n_kv_heads, head_dim, head_stride, n_ctx, pos;
    float scale, softcap;       /* 0: 1 / sqrt(head_dim), none */
    uint32_t window;            /* 0: none */
    const struct pv_step *rows; /* [T], or NULL */
    uint32_t n_seqs;
};
/* rows [T][n_kv_heads][head_dim] into the cache at pos; pads become zero, rows past n_ctx are dropped. */
void pv_ref_kv_write(const struct pv_ref_attention *a, const float *rows, float *cache);
/* `scores` is scratch [n_ctx]; q, out [T][n_heads][head_dim]. */
void pv_ref_attention(const struct pv_ref_attention *a, const float *q, const float *cache_k,
                      const float *cache_v, double *scores, float *out);

/* a[r] = act(W_up[n] . z + up_bias[n]), gated pv_ref_act_gated of W_gate[n] . z + gate_bias[n] and W_up[n] . z + up_bias[n], with
 * n = list[r], or r if list is NULL. */
struct pv_ref_ffn {
    const struct pv_ref_matrix *up, *gate, *down_t; /* gate NULL: ungated */
    const float *up_bias, *gate_bias, *down_bias;   /* NULL: none */
    enum pv_act act;
    const uint32_t *list;
    uint32_t n;
    bool accumulate;
};
void pv_ref_ffn_up(const struct pv_ref_ffn *f, const float *z, float *a);
/* y [d] = (or +=) sum over r < n of a[r] * down_t[list[r]], + down_bias. */
void pv_ref_ffn_down(const struct pv_ref_ffn *f, const float *a, float *y);
/* In place in `up` [T][F]; gate may be NULL. */
void pv_ref_act_rows(float *up, const float *gate, uint32_t n_tokens, uint32_t d_ffn, enum pv_act act);
/* Index of the greatest of scores [n], the lowest on a tie, never NaN; its lead over the second, 0 if n = 1.
 */
uint32_t pv_ref_route(const float *scores, uint32_t n, float *margin);
/* The best two, the first as pv_ref_route; the same twice where there is no other that is a number. */
void pv_ref_best_two(const float *scores, uint32_t n, uint32_t best[2]);
/* bits [ceil(F/32)] = masks[best[0]] | masks[best[1]], masks [K][ceil(F/32)]. */
void pv_ref_union(const uint32_t *masks, const uint32_t best[2], uint32_t d_ffn, uint32_t *bits);
/* list [F]: the set bits, ascending; returns how many. */
uint32_t pv_ref_union_list(const uint32_t *bits, uint32_t d_ffn, uint32_t *list);
struct pv_ref_experts {
    uint32_t n_experts, n_used;
    enum pv_gating gating;
};
/* The best n_used of scores [n_experts], the greatest first, the lowest on a tie; weights [n_experts], 0 of the others. */
void pv_ref_top_experts(const float *scores, const struct pv_ref_experts *e, uint32_t *chosen,
                        float *weights);
/* a[r] *= weights[expert of neuron list[r]], or of neuron r if list is NULL; r < n. */
void pv_ref_scale_experts(const float *weights, uint32_t n_neurons, const uint32_t *list, uint32_t n,
                          float *a);
void pv_ref_mask_rows(float *a, const uint32_t *bits, const uint32_t *cluster, uint32_t n_tokens,
                      uint32_t d_ffn);
void pv_ref_capture(const float *a, const float *norm, uint32_t n_tokens, uint32_t d_ffn, float tau,
                    float *contribution, uint32_t *bits);
void pv_ref_add(float *y, const float *x, uint32_t n);
uint32_t pv_ref_argmax(const float *x, uint32_t n);
/* A target outside the row gives 0. */
void pv_ref_nll_rows(const float *logits, const uint32_t *targets, uint32_t n_tokens, uint32_t n_vocab,
                     float *nll);

/* x [T][n_cols]; an entry is column | float16 << 16; energy: its fourth power counts. */
void pv_ref_sparse_rows(const uint32_t *offset, const uint32_t *entries, const float *scale,
                        uint32_t n_tokens, uint32_t n_cols, bool energy, float *x);
/* sums [K][n_cols] += */
void pv_ref_cluster_sum(const float *x, const uint32_t *first, const uint32_t *order, uint32_t n_clusters,
                        uint32_t n_cols, float *sums);
/* gradient_t [K][T] = scale * (share * (p - one-hot) + p * (p . gains - gains)), p = softmax, transposed;
 * gains [T][K] may be NULL. */
struct pv_ref_softmax_grad {
    const float *scores, *gains;
    const uint32_t *targets;
    uint32_t n_tokens, n_clusters;
    float scale, share;
};
void pv_ref_softmax_grad(const struct pv_ref_softmax_grad *a, float *gradient_t);
struct pv_ref_adam {
    uint32_t n;
    float rate, moment_scale, square_scale, decay;
};
void pv_ref_adam(const struct pv_ref_adam *a, float *w, float *moment, float *square, const float *gradient);

#endif
