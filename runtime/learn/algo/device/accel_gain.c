/* Zeros and ones are exact in float16, so that the product sums energies as they are. */
#include "learn/algo/device/accel_gain.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "kernel/kernels.h"
#include "learn/algo/gain.h"
#include "vk/recorder.h"

bool pv_accel_gain_fits(const struct pv_device *device, const struct pv_gain *gain, uint32_t n_batch)
{
    const uint64_t limit = device->plan.max_binding_bytes;
    const uint32_t n_cols = gain->x->n_cols;
    struct pv_packed_size size;

    return pv_packed_size(PV_F16, n_cols, &size) &&
           (uint64_t)gain->n_clusters * size.row_words * 16 <= limit &&
           pv_rows_bytes(n_batch, n_cols) <= limit && pv_rows_bytes(n_batch, gain->n_clusters) <= limit &&
           pv_accel_batch_fits(device, n_batch, n_cols);
}

static enum pv_status upload_masks(struct pv_accel_gain *a, const struct pv_gain *gain)
{
    struct pv_device *device = a->batch.device;
    enum pv_status status;
    uint16_t *rows = NULL;
    size_t size;

    PV_TRY(pv_tensor_create(device, PV_F16, gain->n_clusters, gain->x->n_cols, "masks", &a->masks));
    if (pv_mul_size(gain->n_clusters, gain->x->n_cols, &size))
        rows = pv_calloc(size, sizeof *rows);
    if (!rows)
        return pv_fail(device->log, PV_ERR_NOMEM,
                       "no memory for the masks to refine on %s; learn on the host instead",
                       device->caps.name);
    pv_gain_masks(gain, rows);
    status = pv_tensor_upload(&a->masks, rows);
    free(rows);
    return status;
}

enum pv_status pv_accel_gain_create(struct pv_device *device, const struct pv_gain *gain, uint32_t n_batch,
                                    uint32_t n_threads, struct pv_accel_gain *out)
{
    *out = (struct pv_accel_gain){.batch = {.device = device,
                                            .x = gain->x,
                                            .n_batch = n_batch,
                                            .value = PV_BATCH_ENERGIES,
                                            .n_threads = n_threads}};
    out->scale = pv_calloc(n_batch, sizeof *out->scale);
    if (!out->scale)
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i < n_batch; i++)
        out->scale[i] = gain->scale;
    PV_TRY(pv_accel_batch_create(&out->batch));
    PV_TRY(pv_buffer_create(device, pv_rows_bytes(n_batch, gain->n_clusters), PV_MEM_DEVICE, "gains",
                            &out->gains));
    return upload_masks(out, gain);
}

void pv_accel_gain_destroy(struct pv_accel_gain *a)
{
    pv_accel_batch_destroy(&a->batch);
    pv_tensor_destroy(&a->masks);
    pv_buffer_destroy(a->gains);
    free(a->scale);
    *a = (struct pv_accel_gain){0};
}

enum pv_status pv_accel_gain_send(struct pv_accel_gain *a, const uint32_t *rows, uint32_t n)
{
    return pv_accel_batch_send(&a->batch, rows, 0, a->scale, n);
}

enum pv_status pv_accel_gain_record(const struct pv_accel_gain *a, struct pv_recorder *recorder, uint32_t n)
{
    const struct pv_linear product = {.w = &a->masks, .x = a->batch.rows, .y = a->gains, .n_tokens = n};

    PV_TRY(pv_accel_batch_spread(&a->batch, recorder, n));
    return pv_kernel_linear(recorder, &product);
}
