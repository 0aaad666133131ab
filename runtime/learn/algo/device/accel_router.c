/* A batch of standardised z with a last column of ones, so that the trained bias is a weight like the others.
 * The weights are a float32 matrix that matmul reads, Adam updates in place and matmul_t's output (the
 * gradient, from the transposed softmax gradient and the batch itself as a matrix) has the layout of. A
 * router that is trained on starts with its biases among those never trained; the trained ones are added. */
#include "learn/algo/device/accel.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "kernel/kernels.h"
#include "learn/algo/device/accel_gain.h"
#include "vk/recorder.h"

struct pv_accel_router {
    struct pv_device *device;
    struct pv_recorder *recorder;
    struct pv_accel_gain gain; /* if trained for gains */
    bool for_gain;
    float share;                                      /* of the cross-entropy in the loss */
    uint32_t n_clusters, n_in, n_batch, stride;       /* n_in = d + 1; stride: floats of a row of it */
    struct pv_tensor weight;                          /* [K][n_in] float32 */
    struct pv_buffer *moment, *square, *gradient;     /* [K][n_in] */
    struct pv_buffer *bias, *z, *scores, *gradient_t; /* [K], [n_batch][n_in], [n_batch][K], [K][n_batch] */
    struct pv_buffer *label, *choice, *margin;        /* [n_batch] */
    float *host_z;                                    /* [n_batch][stride] */
    float *host_weight;                               /* [K][stride] */
    uint32_t *host_choice;                            /* [n_batch] */
};

bool pv_accel_router_fits(const struct pv_device *device, const struct pv_accel_router_params *p)
{
    const uint64_t weight = pv_rows_bytes(p->n_clusters, p->d_model + 1),
                   limit = device->plan.max_binding_bytes;

    return weight <= limit && pv_rows_bytes(p->n_batch, p->n_clusters) <= limit &&
           pv_rows_bytes(p->n_clusters, p->n_batch) <= limit &&
           pv_rows_bytes(p->n_batch, p->d_model + 1) <= limit &&
           (!p->gain || pv_accel_gain_fits(device, p->gain, p->n_batch));
}

/* Where training starts; what is not given is 0, and so is the padding of rows, which goes through Adam too:
 * zero there, it stays zero. */
static enum pv_status write_start(struct pv_accel_router *a, const struct pv_accel_router_params *p)
{
    const size_t d = p->d_model;

    for (size_t k = 0; k < p->n_clusters && p->weight; k++)
        memcpy(a->host_weight + k * a->stride, p->weight + k * d, d * sizeof *p->weight);
    PV_TRY(pv_buffer_write(a->weight.parts[0].data, 0, a->host_weight,
                           (uint64_t)a->n_clusters * a->stride * sizeof *a->host_weight));
    PV_TRY(pv_buffer_fill(a->moment, 0));
    PV_TRY(pv_buffer_fill(a->square, 0));
    PV_TRY(pv_buffer_fill(a->gradient, 0));
    return pv_buffer_write(a->bias, 0, p->bias, (uint64_t)a->n_clusters * sizeof *p->bias);
}

static enum pv_status create_buffers(struct pv_accel_router *a, const struct pv_accel_router_params *p)
{
    const uint32_t k = a->n_clusters, n = a->n_batch;
    const uint64_t matrix = pv_rows_bytes(k, a->n_in), words = (uint64_t)n * 4;
    struct {
        struct pv_buffer **buffer;
        uint64_t bytes;
        enum pv_memory_kind kind;
        const char *name;
    } all[] = {
        {&a->moment, matrix, PV_MEM_DEVICE, "first moments"},
        {&a->square, matrix, PV_MEM_DEVICE, "second moments"},
        {&a->gradient, matrix, PV_MEM_DEVICE, "gradient"},
        {&a->bias, (uint64_t)k * 4, PV_MEM_DEVICE, "router bias"},
        {&a->z, pv_rows_bytes(n, a->n_in), PV_MEM_DEVICE, "router batch"},
        {&a->scores, pv_rows_bytes(n, k), PV_MEM_DEVICE, "router scores"},
        {&a->gradient_t, pv_rows_bytes(k, n), PV_MEM_DEVICE, "score gradient"},
        {&a->label, words, PV_MEM_HOST, "labels"},
        {&a->choice, words, PV_MEM_HOST, "choices"},
        {&a->margin, words, PV_MEM_DEVICE, "margins"},
    };

    PV_TRY(pv_tensor_create(a->device, PV_F32, k, a->n_in, "router weights", &a->weight));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        PV_TRY(pv_buffer_create(a->device, all[i].bytes, all[i].kind, all[i].name, all[i].buffer));
    a->host_z = pv_calloc((size_t)n * a->stride, sizeof(float));
    a->host_weight = pv_calloc((size_t)k * a->stride, sizeof(float));
    a->host_choice = pv_calloc(n, sizeof(uint32_t));
    if (!a->host_z || !a->host_weight || !a->host_choice)
        return pv_fail(a->device->log, PV_ERR_NOMEM, "no memory to train on %s", a->device->caps.name);
    PV_TRY(write_start(a, p));
    if (a->for_gain)
        PV_TRY(pv_accel_gain_create(a->device, p->gain, n, p->n_threads, &a->gain));
    return pv_recorder_create(a->device, &a->recorder);
}

enum pv_status pv_accel_router_create(struct pv_device *device, const struct pv_accel_router_params *params,
                                      struct pv_accel_router **out)
{
    struct pv_accel_router *a = pv_calloc(1, sizeof *a);
    enum pv_status status;

    *out = NULL;
    if (!a)
        return PV_ERR_NOMEM;
    *a = (struct pv_accel_router){.device = device,
                                  .for_gain = params->gain != NULL,
                                  .share = params->gain ? params->label_weight : 1.0f,
                                  .n_clusters = params->n_clusters,
                                  .n_in = params->d_model + 1,
                                  .n_batch = params->n_batch,
                                  .stride = pv_row_stride(params->d_model + 1)};
    status = create_buffers(a, params);
    if (status == PV_OK)
        *out = a;
    else
        pv_accel_router_destroy(a);
    return status;
}

void pv_accel_router_destroy(struct pv_accel_router *a)
{
    if (!a)
        return;
    pv_recorder_destroy(a->recorder);
    pv_accel_gain_destroy(&a->gain);
    pv_tensor_destroy(&a->weight);
    struct pv_buffer *buffers[] = {a->moment, a->square,     a->gradient, a->bias,   a->z,
                                   a->scores, a->gradient_t, a->label,    a->choice, a->margin};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        pv_buffer_destroy(buffers[i]);
    free(a->host_z);
    free(a->host_weight);
    free(a->host_choice);
    free(a);
}

/* Sends a batch and starts a recording with its scores. */
static enum pv_status score(struct pv_accel_router *a, const float *z, uint32_t n)
{
    const size_t d = a->n_in - 1;
    const struct pv_linear linear = {
        .w = &a->weight, .bias = a->bias, .x = a->z, .y = a->scores, .n_tokens = n};

    for (size_t i = 0; i < n; i++) {
        memcpy(a->host_z + i * a->stride, z + i * d, d * sizeof *z);
        a->host_z[i * a->stride + d] = 1.0f;
    }
    PV_TRY(pv_buffer_write(a->z, 0, a->host_z, (uint64_t)n * a->stride * sizeof(float)));
    PV_TRY(pv_recorder_begin(a->recorder, 0));
    return pv_kernel_linear(a->recorder, &linear);
}

static enum pv_status run(struct pv_accel_router *a)
{
    PV_TRY(pv_recorder_end(a->recorder));
    return pv_recorder_run(a->recorder);
}

enum pv_status pv_accel_router_choose(struct pv_accel_router *a, const float *z, uint32_t n, uint16_t *choice)
{
    PV_TRY(score(a, z, n));
    PV_TRY(pv_kernel_route_rows(a->recorder, a->scores, a->choice, a->margin, n, a->n_clusters));
    PV_TRY(run(a));
    PV_TRY(pv_buffer_read(a->choice, 0, a->host_choice, (uint64_t)n * 4));
    for (uint32_t i = 0; i < n; i++)
        choice[i] = (uint16_t)(a->host_choice[i] < a->n_clusters ? a->host_choice[i] : 0);
    return PV_OK;
}

enum pv_status pv_accel_router_step(struct pv_accel_router *a, const struct pv_accel_step *step)
{
    const uint32_t n = step->n;
    /* the batch as the matrix of the gradient's product: gradient[k] = sum over t of g[k][t] z[t] */
    struct pv_tensor_part whole = {.n_rows = n, .data = a->z, .scales = a->z};
    const struct pv_tensor batch = {.type = PV_F32,
                                    .n_rows = n,
                                    .n_cols = a->n_in,
                                    .row_words = a->stride / 4,
                                    .parts = &whole,
                                    .n_parts = 1};
    const struct pv_linear product = {
        .w = &batch, .x = a->gradient_t, .y = a->gradient, .n_tokens = a->n_clusters};
    const struct pv_adam_args adam = {.w = a->weight.parts[0].data,
                                      .moment = a->moment,
                                      .square = a->square,
                                      .gradient = a->gradient,
                                      .n = a->n_clusters * a->stride,
                                      .rate = step->rate,
                                      .moment_scale = step->moment_scale,
                                      .square_scale = step->square_scale};

    const struct pv_softmax_grad_args loss = {.scores = a->scores,
                                              .targets = a->label,
                                              .gains = a->gain.gains,
                                              .gradient_t = a->gradient_t,
                                              .n_tokens = n,
                                              .n_clusters = a->n_clusters,
                                              .scale = 1.0f / (float)n,
                                              .share = a->share};

    PV_TRY(pv_buffer_write(a->label, 0, step->label, (uint64_t)n * 4));
    if (a->for_gain)
        PV_TRY(pv_accel_gain_send(&a->gain, step->rows, n));
    PV_TRY(score(a, step->z, n));
    if (a->for_gain)
        PV_TRY(pv_accel_gain_record(&a->gain, a->recorder, n));
    PV_TRY(pv_kernel_softmax_grad(a->recorder, &loss));
    PV_TRY(pv_kernel_linear_t(a->recorder, &product));
    PV_TRY(pv_kernel_adam(a->recorder, &adam));
    return run(a);
}

enum pv_status pv_accel_router_read(struct pv_accel_router *a, float *weight, float *bias)
{
    const size_t d = a->n_in - 1;

    PV_TRY(pv_buffer_read(a->weight.parts[0].data, 0, a->host_weight,
                          (uint64_t)a->n_clusters * a->stride * sizeof(float)));
    for (size_t k = 0; k < a->n_clusters; k++) {
        memcpy(weight + k * d, a->host_weight + k * a->stride, d * sizeof *weight);
        bias[k] = a->host_weight[k * a->stride + d];
    }
    return PV_OK;
}
