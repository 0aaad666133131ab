/* Low-rank prediction of what fires: u = W z is predicted as m = A B z with an error of standard deviation
 * s_j, taken as normal, so that the expected energy of a neuron has a closed form. With t = m_j / s_j, n =
 * ||W_down[:, j]||, Phi and phi of the normal distribution: ReLU^2: E c^2 = n^2 s^4 ((t^4 + 6 t^2 + 3) Phi(t)
 * + (t^3 + 5 t) phi(t)) ReLU:   E c^2 = n^2 s^2 ((t^2 + 1) Phi(t) + t phi(t)) Others (the gate of SwiGLU or
 * GELU): the activation of m_j, squared, times the neuron's own mean square of the rest.
 */
#include "lab/methods/predict_method.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "learn/algo/router/lowrank_map.h"

enum { ERROR_ROWS = 2048 };

struct svd {
    struct pv_lowrank map;
    float scale;
    float *deviation; /* [F] s_j */
    float *weight;    /* [F] n_j^2, or the mean square of what multiplies the activation */
};

/* r (d + F) numbers for the bytes of K (d + 2): K router rows and their biases. */
static uint32_t rank_for(const struct pv_predict_params *p)
{
    const double r =
        (double)p->n_clusters * (p->shape.d_model + 2.0) / ((double)p->shape.d_model + p->shape.d_ffn);

    return r < 1.0 ? 1 : r > p->shape.d_model ? p->shape.d_model : (uint32_t)r;
}

static double bytes(const struct pv_predict_params *p)
{
    return 2.0 * rank_for(p) * ((double)p->shape.d_model + p->shape.d_ffn) * p->shape.n_layers;
}

static float activate(enum pv_act act, float x)
{
    switch (act) {
    case PV_ACT_RELU2:
        return x > 0.0f ? x * x : 0.0f;
    case PV_ACT_RELU:
    case PV_ACT_DRELU:
        return x > 0.0f ? x : 0.0f;
    case PV_ACT_SILU:
        return x / (1.0f + expf(-x));
    case PV_ACT_GELU:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    }
    return x;
}

/* Mean square of c_j over the square of the activation where it counts: what the gate does not tell. */
static void weigh_gated(const struct pv_predict_params *params, const float *square, const float *fired,
                        struct svd *s)
{
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        s->weight[j] = fired[j] > 0.0f ? square[j] / fired[j] : 0.0f;
}

/* Errors of the prediction, and the weights, over a sample of the rows. */
static bool measure(const struct pv_predict_params *params, const struct pv_predict_layer *in, struct svd *s)
{
    const size_t d = params->shape.d_model, f = params->shape.d_ffn;
    const size_t n = in->split->n_train < ERROR_ROWS ? in->split->n_train : ERROR_ROWS;
    struct pv_lowrank exact = {.n_rows = (uint32_t)f, .n_cols = (uint32_t)d, .rank = (uint32_t)d};
    float *room = pv_calloc(2 * d + 5 * f, sizeof *room), *z = room, *h = room + d, *truth = room + 2 * d;
    float *guess = truth + f, *c = guess + f, *square = c + f, *fired = square + f;

    exact.a_t = pv_calloc(d * f, sizeof(float));
    for (size_t i = 0; exact.a_t && i < d; i++) {
        for (size_t j = 0; j < f; j++)
            exact.a_t[i * f + j] = in->w[j * d + i];
    }
    for (size_t i = 0; room && exact.a_t && i < n; i++) {
        const size_t row = in->split->train[i * in->split->n_train / n];

        pv_predict_float_row(in->z + row * d, d, z);
        pv_predict_dense_row(in->x, row, c);
        pv_lowrank_expand(&exact, z, truth);
        pv_lowrank_project(&s->map, z, h);
        pv_lowrank_expand(&s->map, h, guess);
        for (size_t j = 0; j < f; j++) {
            const float e = truth[j] - guess[j], a = activate(params->shape.act, truth[j]);

            s->deviation[j] += e * e / (float)n;
            square[j] += c[j] * c[j];
            fired[j] += a * a;
        }
    }
    for (size_t j = 0; room && exact.a_t && j < f; j++) {
        s->deviation[j] = sqrtf(s->deviation[j]);
        s->weight[j] = in->norm[j] * in->norm[j];
    }
    if (room && exact.a_t && params->shape.gated)
        weigh_gated(params, square, fired, s);
    const bool good = room && exact.a_t;
    free(exact.a_t);
    free(room);
    return good;
}

static void release(void *state)
{
    struct svd *s = state;

    pv_lowrank_free(&s->map);
    free(s->deviation);
    free(s->weight);
    free(s);
}

static void *learn_with(const struct pv_predict_params *params, const struct pv_predict_layer *in,
                        const float *moment)
{
    const struct pv_lowrank_params search = {.w = in->w,
                                             .moment = moment,
                                             .n_rows = params->shape.d_ffn,
                                             .n_cols = params->shape.d_model,
                                             .rank = rank_for(params),
                                             .n_threads = params->n_threads,
                                             .seed = params->seed};
    struct svd *s = pv_calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->scale = in->scale;
    s->deviation = pv_calloc(params->shape.d_ffn, sizeof(float));
    s->weight = pv_calloc(params->shape.d_ffn, sizeof(float));
    if (!s->deviation || !s->weight || pv_lowrank_find(&search, &s->map) != PV_OK ||
        !measure(params, in, s)) {
        release(s);
        return NULL;
    }
    return s;
}

static void *learn_svd(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    return learn_with(params, in, NULL);
}

static void *learn_lowrank(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    float *moment = pv_lowrank_moment(in->z, params->shape.d_model, in->split->train, in->split->n_train,
                                      params->n_threads);
    void *state = moment ? learn_with(params, in, moment) : NULL;

    free(moment);
    return state;
}

/* E[phi(m + s e)^2] for normal e. */
static float expected_square(enum pv_act act, float m, float s)
{
    float t, below, density, a;

    if (!pv_act_makes_zeros(act)) {
        a = activate(act, m);
        return a * a;
    }
    if (s <= 1e-12f || m > 8.0f * s) {
        a = activate(act, m);
        return a * a;
    }
    t = m / s;
    if (t < -6.0f)
        return 0.0f;
    below = 0.5f * erfcf(-0.70710678f * t);
    density = 0.39894228f * expf(-0.5f * t * t);
    if (act != PV_ACT_RELU2)
        return s * s * fmaxf((t * t + 1.0f) * below + t * density, 0.0f);
    return s * s * s * s *
           fmaxf((t * t * t * t + 6.0f * t * t + 3.0f) * below + (t * t * t + 5.0f * t) * density, 0.0f);
}

static void score(const void *state, const struct pv_predict_params *params, const float *z, const float *c,
                  float *room, float *out)
{
    const struct svd *s = state;

    (void)c;
    pv_lowrank_project(&s->map, z, room);
    pv_lowrank_expand(&s->map, room, out);
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        out[j] = s->scale * s->weight[j] * expected_square(params->shape.act, out[j], s->deviation[j]);
}

const struct pv_score_kind pv_predict_svd = {
    .ops = {.name = "svd", .label = "truncated SVD of W", .clustered = true},
    .learn = learn_svd,
    .score = score,
    .release = release,
    .predictor_bytes = bytes,
};
const struct pv_score_kind pv_predict_lowrank = {
    .ops = {.name = "lowrank", .label = "low rank, weighted by z", .clustered = true},
    .learn = learn_lowrank,
    .score = score,
    .release = release,
    .predictor_bytes = bytes,
};
