/* SparseInfer (arXiv 2411.12692): a product w_ji z_i is positive where the signs agree, so the number of
 * agreements says, without any training, whether w_j . z is likely positive. Signs are packed, 32 to a word;
 * one exclusive or and a population count do 32 products. */
#include "lab/methods/predict_method.h"

#include <stdlib.h>
#include "base/bits.h"
#include "base/mem.h"

static void pack_signs(const float *values, size_t n, uint32_t *bits)
{
    for (size_t i = 0; i < n; i++)
        bits[i / 32] |= (uint32_t)(values[i] < 0.0f) << (i % 32);
}

static void *learn(const struct pv_predict_params *params, const struct pv_predict_layer *in)
{
    const size_t d = params->shape.d_model, f = params->shape.d_ffn, words = pv_bit_words(d);
    uint32_t *signs = pv_calloc(f * words, sizeof *signs);

    for (size_t j = 0; signs && j < f; j++)
        pack_signs(in->w + j * d, d, signs + j * words);
    return signs;
}

/* Agreements, 0..d. */
static void score(const void *state, const struct pv_predict_params *params, const float *z, const float *c,
                  float *room, float *out)
{
    const uint32_t *signs = state;
    const size_t d = params->shape.d_model, words = pv_bit_words(d);
    uint32_t packed[64];

    (void)c, (void)room;
    for (uint32_t j = 0; j < params->shape.d_ffn; j++)
        out[j] = (float)d;
    for (size_t first = 0; first < words; first += 64) { /* in parts, so that no width needs more room */
        const size_t n = words - first < 64 ? words - first : 64, left = d - first * 32;

        memset(packed, 0, sizeof packed);
        pack_signs(z + first * 32, left < n * 32 ? left : n * 32, packed);
        for (uint32_t j = 0; j < params->shape.d_ffn; j++)
            out[j] -= (float)pv_bit_count_xor(signs + j * words + first, packed, n);
    }
}

static double bytes(const struct pv_predict_params *params)
{
    return (double)pv_bit_words(params->shape.d_model) * 4.0 * params->shape.d_ffn * params->shape.n_layers;
}

const struct pv_score_kind pv_predict_sign = {
    .ops = {.name = "sign", .label = "sign bits (SparseInfer)"},
    .learn = learn,
    .score = score,
    .release = free,
    .predictor_bytes = bytes,
};
