/* Kernel benchmarks: what the device copies, then products with weights under the device's plan and under
 * others, then the feed-forward network dense and masked (bench/ffn.c), then the products of a
 * batch. */
#include "parvin/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "check/bench/run.h"

enum { COPY_BYTES = 64 << 20, MATVEC_BYTES = 64 << 20, MAX_COPIES = 8, BATCH = 64 };

/* An open device and the matrices of one group of rows on it. */
struct stage {
    struct pv_device *device;
    struct pv_recorder *recorder;
    struct pv_tensor w[MAX_COPIES];
    uint32_t n_w;
    struct pv_buffer *x, *y;
};

static void stage_close(struct stage *s)
{
    pv_recorder_destroy(s->recorder);
    for (uint32_t i = 0; i < s->n_w; i++)
        pv_tensor_destroy(&s->w[i]);
    pv_buffer_destroy(s->x);
    pv_buffer_destroy(s->y);
    pv_device_close(s->device);
    *s = (struct stage){0};
}

/* The buffers x [T][n_in] and y [T][n_out] and `n_w` copies of the weights, so that no cache holds them all.
 */
static enum pv_status stage_open(struct pv_bench *b, const struct pv_plan *plan, uint32_t n_w,
                                 uint64_t x_bytes, uint64_t y_bytes, struct stage *s)
{
    PV_TRY(pv_device_open(b->context, b->device, plan, &s->device));
    PV_TRY(pv_recorder_create(s->device, &s->recorder));
    PV_TRY(pv_buffer_create(s->device, x_bytes, PV_MEM_DEVICE, "bench x", &s->x));
    PV_TRY(pv_buffer_create(s->device, y_bytes, PV_MEM_DEVICE, "bench y", &s->y));
    PV_TRY(pv_buffer_fill(s->x, 0x3d800000u)); /* 0.0625 */
    PV_TRY(pv_buffer_fill(s->y, 0));
    for (uint32_t i = 0; i < n_w; i++) {
        PV_TRY(pv_tensor_create(s->device, b->type, b->d_ffn, b->d_model, "bench w", &s->w[i]));
        s->n_w++;
        PV_TRY(pv_tensor_upload(&s->w[i], b->weights));
    }
    return PV_OK;
}

static void describe(const struct pv_bench *b, const struct pv_device *device, const char *name,
                     struct pv_bench_row *row)
{
    static const char *const access[] = {"storage", "texel"};
    static const char *const reduce[] = {"invocation", "subgroup", "workgroup"};
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->variant, sizeof row->variant, "%s %s %s", pv_type_name(b->type),
             access[device->plan.access], reduce[device->plan.reduce]);
}

/* ---- copy ---- */

/* The better of a buffer copy and y += x; counts bytes read and written. */
static enum pv_status bench_copy(struct pv_bench *b)
{
    struct stage s = {0};
    struct pv_bench_subject subjects[2] = {0};
    struct pv_recorder *second = NULL;
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(stage_open(b, NULL, 0, COPY_BYTES, COPY_BYTES, &s));
    const uint64_t reach =
        (uint64_t)s.device->caps.max_workgroup_count[0] * s.device->plan.elementwise_workgroup * 4;
    const uint32_t n_add = reach < COPY_BYTES / 4 ? (uint32_t)reach : COPY_BYTES / 4; /* of one dispatch */
    PV_TRY_GOTO(pv_recorder_create(s.device, &second));
    PV_TRY_GOTO(pv_bench_record(s.recorder));
    PV_TRY_GOTO(pv_recorder_copy(s.recorder, s.x, 0, s.y, 0, COPY_BYTES));
    PV_TRY_GOTO(pv_bench_recorded(s.recorder));
    PV_TRY_GOTO(pv_bench_record(second));
    PV_TRY_GOTO(pv_kernel_add(second, s.y, s.x, n_add));
    PV_TRY_GOTO(pv_bench_recorded(second));
    subjects[0] =
        (struct pv_bench_subject){.row = {.name = "copy (vkCmdCopyBuffer)", .bytes = 2.0 * COPY_BYTES},
                                  .recorder = s.recorder,
                                  .n_inner = 1};
    subjects[1] = (struct pv_bench_subject){
        .row = {.name = "copy (kernel y += x)", .bytes = 12.0 * n_add}, .recorder = second, .n_inner = 1};
    PV_TRY_GOTO(pv_bench_measure(b, subjects, 2));
    struct pv_bench_subject *best = &subjects[subjects[1].row.gb_s > subjects[0].row.gb_s];
    b->copy_gb_s = best->row.gb_s;
    best->row.share = 1.0;
    snprintf(best->row.shape, sizeof best->row.shape, "%d MiB", COPY_BYTES >> 20);
    snprintf(best->row.variant, sizeof best->row.variant, "%s", pv_bench_clock(s.device));
    pv_bench_report(b, best, 1);
fail:
    pv_recorder_destroy(second);
    stage_close(&s);
    return status;
}

/* ---- one token ---- */

static enum pv_status record_matvec(struct pv_bench *b, struct stage *s, struct pv_bench_subject *subject)
{
    PV_TRY(pv_bench_record(s->recorder));
    for (uint32_t i = 0; i < s->n_w; i++)
        PV_TRY(pv_kernel_linear(s->recorder,
                                &(struct pv_linear){.w = &s->w[i], .x = s->x, .y = s->y, .n_tokens = 1}));
    PV_TRY(pv_bench_recorded(s->recorder));
    *subject = (struct pv_bench_subject){.recorder = s->recorder, .n_inner = s->n_w};
    describe(b, s->device, "matvec", &subject->row);
    const size_t used = strlen(subject->row.variant);
    snprintf(subject->row.variant + used, sizeof subject->row.variant - used, " x%u",
             s->device->plan.matvec_rows);
    snprintf(subject->row.shape, sizeof subject->row.shape, "%u x %u", b->d_ffn, b->d_model);
    subject->row.bytes = (double)pv_tensor_bytes(&s->w[0]);
    subject->row.gflop_s = 2e-9 * b->d_ffn * b->d_model;
    return PV_OK;
}

/* The plans that a product is timed under: the device's own, then other ways to write the same kernel. Those
 * after the first two are storage buffers as they are mostly written: a row per invocation, subgroup,
 * workgroup. */
static const char *const matvec_plans[] = {"",
                                           "access=texel",
                                           "access=storage",
                                           "access=storage,reduce=invocation,matvec_rows=1",
                                           "access=storage,reduce=subgroup,matvec_rows=1",
                                           "access=storage,reduce=workgroup,matvec_rows=1"};
enum { N_MATVEC_PLANS = sizeof matvec_plans / sizeof matvec_plans[0] };

static bool same_matvec(const struct pv_plan *a, const struct pv_plan *b)
{
    return a->access == b->access && a->reduce == b->reduce && a->matvec_rows == b->matvec_rows;
}

/* Those of matvec_plans that the device can run with weights of w_bytes, each once; returns how many. */
static uint32_t list_matvec_plans(const struct pv_physical *p, uint64_t w_bytes, struct pv_plan *plans)
{
    const struct pv_log silent = {0};
    uint32_t n = 0;
    plans[n++] = p->plan;
    for (uint32_t i = 1; i < N_MATVEC_PLANS; i++) {
        bool fresh = pv_plan_make(&p->caps, p->quirks, matvec_plans[i], &silent, &plans[n]) == PV_OK &&
                     w_bytes <= plans[n].max_binding_bytes;
        for (uint32_t j = 0; j < n && fresh; j++)
            fresh = !same_matvec(&plans[j], &plans[n]);
        n += fresh;
    }
    return n;
}

static enum pv_status bench_matvec(struct pv_bench *b)
{
    const struct pv_physical *p = &b->context->physical[b->device];
    const uint64_t w_bytes = pv_type_row_bytes(b->type, b->d_model) * b->d_ffn;
    const uint32_t n_w = w_bytes * MAX_COPIES <= MATVEC_BYTES
                             ? MAX_COPIES
                             : (uint32_t)(w_bytes < MATVEC_BYTES ? MATVEC_BYTES / w_bytes : 1);
    struct stage stages[N_MATVEC_PLANS] = {0};
    struct pv_bench_subject subjects[N_MATVEC_PLANS] = {0};
    struct pv_plan plans[N_MATVEC_PLANS];
    enum pv_status status = PV_OK;
    if (!pv_bench_wants(b, "matvec"))
        return PV_OK;
    const uint32_t n = list_matvec_plans(p, w_bytes, plans);
    for (uint32_t i = 0; i < n; i++) {
        PV_TRY_GOTO(stage_open(b, i == 0 ? NULL : &plans[i], n_w, pv_rows_bytes(1, b->d_model),
                               pv_rows_bytes(1, b->d_ffn), &stages[i]));
        PV_TRY_GOTO(record_matvec(b, &stages[i], &subjects[i]));
    }
    PV_TRY_GOTO(pv_bench_measure(b, subjects, n));
    pv_bench_report(b, subjects, n);
fail:
    for (uint32_t i = 0; i < N_MATVEC_PLANS; i++)
        stage_close(&stages[i]);
    return status;
}

/* ---- a batch ---- */

static enum pv_status record_matmul(struct pv_bench *b, struct stage *s, struct pv_recorder *recorder,
                                    bool transposed, struct pv_bench_subject *subject)
{
    const struct pv_tensor *w = &s->w[transposed];
    const struct pv_linear a = {
        .w = w, .x = transposed ? s->y : s->x, .y = transposed ? s->x : s->y, .n_tokens = BATCH};
    PV_TRY(pv_bench_record(recorder));
    PV_TRY(transposed ? pv_kernel_linear_t(recorder, &a) : pv_kernel_linear(recorder, &a));
    PV_TRY(pv_bench_recorded(recorder));
    *subject = (struct pv_bench_subject){.recorder = recorder, .n_inner = 1};
    describe(b, s->device, transposed ? "matmul transposed" : "matmul", &subject->row);
    snprintf(subject->row.shape, sizeof subject->row.shape, "%d tokens, %u x %u", BATCH, b->d_ffn,
             b->d_model);
    subject->row.bytes = (double)pv_tensor_bytes(w);
    subject->row.gflop_s = 2e-9 * BATCH * b->d_ffn * b->d_model;
    return PV_OK;
}

static enum pv_status bench_matmul(struct pv_bench *b)
{
    struct stage s = {0};
    struct pv_bench_subject subjects[2] = {0};
    struct pv_recorder *second = NULL;
    enum pv_status status = PV_OK;
    if (!pv_bench_wants(b, "matmul") && !pv_bench_wants(b, "matmul transposed"))
        return PV_OK;
    PV_TRY_GOTO(stage_open(b, NULL, 1, pv_rows_bytes(BATCH, b->d_model), pv_rows_bytes(BATCH, b->d_ffn), &s));
    PV_TRY_GOTO(pv_recorder_create(s.device, &second));
    PV_TRY_GOTO(pv_bench_down(b, s.device, &s.w[s.n_w]));
    s.n_w++;
    PV_TRY_GOTO(record_matmul(b, &s, s.recorder, false, &subjects[0]));
    PV_TRY_GOTO(record_matmul(b, &s, second, true, &subjects[1]));
    PV_TRY_GOTO(pv_bench_measure(b, subjects, 2));
    pv_bench_report(b, subjects, 2);
fail:
    pv_recorder_destroy(second);
    stage_close(&s);
    return status;
}

/* ---- all of it ---- */

static enum pv_status make_weights(struct pv_bench *b)
{
    const size_t row_bytes = (size_t)pv_type_row_bytes(b->type, b->d_model);
    float *row = pv_calloc(b->d_model, sizeof *row);
    b->weights = pv_calloc(b->d_ffn, row_bytes);
    if (!row || !b->weights) {
        free(row);
        return pv_fail(&b->context->log, PV_ERR_NOMEM, "no memory for %u x %u weights", b->d_ffn, b->d_model);
    }
    for (size_t i = 0; i < b->d_ffn; i++) {
        for (uint32_t j = 0; j < b->d_model; j++)
            row[j] = pv_rng_normal(&b->rng) * 0.03f;
        pv_quantize(b->type, row, b->weights + i * row_bytes, b->d_model);
    }
    free(row);
    return PV_OK;
}

static enum pv_status fill_params(struct pv_bench *b, const struct pv_bench_params *params)
{
    const char *type = params->type ? params->type : "f16";
    b->d_model = params->d_model ? params->d_model : 1024;
    b->d_ffn = params->d_ffn ? params->d_ffn : 8192;
    b->n_clusters = params->n_clusters ? params->n_clusters : 256;
    b->n_reps = params->n_reps ? params->n_reps : 9;
    b->density = params->density > 0.0 ? params->density : 0.2;
    b->filter = params->filter;
    if (!pv_type_from_name(type, &b->type) || !pv_type_is_weight(b->type))
        return pv_fail(&b->context->log, PV_ERR_ARG, "type %s is not a weight type (%s)", type,
                       pv_type_weight_names());
    if (b->d_model % pv_type_block(b->type) != 0)
        return pv_fail(&b->context->log, PV_ERR_ARG, "%s needs d_model to be a multiple of %u, not %u", type,
                       pv_type_block(b->type), b->d_model);
    if (b->density > 1.0 || b->d_ffn > UINT16_MAX + 1u || b->n_reps > 100000 || b->n_clusters > 1u << 20)
        return pv_fail(
            &b->context->log, PV_ERR_ARG,
            "density at most 1, d_ffn at most 65536, n_reps at most 100000, n_clusters at most 2^20");
    return PV_OK;
}

enum pv_status pv_bench_kernels(struct pv_context *context, uint32_t device,
                                const struct pv_bench_params *params,
                                void (*row)(void *user, const struct pv_bench_row *row), void *user)
{
    static const struct pv_bench_params defaults = {0};
    struct pv_bench b = {.context = context, .device = device, .row = row, .user = user};
    enum pv_status status = PV_OK;
    if (device >= context->n_physical)
        return pv_fail(&context->log, PV_ERR_ARG, "device %u of %u", device, context->n_physical);
    pv_rng_seed(&b.rng, 1);
    PV_TRY_GOTO(fill_params(&b, params ? params : &defaults));
    PV_TRY_GOTO(make_weights(&b));
    PV_TRY_GOTO(bench_copy(&b));
    PV_TRY_GOTO(bench_matvec(&b));
    PV_TRY_GOTO(pv_bench_ffn(&b));
    PV_TRY_GOTO(bench_matmul(&b));
fail:
    free(b.weights);
    return status;
}
