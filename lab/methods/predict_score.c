/* A sample of the calibration tokens is scored once per layer; a density is then one bisection over the bits
 * of the threshold, since floats >= 0 order like their bits. Scores that take few values (counts) would miss
 * the density by a whole step, so layers then step down one at a time while the budget lasts. */
#include "lab/methods/predict_method.h"

#include <stdlib.h>
#include "base/bits.h"
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"

enum { SAMPLE_ROWS = 2048, SAMPLE_FLOATS = 1 << 25, TOKEN_CHUNK = 8 };

struct score_layer {
    void *state;
    float *sample; /* [n_sample][F] */
    size_t n_sample;
    float threshold;
};
struct scored {
    struct pv_predictor head;
    struct pv_predict_ops ops;
    const struct pv_score_kind *kind;
    struct score_layer *layers; /* [n_layers] */
};

double pv_predict_dense_bytes(const struct pv_predict_shape *s)
{
    return s->matrix_bytes * (s->gated ? 3.0 : 2.0) * s->n_layers;
}

double pv_predict_all_rows(const struct pv_predictor *p, double density)
{
    return density * pv_predict_dense_bytes(&p->params.shape);
}

void pv_predict_dense_row(const struct pv_sparse *x, size_t row, float *c)
{
    memset(c, 0, x->n_cols * sizeof *c);
    for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++) {
        const float root = pv_root_to_float(x->root[p]);

        c[x->col[p]] = root * root;
    }
}

void pv_predict_float_row(const uint16_t *half, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = pv_half_to_float(half[i]);
}

/* Scratch of one token: z, contributions, and what the kind needs. */
static size_t room_size(const struct pv_predict_shape *s)
{
    return 3 * (size_t)s->d_model + 2 * (size_t)s->d_ffn;
}

struct sampling {
    const struct scored *s;
    const struct pv_predict_layer *in;
    struct score_layer *layer;
    bool failed;
};

static void sample_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct sampling *g = user;
    const struct pv_predict_params *params = &g->s->head.params;
    const size_t d = params->shape.d_model, f = params->shape.d_ffn;
    float *room = pv_calloc(room_size(&params->shape), sizeof *room);

    (void)chunk;
    if (!room) {
        g->failed = true;
        return;
    }
    for (size_t i = begin; i < end; i++) {
        const size_t row = g->in->split->train[i * g->in->split->n_train / g->layer->n_sample];

        pv_predict_float_row(g->in->z + row * d, d, room);
        pv_predict_dense_row(g->in->x, row, room + d);
        g->s->kind->score(g->layer->state, params, room, room + d, room + d + f, g->layer->sample + i * f);
    }
    free(room);
}

static enum pv_status train(struct pv_predictor *p, const struct pv_predict_layer *in,
                            const struct pv_steps *steps)
{
    struct scored *s = (struct scored *)p;
    struct score_layer *layer = &s->layers[in->layer];
    size_t most = SAMPLE_FLOATS / ((size_t)p->params.shape.d_ffn * p->params.shape.n_layers) + 1;
    struct sampling g = {.s = s, .in = in, .layer = layer};

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    if (in->split->n_train == 0)
        return PV_ERR_ARG;
    most = most < SAMPLE_ROWS ? most : SAMPLE_ROWS;
    layer->n_sample = in->split->n_train < most ? in->split->n_train : most;
    layer->state = s->kind->learn(&p->params, in);
    layer->sample = pv_calloc(layer->n_sample * p->params.shape.d_ffn, sizeof *layer->sample);
    if (!layer->state || !layer->sample)
        return PV_ERR_NOMEM;
    pv_parallel_for(p->params.n_threads, layer->n_sample, (layer->n_sample + TOKEN_CHUNK - 1) / TOKEN_CHUNK,
                    sample_rows, &g);
    return g.failed ? PV_ERR_NOMEM : PV_OK;
}

/* Share of a layer's sampled scores above a threshold. */
static double share_above(const struct scored *s, uint32_t layer, float threshold)
{
    const struct score_layer *l = &s->layers[layer];
    size_t n = l->n_sample * s->head.params.shape.d_ffn, count = 0;

    for (size_t i = 0; i < n; i++)
        count += l->sample[i] > threshold;
    return (double)count / (double)n;
}

/* Mean density of layers [first, end) under one threshold. */
static double density_at(const struct scored *s, uint32_t first, uint32_t end, float threshold)
{
    double sum = 0.0;

    for (uint32_t l = first; l < end; l++)
        sum += share_above(s, l, threshold);
    return sum / (end - first);
}

static void find_threshold(struct scored *s, uint32_t first, uint32_t end, double density)
{
    uint32_t low = 0, high = 0x7f800000u; /* 0 and infinity */
    float threshold = 0.0f;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        memcpy(&threshold, &middle, sizeof threshold);
        if (density_at(s, first, end, threshold) <= density)
            high = middle;
        else
            low = middle + 1;
    }
    memcpy(&threshold, &high, sizeof threshold);
    for (uint32_t l = first; l < end; l++)
        s->layers[l].threshold = threshold;
}

/* The largest sampled score of a layer at or below its threshold, -1 if there is none: above() then takes it
 * in. */
static float next_below(const struct scored *s, uint32_t layer)
{
    const struct score_layer *l = &s->layers[layer];
    const size_t n = l->n_sample * s->head.params.shape.d_ffn;
    float top = -1.0f, below = -1.0f;

    for (size_t i = 0; i < n; i++) {
        if (l->sample[i] <= l->threshold && l->sample[i] > top)
            top = l->sample[i];
    }
    for (size_t i = 0; i < n; i++) { /* the threshold that lets `top` in lies just below it */
        if (l->sample[i] < top && l->sample[i] > below)
            below = l->sample[i];
    }
    return top < 0.0f ? l->threshold : below < 0.0f ? top * 0.5f : below;
}

static void spend_rest(struct scored *s, double density)
{
    const uint32_t n = s->head.params.shape.n_layers;
    double spent = 0.0;

    for (uint32_t l = 0; l < n; l++)
        spent += share_above(s, l, s->layers[l].threshold) / n;
    for (uint32_t l = 0; l < n; l++) {
        const float lower = next_below(s, l);
        const double more = (share_above(s, l, lower) - share_above(s, l, s->layers[l].threshold)) / n;

        if (more > 0.0 && spent + more <= density) {
            s->layers[l].threshold = lower;
            spent += more;
        }
    }
}

static enum pv_status set_density(struct pv_predictor *p, double density)
{
    struct scored *s = (struct scored *)p;
    const uint32_t n = p->params.shape.n_layers;

    for (uint32_t l = 0; l < n && s->kind->per_layer; l++)
        find_threshold(s, l, l + 1, density);
    if (!s->kind->per_layer)
        find_threshold(s, 0, n, density);
    spend_rest(s, density);
    return PV_OK;
}

struct predicting {
    const struct scored *s;
    const struct pv_capture *tokens;
    uint32_t *bits;
    bool failed;
};

static void predict_tokens(void *user, size_t chunk, size_t begin, size_t end)
{
    struct predicting *g = user;
    const struct pv_predict_params *params = &g->s->head.params;
    const struct score_layer *layer = &g->s->layers[g->tokens->layer];
    const size_t d = params->shape.d_model, f = params->shape.d_ffn, words = pv_bit_words(f);
    float *room = pv_calloc(room_size(&params->shape), sizeof *room);

    (void)chunk;
    if (!room) {
        g->failed = true;
        return;
    }
    for (size_t t = begin; t < end; t++) {
        uint32_t *bits = g->bits + t * words;

        g->s->kind->score(layer->state, params, g->tokens->z + t * d, g->tokens->contribution + t * f,
                          room + f, room);
        for (size_t j = 0; j < f; j++)
            bits[j / 32] |= (uint32_t)(room[j] > layer->threshold) << (j % 32);
    }
    free(room);
}

static enum pv_status predict(struct pv_predictor *p, const struct pv_capture *tokens, uint32_t *bits)
{
    struct predicting g = {.s = (struct scored *)p, .tokens = tokens, .bits = bits};

    pv_parallel_for(p->params.n_threads, tokens->n_tokens, (tokens->n_tokens + TOKEN_CHUNK - 1) / TOKEN_CHUNK,
                    predict_tokens, &g);
    return g.failed ? PV_ERR_NOMEM : PV_OK;
}

static double predictor_bytes(const struct pv_predictor *p)
{
    return ((const struct scored *)p)->kind->predictor_bytes(&p->params);
}

static void destroy(struct pv_predictor *p)
{
    struct scored *s = (struct scored *)p;

    for (uint32_t l = 0; s && l < p->params.shape.n_layers; l++) {
        if (s->layers[l].state)
            s->kind->release(s->layers[l].state);
        free(s->layers[l].sample);
    }
    if (s)
        free(s->layers);
    free(s);
}

enum pv_status pv_predict_score_create(const struct pv_score_kind *kind,
                                       const struct pv_predict_params *params, struct pv_predictor **out)
{
    struct scored *s = pv_calloc(1, sizeof *s);

    if (!s)
        return PV_ERR_NOMEM;
    s->kind = kind;
    s->ops = kind->ops;
    s->ops.train = train;
    s->ops.set_density = set_density;
    s->ops.predict = predict;
    s->ops.predictor_bytes = predictor_bytes;
    if (!s->ops.neuron_bytes)
        s->ops.neuron_bytes = pv_predict_all_rows;
    s->ops.destroy = destroy;
    s->head = (struct pv_predictor){.ops = &s->ops, .params = *params};
    s->layers = pv_calloc(params->shape.n_layers, sizeof *s->layers);
    if (!s->layers) {
        free(s);
        return PV_ERR_NOMEM;
    }
    *out = &s->head;
    return PV_OK;
}
