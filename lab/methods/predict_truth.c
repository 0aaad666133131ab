/* References that need no predictor: the token's own contributions (what no run knows in advance), and one
 * set for every token (what needs no knowledge at all). */
#include "lab/methods/predict_method.h"

#include <stdlib.h>
#include "base/mem.h"

struct scaled {
    float scale;
    float values[]; /* [F] static: mean c_j^2 scaled; magnitude: 1 / norm */
};

static struct scaled *scaled_new(const struct pv_predict_layer *in)
{
    struct scaled *s = pv_calloc(1, sizeof *s + in->x->n_cols * sizeof(float));

    if (s)
        s->scale = in->scale;
    return s;
}

static double no_bytes(const struct pv_predict_params *params)
{
    (void)params;
    return 0.0;
}

static void *learn_oracle(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    (void)params;
    return scaled_new(in);
}

static void score_oracle(const void *state, const struct pv_predict_params *params, const float *z,
                         const float *c, float *room, float *score)
{
    const struct scaled *s = state;

    (void)z, (void)room;
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        score[j] = s->scale * c[j] * c[j];
}

const struct pv_score_kind pv_predict_oracle = {
    .ops = {.name = "oracle", .label = "oracle mask (floor)", .knows_truth = true},
    .learn = learn_oracle,
    .score = score_oracle,
    .release = free,
    .predictor_bytes = no_bytes,
};

static void *learn_magnitude(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    struct scaled *s = scaled_new(in);

    for (uint32_t j = 0; s && j < params->shape.d_ffn; j++)
        s->values[j] = in->norm[j] > 0.0f ? 1.0f / in->norm[j] : 0.0f;
    return s;
}

/* |a_j| = c_j / ||W_down[:, j]||. */
static void score_magnitude(const void *state, const struct pv_predict_params *params, const float *z,
                            const float *c, float *room, float *score)
{
    const struct scaled *s = state;

    (void)z, (void)room;
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        score[j] = c[j] * s->values[j];
}

/* The matrices before the activation are read whole. */
static double magnitude_bytes(const struct pv_predict_params *params)
{
    return params->shape.matrix_bytes * (params->shape.gated ? 2.0 : 1.0) * params->shape.n_layers;
}

static double magnitude_neurons(const struct pv_predictor *p, double density)
{
    return density * p->params.shape.matrix_bytes * p->params.shape.n_layers;
}

const struct pv_score_kind pv_predict_magnitude = {
    .ops = {.name = "magnitude",
            .label = "true activation (TEAL, CATS)",
            .knows_truth = true,
            .neuron_bytes = magnitude_neurons},
    .per_layer = true,
    .learn = learn_magnitude,
    .score = score_magnitude,
    .release = free,
    .predictor_bytes = magnitude_bytes,
};

static void *learn_static(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    struct scaled *s = scaled_new(in);

    (void)params;
    for (size_t i = 0; s && i < in->split->n_train; i++) {
        const size_t row = in->split->train[i];

        for (uint64_t p = in->x->offset[row]; p < in->x->offset[row + 1]; p++) {
            const float root = pv_root_to_float(in->x->root[p]);

            s->values[in->x->col[p]] += root * root * root * root / (float)in->split->n_train;
        }
    }
    return s;
}

static void score_static(const void *state, const struct pv_predict_params *params, const float *z,
                         const float *c, float *room, float *score)
{
    const struct scaled *s = state;

    (void)z, (void)c, (void)room;
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        score[j] = s->scale * s->values[j];
}

const struct pv_score_kind pv_predict_static = {
    .ops = {.name = "static", .label = "static hot set"},
    .learn = learn_static,
    .score = score_static,
    .release = free,
    .predictor_bytes = no_bytes,
};
