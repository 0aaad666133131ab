/* Epochs, the best of them, and the file's form of a router. The arithmetic of a batch is in router_step.c.
 */
#include "learn/algo/router/router_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "learn/algo/device/accel.h"

enum {
    TILE = PV_ROUTER_TILE,
    BATCH = PV_ROUTER_BATCH,
    BATCHES_A_REPORT = 16,
    PATIENCE = 4, /* epochs without a better one before training stops */
};
static const float NEVER = -1e9f; /* bias of a cluster that must not be chosen */

/* What the router is judged by: the share of rows it names right or, trained on gains, the share of their
 * energy in the masks it chooses. */
static enum pv_status measure(struct pv_trainer *t, const uint32_t *rows, size_t n, double *value)
{
    const struct pv_gain *gain = t->data->gain;
    double sum = 0.0, most = 0.0;

    for (size_t begin = 0; begin < n; begin += BATCH) {
        const size_t size = n - begin < BATCH ? n - begin : BATCH;

        if (!t->accel) {
            pv_trainer_forward(t, rows + begin, size);
        } else {
            pv_trainer_load(t, rows + begin, size);
            PV_TRY(pv_accel_router_choose(t->accel, t->rows, (uint32_t)size, t->choice));
        }
        for (size_t i = 0; i < size; i++) {
            const size_t row = rows[begin + i];

            sum += gain ? pv_gain_of(gain, row, t->choice[i]) : t->choice[i] == t->data->label[row];
            most += gain ? pv_gain_whole(gain, row) : 1.0;
        }
    }
    *value = most > 0.0 ? sum / most : 0.0;
    return PV_OK;
}

/* Remembers the weights as the best so far. */
static enum pv_status keep_best(struct pv_trainer *t)
{
    const size_t d = t->params.d_model, n_clusters = t->params.n_clusters;
    float *weight, *bias;
    enum pv_status status;

    if (!t->accel) {
        memcpy(t->best_weight, t->weight, t->n_tiles * d * TILE * sizeof(float));
        memcpy(t->best_bias, t->bias, (size_t)t->n_tiles * TILE * sizeof(float));
        return PV_OK;
    }
    weight = pv_calloc(n_clusters * d, sizeof *weight);
    bias = pv_calloc(n_clusters, sizeof *bias);
    status = weight && bias ? pv_accel_router_read(t->accel, weight, bias) : PV_ERR_NOMEM;
    for (size_t k = 0; k < n_clusters && status == PV_OK; k++) {
        t->best_bias[k] = t->bias[k] + bias[k];
        for (size_t j = 0; j < d; j++)
            t->best_weight[(k / TILE * d + j) * TILE + k % TILE] = weight[k * d + j];
    }
    free(weight);
    free(bias);
    return status;
}

static void standardise(struct pv_trainer *t)
{
    const uint32_t d = t->params.d_model;
    const size_t n = t->data->n_train;

    for (uint32_t j = 0; j < d; j++) {
        double sum = 0.0, squares = 0.0, variance;

        for (size_t i = 0; i < n; i++) {
            const double v = (double)pv_half_to_float(t->data->z[(size_t)t->data->train[i] * d + j]);

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
static void forbid_unused(struct pv_trainer *t)
{
    for (size_t k = 0; k < (size_t)t->n_tiles * TILE; k++)
        t->bias[k] = NEVER;
    for (size_t i = 0; i < t->data->n_train; i++)
        t->bias[t->data->label[t->data->train[i]]] = 0.0f;
}

/* On the device if one is given and its bindings can see enough. */
static enum pv_status choose_place(struct pv_trainer *t)
{
    const struct pv_router_params *p = &t->params;
    struct pv_accel_router_params there = {.n_clusters = p->n_clusters,
                                           .d_model = p->d_model,
                                           .n_batch = BATCH,
                                           .bias = t->bias,
                                           .gain = t->data->gain,
                                           .label_weight = p->label_weight,
                                           .n_threads = p->n_threads};
    const size_t d = p->d_model;
    float *weight;
    enum pv_status status;

    if (!p->device || p->decay > 0.0f || !pv_accel_router_fits(p->device, &there))
        return PV_OK;
    weight = pv_calloc(p->n_clusters * d, sizeof *weight);
    if (!weight)
        return PV_ERR_NOMEM;
    for (size_t k = 0; k < p->n_clusters; k++) {
        for (size_t j = 0; j < d; j++)
            weight[k * d + j] = t->weight[(k / TILE * d + j) * TILE + k % TILE];
    }
    there.weight = weight;
    status = pv_accel_router_create(p->device, &there, &t->accel);
    free(weight);
    return status;
}

static void trainer_free(struct pv_trainer *t)
{
    pv_accel_router_destroy(t->accel);
    float *all[] = {t->mean, t->inv_std,     t->weight,      t->moment,      t->square,
                    t->bias, t->bias_moment, t->bias_square, t->best_weight, t->best_bias,
                    t->rows, t->columns,     t->scores,      t->gains};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(t->choice);
}

static bool trainer_prepare(struct pv_trainer *t)
{
    size_t d = t->params.d_model, k = (size_t)t->n_tiles * TILE, size, batch = (size_t)BATCH * d;

    if (!pv_mul_size(k, d, &size))
        return false;
    float **all[] = {&t->weight,  &t->moment,  &t->square,      &t->best_weight, &t->mean,
                     &t->inv_std, &t->bias,    &t->bias_moment, &t->bias_square, &t->best_bias,
                     &t->rows,    &t->columns, &t->scores,      &t->gains};
    size_t sizes[] = {size,      size,
                      size,      size,
                      d,         d,
                      k,         k,
                      k,         k,
                      batch,     batch + (PV_ROUTER_ROWS - 1) * BATCH,
                      k * BATCH, t->data->gain ? k * BATCH : 0};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        *all[i] = pv_calloc(sizes[i], sizeof(float));
        if (!*all[i])
            return false;
    }
    t->choice = pv_calloc(BATCH, sizeof *t->choice);
    return t->choice != NULL;
}

static enum pv_status train(struct pv_trainer *t, uint32_t *order, const struct pv_steps *steps,
                            uint32_t *n_epochs)
{
    const size_t n = t->data->n_train, n_batches = (n + BATCH - 1) / BATCH;
    const bool judged = t->data->n_held_out > 0;
    const uint32_t *judge = judged ? t->data->held_out : t->data->train;
    const size_t n_judge = judged ? t->data->n_held_out : n;
    uint64_t n_steps = (uint64_t)n_batches * t->params.n_epochs, step = 0;
    uint32_t best_epoch = 0;
    double best = -1.0;
    struct pv_rng rng;

    if (t->data->start) {
        PV_TRY(measure(t, judge, n_judge, &best));
        PV_TRY(keep_best(t));
    }

    pv_rng_seed(&rng, t->params.seed);
    memcpy(order, t->data->train, n * sizeof *order);
    for (uint32_t epoch = 0; epoch < t->params.n_epochs && epoch - best_epoch < PATIENCE; epoch++) {
        double value;

        pv_rng_shuffle(&rng, order, n);
        for (size_t b = 0; b < n_batches; b++, step++) {
            const size_t begin = b * BATCH;

            if (b % BATCHES_A_REPORT == 0 && !pv_steps_report(steps, (double)step / (double)n_steps))
                return PV_ERR_INTERRUPTED;
            PV_TRY(pv_trainer_step(t, order + begin, n - begin < BATCH ? n - begin : BATCH, step, n_steps));
        }
        PV_TRY(measure(t, judge, n_judge, &value));
        if (value > best) {
            best = value;
            best_epoch = epoch;
            PV_TRY(keep_best(t));
        }
        *n_epochs = epoch + 1;
    }
    return PV_OK;
}

/* The other way round: the weights to go on from. */
static void unfold(struct pv_trainer *t, const struct pv_router *start)
{
    const uint32_t d = t->params.d_model;

    for (uint32_t k = 0; k < t->params.n_clusters; k++) {
        float *tile = t->weight + (size_t)(k / TILE) * d * TILE + k % TILE;
        double bias = (double)start->bias[k];

        for (uint32_t j = 0; j < d; j++) {
            const float w = pv_half_to_float(start->weight[(size_t)k * d + j]);

            bias += (double)w * (double)t->mean[j];
            tile[(size_t)j * TILE] = t->inv_std[j] > 0.0f ? w / t->inv_std[j] : 0.0f;
        }
        t->bias[k] = (float)bias;
    }
}

/* w . (z - mean) / std + b as weights and a bias on z itself, rounded to float16 rows. */
static void fold(const struct pv_trainer *t, struct pv_router *out)
{
    const uint32_t d = t->params.d_model;

    for (uint32_t k = 0; k < t->params.n_clusters; k++) {
        const float *tile = t->best_weight + (size_t)(k / TILE) * d * TILE + k % TILE;
        double bias = (double)t->best_bias[k];

        for (uint32_t j = 0; j < d; j++) {
            const float w = tile[(size_t)j * TILE] * t->inv_std[j];
            const uint16_t half = pv_float_to_half(w > 65504.0f ? 65504.0f : w < -65504.0f ? -65504.0f : w);

            out->weight[(size_t)k * d + j] = half;
            bias -= (double)pv_half_to_float(half) * (double)t->mean[j];
        }
        out->bias[k] = (float)bias;
    }
}

enum pv_status pv_router_judge(struct pv_router *router, const struct pv_router_data *data,
                               uint32_t n_threads)
{
    const bool held_out = data->n_held_out > 0;
    const uint32_t *rows = held_out ? data->held_out : data->train;
    size_t n = held_out ? data->n_held_out : data->n_train, n_right = 0;
    uint16_t *choice = pv_calloc(n, sizeof *choice);
    double kept = 0.0, most = 0.0;
    enum pv_status status = PV_ERR_NOMEM;

    if (choice)
        status = pv_router_apply(router, data->z, rows, n, n_threads, choice);
    for (size_t i = 0; i < n && status == PV_OK; i++) {
        n_right += choice[i] == data->label[rows[i]];
        kept += data->gain ? pv_gain_of(data->gain, rows[i], choice[i]) : 0.0;
        most += data->gain ? pv_gain_whole(data->gain, rows[i]) : 0.0;
    }
    router->accuracy = n > 0 ? (double)n_right / (double)n : 0.0;
    router->kept = most > 0.0 ? kept / most : 0.0;
    free(choice);
    return status;
}

static enum pv_status train_rows(const struct pv_router_params *params, const struct pv_router_data *data,
                                 const struct pv_steps *steps, struct pv_router *out)
{
    struct pv_trainer t = {
        .params = *params, .data = data, .n_tiles = (params->n_clusters + TILE - 1) / TILE};
    uint32_t *order = pv_calloc(data->n_train, sizeof *order);
    enum pv_status status = pv_router_create(out, params->n_clusters, params->d_model);

    if (t.params.rate <= 0.0f)
        t.params.rate = 0.01f;
    PV_TRY_GOTO(status);
    PV_TRY_GOTO(order && trainer_prepare(&t) ? PV_OK : PV_ERR_NOMEM);
    standardise(&t);
    forbid_unused(&t);
    if (data->start)
        unfold(&t, data->start);
    PV_TRY_GOTO(choose_place(&t));
    PV_TRY_GOTO(train(&t, order, steps, &out->n_epochs));
    fold(&t, out);
    status = pv_router_judge(out, data, params->n_threads);
fail:
    if (status != PV_OK)
        pv_router_free(out);
    trainer_free(&t);
    free(order);
    return status;
}

enum pv_status pv_router_train(const struct pv_router_params *params, const struct pv_router_data *data,
                               const struct pv_steps *steps, struct pv_router *out)
{
    const struct pv_down_projection *down = data->start ? &data->start->down : NULL;
    struct pv_router_params inner = *params;
    struct pv_router_data rows = *data;
    uint16_t *h = NULL;
    enum pv_status status;

    *out = (struct pv_router){0};
    if (!down || down->rank == 0)
        return train_rows(params, data, steps, out);
    PV_TRY(pv_down_rows(down, data->z, NULL, data->n_rows, params->n_threads, &h));
    inner.d_model = down->rank;
    rows.z = h;
    status = train_rows(&inner, &rows, steps, out);
    free(h);
    return status;
}

void pv_router_refinement(struct pv_router_params *params)
{
    params->n_epochs = 2;
    params->rate = 0.005f;
    params->label_weight = 0.05f;
}

enum pv_status pv_router_create(struct pv_router *router, uint32_t n_clusters, uint32_t n_in)
{
    *router = (struct pv_router){.n_clusters = n_clusters,
                                 .n_in = n_in,
                                 .weight = pv_calloc((size_t)n_clusters * n_in, sizeof *router->weight),
                                 .bias = pv_calloc(n_clusters, sizeof *router->bias)};
    if (router->weight && router->bias)
        return PV_OK;
    pv_router_free(router);
    return PV_ERR_NOMEM;
}

void pv_router_free(struct pv_router *router)
{
    pv_down_free(&router->down);
    free(router->weight);
    free(router->bias);
    *router = (struct pv_router){0};
}

double pv_router_bytes(uint32_t n_clusters, uint32_t d_model, uint32_t rank)
{
    const double width = rank > 0 ? rank : d_model;

    return n_clusters * (2.0 * width + sizeof(float)) + 2.0 * rank * d_model;
}

/* Of rows of what the weights read. */
static enum pv_status apply_rows(const struct pv_router *router, const uint16_t *in, const uint32_t *rows,
                                 size_t n_rows, uint32_t n_threads, uint16_t *cluster)
{
    const uint32_t n_clusters = router->n_clusters, n_in = router->n_in;
    struct pv_router_data data = {.z = in};
    struct pv_trainer t = {.params = {.n_clusters = n_clusters, .d_model = n_in, .n_threads = n_threads},
                           .data = &data,
                           .n_tiles = (n_clusters + TILE - 1) / TILE};
    uint32_t batch[BATCH];

    if (!trainer_prepare(&t)) {
        trainer_free(&t);
        return PV_ERR_NOMEM;
    }
    for (uint32_t j = 0; j < n_in; j++)
        t.inv_std[j] = 1.0f;
    for (size_t k = 0; k < (size_t)t.n_tiles * TILE; k++) {
        t.bias[k] = k < n_clusters ? router->bias[k] : -INFINITY;
        for (size_t j = 0; j < n_in && k < n_clusters; j++)
            t.weight[(k / TILE * n_in + j) * TILE + k % TILE] =
                pv_half_to_float(router->weight[k * n_in + j]);
    }
    for (size_t begin = 0; begin < n_rows; begin += BATCH) {
        const size_t n = n_rows - begin < BATCH ? n_rows - begin : BATCH;

        for (size_t i = 0; i < n; i++)
            batch[i] = rows ? rows[begin + i] : (uint32_t)(begin + i);
        pv_trainer_forward(&t, batch, n);
        memcpy(cluster + begin, t.choice, n * sizeof *cluster);
    }
    trainer_free(&t);
    return PV_OK;
}

enum pv_status pv_router_apply(const struct pv_router *router, const uint16_t *z, const uint32_t *rows,
                               size_t n_rows, uint32_t n_threads, uint16_t *cluster)
{
    uint16_t *h = NULL;
    enum pv_status status;

    if (router->down.rank == 0)
        return apply_rows(router, z, rows, n_rows, n_threads, cluster);
    PV_TRY(pv_down_rows(&router->down, z, rows, n_rows, n_threads, &h));
    status = apply_rows(router, h, NULL, n_rows, n_threads, cluster);
    free(h);
    return status;
}
