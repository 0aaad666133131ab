/* All matrices with a cluster axis lie in tiles of TILE clusters: weights and their gradient [K /
 * TILE][d][TILE], scores and their gradient [K / TILE][batch][TILE]. Scores are Z W and the weights' gradient
 * is Z^T G, so both are one product, "rows times a tile", whose inner loop vectorises; Adam runs on a tile
 * while it is in the cache. Tiles and row blocks are the parallel chunks, each summed in a fixed order. */
#include "learn/router.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "learn/accel.h"

enum {
    TILE = 16,
    BATCH = 512,     /* rows a step */
    ROW_CHUNKS = 16, /* of a batch */
    BATCHES_A_REPORT = 16,
    PATIENCE = 4, /* epochs without a better one before training stops */
};
static const float NEVER = -1e9f; /* bias of a cluster that must not be chosen */

struct trainer {
    struct pv_router_params params;
    const struct pv_router_data *data;
    uint32_t n_tiles;
    float *mean, *inv_std;                   /* [d] */
    float *weight, *moment, *square;         /* [n_tiles][d][TILE]; moment and square are Adam's */
    float *bias, *bias_moment, *bias_square; /* [n_tiles * TILE] */
    float *best_weight, *best_bias;
    float *rows;           /* [BATCH][d] standardised */
    float *columns;        /* [d][BATCH] the same, transposed */
    float *scores;         /* [n_tiles][BATCH][TILE], then their gradient */
    uint16_t *choice;      /* [BATCH] argmax of the scores */
    const uint32_t *batch; /* [n_batch] rows of this step */
    size_t n_batch;
    float rate, moment_scale, square_scale; /* of this step */
    struct pv_accel_router *accel;          /* NULL: on the host */
    uint32_t labels[BATCH];                 /* of this step, for the device */
};

/* exp(x) for x <= 0 within 2e-7 of its size, without branches, the same on every machine. */
static inline float exp_negative(float x)
{
    float limited = x < -87.0f ? -87.0f : x;
    int32_t n = (int32_t)(limited * 1.442695041f - 0.5f);
    float r = limited - (float)n * 0.693359375f + (float)n * 2.12194440e-4f, p;
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;

    memcpy(&power, &bits, sizeof(power));
    p = 1.9875691500e-4f; /* Cephes expf */
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * power;
}

/* c [m][TILE] = a [m][n, stride] x b [n][TILE], m even. */
static void multiply_tile(const float *a, size_t stride, const float *b, float *c, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i += 2) {
        const float *a0 = a + i * stride, *a1 = a0 + stride;
        float c0[TILE] = {0}, c1[TILE] = {0};

        for (size_t p = 0; p < n; p++) {
            const float *line = b + p * TILE;
            float v0 = a0[p], v1 = a1[p];

            for (int t = 0; t < TILE; t++) {
                c0[t] += v0 * line[t];
                c1[t] += v1 * line[t];
            }
        }
        memcpy(c + i * TILE, c0, sizeof(c0));
        memcpy(c + (i + 1) * TILE, c1, sizeof(c1));
    }
}

static void load_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct trainer *t = user;
    uint32_t d = t->params.d_model;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        float *row = t->rows + i * d;

        if (i >= t->n_batch) {
            memset(row, 0, d * sizeof(*row));
        } else {
            const uint16_t *z = t->data->z + (size_t)t->batch[i] * d;

            for (uint32_t j = 0; j < d; j++)
                row[j] = (pv_half_to_float(z[j]) - t->mean[j]) * t->inv_std[j];
        }
        for (uint32_t j = 0; j < d && t->accel == NULL; j++)
            t->columns[(size_t)j * BATCH + i] = row[j];
    }
}

static void score_tiles(void *user, size_t chunk, size_t begin, size_t end)
{
    struct trainer *t = user;
    size_t d = t->params.d_model;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        float *scores = t->scores + b * BATCH * TILE;

        multiply_tile(t->rows, d, t->weight + b * d * TILE, scores, (t->n_batch + 1) & ~(size_t)1, d);
        for (size_t i = 0; i < t->n_batch; i++) {
            for (size_t k = 0; k < TILE; k++)
                scores[i * TILE + k] += t->bias[b * TILE + k];
        }
    }
}

static void choose_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct trainer *t = user;

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

/* Scores become the gradient of the mean cross-entropy: (softmax - one-hot) / n_batch. Needs `choice`. */
static void differentiate_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct trainer *t = user;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        size_t label = t->data->label[t->batch[i]], top = t->choice[i];
        float highest = t->scores[(top / TILE * BATCH + i) * TILE + top % TILE];
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
        scale = 1.0f / (total * (float)t->n_batch);
        for (size_t b = 0; b < t->n_tiles; b++) {
            float *scores = t->scores + (b * BATCH + i) * TILE;

            for (size_t k = 0; k < TILE; k++)
                scores[k] *= scale;
        }
        t->scores[(label / TILE * BATCH + i) * TILE + label % TILE] -= 1.0f / (float)t->n_batch;
    }
}

static void adam(const struct trainer *t, float *restrict w, float *restrict moment, float *restrict square,
                 const float *restrict gradient, size_t n, float decay)
{
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i];

        moment[i] += 0.1f * (g - moment[i]);
        square[i] += 0.001f * (g * g - square[i]);
        w[i] -= t->rate *
                (moment[i] * t->moment_scale / (sqrtf(square[i] * t->square_scale) + 1e-8f) + decay * w[i]);
    }
}

static void update_tiles(void *user, size_t chunk, size_t begin, size_t end)
{
    struct trainer *t = user;
    size_t d = t->params.d_model;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        const float *gradient = t->scores + b * BATCH * TILE;
        float bias_gradient[TILE] = {0}, part[64 * TILE];

        for (size_t i = 0; i < t->n_batch; i++) {
            for (size_t k = 0; k < TILE; k++)
                bias_gradient[k] += gradient[i * TILE + k];
        }
        for (size_t j = 0; j < d; j += 64) { /* the gradient of 64 dimensions at a time */
            size_t n = d - j < 64 ? d - j : 64, at = (b * d + j) * TILE;

            multiply_tile(t->columns + j * BATCH, BATCH, gradient, part, (n + 1) & ~(size_t)1, t->n_batch);
            adam(t, t->weight + at, t->moment + at, t->square + at, part, n * TILE, t->params.decay);
        }
        adam(t, t->bias + b * TILE, t->bias_moment + b * TILE, t->bias_square + b * TILE, bias_gradient, TILE,
             0.0f);
    }
}

static void load_batch(struct trainer *t, const uint32_t *batch, size_t n)
{
    t->batch = batch;
    t->n_batch = n;
    pv_parallel_for(t->params.n_threads, (n + 1) & ~(size_t)1, ROW_CHUNKS, load_rows, t);
}

static void forward(struct trainer *t, const uint32_t *batch, size_t n)
{
    load_batch(t, batch, n);
    pv_parallel_for(t->params.n_threads, t->n_tiles, t->n_tiles, score_tiles, t);
    pv_parallel_for(t->params.n_threads, n, ROW_CHUNKS, choose_rows, t);
}

static enum pv_status train_batch_there(struct trainer *t, const uint32_t *batch, size_t n)
{
    struct pv_accel_step step = {t->rate, t->moment_scale, t->square_scale};

    load_batch(t, batch, n);
    for (size_t i = 0; i < n; i++)
        t->labels[i] = t->data->label[batch[i]];
    return pv_accel_router_step(t->accel, t->rows, t->labels, (uint32_t)n, &step);
}

static enum pv_status train_batch(struct trainer *t, const uint32_t *batch, size_t n, uint64_t step,
                                  uint64_t n_steps)
{
    double warm = (double)(step + 1) / 20.0, pi = 3.14159265358979323846;

    t->rate = (float)((warm < 1.0 ? warm : 1.0) * 0.5 * (1.0 + cos(pi * (double)step / (double)n_steps))) *
              t->params.rate;
    t->moment_scale = (float)(1.0 / (1.0 - pow(0.9, (double)(step + 1))));
    t->square_scale = (float)(1.0 / (1.0 - pow(0.999, (double)(step + 1))));
    if (t->accel != NULL)
        return train_batch_there(t, batch, n);
    forward(t, batch, n);
    pv_parallel_for(t->params.n_threads, n, ROW_CHUNKS, differentiate_rows, t);
    pv_parallel_for(t->params.n_threads, t->n_tiles, t->n_tiles, update_tiles, t);
    return PV_OK;
}

static enum pv_status measure(struct trainer *t, const uint32_t *rows, size_t n, double *accuracy)
{
    size_t n_right = 0;

    for (size_t begin = 0; begin < n; begin += BATCH) {
        size_t size = n - begin < BATCH ? n - begin : BATCH;

        if (t->accel == NULL) {
            forward(t, rows + begin, size);
        } else {
            load_batch(t, rows + begin, size);
            PV_TRY(pv_accel_router_choose(t->accel, t->rows, (uint32_t)size, t->choice));
        }
        for (size_t i = 0; i < size; i++)
            n_right += t->choice[i] == t->data->label[rows[begin + i]];
    }
    *accuracy = n > 0 ? (double)n_right / (double)n : 0.0;
    return PV_OK;
}

/* Remembers the weights as the best so far. */
static enum pv_status keep_best(struct trainer *t)
{
    size_t d = t->params.d_model, n_clusters = t->params.n_clusters;
    float *weight, *bias;
    enum pv_status status;

    if (t->accel == NULL) {
        memcpy(t->best_weight, t->weight, t->n_tiles * d * TILE * sizeof(float));
        memcpy(t->best_bias, t->bias, (size_t)t->n_tiles * TILE * sizeof(float));
        return PV_OK;
    }
    weight = pv_calloc(n_clusters * d, sizeof(*weight));
    bias = pv_calloc(n_clusters, sizeof(*bias));
    status = weight != NULL && bias != NULL ? pv_accel_router_read(t->accel, weight, bias) : PV_ERR_NOMEM;
    for (size_t k = 0; k < n_clusters && status == PV_OK; k++) {
        t->best_bias[k] = t->bias[k] + bias[k];
        for (size_t j = 0; j < d; j++)
            t->best_weight[(k / TILE * d + j) * TILE + k % TILE] = weight[k * d + j];
    }
    free(weight);
    free(bias);
    return status;
}

static void standardise(struct trainer *t)
{
    uint32_t d = t->params.d_model;
    size_t n = t->data->n_train;

    for (uint32_t j = 0; j < d; j++) {
        double sum = 0.0, squares = 0.0, variance;

        for (size_t i = 0; i < n; i++) {
            double v = (double)pv_half_to_float(t->data->z[(size_t)t->data->train[i] * d + j]);

            sum += v;
            squares += v * v;
        }
        sum /= (double)n;
        variance = squares / (double)n - sum * sum;
        t->mean[j] = (float)sum;
        t->inv_std[j] = variance > 1e-12 ? (float)(1.0 / sqrt(variance)) : 0.0f;
    }
}

/* Clusters that no training row has, and the padding of the last tile, are never chosen. */
static void forbid_unused(struct trainer *t)
{
    for (size_t k = 0; k < (size_t)t->n_tiles * TILE; k++)
        t->bias[k] = NEVER;
    for (size_t i = 0; i < t->data->n_train; i++)
        t->bias[t->data->label[t->data->train[i]]] = 0.0f;
}

/* On the device if one is given and its bindings can see enough. */
static enum pv_status choose_place(struct trainer *t)
{
    const struct pv_router_params *p = &t->params;

    if (p->device == NULL || p->decay > 0.0f ||
        !pv_accel_router_fits(p->device, p->n_clusters, p->d_model, BATCH))
        return PV_OK;
    return pv_accel_router_create(p->device, p->n_clusters, p->d_model, BATCH, t->bias, &t->accel);
}

static void trainer_free(struct trainer *t)
{
    pv_accel_router_destroy(t->accel);
    float *all[] = {t->mean, t->inv_std,     t->weight,      t->moment,      t->square,
                    t->bias, t->bias_moment, t->bias_square, t->best_weight, t->best_bias,
                    t->rows, t->columns,     t->scores};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]);
    free(t->choice);
}

static bool trainer_prepare(struct trainer *t)
{
    size_t d = t->params.d_model, k = (size_t)t->n_tiles * TILE, size, batch = (size_t)BATCH * d;

    if (!pv_mul_size(k, d, &size))
        return false;
    float **all[] = {&t->weight,  &t->moment,  &t->square,      &t->best_weight, &t->mean,
                     &t->inv_std, &t->bias,    &t->bias_moment, &t->bias_square, &t->best_bias,
                     &t->rows,    &t->columns, &t->scores};
    size_t sizes[] = {size, size, size, size, d, d, k, k, k, k, batch, batch + BATCH, k * BATCH};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i] = pv_calloc(sizes[i], sizeof(float));
        if (*all[i] == NULL)
            return false;
    }
    t->choice = pv_calloc(BATCH, sizeof(*t->choice));
    return t->choice != NULL;
}

static enum pv_status train(struct trainer *t, uint32_t *order, const struct pv_steps *steps,
                            uint32_t *n_epochs)
{
    size_t n = t->data->n_train, n_batches = (n + BATCH - 1) / BATCH;
    bool judged = t->data->n_held_out > 0;
    const uint32_t *judge = judged ? t->data->held_out : t->data->train;
    size_t n_judge = judged ? t->data->n_held_out : n;
    uint64_t n_steps = (uint64_t)n_batches * t->params.n_epochs, step = 0;
    uint32_t best_epoch = 0;
    double best = -1.0;
    struct pv_rng rng;

    pv_rng_seed(&rng, t->params.seed);
    memcpy(order, t->data->train, n * sizeof(*order));
    for (uint32_t epoch = 0; epoch < t->params.n_epochs && epoch - best_epoch < PATIENCE; epoch++) {
        double accuracy;

        for (size_t i = n; i > 1; i--) {
            size_t other = pv_rng_below(&rng, (uint32_t)i);
            uint32_t row = order[i - 1];

            order[i - 1] = order[other];
            order[other] = row;
        }
        for (size_t b = 0; b < n_batches; b++, step++) {
            size_t begin = b * BATCH;

            if (b % BATCHES_A_REPORT == 0 && !pv_steps_report(steps, (double)step / (double)n_steps))
                return PV_ERR_INTERRUPTED;
            PV_TRY(train_batch(t, order + begin, n - begin < BATCH ? n - begin : BATCH, step, n_steps));
        }
        PV_TRY(measure(t, judge, n_judge, &accuracy));
        if (accuracy > best) {
            best = accuracy;
            best_epoch = epoch;
            PV_TRY(keep_best(t));
        }
        *n_epochs = epoch + 1;
    }
    return PV_OK;
}

/* w . (z - mean) / std + b as weights and a bias on z itself, rounded to float16 rows. */
static void fold(const struct trainer *t, struct pv_router *out)
{
    uint32_t d = t->params.d_model;

    for (uint32_t k = 0; k < t->params.n_clusters; k++) {
        const float *tile = t->best_weight + (size_t)(k / TILE) * d * TILE + k % TILE;
        double bias = (double)t->best_bias[k];

        for (uint32_t j = 0; j < d; j++) {
            float w = tile[(size_t)j * TILE] * t->inv_std[j];
            uint16_t half = pv_float_to_half(w > 65504.0f ? 65504.0f : w < -65504.0f ? -65504.0f : w);

            out->weight[(size_t)k * d + j] = half;
            bias -= (double)pv_half_to_float(half) * (double)t->mean[j];
        }
        out->bias[k] = (float)bias;
    }
}

/* Accuracy of the weights as stored. */
static enum pv_status judge(const struct pv_router_params *params, const struct pv_router_data *data,
                            struct pv_router *out)
{
    bool held_out = data->n_held_out > 0;
    const uint32_t *rows = held_out ? data->held_out : data->train;
    size_t n = held_out ? data->n_held_out : data->n_train, n_right = 0;
    uint16_t *choice = pv_calloc(n, sizeof(*choice));
    enum pv_status status = PV_ERR_NOMEM;

    if (choice != NULL)
        status = pv_router_apply(out, params->n_clusters, params->d_model, data->z, rows, n,
                                 params->n_threads, choice);
    for (size_t i = 0; i < n && status == PV_OK; i++)
        n_right += choice[i] == data->label[rows[i]];
    out->accuracy = n > 0 ? (double)n_right / (double)n : 0.0;
    free(choice);
    return status;
}

enum pv_status pv_router_train(const struct pv_router_params *params, const struct pv_router_data *data,
                               const struct pv_steps *steps, struct pv_router *out)
{
    struct trainer t = {.params = *params, .data = data, .n_tiles = (params->n_clusters + TILE - 1) / TILE};
    uint32_t *order = pv_calloc(data->n_train, sizeof(*order));
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_router){0};
    if (t.params.rate <= 0.0f)
        t.params.rate = 0.01f;
    out->weight = pv_calloc((size_t)params->n_clusters * params->d_model, sizeof(*out->weight));
    out->bias = pv_calloc(params->n_clusters, sizeof(*out->bias));
    if (order != NULL && out->weight != NULL && out->bias != NULL && trainer_prepare(&t)) {
        standardise(&t);
        forbid_unused(&t);
        status = choose_place(&t);
        if (status == PV_OK)
            status = train(&t, order, steps, &out->n_epochs);
    }
    if (status == PV_OK) {
        fold(&t, out);
        status = judge(params, data, out);
    }
    if (status != PV_OK)
        pv_router_free(out);
    trainer_free(&t);
    free(order);
    return status;
}

void pv_router_free(struct pv_router *router)
{
    free(router->weight);
    free(router->bias);
    *router = (struct pv_router){0};
}

enum pv_status pv_router_apply(const struct pv_router *router, uint32_t n_clusters, uint32_t d_model,
                               const uint16_t *z, const uint32_t *rows, size_t n_rows, uint32_t n_threads,
                               uint16_t *cluster)
{
    struct pv_router_data data = {.z = z};
    struct trainer t = {.params = {.n_clusters = n_clusters, .d_model = d_model, .n_threads = n_threads},
                        .data = &data,
                        .n_tiles = (n_clusters + TILE - 1) / TILE};
    uint32_t batch[BATCH];

    if (!trainer_prepare(&t)) {
        trainer_free(&t);
        return PV_ERR_NOMEM;
    }
    for (uint32_t j = 0; j < d_model; j++)
        t.inv_std[j] = 1.0f;
    for (size_t k = 0; k < (size_t)t.n_tiles * TILE; k++) {
        t.bias[k] = k < n_clusters ? router->bias[k] : -INFINITY;
        for (size_t j = 0; j < d_model && k < n_clusters; j++)
            t.weight[(k / TILE * d_model + j) * TILE + k % TILE] =
                pv_half_to_float(router->weight[k * d_model + j]);
    }
    for (size_t begin = 0; begin < n_rows; begin += BATCH) {
        size_t n = n_rows - begin < BATCH ? n_rows - begin : BATCH;

        for (size_t i = 0; i < n; i++)
            batch[i] = rows != NULL ? rows[begin + i] : (uint32_t)(begin + i);
        forward(&t, batch, n);
        memcpy(cluster + begin, t.choice, n * sizeof(*cluster));
    }
    trainer_free(&t);
    return PV_OK;
}
