/* All matrices with a cluster axis lie in tiles of TILE clusters: weights and their gradient [K /
 * TILE][d][TILE], scores and their gradient [K / TILE][batch][TILE]. Scores are Z W and the weights' gradient
 * is Z^T G, so both are one product, "rows times a tile", whose inner loop vectorises; Adam runs on a tile
 * while it is in the cache. Tiles and row blocks are the parallel chunks, each summed in a fixed order. */
#include "learn/algo/router/router_train.h"

#include <math.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/threads.h"
#include "learn/algo/device/accel.h"

enum {
    TILE = PV_ROUTER_TILE,
    ROWS = PV_ROUTER_ROWS,
    BATCH = PV_ROUTER_BATCH,
    ROW_CHUNKS = 16 /* of a batch */
};

/* exp(x) for x <= 0 within 2e-7 of its size, without branches, the same on every machine. */
static inline float exp_negative(float x)
{
    const float limited = x < -87.0f ? -87.0f : x;
    const int32_t n = (int32_t)(limited * 1.442695041f - 0.5f);
    float r = limited - (float)n * 0.693359375f + (float)n * 2.12194440e-4f, p;
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;

    memcpy(&power, &bits, sizeof power);
    p = 1.9875691500e-4f; /* Cephes expf */
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * power;
}

/* c [m][TILE] = a [m][n, stride] x b [n][TILE], m a multiple of ROWS. ROWS x TILE sums are as many as stay in
 * registers and enough to hide the latency of an addition. */
static void multiply_tile(const float *a, size_t stride, const float *b, float *c, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i += ROWS) {
        const float *row[ROWS];
        float sum[ROWS][TILE] = {{0}};

        for (size_t r = 0; r < ROWS; r++)
            row[r] = a + (i + r) * stride;
        for (size_t p = 0; p < n; p++) {
            const float *line = b + p * TILE;

            for (size_t r = 0; r < ROWS; r++) {
                const float v = row[r][p];

                for (size_t t = 0; t < TILE; t++)
                    sum[r][t] += v * line[t];
            }
        }
        memcpy(c + i * TILE, sum, sizeof sum);
    }
}

/* n rows, filled up to whole blocks. */
static size_t whole(size_t n)
{
    return (n + ROWS - 1) / ROWS * ROWS;
}

static void load_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;
    const uint32_t d = t->params.d_model;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        float *row = t->rows + i * d;

        if (i >= t->n_batch) {
            memset(row, 0, d * sizeof *row);
        } else {
            const uint16_t *z = t->data->z + (size_t)t->batch[i] * d;

            for (uint32_t j = 0; j < d; j++)
                row[j] = (pv_half_to_float(z[j]) - t->mean[j]) * t->inv_std[j];
        }
        for (uint32_t j = 0; j < d && !t->accel; j++)
            t->columns[(size_t)j * BATCH + i] = row[j];
    }
}

static void score_tiles(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;
    const size_t d = t->params.d_model;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        float *scores = t->scores + b * BATCH * TILE;

        multiply_tile(t->rows, d, t->weight + b * d * TILE, scores, whole(t->n_batch), d);
        for (size_t i = 0; i < t->n_batch; i++) {
            for (size_t k = 0; k < TILE; k++)
                scores[i * TILE + k] += t->bias[b * TILE + k];
        }
    }
}

static void choose_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        float best = -INFINITY;

        for (size_t b = 0; b < t->n_tiles; b++) {
            const float *scores = t->scores + (b * BATCH + i) * TILE;

            for (size_t k = 0; k < TILE; k++) {
                if (scores[k] > best) {
                    best = scores[k];
                    t->choice[i] = (uint16_t)(b * TILE + k);
                }
            }
        }
    }
}

/* Scores of row i become softmax probabilities. Needs `choice`. */
static void softmax_row(struct pv_trainer *t, size_t i)
{
    const size_t top = t->choice[i];
    const float highest = t->scores[(top / TILE * BATCH + i) * TILE + top % TILE];
    float sum[TILE] = {0}, total = 0.0f, scale;

    for (size_t b = 0; b < t->n_tiles; b++) {
        float *scores = t->scores + (b * BATCH + i) * TILE;

        for (size_t k = 0; k < TILE; k++) {
            scores[k] = exp_negative(scores[k] - highest);
            sum[k] += scores[k];
        }
    }
    for (size_t k = 0; k < TILE; k++)
        total += sum[k];
    scale = 1.0f / total;
    for (size_t b = 0; b < t->n_tiles; b++) {
        float *scores = t->scores + (b * BATCH + i) * TILE;

        for (size_t k = 0; k < TILE; k++)
            scores[k] *= scale;
    }
}

/* Probabilities become p_k (mean gain - gain_k + label_weight), the gradient of minus the expected gain and
 * most of the cross-entropy's. */
static void weigh_gains(struct pv_trainer *t, size_t i)
{
    float part[TILE] = {0}, mean = t->params.label_weight;

    for (size_t b = 0; b < t->n_tiles; b++) {
        const float *scores = t->scores + (b * BATCH + i) * TILE, *gains = t->gains + (b * BATCH + i) * TILE;

        for (size_t k = 0; k < TILE; k++)
            part[k] += scores[k] * gains[k];
    }
    for (size_t k = 0; k < TILE; k++)
        mean += part[k];
    for (size_t b = 0; b < t->n_tiles; b++) {
        float *scores = t->scores + (b * BATCH + i) * TILE;
        const float *gains = t->gains + (b * BATCH + i) * TILE;

        for (size_t k = 0; k < TILE; k++)
            scores[k] *= mean - gains[k];
    }
}

/* Scores become the gradient of the batch's mean loss. Needs `choice`, and `gains` if trained on them. */
static void differentiate_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;
    const bool gains = t->data->gain != NULL;
    const float scale = 1.0f / (float)t->n_batch, label_weight = gains ? t->params.label_weight : 1.0f;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const size_t label = t->data->label[t->batch[i]];

        softmax_row(t, i);
        if (gains)
            weigh_gains(t, i);
        t->scores[(label / TILE * BATCH + i) * TILE + label % TILE] -= label_weight;
        for (size_t b = 0; b < t->n_tiles; b++) {
            float *scores = t->scores + (b * BATCH + i) * TILE;

            for (size_t k = 0; k < TILE; k++)
                scores[k] *= scale;
        }
    }
}

static void gain_tiles(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;

    (void)chunk;
    for (size_t b = begin; b < end; b++)
        pv_gain_tile(t->data->gain, (uint32_t)b, t->batch, t->n_batch, t->gains + b * BATCH * TILE);
}

static void adam(const struct pv_trainer *t, float *restrict w, float *restrict moment,
                 float *restrict square, const float *restrict gradient, size_t n, float decay)
{
    for (size_t i = 0; i < n; i++) {
        const float g = gradient[i];

        moment[i] += 0.1f * (g - moment[i]);
        square[i] += 0.001f * (g * g - square[i]);
        w[i] -= t->rate *
                (moment[i] * t->moment_scale / (sqrtf(square[i] * t->square_scale) + 1e-8f) + decay * w[i]);
    }
}

static void update_tiles(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_trainer *t = user;
    const size_t d = t->params.d_model;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        const float *gradient = t->scores + b * BATCH * TILE;
        float bias_gradient[TILE] = {0}, part[64 * TILE];

        for (size_t i = 0; i < t->n_batch; i++) {
            for (size_t k = 0; k < TILE; k++)
                bias_gradient[k] += gradient[i * TILE + k];
        }
        for (size_t j = 0; j < d; j += 64) { /* the gradient of 64 dimensions at a time */
            const size_t n = d - j < 64 ? d - j : 64, at = (b * d + j) * TILE;

            multiply_tile(t->columns + j * BATCH, BATCH, gradient, part, whole(n), t->n_batch);
            adam(t, t->weight + at, t->moment + at, t->square + at, part, n * TILE, t->params.decay);
        }
        adam(t, t->bias + b * TILE, t->bias_moment + b * TILE, t->bias_square + b * TILE, bias_gradient, TILE,
             0.0f);
    }
}

void pv_trainer_load(struct pv_trainer *t, const uint32_t *batch, size_t n)
{
    t->batch = batch;
    t->n_batch = n;
    pv_parallel_for(t->params.n_threads, whole(n), ROW_CHUNKS, load_rows, t);
}

void pv_trainer_forward(struct pv_trainer *t, const uint32_t *batch, size_t n)
{
    pv_trainer_load(t, batch, n);
    pv_parallel_for(t->params.n_threads, t->n_tiles, t->n_tiles, score_tiles, t);
    pv_parallel_for(t->params.n_threads, n, ROW_CHUNKS, choose_rows, t);
}

static enum pv_status train_batch_there(struct pv_trainer *t, const uint32_t *batch, size_t n)
{
    struct pv_accel_step step = {.z = t->rows,
                                 .label = t->labels,
                                 .rows = batch,
                                 .n = (uint32_t)n,
                                 .rate = t->rate,
                                 .moment_scale = t->moment_scale,
                                 .square_scale = t->square_scale};

    pv_trainer_load(t, batch, n);
    for (size_t i = 0; i < n; i++)
        t->labels[i] = t->data->label[batch[i]];
    return pv_accel_router_step(t->accel, &step);
}

enum pv_status pv_trainer_step(struct pv_trainer *t, const uint32_t *batch, size_t n, uint64_t step,
                               uint64_t n_steps)
{
    const double warm = (double)(step + 1) / 20.0, pi = 3.14159265358979323846;

    t->rate = (float)((warm < 1.0 ? warm : 1.0) * 0.5 * (1.0 + cos(pi * (double)step / (double)n_steps))) *
              t->params.rate;
    t->moment_scale = (float)(1.0 / (1.0 - pow(0.9, (double)(step + 1))));
    t->square_scale = (float)(1.0 / (1.0 - pow(0.999, (double)(step + 1))));
    if (t->accel)
        return train_batch_there(t, batch, n);
    pv_trainer_forward(t, batch, n);
    if (t->data->gain)
        pv_parallel_for(t->params.n_threads, t->n_tiles, t->n_tiles, gain_tiles, t);
    pv_parallel_for(t->params.n_threads, n, ROW_CHUNKS, differentiate_rows, t);
    pv_parallel_for(t->params.n_threads, t->n_tiles, t->n_tiles, update_tiles, t);
    return PV_OK;
}
