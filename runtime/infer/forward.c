/* The forward pass of one layer, read top to bottom like the paper:
 *
 *   h = rmsnorm(x);  q, k, v = W h;  rope(q), rope(k);  cache <- k, v;  x += W_o attention(q, cache)
 *   z = rmsnorm(x);  k* = argmax(R z + b);  a = phi(W_up z) over the neurons of mask k*;  x += W_down a
 *
 * Decode computes the mask's neurons only (indirect dispatch, the router's choice never leaves the device). A
 * batch computes all neurons as one matrix product and clears those outside each row's mask: the same
 * numbers, since a row of tokens rarely agrees on a cluster. */
#include "infer/forward.h"

#include "base/log.h"

static struct pv_linear linear(const struct pv_tensor *w, struct pv_buffer *x, struct pv_buffer *y,
                               uint32_t n)
{
    return (struct pv_linear){.w = w, .x = x, .y = y, .n_tokens = n};
}

enum pv_status pv_forward_attention(const struct pv_layer_pass *p)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const uint32_t n = p->n;
    const struct pv_linear q = linear(&w->q, b->h, b->q, n), k = linear(&w->k, b->h, b->k, n);
    const struct pv_linear v = linear(&w->v, b->h, b->v, n);
    struct pv_linear o = linear(&w->o, b->attn, b->x, n);
    o.accumulate = true;
    struct pv_rope_args rope = {.x = b->q,
                                .step = p->step,
                                .n_tokens = n,
                                .n_heads = hp->n_heads,
                                .head_dim = hp->head_dim,
                                .rope_dim = hp->rope_dim,
                                .freq_base = hp->rope_freq_base,
                                .kind = hp->rope,
                                .sequences = p->sequences};

    PV_TRY(pv_kernel_rmsnorm(r, b->x, w->attn_norm, b->h, n, hp->d_model, hp->norm_eps));
    PV_TRY(pv_kernel_linear(r, &q));
    PV_TRY(pv_kernel_linear(r, &k));
    PV_TRY(pv_kernel_linear(r, &v));
    PV_TRY(pv_kernel_rope(r, &rope));
    rope.x = b->k;
    rope.n_heads = hp->n_kv_heads;
    PV_TRY(pv_kernel_rope(r, &rope));
    PV_TRY(pv_kernel_kv_write(r, &(struct pv_kv_write_args){.k = b->k,
                                                            .v = b->v,
                                                            .cache_k = p->cache_k,
                                                            .cache_v = p->cache_v,
                                                            .step = p->step,
                                                            .n_tokens = n,
                                                            .n_kv_heads = hp->n_kv_heads,
                                                            .head_dim = hp->head_dim,
                                                            .n_ctx = p->n_ctx,
                                                            .sequences = p->sequences}));
    PV_TRY(pv_kernel_attention(r, &(struct pv_attention_args){.q = b->q,
                                                              .cache_k = p->cache_k,
                                                              .cache_v = p->cache_v,
                                                              .out = b->attn,
                                                              .step = p->step,
                                                              .n_tokens = n,
                                                              .n_heads = hp->n_heads,
                                                              .n_kv_heads = hp->n_kv_heads,
                                                              .head_dim = hp->head_dim,
                                                              .n_ctx = p->n_ctx,
                                                              .sequences = p->sequences}));
    return pv_kernel_linear(r, &o);
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
    const bool low_rank = m->narrow.n_parts > 0;
    const struct pv_linear down = linear(&m->narrow, b->h, b->down_projection, p->n);
    struct pv_linear scores = linear(&m->router, low_rank ? b->down_projection : b->h, b->scores, p->n);
    if (low_rank)
        PV_TRY(pv_kernel_linear(p->recorder, &down));
    scores.bias = m->router_bias;
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

static enum pv_status norm_ffn_input(const struct pv_layer_pass *p)
{
    const struct pv_work *b = p->work;
    return pv_kernel_rmsnorm(p->recorder, b->x, p->weights->ffn_norm, b->h, p->n, p->hp->d_model,
                             p->hp->norm_eps);
}

enum pv_status pv_forward_ffn_decode(const struct pv_layer_pass *p, bool routed)
{
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    struct pv_masks masks = w->masks; /* with the list of two clusters, if there are two */
    if (p->n_best > 1)
        masks.neurons = b->list;
    const struct pv_ffn_args ffn = {.up = &w->up,
                                    .gate = hp->gated ? &w->gate : NULL,
                                    .down_t = &w->down_t,
                                    .masks = routed ? &masks : NULL,
                                    .route = routed ? p->route : NULL,
                                    .z = b->h,
                                    .a = b->up,
                                    .partial = b->partial,
                                    .y = b->x,
                                    .accumulate = true,
                                    .act = hp->act};
    PV_TRY(norm_ffn_input(p));
    if (routed) {
        PV_TRY(router_scores(p));
        PV_TRY(route_token(p));
    }
    PV_TRY(pv_kernel_ffn_up(p->recorder, &ffn));
    return pv_kernel_ffn_down(p->recorder, &ffn);
}

enum pv_status pv_forward_ffn_up(const struct pv_layer_pass *p, bool routed)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_hparams *hp = p->hp;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const uint32_t n = p->n;
    const struct pv_linear up = linear(&w->up, b->h, b->up, n), gate = linear(&w->gate, b->h, b->gate, n);
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
    return pv_kernel_act_rows(r, b->up, hp->gated ? b->gate : NULL, n, hp->d_ffn, hp->act);
}

enum pv_status pv_forward_ffn_down(const struct pv_layer_pass *p, enum pv_ffn_mode mode)
{
    struct pv_recorder *r = p->recorder;
    const struct pv_layer *w = p->weights;
    const struct pv_work *b = p->work;
    const uint32_t n = p->n, d_ffn = p->hp->d_ffn;
    const bool two = mode == PV_FFN_ROUTED && p->n_best > 1;
    struct pv_linear down = linear(&w->down_t, b->up, b->x, n);
    down.accumulate = true;
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
    return pv_kernel_linear_t(r, &down);
}

enum pv_status pv_forward_output(struct pv_recorder *r, const struct pv_hparams *hp,
                                 const struct pv_stage *stage, struct pv_work *b, struct pv_buffer *x)
{
    const struct pv_linear output = linear(stage->output, b->h, b->logits, 1);
    PV_TRY(pv_kernel_rmsnorm(r, x, stage->output_norm, b->h, 1, hp->d_model, hp->norm_eps));
    PV_TRY(pv_kernel_linear(r, &output));
    PV_TRY(pv_kernel_argmax(r, b->logits, b->argmax, hp->n_vocab));
    PV_TRY(pv_recorder_copy(r, b->logits, 0, b->logits_host, 0, (uint64_t)hp->n_vocab * sizeof(float)));
    return pv_recorder_copy(r, b->argmax, 0, b->argmax_host, 0, sizeof(uint32_t));
}
