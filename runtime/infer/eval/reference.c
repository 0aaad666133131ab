/* One straight pass over the layers, whole sequence at a time: attention sees all earlier rows, so no cache
 * is needed. Nothing here is shared with the kernels but the type conversions. */
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
    double *a, *gate;                 /* [F] */
    double *projected;                /* [d] input of a low-rank router */
    float *row;                       /* one dequantised weight row */
    size_t widest;
};

static const float *weight_row(struct pass *p, const struct pv_gguf_tensor *t, size_t i)
{
    pv_dequantize(t->type, t->data + i * pv_type_row_bytes(t->type, t->dims[0]), p->row, (size_t)t->dims[0]);
    return p->row;
}

/* y[t] (+)= W x[t] for n rows. */
static void multiply(struct pass *p, const struct pv_gguf_tensor *w, const double *x, double *y, uint32_t n,
                     bool add)
{
    const size_t cols = (size_t)w->dims[0], rows = (size_t)w->dims[1];
    for (size_t i = 0; i < rows; i++) {
        const float *row = weight_row(p, w, i);
        for (size_t t = 0; t < n; t++) {
            double sum = 0.0;
            for (size_t j = 0; j < cols; j++)
                sum += (double)row[j] * x[t * cols + j];
            y[t * rows + i] = add ? y[t * rows + i] + sum : sum;
        }
    }
}

static void rmsnorm(struct pass *p, const struct pv_gguf_tensor *w)
{
    const size_t d = p->model->hp.d_model;
    const float *weight = weight_row(p, w, 0);
    for (size_t t = 0; t < p->n; t++) {
        double sum = 0.0;
        for (size_t i = 0; i < d; i++)
            sum += p->x[t * d + i] * p->x[t * d + i];
        const double scale = 1.0 / sqrt(sum / (double)d + (double)p->model->hp.norm_eps);
        for (size_t i = 0; i < d; i++)
            p->h[t * d + i] = p->x[t * d + i] * scale * (double)weight[i];
    }
}

static void rope(const struct pass *p, double *x, uint32_t n_heads)
{
    const struct pv_hparams *hp = &p->model->hp;
    for (size_t t = 0; t < p->n; t++)
        for (size_t head = 0; head < n_heads; head++) {
            double *v = x + (t * n_heads + head) * hp->head_dim;
            for (size_t i = 0; i < hp->rope_dim / 2; i++) {
                const double angle =
                    (double)t * pow((double)hp->rope_freq_base, -2.0 * (double)i / hp->rope_dim);
                const size_t a = hp->rope == PV_ROPE_NEOX ? i : 2 * i;
                const size_t b = hp->rope == PV_ROPE_NEOX ? i + hp->rope_dim / 2 : 2 * i + 1;
                const double va = v[a], vb = v[b];
                v[a] = va * cos(angle) - vb * sin(angle);
                v[b] = va * sin(angle) + vb * cos(angle);
            }
        }
}

/* One head of one query row over rows 0..t. */
static void attend(const struct pass *p, size_t t, size_t head, double *score)
{
    const struct pv_hparams *hp = &p->model->hp;
    const size_t dim = hp->head_dim, kv = head / (hp->n_heads / hp->n_kv_heads);
    const double *q = p->q + (t * hp->n_heads + head) * dim;
    double *out = p->attn + (t * hp->n_heads + head) * dim;
    double best = -INFINITY, total = 0.0;
    for (size_t s = 0; s <= t; s++) {
        const double *k = p->k + (s * hp->n_kv_heads + kv) * dim;
        score[s] = 0.0;
        for (size_t i = 0; i < dim; i++)
            score[s] += q[i] * k[i];
        score[s] /= sqrt((double)dim);
        best = score[s] > best ? score[s] : best;
    }
    for (size_t s = 0; s <= t; s++)
        total += score[s] = exp(score[s] - best);
    for (size_t i = 0; i < dim; i++) {
        out[i] = 0.0;
        for (size_t s = 0; s <= t; s++)
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

static void feed_forward(struct pass *p, uint32_t layer)
{
    const struct pv_model_layer *w = &p->model->layers[layer];
    const struct pv_hparams *hp = &p->model->hp;
    for (size_t t = 0; t < p->n; t++) {
        const double *z = p->h + t * hp->d_model;
        multiply(p, w->ffn_up, z, p->a, 1, false);
        if (hp->gated)
            multiply(p, w->ffn_gate, z, p->gate, 1, false);
        for (size_t j = 0; j < hp->d_ffn; j++)
            p->a[j] = hp->gated ? pv_ref_act(hp->act, p->gate[j]) * p->a[j] : pv_ref_act(hp->act, p->a[j]);
        if (p->clusters)
            apply_masks(p, layer, z, p->a);
        multiply(p, w->ffn_down, p->a, p->x + t * hp->d_model, 1, true);
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
            p->x[t * d + i] = (double)row[i];
    }
    for (uint32_t l = 0; l < hp->n_layers; l++) {
        const struct pv_model_layer *w = &m->layers[l];
        rmsnorm(p, w->attn_norm);
        multiply(p, w->attn_q, p->h, p->q, p->n, false);
        multiply(p, w->attn_k, p->h, p->k, p->n, false);
        multiply(p, w->attn_v, p->h, p->v, p->n, false);
        rope(p, p->q, hp->n_heads);
        rope(p, p->k, hp->n_kv_heads);
        for (size_t t = 0; t < p->n; t++)
            for (size_t head = 0; head < hp->n_heads; head++)
                attend(p, t, head, score);
        multiply(p, w->attn_output, p->attn, p->x, p->n, true);
        rmsnorm(p, w->ffn_norm);
        feed_forward(p, l);
    }
    rmsnorm(p, m->output_norm);
    for (size_t i = 0; i < hp->n_vocab; i++) {
        const float *row = weight_row(p, m->output, i);
        for (size_t t = 0; t < p->n; t++) {
            double sum = 0.0;
            for (size_t j = 0; j < d; j++)
                sum += (double)row[j] * p->h[t * d + j];
            logits[t * hp->n_vocab + i] = (float)sum;
        }
    }
}

enum pv_status pv_reference_forward(const struct pv_model *model, const struct pv_clusters *clusters,
                                    uint32_t n_best, const uint32_t *tokens, uint32_t n, float *logits)
{
    const struct pv_hparams *hp = &model->hp;
    const size_t d = hp->d_model, q = (size_t)hp->n_heads * hp->head_dim,
                 kv = (size_t)hp->n_kv_heads * hp->head_dim;
    struct pass p = {.model = model, .clusters = clusters, .n = n, .n_best = n_best};
    p.widest = hp->d_ffn > d ? hp->d_ffn : d;
    p.widest = q > p.widest ? q : p.widest;
    const size_t total = n * (2 * d + 2 * q + 2 * kv) + 2 * (size_t)hp->d_ffn + d + n;
    double *block = pv_calloc(total, sizeof *block);
    p.row = pv_calloc(p.widest, sizeof *p.row);
    if (!block || !p.row) {
        free(block);
        free(p.row);
        return pv_fail(&model->log, PV_ERR_NOMEM, "no memory for a reference pass over %u tokens", n);
    }
    p.x = block;
    p.h = p.x + n * d;
    p.q = p.h + n * d;
    p.attn = p.q + n * q;
    p.k = p.attn + n * q;
    p.v = p.k + n * kv;
    p.a = p.v + n * kv;
    p.gate = p.a + hp->d_ffn;
    p.projected = p.gate + hp->d_ffn;
    run(&p, tokens, p.projected + d, logits);
    free(block);
    free(p.row);
    return PV_OK;
}
