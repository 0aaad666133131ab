/* A stand-in for a model: a token's group decides which neurons are active and where z lies, with noise from
 * token, position and layer alone, so that every run gives the same. */
#ifndef PV_TESTS_FAKE_SOURCE_H
#define PV_TESTS_FAKE_SOURCE_H

#include <math.h>
#include <stdlib.h>
#include "base/rng.h"
#include "learn/capture/capture.h"

enum { FAKE_LAYERS = 3, FAKE_D = 24, FAKE_F = 90, FAKE_GROUPS = 9, FAKE_CTX = 32 };

struct fake {
    uint32_t n_batch; /* rows a callback */
    uint32_t n_runs, n_scores;
    uint32_t break_at; /* this run fails; 0: none */
    int fault;  /* 1: batch out of order, 2: unknown layer, 3: NaN contribution, 4: infinite z, 5: layer
                   missing */
    bool dense; /* all contributions are > 0, as of SwiGLU */
};

static inline void fake_row(const struct fake *fake, uint32_t layer, uint32_t token, uint32_t pos, float *z,
                            float *c)
{
    uint32_t group = token % FAKE_GROUPS;
    struct pv_rng noise, centre;

    pv_rng_seed(&centre, 1000 * layer + group);
    pv_rng_seed(&noise, ((uint64_t)token << 32) + pos * 64 + layer);
    for (uint32_t j = 0; j < FAKE_D; j++)
        z[j] = pv_rng_normal(&centre) + 0.1f * pv_rng_normal(&noise);
    for (uint32_t j = 0; j < FAKE_F; j++) {
        bool own = j / (FAKE_F / FAKE_GROUPS) == (group + layer) % FAKE_GROUPS;
        float size = pv_rng_float(&noise) * (own ? 1.0f : 0.1f);

        c[j] = fake->dense ? size + 1e-4f : pv_rng_float(&noise) < (own ? 0.9f : 0.05f) ? size : 0.0f;
    }
}

static inline enum pv_status fake_batch(const struct fake *fake, uint32_t layer, uint32_t pos,
                                        const uint32_t *tokens, uint32_t n, pv_capture_fn fn, void *fn_user)
{
    float z[FAKE_CTX * FAKE_D], c[FAKE_CTX * FAKE_F];
    struct pv_capture capture = {.layer = layer, .n_tokens = n, .first_pos = pos, .z = z, .contribution = c};

    for (uint32_t i = 0; i < n; i++)
        fake_row(fake, layer, tokens[i], pos + i, z + i * FAKE_D, c + i * FAKE_F);
    if (fake->fault == 1)
        capture.first_pos++;
    if (fake->fault == 2)
        capture.layer = FAKE_LAYERS;
    if (fake->fault == 3)
        c[FAKE_F - 1] = NAN;
    if (fake->fault == 4)
        z[3] = INFINITY;
    if (fake->fault == 5 && layer == 1)
        return PV_OK;
    return fn(fn_user, &capture);
}

static inline enum pv_status fake_run(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn,
                                      void *fn_user)
{
    struct fake *fake = user;

    if (++fake->n_runs == fake->break_at)
        return PV_ERR_DEVICE_LOST;
    for (uint32_t pos = 0; pos < n; pos += fake->n_batch) {
        uint32_t n_rows = n - pos < fake->n_batch ? n - pos : fake->n_batch;

        for (uint32_t layer = 0; layer < FAKE_LAYERS; layer++) {
            enum pv_status status = fake_batch(fake, layer, pos, tokens + pos, n_rows, fn, fn_user);

            if (status != PV_OK)
                return status;
        }
    }
    return PV_OK;
}

/* A planted loss: every token costs FAKE_NLL and, for each layer, FAKE_LOSS times the share of its energy
 * that the mask leaves out. */
static const double FAKE_NLL = 2.0, FAKE_LOSS = 0.5;

static inline double fake_lost(const float *c, const uint32_t *bits)
{
    double all = 0.0, lost = 0.0;

    for (uint32_t j = 0; j < FAKE_F; j++) {
        double energy = (double)c[j] * (double)c[j];

        all += energy;
        lost += bits[j / 32] >> j % 32 & 1 ? 0.0 : energy;
    }
    return all > 0.0 ? lost / all : 0.0;
}

static inline enum pv_status fake_score(void *user, const uint32_t *tokens, const uint32_t *targets,
                                        uint32_t n, pv_mask_fn mask, void *mask_user, float *nll)
{
    struct fake *fake = user;

    (void)targets;
    fake->n_scores++;
    for (uint32_t i = 0; i < n; i++)
        nll[i] = (float)FAKE_NLL;
    for (uint32_t layer = 0; layer < FAKE_LAYERS && mask; layer++) {
        float z[FAKE_CTX * FAKE_D], c[FAKE_CTX * FAKE_F];
        uint32_t words = (FAKE_F + 31) / 32, bits[FAKE_CTX * ((FAKE_F + 31) / 32)] = {0};
        struct pv_capture capture = {.layer = layer, .n_tokens = n, .z = z, .contribution = c};
        enum pv_status status;

        for (uint32_t i = 0; i < n; i++)
            fake_row(fake, layer, tokens[i], i, z + i * FAKE_D, c + i * FAKE_F);
        status = mask(mask_user, &capture, bits);
        if (status != PV_OK)
            return status;
        for (uint32_t i = 0; i < n; i++)
            nll[i] += (float)(FAKE_LOSS * fake_lost(c + i * FAKE_F, bits + i * words));
    }
    return PV_OK;
}

static inline struct pv_source fake_source(struct fake *fake)
{
    return (struct pv_source){.n_layers = FAKE_LAYERS,
                              .d_model = FAKE_D,
                              .d_ffn = FAKE_F,
                              .n_ctx = FAKE_CTX,
                              .fingerprint = 0xfab1e5,
                              .exact_zeros = !fake->dense,
                              .run = fake_run,
                              .score = fake_score,
                              .user = fake};
}

static inline uint32_t *fake_text(size_t n, uint64_t seed)
{
    uint32_t *tokens = calloc(n, sizeof *tokens);
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++)
        tokens[i] = pv_rng_below(&rng, 500);
    return tokens;
}

#endif
