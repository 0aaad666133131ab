/* The contract between the shaders and the host: push constants, binding numbers, specialization constants, enums.
   Legal C11 and legal GLSL, so that neither side copies numbers by hand.

   Shapes and strides. Activations are float32. A row stride of activations (`*_stride`) and an offset (`*_offset`) count
   floats and are multiples of 4; an activation buffer is a whole number of 16 bytes; what lies between a row's end and
   its stride is never used. Weights are read as uvec4: `w_stride` counts uvec4, a row is padded with zeros to a whole
   uvec4. Scales lie beside them, as runtime/format/gguf/types.h says: in q8_0 and q4_0 flat [n_rows][s_stride]
   float16, two to a uint, in the other layouts of blocks [n_rows][s_stride] uvec4.
   Elements in one uvec4, called W_E below: f32 4, f16 and bf16 8, q8_0 16, the others 32.

   Bindings. All are in set 0. The table PV_KERNELS gives one letter for each binding, in order of binding number:
     W  weights:      storage -> storage buffer of uvec4;  texel -> uniform texel buffer, R32G32B32A32_UINT
     X  float input:  storage -> storage buffer of vec4;   texel -> uniform texel buffer, R32G32B32A32_SFLOAT
     S  scales:       storage -> storage buffer of uint (q8_0, q4_0) or uvec4;   texel -> uniform texel buffer, R32_UINT or
                      R32G32B32A32_UINT (not in f32, f16, bf16)
     C  KV cache:     as X in the f32 variants, as W in the f16 variants
     B  always a storage buffer
   Scales come last, so that the types without them have bindings 0..n-1 with no hole.
   A binding that a call does not use (a bias, a gate) must still hold something valid: bind any buffer of the call.

   Names. kernel[.type][.access][.sg]: `matvec.f16.texel`, `ffn_up.q8_0.storage.sg`, `soft_cap`, `rope_kv.f16`.
   Offsets named y_offset and the like let one dispatch fill part of a buffer. Integers are uint32. */
#ifndef PV_IFACE_H
#define PV_IFACE_H

#ifdef PV_GLSL
#define PV_IFACE_UINT  uint
#define PV_IFACE_FLOAT float
#else
#include <stdint.h>
#define PV_IFACE_UINT  uint32_t
#define PV_IFACE_FLOAT float
#endif

/* Kernel, binding letters, push-constant struct. Expand with X(name, letters, pc). */
#define PV_KERNELS(X)                                                                                        \
    X(embed, "WBBBS", pv_pc_embed)                                                                           \
    X(rmsnorm, "XXBX", pv_pc_norm)                                                                           \
    X(matvec, "WXBBXBBS", pv_pc_matvec)                                                                      \
    X(matmul, "WXBBS", pv_pc_matmul)                                                                         \
    X(matmul_t, "WXBBS", pv_pc_matmul)                                                                       \
    X(rope_kv, "BBBBB", pv_pc_rope_kv)                                                                       \
    X(attn_decode, "XCCBB", pv_pc_attn)                                                                      \
    X(attn_decode_reg, "XCCBB", pv_pc_attn)                                                                  \
    X(attn_prefill, "XCCBB", pv_pc_attn)                                                                     \
    X(ffn_up, "WWXBBBBBXXBSS", pv_pc_ffn_up)                                                                 \
    X(ffn_down, "WXBBWBS", pv_pc_ffn_down)                                                                   \
    X(ffn_reduce, "XBBBB", pv_pc_ffn_reduce)                                                                 \
    X(route_rows, "XBB", pv_pc_route_rows)                                                                   \
    X(union_rows, "XBBBB", pv_pc_union_rows)                                                                 \
    X(union_list, "BBBBB", pv_pc_union_list)                                                                 \
    X(top_experts, "BBBB", pv_pc_top_experts)                                                                \
    X(scale_experts, "BBB", pv_pc_scale_experts)                                                             \
    X(act_rows, "XXB", pv_pc_act_rows)                                                                       \
    X(mask_rows, "BBB", pv_pc_mask_rows)                                                                     \
    X(lanes, "B", pv_pc_lanes)                                                                               \
    X(add, "XB", pv_pc_add)                                                                                  \
    X(soft_cap, "B", pv_pc_soft_cap)                                                                         \
    X(argmax, "XBB", pv_pc_argmax)                                                                           \
    X(nll_rows, "XBB", pv_pc_nll_rows)                                                                       \
    X(capture, "XXBB", pv_pc_capture)                                                                        \
    X(sparse_rows, "BBBB", pv_pc_sparse_rows)                                                                \
    X(cluster_sum, "XBBB", pv_pc_cluster_sum)                                                                \
    X(softmax_grad, "XBBX", pv_pc_softmax_grad)                                                              \
    X(adam, "BBBX", pv_pc_adam)

/* ---- specialization constants: ids, the same in every kernel that has them (default in brackets) ---- */
#define PV_SPEC_WG    0 /* invocations in a workgroup [64]; attn_decode needs WG >= head_dim / 4 */
#define PV_SPEC_LANES 1 /* invocations that share one row (power of two <= WG) [1]; matmul: see there */
#define PV_SPEC_ROWS                                                                                         \
    2 /* rows per invocation group [1]; matmul: rows per invocation [4]; ffn_down: uvec4s per invocation */
#define PV_SPEC_ACT 3 /* PV_PHI_* [0]: ffn_up, act_rows, and the epilogue of matmul */
#define PV_SPEC_GATED                                                                                        \
    4 /* 1: a = phi(W_gate z) * (W_up z); ffn_up: 2: and W_up is not read where the gate is zero [0] */
#define PV_SPEC_MASKED                                                                                       \
    5 /* 1: neurons come from route and list; ffn_up: 2: from the list that scores choose [0] */
#define PV_SPEC_TOKENS   6 /* tokens per invocation: matmul [4], matmul_t [4], attn_prefill [1] */
#define PV_SPEC_NEOX     7 /* rope_kv: 0 adjacent pairs (x0,x1), 1 halves (x_i, x_{i+n/2}) [0] */
#define PV_SPEC_HEAD_DIM 8 /* attn_prefill, attn_decode_reg: head dimension, a multiple of 4 up to 256 [64] */
#define PV_SPEC_NORM     9 /* rmsnorm: PV_NORM_*; matvec, ffn_up: 1: x is not normalised yet [0] */
#define PV_SPEC_PARTS    10 /* ffn_up, ffn_down: 1: W holds rows part_first..part_first + part_rows only [0] */
#define PV_SPEC_CAPPED   11 /* attention: 1: scores are soft-capped [0] */
#define PV_SPEC_GROUPS                                                                                       \
    12 /* ffn_down: fours of neurons that an invocation packs at a time; 0: rows of zeros are read too [0] */

/* enum pv_act of parvin/model.h plus one, so that 0 means none. */
#define PV_PHI_NONE  0
#define PV_PHI_RELU2 1
#define PV_PHI_RELU  2
#define PV_PHI_SILU  3
#define PV_PHI_GELU  4 /* the tanh form */
#define PV_PHI_DRELU 5 /* ReLU of the gate and of up */

#define PV_NORM_RMS   0
#define PV_NORM_LAYER 1

/* flags */
#define PV_FLAG_BIAS       1    /* add bias[row] */
#define PV_FLAG_ACCUMULATE 2    /* y += instead of y = */
#define PV_FLAG_USE_POS    4    /* token index counts from step.pos */
#define PV_FLAG_FACTORS    8    /* rope_kv: divide each frequency by factors[i] */
#define PV_FLAG_VALUES     16   /* capture: write the float rows */
#define PV_FLAG_BITS       32   /* capture: write the bit rows */
#define PV_FLAG_SEQS       64   /* rope_kv, attn_decode: each row has a step of its own */
#define PV_FLAG_ENERGY     128  /* sparse_rows: the fourth power of each entry */
#define PV_FLAG_GAINS      256  /* softmax_grad: minus the expected gain besides */
#define PV_FLAG_GATE_BIAS  512  /* ffn_up: add the gate's bias */
#define PV_FLAG_COUNT      1024 /* ffn_down: count the rows that are read */
#define PV_FLAG_LIST                                                                                         \
    2048 /* top_experts: write the list and the route; scale_experts: neurons come from the list */
#define PV_FLAG_NEXT    8192 /* matvec, ffn_reduce: next = y * next_weight besides */
#define PV_FLAG_SIGMOID 4096 /* top_experts: weights from sigmoids */

/* Position of the first token of the batch: one small buffer, so that a recorded decode step is submitted again as is. With
 * PV_FLAG_SEQS one for each row, with the sequence that it belongs to. */
struct pv_step {
    PV_IFACE_UINT pos, seq;
    PV_IFACE_UINT reserved0, reserved1;
};

/* What the router decides, one a layer. up_* is the VkDispatchIndirectCommand of an ffn_up that takes the route as it is. */
struct pv_route {
    PV_IFACE_UINT cluster, n_neurons, list_offset; /* list_offset counts uints and is a multiple of 4 */
    PV_IFACE_FLOAT margin;                         /* best score minus second; 0 when K == 1 */
    PV_IFACE_UINT up_x, up_y, up_z, reserved0;
};
#define PV_ROUTE_UP_OFFSET 16

/* One cluster of the table that ffn_up reads. */
struct pv_cluster_entry {
    PV_IFACE_UINT n_neurons, list_offset;
};

/* embed.TYPE.ACCESS: y[t][:] = scale * W[tokens[token_offset + (USE_POS ? pos : 0) + t]][:]; a bad token gives zeros.
   0 W  1 tokens uint  2 y  3 step  4 S.   Spec WG.   Dispatch (ceil(w_stride / WG), n_tokens). */
struct pv_pc_embed {
    PV_IFACE_UINT n_vocab, n_cols, n_tokens, w_stride, s_stride, y_stride, token_offset, flags;
    PV_IFACE_FLOAT scale;
    PV_IFACE_UINT row_first,
        row_count; /* rows of W that this binding holds; tokens outside leave y alone; 0, n_vocab = all */
};

/* rmsnorm.ACCESS: y (+)= x / sqrt(mean(x^2) + eps) * weight; PV_NORM_LAYER: (x - mean) / sqrt(var + eps) * weight + bias.
   Row r of both is at offset + r / n_inner * outer_stride + r % n_inner * inner_stride: heads within rows of more.
   0 x  1 weight  2 y  3 bias (layer norm with BIAS).   Spec WG LANES NORM.   Dispatch (ceil(n_rows / (WG / LANES))). */
struct pv_pc_norm {
    PV_IFACE_UINT n_rows, n_cols, n_inner, inner_stride, outer_stride, offset, flags;
    PV_IFACE_FLOAT eps;
};

/* matvec.TYPE.ACCESS[.sg]: y[y_offset + i] (+)= W[i] . x (+ bias[y_offset + i]). With NORM x is stream * weight of a
   root-mean-square norm, and W[i] . x is divided by sqrt(mean(stream^2) + eps). With PV_FLAG_NEXT next = y * next_weight, the
   next x of that kind.
   0 W  1 x  2 y  3 bias  4 stream  5 next  6 next_weight  7 S.   Spec WG LANES ROWS ACT NORM.   Dispatch (ceil(n_rows / (WG /
   LANES * ROWS))), in .sg LANES = subgroup size; any smaller number of workgroups is right as well (they stride), so a subgroup
   size that varies does no harm. */
struct pv_pc_matvec {
    PV_IFACE_UINT n_rows, n_cols, w_stride, s_stride, x_offset, y_offset, flags; /* y_offset: any number */
    PV_IFACE_FLOAT eps;
};

/* matmul.TYPE.ACCESS: Y[t][y_offset + i] (+)= phi(X[t] . W[i] + bias[y_offset + i]); the activation is PV_SPEC_ACT.   0 W  1 X
   2 Y  3 bias  4 S.
   Spec WG LANES ROWS TOKENS ACT: an invocation makes TOKENS x ROWS outputs; LANES invocations lie along the rows and WG / LANES
   along the tokens.   Dispatch (ceil(n_rows / (LANES * ROWS)), ceil(n_tokens / (WG / LANES * TOKENS))).
   matmul_t.TYPE.ACCESS: the same with W stored transposed [n_cols][w_stride]; an invocation makes TOKENS x W_E outputs.
   Dispatch (ceil(w_stride / LANES), ceil(n_tokens / (WG / LANES * TOKENS))). */
struct pv_pc_matmul {
    PV_IFACE_UINT n_rows, n_cols, n_tokens, w_stride, s_stride, x_stride, y_stride, x_offset, y_offset,
        flags; /* y_stride, y_offset: any number */
};

/* rope_kv.f32 / rope_kv.f16: rows hold a token's queries, keys and values, [T][n_heads + 2 n_kv_heads][head_dim]. Queries are
   turned in place; keys, turned, and values go into the cache at pos + t. Pair i turns by pos * theta^(-2i/rope_dim) /
   factors[i], cos and sin times amplitude (YaRN); rope_dim 0: nothing turns. The cache is [n_kv_heads][n_ctx][head_stride]
   values, head_stride = head_dim rounded up to 8 in f16 and to 4 in f32; the pad is written as zeros. Rows at or past n_ctx are
   dropped. With PV_FLAG_SEQS row t has the position and the cache that step t says; caches lie one behind the other.
   0 x  1 k_cache  2 v_cache  3 step  4 factors float.   Spec WG NEOX. Dispatch (ceil((n_heads * rope_dim + n_kv_heads *
   head_stride) / 2 / WG), n_tokens). */
struct pv_pc_rope_kv {
    PV_IFACE_UINT n_tokens, n_heads, n_kv_heads, head_dim, rope_dim, head_stride, n_ctx, x_stride, flags;
    PV_IFACE_FLOAT log2_theta, amplitude;
};

/* attn_decode.CACHE.ACCESS: query t, at pos + t, over positions 0..pos + t; with PV_FLAG_SEQS each at the position and in the
   sequence of its step; the sequences' caches lie one behind the other.   0 q  1 k_cache  2 v_cache  3 y  4 step.
   Spec WG (a power of two >= head_dim / 4).   Dispatch (n_heads, n_tokens).
   attn_decode_reg.CACHE.ACCESS: the same for CPU drivers, of one query or of sequences alone.   Spec WG HEAD_DIM, WG * head_dim
   * 4 + WG * 8 bytes of shared memory.   Dispatch (n_heads, n_tokens).
   attn_prefill.CACHE.ACCESS: query t sees positions 0..pos + t.   Spec WG HEAD_DIM TOKENS.
   Dispatch (ceil(n_tokens / (WG * TOKENS)), n_heads).   head_dim is a multiple of 4, at most 256.
   A score s = scale * (q . k) is with CAPPED softcap * tanh(s / softcap). With window > 0 a query sees its own position and
   the window - 1 before it. */
struct pv_pc_attn {
    PV_IFACE_UINT n_tokens, n_heads, n_kv_heads, head_dim, head_stride, n_ctx, q_stride, y_stride, q_offset,
        y_offset;
    PV_IFACE_FLOAT scale; /* usually 1 / sqrt(head_dim) */
    PV_IFACE_UINT flags, window;
    PV_IFACE_FLOAT softcap;
};

/* ffn_up.TYPE.ACCESS[.sg]: a[r] = phi(W_up[n] . z), gated phi(W_gate[n] . z) * (W_up[n] . z), with PV_PHI_DRELU phi of both; n
   = r dense, n = list[list_offset + r] masked, r < n_neurons: a is compact in list order. MASKED 1: route says both. 2: those
   of the cluster with the greatest score (lowest index on a tie, NaN never wins), and the first workgroup writes the route.
   NORM as in matvec. With PARTS a call makes the a[r] of its own rows only. With BIAS bias[n] is added to W_up[n] . z, with
   GATE_BIAS to the gate's.
   0 W up  1 W gate  2 z  3 a  4 route  5 list uint  6 bias up  7 bias gate  8 stream  9 scores  10 clusters
   pv_cluster_entry  11 S up  12 S gate.   Spec WG LANES ROWS ACT GATED MASKED PARTS NORM. Dispatch as matvec, with MASKED 2 for the
   longest list; MASKED 1: vkCmdDispatchIndirect of route at PV_ROUTE_UP_OFFSET. */
struct pv_pc_ffn_up {
    PV_IFACE_UINT n_rows, n_cols, w_stride, s_stride, x_offset, part_first, part_rows, n_clusters,
        flags; /* n_rows: of all parts */
    PV_IFACE_FLOAT eps;
};

/* ffn_down.TYPE.ACCESS: partials[s][i] = sum over slice s of a[r] * Wt[n(r)][i], Wt [n_rows = F][w_stride] transposed down
   matrix. Slice s holds r in [s * c, (s + 1) * c), c = ceil(n / n_splits) rounded up to 4. A dense call and an all-neurons list
   give the same bits, and so does GROUPS, with which rows whose a[r] is zero are not read; it takes WG * (GROUPS * 32 + 4)
   bytes of shared memory. With COUNT rows_read[s] is how many rows slice s reads.
   0 Wt  1 a  2 partials  3 route  4 list (uvec4)  5 rows_read uint  6 S.   Spec WG MASKED ROWS PARTS GROUPS. With PARTS a call
   adds the neurons of its own rows; the one with part_first 0 sets the partials, the others add to them. Dispatch
   (ceil(w_stride / WG), n_splits). */
struct pv_pc_ffn_down {
    PV_IFACE_UINT n_rows, w_stride, s_stride, p_stride, n_splits, part_first, part_rows,
        flags; /* p_stride = w_stride * W_E floats */
};

/* ffn_reduce.ACCESS: y[i] (+)= sum over s of partials[s][i], in order, + bias[i]; next as in matvec.
   0 partials  1 y  2 bias  3 next  4 next_weight.   Spec WG.
   Dispatch (ceil(ceil(n_cols / 4) / WG)). */
struct pv_pc_ffn_reduce {
    PV_IFACE_UINT n_cols, n_splits, p_stride, y_offset, flags;
};

/* route_rows.ACCESS: cluster[t] and margin[t] of T rows of scores.   0 scores  1 cluster uint  2 margin float.
   Spec WG LANES.   Dispatch (ceil(n_rows / (WG / LANES))). */
struct pv_pc_route_rows {
    PV_IFACE_UINT n_rows, n_clusters, x_stride, y_offset; /* y_offset: any number */
};

/* union_rows.ACCESS: as route_rows, and bits[t] = the masks of the best cluster and of the second best (lowest index on a tie;
   the best again if there is none). A mask is mask_stride uints.   0 scores  1 masks uint  2 cluster uint  3 margin float
   4 bits uint.   Spec WG.   Dispatch (n_rows). */
struct pv_pc_union_rows {
    PV_IFACE_UINT n_clusters, x_stride, mask_stride;
};

/* union_list: of one token, list = the neurons whose bits are set, ascending, and the whole pv_route slot with list_offset 0.
   0 bits uint  1 cluster uint  2 margin float  3 route  4 list uint.   Spec WG.   Dispatch (1). */
struct pv_pc_union_list {
    PV_IFACE_UINT n_words, up_rows_per_wg;
};

/* top_experts: the n_used greatest of each row of n_experts scores (lowest index on a tie, NaN last) get weights whose sum is
   1, the softmax of their scores or with SIGMOID sigmoid(score) by the sum of those; the others get 0. With LIST of one token,
   list = the neurons of the chosen experts, n_neurons of each, and the whole pv_route slot with list_offset 0.
   0 scores  1 weights float  2 route  3 list uint.   Spec WG (= LANES).   Dispatch (n_rows).   n_used <= 64. */
struct pv_pc_top_experts {
    PV_IFACE_UINT n_experts, n_used, n_neurons, x_stride, up_rows_per_wg, flags;
};
#define PV_MAX_EXPERTS_USED 64

/* scale_experts: a[t][r] *= weights[t][n / n_neurons], n = r, with LIST n = list[r]; 0 where the weight is 0, whatever a is.
   0 a  1 weights float  2 list uint.   Spec WG.   Dispatch (ceil(n_cols / WG), n_rows). */
struct pv_pc_scale_experts {
    PV_IFACE_UINT n_rows, n_cols, n_neurons, a_stride, w_stride, flags;
};

/* act_rows.ACCESS: a[t][j] = phi(u), gated phi(g) * u, with PV_PHI_DRELU phi(g) * phi(u); a may be u or g in place.   0 u  1 g
   2 a.   Spec WG ACT GATED. Dispatch (ceil(ceil(n_cols / 4) / WG), n_rows). */
struct pv_pc_act_rows {
    PV_IFACE_UINT n_rows, n_cols, u_stride, g_stride, y_stride;
};

/* mask_rows: a[t][j] = 0 where bit j of masks[cluster_first + cluster[t]] is clear; a mask is mask_stride uints, bit j at word
   j / 32, bit j % 32.
   0 a  1 cluster uint  2 masks uint.   Spec WG.   Dispatch (ceil(ceil(n_cols / 4) / WG), n_rows). */
struct pv_pc_mask_rows {
    PV_IFACE_UINT n_rows, n_cols, a_stride, mask_stride, cluster_offset,
        cluster_first; /* cluster[cluster_offset + t] */
};

/* add.ACCESS: y[y_offset + i] += x[x_offset + i].   0 x  1 y.   Spec WG.   Dispatch (ceil(ceil(n / 4) / WG)). */
struct pv_pc_add {
    PV_IFACE_UINT n, x_offset, y_offset;
};

/* lanes[.sg]: y[i] = {invocations that share a row, their sum of ones} for each of n invocations.   0 y uint.   Spec WG LANES.
   Dispatch (ceil(n / WG)); all invocations of a workgroup take part. */
struct pv_pc_lanes {
    PV_IFACE_UINT n;
};

/* soft_cap: y[t][j] = cap * tanh(y[t][j] / cap).   0 y.   Spec WG.   Dispatch (ceil(n_cols / WG), n_rows). */
struct pv_pc_soft_cap {
    PV_IFACE_UINT n_rows, n_cols, y_stride;
    PV_IFACE_FLOAT cap;
};

/* argmax.ACCESS: out[out_offset + (USE_POS ? pos : 0)] = index of the greatest of n (lowest index on a tie, NaN never wins).
   0 x  1 out uint  2 step.   Spec WG.   Dispatch (1). */
struct pv_pc_argmax {
    PV_IFACE_UINT n, x_offset, out_offset, flags;
};

/* nll_rows.ACCESS: out[t] = logsumexp(x[t]) - x[t][target[t]]; a target outside the row gives 0.   0 x  1 target uint  2 out.
   Spec WG LANES.   Dispatch (ceil(n_rows / (WG / LANES))). */
struct pv_pc_nll_rows {
    PV_IFACE_UINT n_rows, n_cols, x_stride, target_offset, out_offset;
};

/* capture.ACCESS: c[t][j] = |a[t][j]| * norm[j]; bit j of bits[t] set where c > tau.   0 a  1 norm  2 c float  3 bits uint.
   Bits past n_cols in the last word are 0.   Spec WG.   Dispatch (ceil(ceil(n_cols / 32) / WG), n_rows). */
struct pv_pc_capture {
    PV_IFACE_UINT n_rows, n_cols, a_stride, c_stride, bits_stride,
        flags; /* c_stride floats, bits_stride uints */
    PV_IFACE_FLOAT tau;
};

/* Learning. Sums are taken in a fixed order everywhere: no atomics.

   sparse_rows: x[t][col] = scale[t] * root, with PV_FLAG_ENERGY scale[t] * root^4, for the entries offset[t]..offset[t + 1] of
   row t, 0 elsewhere. An entry is col | float16 root << 16, columns ascending within a row.   0 offset uint  1 entries uint
   2 scale float  3 x.
   An invocation writes `segment` columns.   Spec WG.   Dispatch (ceil(ceil(n_cols / segment) / WG), n_rows). */
struct pv_pc_sparse_rows {
    PV_IFACE_UINT n_rows, n_cols, x_stride, segment, flags;
};

/* cluster_sum.ACCESS: y[k][j] += sum of x[order[i]][j] for i in first[k]..first[k + 1], in that order.
   0 x  1 first uint [K + 1]  2 order uint  3 y.   Spec WG.   Dispatch (ceil(ceil(n_cols / 4) / WG), n_clusters). */
struct pv_pc_cluster_sum {
    PV_IFACE_UINT n_clusters, n_cols, x_stride, y_stride;
};

/* softmax_grad.ACCESS: with p = softmax(x[t]), g[k][t] = scale * share * (p[k] - (k == target[t])), the gradient of the
   cross-entropy; with PV_FLAG_GAINS plus scale * p[k] * (sum over i of p[i] gain[t][i] - gain[t][k]), that of minus the
   expected gain. Transposed, for the weights' gradient; gain has the stride of x.   0 x  1 target uint  2 g  3 gain.   Spec WG
   LANES.   Dispatch (ceil(n_rows / (WG / LANES))). */
struct pv_pc_softmax_grad {
    PV_IFACE_UINT n_rows, n_cols, x_stride, g_stride, flags;
    PV_IFACE_FLOAT scale, share;
};

/* adam.ACCESS: m += (1 - 0.9)(g - m), v += (1 - 0.999)(g^2 - v),
   w -= rate * (m * moment_scale / (sqrt(v * square_scale) + 1e-8) + decay * w).
   0 w  1 m  2 v  3 g, n floats each.   Spec WG.   Dispatch (ceil(ceil(n / 4) / WG)). */
struct pv_pc_adam {
    PV_IFACE_UINT n;
    PV_IFACE_FLOAT rate, moment_scale, square_scale, decay;
};

#endif
