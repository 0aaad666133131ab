/* The forward pass of one layer, read top to bottom like the paper:
 *
 *   h = norm(x);  q, k, v = W h;  rope(q), rope(k);  cache <- k, v;  x += W_o attention(q, cache)
 *   z = norm(x);  k* = argmax(R z + b);  a = phi(W_up z) over the neurons of mask k*;  x += W_down a
 *
 * Some architectures have biases, norms of q and k, a norm after attention and feed-forward, or none before:
 * the weights that are there say so, and the switches of pv_hparams.
 *
 * Decode computes the mask's neurons only (indirect dispatch, the router's choice never leaves the device). A
 * batch computes all neurons as one matrix product and clears those outside each row's mask: the same
 * numbers, since a row of tokens rarely agrees on a cluster. */
#include "infer/forward/forward.h"

#include "base/log.h"

static struct pv_linear linear(const struct pv_tensor *w, struct pv_buffer *bias, struct pv_buffer *x,
                               struct pv_buffer *y, uint32_t n)
{
    return (struct pv_linear){.w = w, .bias = bias, .x = x, .y = y, .n_tokens = n};
}

/* The residual stream is kept divided by residual_scale, so that what a layer adds to it need not be scaled:
 * a norm does not mind, but for eps. */
static float stream_eps(const struct pv_hparams *hp)
{
    return hp->norm_eps / (hp->residual_scale * hp->residual_scale);
}

float pv_forward_embed_scale(const struct pv_hparams *hp)
{
    return hp->embed_scale / hp->residual_scale;
}

/* h = norm(x). */
static enum pv_status norm_input(const struct pv_layer_pass *p, struct pv_buffer *weight,
                                 struct pv_buffer *bias)
{
    const struct pv_norm_args norm = {.x = p->work->x,
                                      .out = p->work->h,
                                      .weight = weight,
                                      .bias = bias,
                                      .n_rows = p->n,
                                      .n_cols = p->hp->d_model,
                                      .eps = stream_eps(p->hp),
                                      .layer = p->hp->layer_norm};
    return pv_kernel_norm(p->recorder, &norm);
}

/* x += norm(h), of what attention or the feed-forward network has left in h. */
static enum pv_status add_normed(const struct pv_layer_pass *p, struct pv_buffer *weight)
{
    const struct pv_norm_args norm = {.x = p->work->h,
                                      .out = p->work->x,
                                      .weight = weight,
                                      .n_rows = p->n,
                                      .n_cols = p->hp->d_model,
                                      .eps = p->hp->norm_eps,
                                      .accumulate = true};
    return pv_kernel_norm(p->recorder, &norm);
}

/* q or k normalised in place, each head or the whole row. */
static enum pv_status norm_heads(const struct pv_layer_pass *p, struct pv_buffer *x, struct pv_buffer *weight,
                                 uint32_t n_heads)
{
    const bool whole = p->hp->qk_norm == PV_QK_NORM_ROW;
    const struct pv_norm_args norm = {.x = x,
                                      .out = x,
                                      .weight = weight,
                                      .n_rows = whole ? p->n : p->n * n_heads,
                                      .n_cols = whole ? n_heads * p->hp->head_dim : p->hp->head_dim,
                                      .eps = p->hp->norm_eps};
    return pv_kernel_norm(p->recorder, &norm);
}

static enum pv_status rotate(const struct pv_layer_pass *p, struct pv_buffer *x, uint32_t n_heads)
{
    const struct pv_hparams *hp = p->hp;
    const bool windowed = p->traits.windowed_rope;
    const struct pv_rope_args rope = {.x = x,
                                      .step = p->step,
                                      .n_tokens = p->n,
                                      .n_heads = n_heads,
                                      .head_dim = hp->head_dim,
                                      .rope_dim = hp->rope_dim,
                                      .freq_base =
                                          windowed ? hp->windowed_rope_freq_base : hp->rope_freq_base,
                                      .factors = windowed ? NULL : p->rope_factors,
                                      .amplitude = windowed ? 1.0f : p->rope_amplitude,
                                      .kind = hp->rope,
                                      .sequences = p->sequences};
    return pv_kernel_rope(p->recorder, &rope);
}

/* q, k and v of the rows in `input`. */
static enum pv_status project(const struct pv_layer_pass *p, struct pv_buffer *input)
{
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const struct pv_linear q = linear(&w->q, w->q_bias, input, b->q, p->n);
    const struct pv_linear k = linear(&w->k, w->k_bias, input, b->k, p->n);
    const struct pv_linear v = linear(&w->v, w->v_bias, input, b->v, p->n);
    PV_TRY(pv_kernel_linear(p->recorder, &q));
    PV_TRY(pv_kernel_linear(p->recorder, &k));
    PV_TRY(pv_kernel_linear(p->recorder, &v));
    if (w->q_norm) {
        PV_TRY(norm_heads(p, b->q, w->q_norm, p->hp->n_heads));
        PV_TRY(norm_heads(p, b->k, w->k_norm, p->hp->n_kv_heads));
    }
    if (!p->traits.rope)
        return PV_OK;
    PV_TRY(rotate(p, b->q, p->hp->n_heads));
    return rotate(p, b->k, p->hp->n_kv_heads);
}

static struct pv_experts_args experts_args(const struct pv_layer_pass *p)
{
    const struct pv_work *b = p->work;
    const bool one = p->one_token;
    return (struct pv_experts_args){.scores = b->expert_scores,
                                    .weights = b->expert_weights,
                                    .list = one ? b->list : NULL,
                                    .route = one ? p->route : NULL,
                                    .n_tokens = p->n,
                                    .n_experts = p->hp->n_experts,
                                    .n_used = p->hp->n_experts_used,
                                    .d_ffn = p->hp->d_ffn,
                                    .gating = p->hp->gating};
}

/* Which experts compute each row, by what their router sees. */
static enum pv_status choose_experts(const struct pv_layer_pass *p, struct pv_buffer *input)
{
    const struct pv_experts_args args = experts_args(p);
    const struct pv_linear scores = linear(&p->weights->router, NULL, input, args.scores, p->n);
    PV_TRY(pv_kernel_linear(p->recorder, &scores));
    return pv_kernel_top_experts(p->recorder, &args, p->hp->d_model);
}

enum pv_status pv_forward_attention(const struct pv_layer_pass *p)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    struct pv_linear o = linear(&w->o, w->o_bias, b->attn, w->attn_post_norm ? b->h : b->x, p->n);
    o.accumulate = !w->attn_post_norm;
    if (hp->routes_input && hp->n_experts > 0)
        PV_TRY(choose_experts(p, b->x));
    if (w->attn_norm)
        PV_TRY(norm_input(p, w->attn_norm, w->attn_norm_bias));
    PV_TRY(project(p, w->attn_norm ? b->h : b->x));
    PV_TRY(pv_kernel_kv_write(r, &(struct pv_kv_write_args){.k = b->k,
                                                            .v = b->v,
                                                            .cache_k = p->cache_k,
                                                            .cache_v = p->cache_v,
                                                            .step = p->step,
                                                            .n_tokens = p->n,
                                                            .n_kv_heads = hp->n_kv_heads,
                                                            .head_dim = hp->head_dim,
                                                            .n_ctx = p->n_ctx,
                                                            .sequences = p->sequences}));
    PV_TRY(pv_kernel_attention(r, &(struct pv_attention_args){.q = b->q,
                                                              .cache_k = p->cache_k,
                                                              .cache_v = p->cache_v,
                                                              .out = b->attn,
                                                              .step = p->step,
                                                              .n_tokens = p->n,
                                                              .n_heads = hp->n_heads,
                                                              .n_kv_heads = hp->n_kv_heads,
                                                              .head_dim = hp->head_dim,
                                                              .n_ctx = p->n_ctx,
                                                              .scale = hp->attn_scale,
                                                              .softcap = hp->attn_softcap,
                                                              .window = p->traits.window,
                                                              .sequences = p->sequences}));
    PV_TRY(pv_kernel_linear(r, &o));
    return w->attn_post_norm ? add_normed(p, w->attn_post_norm) : PV_OK;
}

static struct pv_buffer *ffn_input(const struct pv_layer_pass *p)
{
    return p->weights->ffn_norm ? p->work->h : p->work->x;
}

static enum pv_status norm_ffn_input(const struct pv_layer_pass *p)
{
    const struct pv_layer *w = p->weights;
    if (w->ffn_norm)
        PV_TRY(norm_input(p, w->ffn_norm, w->ffn_norm_bias));
    return p->hp->n_experts > 0 && !p->hp->routes_input ? choose_experts(p, ffn_input(p)) : PV_OK;
}

static struct pv_union_args union_args(const struct pv_layer_pass *p)
{
    const struct pv_work *b = p->work;
    return (struct pv_union_args){.masks = &p->weights->masks,
                                  .scores = b->scores,
                                  .cluster = b->cluster,
                                  .margin = b->margin,
                                  .bits = b->mask_bits,
                                  .n_tokens = p->n,
                                  .d_ffn = p->hp->d_ffn};
}

/* A low-rank router is two products: R = W B. */
static enum pv_status router_scores(const struct pv_layer_pass *p)
{
    const struct pv_masks *m = &p->weights->masks;
    const struct pv_work *b = p->work;
    const bool low_rank = m->down_projection.n_parts > 0;
    struct pv_buffer *input = ffn_input(p);
    const struct pv_linear down = linear(&m->down_projection, NULL, input, b->down_projection, p->n);
    const struct pv_linear scores =
        linear(&m->router, m->router_bias, low_rank ? b->down_projection : input, b->scores, p->n);
    if (low_rank)
        PV_TRY(pv_kernel_linear(p->recorder, &down));
    return pv_kernel_linear(p->recorder, &scores);
}

/* Of one or two clusters: the router's answer for one token. */
static enum pv_status route_token(const struct pv_layer_pass *p)
{
    const uint32_t d = p->hp->d_model;
    const struct pv_union_args both = union_args(p);
    if (p->n_best < 2)
        return pv_kernel_route(p->recorder, both.masks, both.scores, p->route, d);
    PV_TRY(pv_kernel_union_rows(p->recorder, &both));
    return pv_kernel_union_list(p->recorder, &both, p->route, p->work->list, d);
}

enum pv_status pv_forward_ffn_decode(const struct pv_layer_pass *p, bool routed)
{
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const bool experts = hp->n_experts > 0, listed = routed || experts;
    const struct pv_experts_args chosen = experts_args(p);
    struct pv_masks masks = w->masks; /* with the list of two clusters, if there are two, or of experts */
    if (p->n_best > 1 || experts)
        masks.neurons = b->list;
    const struct pv_ffn_args ffn = {.up = &w->up,
                                    .gate = hp->gated ? &w->gate : NULL,
                                    .down_t = &w->down_t,
                                    .masks = listed ? &masks : NULL,
                                    .route = listed ? p->route : NULL,
                                    .up_bias = w->up_bias,
                                    .gate_bias = w->gate_bias,
                                    .down_bias = w->down_bias,
                                    .z = ffn_input(p),
                                    .a = b->up,
                                    .partial = b->partial,
                                    .rows_read = p->rows_read,
                                    .y = w->ffn_post_norm ? b->h : b->x,
                                    .accumulate = !w->ffn_post_norm,
                                    .act = hp->act};
    PV_TRY(norm_ffn_input(p));
    if (routed) {
        PV_TRY(router_scores(p));
        PV_TRY(route_token(p));
    }
    PV_TRY(pv_kernel_ffn_up(p->recorder, &ffn));
    if (experts)
        PV_TRY(pv_kernel_scale_experts(p->recorder, &chosen, b->up));
    PV_TRY(pv_kernel_ffn_down(p->recorder, &ffn));
    return w->ffn_post_norm ? add_normed(p, w->ffn_post_norm) : PV_OK;
}

enum pv_status pv_forward_ffn_up(const struct pv_layer_pass *p, bool routed)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const uint32_t n = p->n;
    const struct pv_linear up = linear(&w->up, w->up_bias, ffn_input(p), b->up, n);
    const struct pv_linear gate = linear(&w->gate, w->gate_bias, ffn_input(p), b->gate, n);
    PV_TRY(norm_ffn_input(p));
    if (routed) {
        const struct pv_union_args both = union_args(p);
        PV_TRY(router_scores(p));
        PV_TRY(p->n_best > 1
                   ? pv_kernel_union_rows(r, &both)
                   : pv_kernel_route_rows(r, b->scores, b->cluster, b->margin, n, w->masks.n_clusters));
    }
    PV_TRY(pv_kernel_linear(r, &up));
    if (hp->gated)
        PV_TRY(pv_kernel_linear(r, &gate));
    PV_TRY(pv_kernel_act_rows(r, b->up, hp->gated ? b->gate : NULL, n, hp->d_ffn, hp->act));
    const struct pv_experts_args chosen = experts_args(p);
    return hp->n_experts > 0 ? pv_kernel_scale_experts(r, &chosen, b->up) : PV_OK;
}

enum pv_status pv_forward_ffn_down(const struct pv_layer_pass *p, enum pv_ffn_mode mode)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const uint32_t n = p->n, d_ffn = p->hp->d_ffn;
    const bool two = mode == PV_FFN_ROUTED && p->n_best > 1;
    struct pv_linear down = linear(&w->down_t, w->down_bias, b->up, w->ffn_post_norm ? b->h : b->x, n);
    down.accumulate = !w->ffn_post_norm;
    switch (mode) {
    case PV_FFN_DENSE:
        break;
    case PV_FFN_ROUTED:
    case PV_FFN_ORACLE_CLUSTER:
        PV_TRY(pv_kernel_mask_rows(r, b->up, two ? b->mask_bits : w->masks.bits,
                                   two ? b->row_index : b->cluster, n, d_ffn));
        break;
    case PV_FFN_STATIC:
        PV_TRY(pv_kernel_mask_rows(r, b->up, w->hot.bits, b->zeros, n, d_ffn));
        break;
    case PV_FFN_ORACLE_MASK:
    case PV_FFN_CALLBACK:
        PV_TRY(pv_kernel_mask_rows(r, b->up, b->bits, b->row_index, n, d_ffn));
        break;
    }
    PV_TRY(pv_kernel_linear_t(r, &down));
    return w->ffn_post_norm ? add_normed(p, w->ffn_post_norm) : PV_OK;
}

enum pv_status pv_forward_output_norm(struct pv_recorder *r, const struct pv_hparams *hp,
                                      const struct pv_stage *stage, const struct pv_output_rows *rows)
{
    const struct pv_norm_args norm = {.x = rows->x,
                                      .out = rows->h,
                                      .weight = stage->output_norm,
                                      .bias = stage->output_norm_bias,
                                      .n_rows = rows->n,
                                      .n_cols = hp->d_model,
                                      .eps = stream_eps(hp),
                                      .layer = hp->layer_norm};
    return pv_kernel_norm(r, &norm);
}

enum pv_status pv_forward_logits(struct pv_recorder *r, const struct pv_hparams *hp,
                                 const struct pv_stage *stage, const struct pv_output_rows *rows)
{
    const struct pv_linear output = linear(stage->output, NULL, rows->h, rows->logits, rows->n);
    PV_TRY(pv_kernel_linear(r, &output));
    if (hp->logit_softcap > 0.0f)
        PV_TRY(pv_kernel_soft_cap(r, rows->logits, rows->n, hp->n_vocab, hp->logit_softcap));
    return PV_OK;
}

enum pv_status pv_forward_output(struct pv_recorder *r, const struct pv_hparams *hp,
                                 const struct pv_stage *stage, struct pv_work *b, struct pv_buffer *x)
{
    const struct pv_output_rows rows = {.x = x, .h = b->h, .logits = b->logits, .n = 1};
    PV_TRY(pv_forward_output_norm(r, hp, stage, &rows));
    PV_TRY(pv_forward_logits(r, hp, stage, &rows));
    PV_TRY(pv_kernel_argmax(r, b->logits, b->argmax, hp->n_vocab));
    PV_TRY(pv_recorder_copy(r, b->logits, 0, b->logits_host, 0, (uint64_t)hp->n_vocab * sizeof(float)));
    return pv_recorder_copy(r, b->argmax, 0, b->argmax_host, 0, sizeof(uint32_t));
}
