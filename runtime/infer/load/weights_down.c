/* Transposes ffn_down on its way to the device. A thread takes the blocks of the file that hold its neurons, row by
 * row, and scatters them into rows of the device; blocks are at most as wide as what a thread takes, so that none
 * is read twice. Plain types transpose exactly; quantised ones are rounded again, since scales that were shared along
 * F are shared along d. */
#include "infer/load/weights_down.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernel/kernels.h"

enum pv_type pv_down_type(const struct pv_plan *plan, enum pv_type type, uint32_t d)
{
    static const enum pv_type forced[] = {
        [PV_DOWN_F32] = PV_F32,   [PV_DOWN_F16] = PV_F16,   [PV_DOWN_BF16] = PV_BF16,
        [PV_DOWN_Q8_0] = PV_Q8_0, [PV_DOWN_Q6_K] = PV_Q6_K, [PV_DOWN_Q4_0] = PV_Q4_0};
    enum pv_type wish = type;
    if (plan->ffn_down_type != PV_DOWN_AUTO)
        wish = forced[plan->ffn_down_type];
    else if (pv_type_block(type) != 1 && type != PV_Q8_0)
        wish = PV_Q6_K;
    return pv_type_block(wish) != 1 && d % pv_type_block(PV_Q8_0) != 0 ? PV_F16 : wish;
}

struct down {
    const struct pv_gguf_tensor *t;
    float *norm; /* [n_ffn] */
};

/* Neurons first to first + n - 1 of an expert: columns of the matrix at `data`. */
static void transpose_columns(const struct pv_gguf_tensor *t, const uint8_t *data, size_t first, size_t n,
                              float *rows, float *norm)
{
    const size_t n_ffn = (size_t)t->dims[0], d = (size_t)t->dims[1];
    const size_t block = pv_type_block(t->type), block_bytes = pv_type_block_bytes(t->type);
    const size_t row_bytes = n_ffn / block * block_bytes;
    double sum[PV_FILLED_ROWS] = {0};
    for (size_t i = 0; i < d; i++)
        for (size_t b = first / block; b * block < first + n; b++) {
            float values[PV_FILLED_ROWS];
            pv_dequantize(t->type, data + i * row_bytes + b * block_bytes, values, block);
            for (size_t k = 0; k < block; k++) {
                const size_t j = b * block + k - first; /* wraps before the first */
                if (j >= n)
                    continue;
                rows[j * d + i] = values[k];
                sum[j] += (double)values[k] * (double)values[k];
            }
        }
    for (size_t j = 0; j < n; j++)
        norm[j] = (float)sqrt(sum[j]);
}

/* Neurons first to first + n - 1 of all experts, or of the one network there is. */
static void transpose(void *user, size_t first, size_t n, float *rows)
{
    const struct down *down = user;
    const struct pv_gguf_tensor *t = down->t;
    const size_t n_ffn = (size_t)t->dims[0], d = (size_t)t->dims[1];
    const size_t expert_bytes = d * (size_t)pv_type_row_bytes(t->type, n_ffn);
    for (size_t at = 0; at < n;) {
        const size_t expert = (first + at) / n_ffn, own = (first + at) % n_ffn;
        const size_t left = n_ffn - own, n_own = left < n - at ? left : n - at;
        transpose_columns(t, t->data + expert * expert_bytes, own, n_own, rows + at * d,
                          down->norm + first + at);
        at += n_own;
    }
}

enum pv_status pv_down_upload(struct pv_device *device, const struct pv_gguf_tensor *t,
                              struct pv_tensor *down_t, struct pv_buffer **norms)
{
    const uint32_t n_ffn = (uint32_t)(t->dims[0] * t->dims[2]), d = (uint32_t)t->dims[1];
    enum pv_status status = PV_OK;
    struct down down = {.t = t, .norm = pv_calloc(pv_row_stride(n_ffn), sizeof(float))};
    if (!down.norm)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for the norms of '%s' (%u x %u)", t->name, d,
                       n_ffn);
    PV_TRY_GOTO(pv_tensor_create(device, pv_down_type(&device->plan, t->type, d), n_ffn, d, t->name, down_t));
    PV_TRY_GOTO(pv_tensor_upload_rows(down_t, transpose, &down));
    PV_TRY_GOTO(pv_buffer_create(device, pv_rows_bytes(1, n_ffn), PV_MEM_DEVICE, "ffn_down norms", norms));
    PV_TRY_GOTO(pv_buffer_write(*norms, 0, down.norm, pv_rows_bytes(1, n_ffn)));
fail:
    free(down.norm);
    return status;
}
