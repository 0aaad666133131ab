/* One straight pass over the layers, whole sequence at a time: attention sees all earlier rows, so no cache
 * is needed. It reads the switches of pv_hparams and the tensors that are there, as the forward pass does, but nothing
 * here is shared with that or with the kernels but the type conversions and the references of the activations. */
#include "infer/eval/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/log.h"
#include "kernel/reference.h"

struct pass {
    const struct pv_model *model;
    const struct pv_clusters *clusters;
    uint32_t n, n_best;
    double *x, *h, *q, *k, *v, *attn; /* [n][...] */
    double *out;       /* [n][d] of attention or the feed-forward network, before the residual */
    double *a, *gate;  /* [F] */
    double *expert;    /* [n][n_experts] scores, then weights */
    double *projected; /* [d] input of a low-rank router */
    float *row;        /* one dequantised weight row */
};

static const float *weight_row(struct pass *p, const struct pv_gguf_tensor *t, size_t i)
{
    pv_dequantize(t->type, t->data + i * pv_type_row_bytes(t->type, t->dims[0]), p->row, (size_t)t->dims[0]);
    return p->row;
}

/* y[t] = W x[t] + bias for n rows. */
static void multiply(struct pass *p, const struct pv_gguf_tensor *w, const struct pv_gguf_tensor *bias,
                     const double *x, double *y, uint32_t n)
{
    const size_t cols = (size_t)w->dims[0], rows = (size_t)w->dims[1];
    for (size_t i = 0; i < rows; i++) {
        const double first = bias ? (double)weight_row(p, bias, 0)[i] : 0.0;
        const float *row = weight_row(p, w, i);
        for (size_t t = 0; t < n; t++) {
            double sum = first;
            for (size_t j = 0; j < cols; j++)
                sum += (double)row[j] * x[t * cols + j];
            y[t * rows + i] = sum;
        }
    }
}

/* Each of n rows of `width`: in place, or from x to out. No weight: copies. */
static void norm_rows(struct pass *p, const struct pv_gguf_tensor *w, const struct pv_gguf_tensor *bias,
                      const double *x, double *out, size_t n, size_t width, bool layer)
{
    const double eps = (double)p->model->hp.norm_eps;
    for (size_t t = 0; t < n; t++) {
        const double *from = x + t * width;
        double mean = 0.0, sum = 0.0;
        for (size_t i = 0; layer && i < width; i++)
            mean += from[i] / (double)width;
        for (size_t i = 0; i < width; i++)
            sum += (from[i] - mean) * (from[i] - mean);
        const double scale = 1.0 / sqrt(sum / (double)width + eps);
        for (size_t i = 0; i < width; i++)
            out[t * width + i] = w ? (from[i] - mean) * scale : from[i];
    }
    for (size_t i = 0; w && i < width; i++) {
        const double weight = (double)weight_row(p, w, 0)[i];
        const double add = bias ? (double)weight_row(p, bias, 0)[i] : 0.0;
        for (size_t t = 0; t < n; t++)
            out[t * width + i] = out[t * width + i] * weight + add;
    }
}

/* h = norm(x), of the residual stream. */
static void norm_stream(struct pass *p, const struct pv_gguf_tensor *w, const struct pv_gguf_tensor *bias)
{
    norm_rows(p, w, bias, p->x, p->h, p->n, p->model->hp.d_model, p->model->hp.layer_norm);
}

/* x += scale * norm(out), what a layer's half has made. */
static void add_to_stream(struct pass *p, const struct pv_gguf_tensor *post_norm)
{
    const size_t d = p->model->hp.d_model;
    norm_rows(p, post_norm, NULL, p->out, p->out, p->n, d, false);
    for (size_t i = 0; i < p->n * d; i++)
        p->x[i] += (double)p->model->hp.residual_scale * p->out[i];
}

/* Is the layer the one of its period that differs? */
static bool differs(const struct pv_hparams *hp, uint32_t layer, uint32_t period)
{
    if (period == 0)
        return false;
    return hp->first_of_period ? layer % period == 0 : (layer + 1) % period == 0;
}

static bool has_window(const struct pv_hparams *hp, uint32_t layer)
{
    return hp->window > 0 && !differs(hp, layer, hp->window_period);
}

/* Radians a position of pair i under YaRN (arXiv 2309.00071): kept where a frequency turns more than `fast` times within
 * the original context, divided by the factor below `slow`, a ramp between. */
static double yarn(const struct pv_hparams *hp, size_t i, double angle)
{
    const struct pv_rope_scaling *s = &hp->rope_scaling;
    const double dim = hp->rope_dim, context = s->original_ctx, base = log((double)hp->rope_freq_base);
    const double two_pi = 6.28318530717958647693;
    double low = floor(dim * log(context / (two_pi * (double)s->fast)) / (2.0 * base));
    double high = ceil(dim * log(context / (two_pi * (double)s->slow)) / (2.0 * base));
    low = low < 0.0 ? 0.0 : low;
    high = high > dim - 1.0 ? dim - 1.0 : high;
    double ramp = ((double)i - low) / (high - low < 0.001 ? 0.001 : high - low);
    ramp = ramp < 0.0 ? 0.0 : ramp > 1.0 ? 1.0 : ramp;
    const double kept = (1.0 - ramp) * (double)s->yarn;
    return angle * kept + angle / (double)s->factor * (1.0 - kept);
}

/* Radians a position of pair i, and the amplitude. */
static double frequency(struct pass *p, uint32_t layer, size_t i, double *amplitude)
{
    const struct pv_model *m = p->model;
    const struct pv_hparams *hp = &m->hp;
    const struct pv_rope_scaling *s = &hp->rope_scaling;
    const bool own_base = has_window(hp, layer) && hp->windowed_rope_freq_base > 0.0f;
    const double base = own_base ? (double)hp->windowed_rope_freq_base : (double)hp->rope_freq_base;
    const struct pv_gguf_tensor *factors = m->rope_freqs ? m->rope_freqs : m->rope_short;
    double angle = pow(base, -2.0 * (double)i / hp->rope_dim);
    *amplitude = 1.0;
    if (own_base)
        return angle;
    if (factors)
        angle /= (double)weight_row(p, factors, 0)[i];
    *amplitude = (double)s->amplitude;
    if (s->yarn > 0.0f) {
        *amplitude *= s->factor > 1.0f ? 1.0 + 0.1 * log((double)s->factor) : 1.0;
        return yarn(hp, i, angle);
    }
    return angle / (double)s->factor;
}

static void rope(struct pass *p, uint32_t layer, double *x, uint32_t n_heads)
{
    const struct pv_hparams *hp = &p->model->hp;
    for (size_t i = 0; i < hp->rope_dim / 2 && !differs(hp, layer, hp->rope_period); i++) {
        double amplitude;
        const double turn = frequency(p, layer, i, &amplitude);
        const size_t a = hp->rope == PV_ROPE_NEOX ? i : 2 * i;
        const size_t b = hp->rope == PV_ROPE_NEOX ? i + hp->rope_dim / 2 : 2 * i + 1;
        for (size_t row = 0; row < (size_t)p->n * n_heads; row++) {
            double *v = x + row * hp->head_dim;
            const size_t position = row / n_heads;
            const double angle = (double)position * turn, va = v[a], vb = v[b];
            v[a] = amplitude * (va * cos(angle) - vb * sin(angle));
            v[b] = amplitude * (va * sin(angle) + vb * cos(angle));
        }
    }
}

static double capped(double x, double cap)
{
    return cap > 0.0 ? cap * tanh(x / cap) : x;
}

/* One head of one query row over rows 0..t, or those of them that a window shows. */
static void attend(const struct pass *p, uint32_t layer, size_t t, size_t head, double *score)
{
    const struct pv_hparams *hp = &p->model->hp;
    const size_t dim = hp->head_dim, kv = head / (hp->n_heads / hp->n_kv_heads);
    const double *q = p->q + (t * hp->n_heads + head) * dim;
    double *out = p->attn + (t * hp->n_heads + head) * dim;
    const size_t first = has_window(hp, layer) && t + 1 > hp->window ? t + 1 - hp->window : 0;
    double best = -INFINITY, total = 0.0;
    for (size_t s = first; s <= t; s++) {
        const double *k = p->k + (s * hp->n_kv_heads + kv) * dim;
        score[s] = 0.0;
        for (size_t i = 0; i < dim; i++)
            score[s] += q[i] * k[i];
        score[s] = capped(score[s] * (double)hp->attn_scale, (double)hp->attn_softcap);
        best = score[s] > best ? score[s] : best;
    }
    for (size_t s = first; s <= t; s++)
        total += score[s] = exp(score[s] - best);
    for (size_t i = 0; i < dim; i++) {
        out[i] = 0.0;
        for (size_t s = first; s <= t; s++)
            out[i] += score[s] / total * p->v[(s * hp->n_kv_heads + kv) * dim + i];
    }
}

static double dot_half(const uint16_t *row, const double *x, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)pv_half_to_float(row[i]) * x[i];
    return sum;
}

/* The greatest of the scores but that of cluster `but`; ties: lowest. */
static size_t route(const struct pass *p, uint32_t layer, const double *z, size_t but)
{
    const struct pv_cluster_layer *c = &p->clusters->layers[layer];
    const size_t d = p->model->hp.d_model, width = pv_cluster_router_width(p->clusters, layer);
    const double *in = c->rank ? p->projected : z;
    size_t best = but;
    double best_score = -INFINITY;
    for (size_t i = 0; i < c->rank; i++)
        p->projected[i] = dot_half(c->down_projection + i * d, z, d);
    for (size_t k = 0; k < p->clusters->info.n_clusters; k++) {
        const double score = (double)c->router_bias[k] + dot_half(c->router + k * width, in, width);
        if (k != but && score > best_score) {
            best_score = score;
            best = k;
        }
    }
    return best;
}

/* Clears the activations outside the routed masks of input z. */
static void apply_masks(const struct pass *p, uint32_t layer, const double *z, double *a)
{
    const struct pv_cluster_layer *c = &p->clusters->layers[layer];
    const size_t first = route(p, layer, z, SIZE_MAX),
                 second = p->n_best > 1 ? route(p, layer, z, first) : first;
    uint32_t i = c->offset[first], j = c->offset[second];
    for (size_t n = 0; n < p->model->hp.d_ffn; n++) {
        const bool in_first = i < c->offset[first + 1] && c->neurons[i] == n;
        const bool in_second = j < c->offset[second + 1] && c->neurons[j] == n;
        i += in_first;
        j += in_second;
        if (!in_first && !in_second)
            a[n] = 0.0;
    }
}

/* The weights of the experts that the router chooses for each row of `input`; 0 of the others. */
static void choose_experts(struct pass *p, const struct pv_gguf_tensor *router, const double *input)
{
    const struct pv_hparams *hp = &p->model->hp;
    const size_t n = hp->n_experts;
    multiply(p, router, NULL, input, p->expert, p->n);
    for (size_t t = 0; t < p->n; t++) {
        double *score = p->expert + t * n, sum = 0.0;
        for (size_t e = 0; e < n; e++)
            score[e] = hp->gating == PV_GATING_SIGMOID ? 1.0 / (1.0 + exp(-score[e])) : exp(score[e]);
        for (size_t left = n - hp->n_experts_used; left > 0; left--) { /* the least of them goes */
            size_t least = n;
            for (size_t e = 0; e < n; e++)
                if (score[e] > 0.0 && (least == n || score[e] <= score[least]))
                    least = e;
            score[least] = 0.0;
        }
        for (size_t e = 0; e < n; e++)
            sum += score[e];
        for (size_t e = 0; e < n; e++)
            score[e] /= sum;
    }
}

/* W_down a, of an expert its own. */
static void project_down(struct pass *p, const struct pv_model_layer *w, double *out)
{
    const size_t d = p->model->hp.d_model, n = (size_t)w->ffn_down->dims[0];
    for (size_t i = 0; i < d; i++) {
        out[i] = w->ffn_down_bias ? (double)weight_row(p, w->ffn_down_bias, 0)[i] : 0.0;
        for (size_t e = 0; e < (size_t)w->ffn_down->dims[2]; e++) {
            const float *row = weight_row(p, w->ffn_down, e * d + i);
            for (size_t j = 0; j < n; j++)
                out[i] += (double)row[j] * p->a[e * n + j];
        }
    }
}

static void feed_forward(struct pass *p, uint32_t layer)
{
    const struct pv_model_layer *w = &p->model->layers[layer];
    const struct pv_hparams *hp = &p->model->hp;
    for (size_t t = 0; t < p->n; t++) {
        const double *z = p->h + t * hp->d_model;
        multiply(p, w->ffn_up, w->ffn_up_bias, z, p->a, 1);
        if (hp->gated)
            multiply(p, w->ffn_gate, w->ffn_gate_bias, z, p->gate, 1);
        for (size_t j = 0; j < hp->d_ffn; j++) {
            p->a[j] =
                hp->gated ? pv_ref_act_gated(hp->act, p->gate[j], p->a[j]) : pv_ref_act(hp->act, p->a[j]);
            if (hp->n_experts > 0)
                p->a[j] *= p->expert[t * hp->n_experts + j / (hp->d_ffn / hp->n_experts)];
        }
        if (p->clusters)
            apply_masks(p, layer, z, p->a);
        project_down(p, w, p->out + t * hp->d_model);
    }
}

static void attention(struct pass *p, uint32_t layer, double *score)
{
    const struct pv_model_layer *w = &p->model->layers[layer];
    const struct pv_hparams *hp = &p->model->hp;
    const size_t n = p->n, dim = hp->head_dim;
    const bool whole = hp->qk_norm == PV_QK_NORM_ROW;
    multiply(p, w->attn_q, w->attn_q_bias, p->h, p->q, p->n);
    multiply(p, w->attn_k, w->attn_k_bias, p->h, p->k, p->n);
    multiply(p, w->attn_v, w->attn_v_bias, p->h, p->v, p->n);
    if (hp->qk_norm != PV_QK_NORM_NONE) {
        norm_rows(p, w->q_norm, NULL, p->q, p->q, whole ? n : n * hp->n_heads,
                  whole ? dim * hp->n_heads : dim, false);
        norm_rows(p, w->k_norm, NULL, p->k, p->k, whole ? n : n * hp->n_kv_heads,
                  whole ? dim * hp->n_kv_heads : dim, false);
    }
    rope(p, layer, p->q, hp->n_heads);
    rope(p, layer, p->k, hp->n_kv_heads);
    for (size_t t = 0; t < n; t++)
        for (size_t head = 0; head < hp->n_heads; head++)
            attend(p, layer, t, head, score);
    multiply(p, w->attn_output, w->attn_output_bias, p->attn, p->out, p->n);
}

static void output(struct pass *p, float *logits)
{
    const struct pv_model *m = p->model;
    const struct pv_hparams *hp = &m->hp;
    norm_stream(p, m->output_norm, m->output_norm_bias);
    for (size_t i = 0; i < hp->n_vocab; i++) {
        const float *row = weight_row(p, m->output, i);
        for (size_t t = 0; t < p->n; t++) {
            double sum = 0.0;
            for (size_t j = 0; j < hp->d_model; j++)
                sum += (double)row[j] * p->h[t * hp->d_model + j];
            logits[t * hp->n_vocab + i] =
                (float)capped(sum * (double)hp->logit_scale, (double)hp->logit_softcap);
        }
    }
}

static void run(struct pass *p, const uint32_t *tokens, double *score, float *logits)
{
    const struct pv_model *m = p->model;
    const struct pv_hparams *hp = &m->hp;
    const size_t d = hp->d_model;
    for (size_t t = 0; t < p->n; t++) {
        const float *row = weight_row(p, m->token_embd, tokens[t]);
        for (size_t i = 0; i < d; i++)
            p->x[t * d + i] = (double)row[i] * (double)hp->embed_scale;
    }
    for (uint32_t l = 0; l < hp->n_layers; l++) {
        const struct pv_model_layer *w = &m->layers[l];
        if (w->ffn_router && hp->routes_input)
            choose_experts(p, w->ffn_router, p->x);
        norm_stream(p, w->attn_norm, w->attn_norm_bias);
        attention(p, l, score);
        add_to_stream(p, w->attn_post_norm);
        norm_stream(p, w->ffn_norm, w->ffn_norm_bias);
        if (w->ffn_router && !hp->routes_input)
            choose_experts(p, w->ffn_router, p->h);
        feed_forward(p, l);
        add_to_stream(p, w->ffn_post_norm);
    }
    output(p, logits);
}

enum pv_status pv_reference_forward(const struct pv_model *model, const struct pv_clusters *clusters,
                                    uint32_t n_best, const uint32_t *tokens, uint32_t n, float *logits)
{
    const struct pv_hparams *hp = &model->hp;
    const size_t d = hp->d_model, q = (size_t)hp->n_heads * hp->head_dim,
                 kv = (size_t)hp->n_kv_heads * hp->head_dim;
    struct pass p = {.model = model, .clusters = clusters, .n = n, .n_best = n_best};
    const size_t lengths[] = {n * d,  n * d,  n * d,     n * q,     n * q,
                              n * kv, n * kv, hp->d_ffn, hp->d_ffn, n * (size_t)hp->n_experts,
                              d,      n};
    double *score = NULL, **parts[] = {&p.x, &p.h, &p.out,  &p.q,      &p.attn,      &p.k,
                                       &p.v, &p.a, &p.gate, &p.expert, &p.projected, &score};
    enum { N_PARTS = sizeof lengths / sizeof *lengths };
    size_t total = 0, widest = hp->d_ffn > d ? hp->d_ffn : d;
    widest = q > widest ? q : widest;
    for (size_t i = 0; i < N_PARTS; i++)
        total += lengths[i];
    double *block = pv_calloc(total, sizeof *block), *at = block;
    p.row = pv_calloc(widest, sizeof *p.row);
    if (!block || !p.row) {
        free(block);
        free(p.row);
        return pv_fail(&model->log, PV_ERR_NOMEM, "no memory for a reference pass over %u tokens", n);
    }
    for (size_t i = 0; i < N_PARTS; i++) {
        *parts[i] = at;
        at += lengths[i];
    }
    run(&p, tokens, score, logits);
    free(block);
    free(p.row);
    return PV_OK;
}
