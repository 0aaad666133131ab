/* Weight matrices on a device. Rows are packed on the host (format/types.h) in pieces of a few MiB, so that
 * uploading a large matrix needs no second copy of it. Parts begin at multiples of four rows, so that
 * activations can be bound to them by whole vec4. */
#include "kernel/tensor.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

enum { UPLOAD_PIECE_BYTES = 4 << 20, ROWS_TOGETHER = 4 };

static enum pv_status create_part(struct pv_device *device, const char *name, uint64_t data_bytes,
                                  uint64_t scale_bytes, struct pv_tensor_part *out)
{
    PV_TRY(pv_buffer_create(device, data_bytes, PV_MEM_DEVICE, name, &out->data));
    return pv_buffer_create(device, scale_bytes ? scale_bytes : 4, PV_MEM_DEVICE, name, &out->scales);
}

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
    const uint64_t row_bytes = (uint64_t)size.row_words * 16, scale_bytes = (uint64_t)size.scale_words * 4;
    const uint64_t limit = device->plan.max_binding_bytes;
    uint64_t most = limit / (row_bytes > scale_bytes ? row_bytes : scale_bytes);
    most = most >= n_rows ? n_rows : most / ROWS_TOGETHER * ROWS_TOGETHER;
    if (most == 0)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                       "%s: %d rows of %llu bytes, but one binding of %s sees at most %llu", name,
                       (int)ROWS_TOGETHER, (unsigned long long)row_bytes, device->caps.name,
                       (unsigned long long)limit);
    const uint32_t n_parts = (uint32_t)((n_rows + most - 1) / most);
    out->parts = pv_calloc(n_parts, sizeof *out->parts);
    if (!out->parts)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for the parts of %s", name);
    out->n_parts = n_parts;
    enum pv_status status = PV_OK;
    for (uint32_t i = 0; i < n_parts && status == PV_OK; i++) {
        struct pv_tensor_part *part = &out->parts[i];
        part->first_row = i * (uint32_t)most;
        part->n_rows = n_rows - part->first_row < most ? n_rows - part->first_row : (uint32_t)most;
        status = create_part(device, name, row_bytes * part->n_rows, scale_bytes * part->n_rows, part);
    }
    if (status != PV_OK)
        pv_tensor_destroy(out);
    return status;
}

void pv_tensor_destroy(struct pv_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->n_parts; i++) {
        pv_buffer_destroy(tensor->parts[i].data);
        pv_buffer_destroy(tensor->parts[i].scales);
    }
    free(tensor->parts);
    *tensor = (struct pv_tensor){0};
}

/* Where rows come from: one of the two, for the whole matrix. */
struct source {
    const uint8_t *gguf_rows;
    const float *rows;
};
/* Room for a piece on the host. */
struct piece {
    size_t n_rows;
    uint8_t *data, *quantised;
    uint32_t *scales;
};

/* Packs and uploads the part's rows, a piece at a time. */
static enum pv_status upload_part(const struct pv_tensor *t, const struct pv_tensor_part *part,
                                  const struct source *source, const struct piece *piece)
{
    const size_t row_bytes = (size_t)t->row_words * 16, scale_bytes = (size_t)t->scale_words * 4;
    const size_t gguf_bytes = (size_t)pv_type_row_bytes(t->type, t->n_cols);
    for (size_t first = 0; first < part->n_rows; first += piece->n_rows) {
        const size_t n = part->n_rows - first < piece->n_rows ? part->n_rows - first : piece->n_rows;
        for (size_t i = 0; i < n; i++) {
            const size_t row = part->first_row + first + i;
            const uint8_t *src = source->gguf_rows ? source->gguf_rows + row * gguf_bytes : piece->quantised;
            if (source->rows)
                pv_quantize(t->type, source->rows + row * t->n_cols, piece->quantised, t->n_cols);
            pv_pack_row(t->type, src, t->n_cols, piece->data + i * row_bytes,
                        scale_bytes ? piece->scales + i * t->scale_words : NULL);
        }
        PV_TRY(pv_buffer_write(part->data, first * row_bytes, piece->data, n * row_bytes));
        if (scale_bytes)
            PV_TRY(pv_buffer_write(part->scales, first * scale_bytes, piece->scales, n * scale_bytes));
    }
    return PV_OK;
}

static enum pv_status upload_rows(struct pv_tensor *t, const struct source *source)
{
    const size_t row_bytes = (size_t)t->row_words * 16, scale_bytes = (size_t)t->scale_words * 4;
    size_t per_piece = UPLOAD_PIECE_BYTES / row_bytes;
    per_piece = per_piece == 0 ? 1 : (per_piece > t->n_rows ? t->n_rows : per_piece);
    enum pv_status status = PV_OK;
    struct piece piece = {.n_rows = per_piece,
                          .data = pv_calloc(per_piece, row_bytes),
                          .quantised = pv_calloc(1, (size_t)pv_type_row_bytes(t->type, t->n_cols)),
                          .scales = pv_calloc(per_piece, scale_bytes ? scale_bytes : 4)};
    if (!piece.data || !piece.scales || !piece.quantised)
        status = pv_fail(t->parts[0].data->device->log, PV_ERR_NOMEM, "no memory to pack a %u x %u matrix",
                         t->n_rows, t->n_cols);
    for (uint32_t i = 0; i < t->n_parts && status == PV_OK; i++)
        status = upload_part(t, &t->parts[i], source, &piece);
    free(piece.data);
    free(piece.quantised);
    free(piece.scales);
    return status;
}

enum pv_status pv_tensor_upload(struct pv_tensor *tensor, const void *gguf_rows)
{
    return upload_rows(tensor, &(struct source){.gguf_rows = gguf_rows});
}

enum pv_status pv_tensor_upload_f32(struct pv_tensor *tensor, const float *rows)
{
    return upload_rows(tensor, &(struct source){.rows = rows});
}

uint64_t pv_tensor_bytes(const struct pv_tensor *tensor)
{
    return (uint64_t)tensor->n_rows * ((uint64_t)tensor->row_words * 16 + (uint64_t)tensor->scale_words * 4);
}
