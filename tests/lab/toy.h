/* A toy feed-forward layer of squared ReLU with tokens around a few centres, as the methods learn from it. */
#ifndef PV_TESTS_TOY_H
#define PV_TESTS_TOY_H

#include <math.h>
#include <stdlib.h>
#include "base/bits.h"
#include "base/half.h"
#include "base/rng.h"
#include "harness.h"
#include "lab/methods/predict_method.h"

enum { TOY_D = 40, TOY_F = 75, TOY_ROWS = 1200, TOY_CENTRES = 6 };

struct toy {
    float w[TOY_F * TOY_D], norm[TOY_F];
    uint16_t z[TOY_ROWS * TOY_D];
    float z_float[TOY_ROWS * TOY_D], c[TOY_ROWS * TOY_F];
    uint64_t offset[TOY_ROWS + 1];
    uint16_t col[TOY_ROWS * TOY_F], root[TOY_ROWS * TOY_F];
    uint32_t rows[TOY_ROWS];
    struct pv_split split; /* all rows are learned from */
    struct pv_sparse x;
    struct pv_predict_layer in;
    struct pv_predict_params params;
};

static inline void toy_row(struct toy *t, size_t i)
{
    uint64_t n = t->offset[i];

    for (size_t j = 0; j < TOY_F; j++) {
        float u = 0.0f, *c = &t->c[i * TOY_F + j];

        for (size_t k = 0; k < TOY_D; k++)
            u += t->w[j * TOY_D + k] * t->z_float[i * TOY_D + k];
        *c = u > 0.0f ? u * u * t->norm[j] : 0.0f;
        if (*c > 0.0f) {
            t->col[n] = (uint16_t)j;
            t->root[n] = pv_float_to_half(sqrtf(*c));
            t->root[n] = t->root[n] == 0 ? 1 : t->root[n];
            n++;
        }
    }
    t->offset[i + 1] = n;
}

static inline struct toy *toy_new(uint64_t seed)
{
    struct toy *t = calloc(1, sizeof *t);
    float centre[TOY_CENTRES * TOY_D];
    struct pv_rng rng;

    ck_assert_ptr_nonnull(t);
    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < TOY_F * TOY_D; i++)
        t->w[i] = pv_rng_normal(&rng);
    for (size_t j = 0; j < TOY_F; j++)
        t->norm[j] = 0.5f + pv_rng_float(&rng);
    for (size_t i = 0; i < TOY_CENTRES * TOY_D; i++)
        centre[i] = pv_rng_normal(&rng);
    for (size_t i = 0; i < TOY_ROWS; i++) {
        size_t g = pv_rng_below(&rng, TOY_CENTRES);

        t->rows[i] = (uint32_t)i;
        for (size_t k = 0; k < TOY_D; k++) {
            t->z[i * TOY_D + k] = pv_float_to_half(centre[g * TOY_D + k] + 0.4f * pv_rng_normal(&rng));
            t->z_float[i * TOY_D + k] = pv_half_to_float(t->z[i * TOY_D + k]);
        }
        toy_row(t, i);
    }
    t->x = (struct pv_sparse){TOY_ROWS, TOY_F, t->offset, t->col, t->root};
    t->split = (struct pv_split){.train = t->rows, .n_train = TOY_ROWS};
    t->in = (struct pv_predict_layer){.x = &t->x,
                                      .z = t->z,
                                      .split = &t->split,
                                      .w = t->w,
                                      .norm = t->norm,
                                      .scale = 0.01f,
                                      .test_x = &t->x,
                                      .test_z = t->z};
    t->params = (struct pv_predict_params){.shape = {.n_layers = 1,
                                                     .d_model = TOY_D,
                                                     .d_ffn = TOY_F,
                                                     .act = PV_ACT_RELU2,
                                                     .matrix_bytes = 6000.0},
                                           .n_clusters = 12,
                                           .n_threads = 1,
                                           .seed = 3};
    return t;
}

/* What a method makes of all rows: density and share of the energy kept. */
static inline void toy_predict(const struct toy *t, struct pv_predictor *p, uint32_t *bits, double *density,
                               double *energy)
{
    size_t words = pv_bit_words(TOY_F);
    struct pv_capture tokens = {.n_tokens = TOY_ROWS, .z = t->z_float, .contribution = t->c};
    double kept = 0.0, all = 0.0;

    memset(bits, 0, TOY_ROWS * words * sizeof *bits);
    ck_assert_int_eq(p->ops->predict(p, &tokens, bits), PV_OK);
    *density = 0.0;
    for (size_t i = 0; i < TOY_ROWS; i++) {
        for (size_t j = 0; j < TOY_F; j++) {
            double c = (double)t->c[i * TOY_F + j];
            bool on = pv_bit_get(bits + i * words, j);

            all += c * c;
            kept += on ? c * c : 0.0;
            *density += on ? 1.0 / (TOY_ROWS * TOY_F) : 0.0;
        }
    }
    *energy = kept / all;
}

#endif
