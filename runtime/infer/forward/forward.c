/* The forward pass of one layer, read top to bottom like the paper:
 *
 *   h = norm(x);  q, k, v = W h;  rope(q), cache <- rope(k), v;  x += W_o attention(q, cache)
 *   z = norm(x);  k* = argmax(R z + b);  a = phi(W_up z) over the neurons of mask k*;  x += W_down a
 *
 * Some architectures have biases, norms of q and k, a norm after attention and feed-forward, or none before:
 * the weights that are there say so, and the switches of pv_hparams.
 *
 * Decode computes the mask's neurons only (the router's choice never leaves the device), and its norms take no
 * dispatch where they are of root mean squares: who writes x leaves x * weight in h beside it, and the products of
 * h divide their sums by the root. A batch computes all neurons as one matrix product and clears those outside each
 * row's mask, since its rows rarely agree on a cluster: the same numbers. */
#include "infer/forward/forward.h"

#include "base/log.h"

bool pv_forward_weighs_next(const struct pv_hparams *hp, const struct pv_layer *layer)
{
    return !hp->layer_norm && !layer->ffn_post_norm;
}

/* The same of attention's output and the norm of the feed-forward input. */
static bool weighs_ffn_input(const struct pv_layer_pass *p)
{
    const struct pv_layer *w = p->weights;
    return p->one_token && w->ffn_norm && !p->hp->layer_norm && !w->attn_post_norm;
}

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

static struct pv_unnormed unnormed_if(bool weighted, const struct pv_hparams *hp, struct pv_buffer *x)
{
    return (struct pv_unnormed){.stream = weighted ? x : NULL, .eps = stream_eps(hp)};
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

static uint32_t qkv_width(const struct pv_hparams *hp)
{
    return (hp->n_heads + 2 * hp->n_kv_heads) * hp->head_dim;
}

/* n_heads heads of qkv normalised in place from head `first` on, each or all of them as a row. */
static enum pv_status norm_heads(const struct pv_layer_pass *p, struct pv_buffer *weight, uint32_t first,
                                 uint32_t n_heads)
{
    const bool whole = p->hp->qk_norm == PV_QK_NORM_ROW;
    const struct pv_norm_args norm = {.x = p->work->qkv,
                                      .out = p->work->qkv,
                                      .weight = weight,
                                      .n_rows = whole ? p->n : p->n * n_heads,
                                      .n_cols = whole ? n_heads * p->hp->head_dim : p->hp->head_dim,
                                      .eps = p->hp->norm_eps,
                                      .n_inner = whole ? 1 : n_heads,
                                      .first = first * p->hp->head_dim,
                                      .width = qkv_width(p->hp)};
    return pv_kernel_norm(p->recorder, &norm);
}

/* Queries, keys and values of the rows in `input`: one product, or one for each type they have. */
static enum pv_status project(const struct pv_layer_pass *p, struct pv_buffer *input)
{
    const struct pv_unnormed unnormed = unnormed_if(p->weighted, p->hp, p->work->x);
    const struct pv_layer *w = p->weights;
    uint32_t first = 0;
    for (uint32_t i = 0; i < 3; first += w->qkv[i++].n_rows) {
        struct pv_linear product = linear(&w->qkv[i], w->qkv_bias, input, p->work->qkv, p->n);
        product.y_first = first;
        product.y_width = qkv_width(p->hp);
        product.unnormed = unnormed;
        if (w->qkv[i].n_parts > 0)
            PV_TRY(pv_kernel_linear(p->recorder, &product));
    }
    if (!w->q_norm)
        return PV_OK;
    PV_TRY(norm_heads(p, w->q_norm, 0, p->hp->n_heads));
    return norm_heads(p, w->k_norm, p->hp->n_heads, p->hp->n_kv_heads);
}

/* Turns queries and keys by their positions; keys and values go into the cache. */
static enum pv_status turn_and_cache(const struct pv_layer_pass *p)
{
    const struct pv_hparams *hp = p->hp;
    const bool windowed = p->traits.windowed_rope;
    const struct pv_rope_kv_args args = {.qkv = p->work->qkv,
                                         .cache_k = p->cache_k,
                                         .cache_v = p->cache_v,
                                         .step = p->step,
                                         .n_tokens = p->n,
                                         .n_heads = hp->n_heads,
                                         .n_kv_heads = hp->n_kv_heads,
                                         .head_dim = hp->head_dim,
                                         .n_ctx = p->n_ctx,
                                         .rope_dim = p->traits.rope ? hp->rope_dim : 0,
                                         .freq_base =
                                             windowed ? hp->windowed_rope_freq_base : hp->rope_freq_base,
                                         .factors = windowed ? NULL : p->rope_factors,
                                         .amplitude = windowed ? 1.0f : p->rope_amplitude,
                                         .kind = hp->rope,
                                         .n_seqs = p->n_seqs};
    return pv_kernel_rope_kv(p->recorder, &args);
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
static enum pv_status choose_experts(const struct pv_layer_pass *p, struct pv_buffer *input, bool weighted)
{
    const struct pv_experts_args args = experts_args(p);
    struct pv_linear scores = linear(&p->weights->router, NULL, input, args.scores, p->n);
    scores.unnormed = unnormed_if(weighted, p->hp, p->work->x);
    PV_TRY(pv_kernel_linear(p->recorder, &scores));
    return pv_kernel_top_experts(p->recorder, &args);
}

enum pv_status pv_forward_attention(const struct pv_layer_pass *p)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    struct pv_linear o = linear(&w->o, w->o_bias, b->attn, w->attn_post_norm ? b->h : b->x, p->n);
    o.accumulate = !w->attn_post_norm;
    if (weighs_ffn_input(p))
        o.next = (struct pv_next_input){w->ffn_norm, b->h};
    if (hp->routes_input && hp->n_experts > 0)
        PV_TRY(choose_experts(p, b->x, false));
    if (w->attn_norm && !p->weighted)
        PV_TRY(norm_input(p, w->attn_norm, w->attn_norm_bias));
    PV_TRY(project(p, w->attn_norm ? b->h : b->x));
    PV_TRY(turn_and_cache(p));
    PV_TRY(pv_kernel_attention(r, &(struct pv_attention_args){.q = b->qkv,
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
                                                              .q_width = qkv_width(hp),
                                                              .n_seqs = p->n_seqs}));
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
    const bool weighted = weighs_ffn_input(p);
    if (w->ffn_norm && !weighted)
        PV_TRY(norm_input(p, w->ffn_norm, w->ffn_norm_bias));
    return p->hp->n_experts > 0 && !p->hp->routes_input ? choose_experts(p, ffn_input(p), weighted) : PV_OK;
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
    struct pv_linear down = linear(&m->down_projection, NULL, input, b->down_projection, p->n);
    struct pv_linear scores =
        linear(&m->router, m->router_bias, low_rank ? b->down_projection : input, b->scores, p->n);
    *(low_rank ? &down.unnormed : &scores.unnormed) = unnormed_if(weighs_ffn_input(p), p->hp, b->x);
    if (low_rank)
        PV_TRY(pv_kernel_linear(p->recorder, &down));
    return pv_kernel_linear(p->recorder, &scores);
}

/* The neurons of one token's two best clusters. */
static enum pv_status join_two(const struct pv_layer_pass *p)
{
    const struct pv_union_args both = union_args(p);
    PV_TRY(pv_kernel_union_rows(p->recorder, &both));
    return pv_kernel_union_list(p->recorder, &both, p->route, p->work->list);
}

enum pv_status pv_forward_ffn_decode(const struct pv_layer_pass *p, bool routed)
{
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const bool experts = hp->n_experts > 0, listed = routed || experts, two = routed && p->n_best > 1;
    const struct pv_experts_args chosen = experts_args(p);
    struct pv_masks masks = w->masks; /* with the list of two clusters, if there are two, or of experts */
    if (p->n_best > 1 || experts)
        masks.neurons = b->list;
    const struct pv_ffn_args ffn = {.up = &w->up,
                                    .gate = hp->gated ? &w->gate : NULL,
                                    .down_t = &w->down_t,
                                    .masks = listed ? &masks : NULL,
                                    .route = listed ? p->route : NULL,
                                    .scores = routed && !two && !experts ? b->scores : NULL,
                                    .up_bias = w->up_bias,
                                    .gate_bias = w->gate_bias,
                                    .down_bias = w->down_bias,
                                    .z = ffn_input(p),
                                    .a = b->up,
                                    .partial = b->partial,
                                    .rows_read = p->rows_read,
                                    .y = w->ffn_post_norm ? b->h : b->x,
                                    .accumulate = !w->ffn_post_norm,
                                    .unnormed = unnormed_if(weighs_ffn_input(p), hp, b->x),
                                    .next = {p->next_norm, p->next_norm ? b->h : NULL},
                                    .act = hp->act};
    PV_TRY(norm_ffn_input(p));
    if (routed)
        PV_TRY(router_scores(p));
    if (two)
        PV_TRY(join_two(p));
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
    struct pv_linear output = linear(stage->output, NULL, rows->h, rows->logits, rows->n);
    output.unnormed = unnormed_if(rows->weighted, hp, rows->x);
    PV_TRY(pv_kernel_linear(r, &output));
    if (hp->logit_softcap > 0.0f)
        PV_TRY(pv_kernel_soft_cap(r, rows->logits, rows->n, hp->n_vocab, hp->logit_softcap));
    return PV_OK;
}

enum pv_status pv_forward_output(struct pv_recorder *r, const struct pv_hparams *hp,
                                 const struct pv_stage *stage, struct pv_work *b, struct pv_buffer *x,
                                 bool weighted)
{
    const struct pv_output_rows rows = {.x = x, .h = b->h, .logits = b->logits, .n = 1, .weighted = weighted};
    if (!weighted)
        PV_TRY(pv_forward_output_norm(r, hp, stage, &rows));
    PV_TRY(pv_forward_logits(r, hp, stage, &rows));
    PV_TRY(pv_kernel_argmax(r, b->logits, b->argmax, hp->n_vocab));
    PV_TRY(pv_recorder_copy(r, b->logits, 0, b->logits_host, 0, (uint64_t)hp->n_vocab * sizeof(float)));
    return pv_recorder_copy(r, b->argmax, 0, b->argmax_host, 0, sizeof(uint32_t));
}
