/* The feed-forward network of one token, dense against masked: several layers in one recording, as a decode
 * step does it, each with its own weights and masks, so that neither form lives in a cache. Masked counts
 * everything it costs: the router's matrix, its choice, and the chosen neurons. Times and bytes are of one
 * layer. */
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "check/bench/run.h"
#include "infer/load/weights_down.h"

enum { LAYERS_BYTES = 128 << 20, MAX_LAYERS = 8 };

struct layer {
    struct pv_tensor up, down_t;
    struct pv_masks masks;
    struct pv_buffer *route;
};
struct ffn_bench {
    struct pv_device *device;
    struct pv_recorder *dense, *masked;
    struct layer layers[MAX_LAYERS];
    uint32_t n_layers, n_list; /* neurons of every cluster */
    struct pv_buffer *z, *scores, *a, *partial, *y;
    /* host images, made once and used for every layer */
    uint16_t **lists;
    uint32_t *counts;
    uint16_t *router;
    float *bias;
};

static void release(const struct pv_bench *b, struct ffn_bench *f)
{
    pv_recorder_destroy(f->dense);
    pv_recorder_destroy(f->masked);
    for (uint32_t i = 0; i < MAX_LAYERS; i++) {
        pv_tensor_destroy(&f->layers[i].up);
        pv_tensor_destroy(&f->layers[i].down_t);
        pv_masks_destroy(&f->layers[i].masks);
        pv_buffer_destroy(f->layers[i].route);
    }
    struct pv_buffer *const buffers[] = {f->z, f->scores, f->a, f->partial, f->y};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        pv_buffer_destroy(buffers[i]);
    pv_device_close(f->device);
    for (uint32_t k = 0; f->lists && k < b->n_clusters; k++)
        free(f->lists[k]);
    free(f->lists);
    free(f->counts);
    free(f->router);
    free(f->bias);
}

/* Every cluster gets its own n_list neurons, in ascending order: selection sampling (Knuth, algorithm S). */
static enum pv_status make_lists(struct pv_bench *b, struct ffn_bench *f)
{
    f->lists = pv_calloc(b->n_clusters, sizeof *f->lists);
    f->counts = pv_calloc(b->n_clusters, sizeof *f->counts);
    for (uint32_t k = 0; f->lists && f->counts && k < b->n_clusters; k++) {
        uint32_t n = 0;
        f->lists[k] = pv_calloc(f->n_list, sizeof **f->lists);
        if (!f->lists[k])
            return pv_fail(&b->context->log, PV_ERR_NOMEM, "no memory for %u neuron lists", b->n_clusters);
        for (uint32_t j = 0; j < b->d_ffn && n < f->n_list; j++)
            if (pv_rng_below(&b->rng, b->d_ffn - j) < f->n_list - n)
                f->lists[k][n++] = (uint16_t)j;
        f->counts[k] = n;
    }
    return f->lists && f->counts ? PV_OK
                                 : pv_fail(&b->context->log, PV_ERR_NOMEM, "no memory for neuron lists");
}

static enum pv_status make_router(struct pv_bench *b, struct ffn_bench *f)
{
    const size_t n = (size_t)b->n_clusters * b->d_model;
    f->router = pv_calloc(n, sizeof *f->router);
    f->bias = pv_calloc(b->n_clusters, sizeof *f->bias);
    if (!f->router || !f->bias)
        return pv_fail(&b->context->log, PV_ERR_NOMEM, "no memory for a router");
    for (size_t i = 0; i < n; i++)
        f->router[i] = pv_float_to_half(pv_rng_normal(&b->rng) * 0.03f);
    return PV_OK;
}

static void dequantize(void *user, size_t first, size_t n, float *rows)
{
    const struct pv_bench *b = user;
    const size_t row_bytes = (size_t)pv_type_row_bytes(b->type, b->d_model);
    for (size_t i = 0; i < n; i++)
        pv_dequantize(b->type, b->weights + (first + i) * row_bytes, rows + i * b->d_model, b->d_model);
}

enum pv_status pv_bench_down(struct pv_bench *b, struct pv_device *device, struct pv_tensor *out)
{
    const enum pv_type type = pv_down_type(&device->plan, b->type, b->d_model);
    PV_TRY(pv_tensor_create(device, type, b->d_ffn, b->d_model, "bench ffn_down", out));
    const enum pv_status status = pv_tensor_upload_rows(out, dequantize, b);
    if (status != PV_OK)
        pv_tensor_destroy(out);
    return status;
}

static enum pv_status make_layer(struct pv_bench *b, struct ffn_bench *f, struct layer *l)
{
    PV_TRY(pv_tensor_create(f->device, b->type, b->d_ffn, b->d_model, "bench ffn_up", &l->up));
    PV_TRY(pv_tensor_upload(&l->up, b->weights));
    PV_TRY(pv_bench_down(b, f->device, &l->down_t));
    PV_TRY(pv_masks_create_lists(f->device, b->n_clusters, b->d_ffn, (const uint16_t *const *)f->lists,
                                 f->counts, &l->masks));
    const struct pv_router_weights router = {.weight = f->router, .bias = f->bias, .d_model = b->d_model};
    PV_TRY(pv_masks_create_router(f->device, &router, &l->masks));
    return pv_buffer_create(f->device, pv_route_bytes(), PV_MEM_DEVICE, "bench route", &l->route);
}

static enum pv_status make(struct pv_bench *b, struct ffn_bench *f)
{
    const uint64_t layer_bytes = 2 * pv_type_row_bytes(b->type, b->d_model) * b->d_ffn;
    const uint64_t n = LAYERS_BYTES / (layer_bytes ? layer_bytes : 1);
    f->n_layers = n < 1 ? 1 : (n > MAX_LAYERS ? MAX_LAYERS : (uint32_t)n);
    f->n_list = (uint32_t)(b->density * b->d_ffn + 0.5);
    PV_TRY(pv_device_open(b->context, b->device, NULL, &f->device));
    PV_TRY(pv_recorder_create(f->device, &f->dense));
    PV_TRY(pv_recorder_create(f->device, &f->masked));
    const struct {
        uint64_t bytes;
        const char *name;
        struct pv_buffer **out;
    } buffers[] = {{pv_rows_bytes(1, b->d_model), "bench z", &f->z},
                   {pv_rows_bytes(1, b->n_clusters), "bench scores", &f->scores},
                   {pv_rows_bytes(1, b->d_ffn), "bench a", &f->a},
                   {pv_ffn_partial_bytes(&f->device->plan, b->d_model), "bench partial", &f->partial},
                   {pv_rows_bytes(1, b->d_model), "bench y", &f->y}};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        PV_TRY(pv_buffer_create(f->device, buffers[i].bytes, PV_MEM_DEVICE, buffers[i].name, buffers[i].out));
        PV_TRY(pv_buffer_fill(*buffers[i].out, 0));
    }
    PV_TRY(make_lists(b, f));
    for (uint32_t i = 0; i < f->n_layers; i++) {
        free(f->router);
        free(f->bias);
        f->router = NULL;
        f->bias = NULL;
        PV_TRY(make_router(b, f)); /* another one for each layer, so that each chooses its own cluster */
        PV_TRY(make_layer(b, f, &f->layers[i]));
    }
    return PV_OK;
}

static enum pv_status record(struct ffn_bench *f, struct pv_recorder *r, bool masked)
{
    PV_TRY(pv_bench_record(r));
    for (uint32_t i = 0; i < f->n_layers; i++) {
        struct layer *l = &f->layers[i];
        struct pv_ffn_args a = {.up = &l->up,
                                .down_t = &l->down_t,
                                .z = f->z,
                                .a = f->a,
                                .partial = f->partial,
                                .y = f->y,
                                .accumulate = true,
                                .act = PV_ACT_SILU}; /* without zeros: every row is read */
        if (masked) {
            a.masks = &l->masks;
            a.route = l->route;
            PV_TRY(pv_kernel_linear(r, &(struct pv_linear){.w = &l->masks.router,
                                                           .bias = l->masks.router_bias,
                                                           .x = f->z,
                                                           .y = f->scores,
                                                           .n_tokens = 1}));
            a.scores = f->scores;
        }
        PV_TRY(pv_kernel_ffn_up(r, &a));
        PV_TRY(pv_kernel_ffn_down(r, &a));
    }
    return pv_bench_recorded(r);
}

static void describe(const struct pv_bench *b, const struct ffn_bench *f, bool masked,
                     struct pv_bench_subject *s)
{
    static const char *const access[] = {"storage", "texel"};
    const struct layer *l = &f->layers[0];
    const double rows = masked ? (double)f->n_list / b->d_ffn : 1.0;
    *s = (struct pv_bench_subject){.recorder = masked ? f->masked : f->dense,
                                   .n_inner = f->n_layers,
                                   .input = f->z,
                                   .input_floats = b->d_model};
    snprintf(s->row.name, sizeof s->row.name, "ffn %s", masked ? "masked" : "dense");
    if (masked)
        snprintf(s->row.shape, sizeof s->row.shape, "%u x %u, K=%u, density %.3g", b->d_ffn, b->d_model,
                 b->n_clusters, rows);
    else
        snprintf(s->row.shape, sizeof s->row.shape, "%u x %u", b->d_ffn, b->d_model);
    snprintf(s->row.variant, sizeof s->row.variant, "%s %s", pv_type_name(b->type),
             access[f->device->plan.access]);
    s->row.bytes = rows * (double)(pv_tensor_bytes(&l->up) + pv_tensor_bytes(&l->down_t));
    s->row.gflop_s = rows * 4e-9 * b->d_ffn * b->d_model;
    if (masked) {
        s->row.bytes += (double)pv_tensor_bytes(&l->masks.router) + 8.0 * f->n_list;
        s->row.gflop_s += 2e-9 * b->n_clusters * b->d_model;
    }
}

enum pv_status pv_bench_ffn(struct pv_bench *b)
{
    struct ffn_bench f = {0};
    struct pv_bench_subject subjects[2];
    enum pv_status status = PV_OK;
    if (!pv_bench_wants(b, "ffn dense") && !pv_bench_wants(b, "ffn masked"))
        return PV_OK;
    PV_TRY_GOTO(make(b, &f));
    PV_TRY_GOTO(record(&f, f.dense, false));
    PV_TRY_GOTO(record(&f, f.masked, true));
    describe(b, &f, false, &subjects[0]);
    describe(b, &f, true, &subjects[1]);
    PV_TRY_GOTO(pv_bench_measure(b, subjects, 2));
    pv_bench_report(b, subjects, 2);
fail:
    release(b, &f);
    return status;
}
