/* Weight matrices on a device. Rows are packed on the host (format/types.h) in pieces of a few MiB, so that
 * uploading a large matrix needs no second copy of it. */
#include "kernel/tensor.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

enum { UPLOAD_PIECE_BYTES = 4 << 20 };

enum pv_status pv_tensor_create(struct pv_device *device, enum pv_type type, uint32_t n_rows, uint32_t n_cols,
                                const char *name, struct pv_tensor *out)
{
    struct pv_packed_size size = {0};
    *out = (struct pv_tensor){.type = type, .n_rows = n_rows, .n_cols = n_cols};
    if (n_rows == 0 || n_cols == 0 || !pv_type_is_weight(type) || !pv_packed_size(type, n_cols, &size))
        return pv_fail(device->log, PV_ERR_UNSUPPORTED, "%s: no kernel for a %u x %u matrix of type %s", name,
                       n_rows, n_cols, pv_type_name(type));
    out->row_words = size.row_words;
    out->scale_words = size.scale_words;
    const uint64_t data_bytes = (uint64_t)n_rows * size.row_words * 16;
    const uint64_t scale_bytes = (uint64_t)n_rows * size.scale_words * 4;
    if (data_bytes > device->plan.max_binding_bytes || scale_bytes > device->plan.max_binding_bytes)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                       "%s: %llu bytes of weights, but one binding of %s sees at most %llu", name,
                       (unsigned long long)data_bytes, device->caps.name,
                       (unsigned long long)device->plan.max_binding_bytes);
    PV_TRY(pv_buffer_create(device, data_bytes, PV_MEM_DEVICE, name, &out->data));
    enum pv_status status =
        pv_buffer_create(device, scale_bytes ? scale_bytes : 4, PV_MEM_DEVICE, name, &out->scales);
    if (status != PV_OK)
        pv_tensor_destroy(out);
    return status;
}

void pv_tensor_destroy(struct pv_tensor *tensor)
{
    pv_buffer_destroy(tensor->data);
    pv_buffer_destroy(tensor->scales);
    *tensor = (struct pv_tensor){0};
}

/* Uploads rows [first, first + n) that `pack` prepares one at a time. */
static enum pv_status upload_rows(struct pv_tensor *t, const uint8_t *gguf_rows, const float *rows)
{
    const struct pv_log *log = t->data->device->log;
    const size_t row_bytes = (size_t)t->row_words * 16, scale_bytes = (size_t)t->scale_words * 4;
    const size_t gguf_bytes = (size_t)pv_type_row_bytes(t->type, t->n_cols);
    size_t per_piece = UPLOAD_PIECE_BYTES / row_bytes;
    per_piece = per_piece == 0 ? 1 : (per_piece > t->n_rows ? t->n_rows : per_piece);
    enum pv_status status = PV_OK;
    uint8_t *data = pv_calloc(per_piece, row_bytes);
    uint32_t *scales = pv_calloc(per_piece, scale_bytes ? scale_bytes : 4);
    uint8_t *quantised = rows ? pv_calloc(1, gguf_bytes) : NULL;
    if (!data || !scales || (rows && !quantised)) {
        status = pv_fail(log, PV_ERR_NOMEM, "no memory to pack a %u x %u matrix", t->n_rows, t->n_cols);
        goto fail;
    }
    for (size_t first = 0; first < t->n_rows; first += per_piece) {
        const size_t n = t->n_rows - first < per_piece ? t->n_rows - first : per_piece;
        for (size_t i = 0; i < n; i++) {
            const uint8_t *src = gguf_rows ? gguf_rows + (first + i) * gguf_bytes : quantised;
            if (rows)
                pv_quantize(t->type, rows + (first + i) * t->n_cols, quantised, t->n_cols);
            pv_pack_row(t->type, src, t->n_cols, data + i * row_bytes,
                        scale_bytes ? scales + i * t->scale_words : NULL);
        }
        PV_TRY_GOTO(pv_buffer_write(t->data, first * row_bytes, data, n * row_bytes));
        if (scale_bytes)
            PV_TRY_GOTO(pv_buffer_write(t->scales, first * scale_bytes, scales, n * scale_bytes));
    }
fail:
    free(data);
    free(scales);
    free(quantised);
    return status;
}

enum pv_status pv_tensor_upload(struct pv_tensor *tensor, const void *gguf_rows)
{
    return upload_rows(tensor, gguf_rows, NULL);
}

enum pv_status pv_tensor_upload_f32(struct pv_tensor *tensor, const float *rows)
{
    return upload_rows(tensor, NULL, rows);
}

uint64_t pv_tensor_bytes(const struct pv_tensor *tensor)
{
    return (uint64_t)tensor->n_rows * ((uint64_t)tensor->row_words * 16 + (uint64_t)tensor->scale_words * 4);
}
