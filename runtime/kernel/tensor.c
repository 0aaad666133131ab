/* Weight matrices on a device. Rows are packed on the host (format/gguf/types.h), by all cores, in pieces of a few MiB, so
 * that uploading a large matrix reads it once and needs no second copy of it. Parts begin at multiples of four rows, so that
 * activations can be bound to them by whole vec4. */
#include "kernel/tensor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"

enum { UPLOAD_PIECE_BYTES = 4 << 20, ROWS_TOGETHER = 4, PACKED_TOGETHER = 16 };

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
    *out =
        (struct pv_tensor){.type = pv_type_layout(type), .source = type, .n_rows = n_rows, .n_cols = n_cols};
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

/* Where rows come from, and room for a piece of them on the host. */
struct upload {
    const struct pv_tensor *tensor;
    const struct pv_gguf_rows *pieces; /* NULL: floats, from `fill` */
    pv_rows_fn fill;
    void *user;
    size_t unit, first, n_rows; /* rows that a thread takes at a time; the piece's */
    uint8_t *data;
    uint32_t *scales;
    float *floats;
};

static const uint8_t *gguf_row(const struct upload *u, size_t i, size_t row_bytes)
{
    const struct pv_gguf_rows *piece = u->pieces;
    for (; i >= piece->n_rows; piece++)
        i -= piece->n_rows;
    return (const uint8_t *)piece->rows + i * row_bytes;
}

/* Units begin to end - 1 of the piece. */
static void pack_units(void *user, size_t chunk, size_t begin, size_t end)
{
    (void)chunk;
    const struct upload *u = user;
    const struct pv_tensor *t = u->tensor;
    const size_t row_bytes = (size_t)t->row_words * 16, n_cols = t->n_cols;
    const size_t gguf_bytes = (size_t)pv_type_row_bytes(t->source, n_cols);
    const size_t from = begin * u->unit, to = end * u->unit < u->n_rows ? end * u->unit : u->n_rows;
    if (!u->pieces)
        u->fill(u->user, u->first + from, to - from, u->floats + from * n_cols);
    for (size_t i = from; i < to; i++) {
        uint8_t *const data = u->data + i * row_bytes;
        uint32_t *const scales = t->scale_words ? u->scales + i * t->scale_words : NULL;
        if (u->pieces)
            pv_pack_row(t->source, gguf_row(u, u->first + i, gguf_bytes), t->n_cols, data, scales);
        else
            pv_pack_floats(t->source, u->floats + i * n_cols, t->n_cols, data, scales);
    }
}

/* Packs and uploads the part's rows, a piece of at most n rows at a time. */
static enum pv_status upload_part(const struct pv_tensor_part *part, struct upload *u, size_t n)
{
    const size_t row_bytes = (size_t)u->tensor->row_words * 16;
    const size_t scale_bytes = (size_t)u->tensor->scale_words * 4;
    for (size_t first = 0; first < part->n_rows; first += n) {
        u->first = part->first_row + first;
        u->n_rows = part->n_rows - first < n ? part->n_rows - first : n;
        const size_t n_units = (u->n_rows + u->unit - 1) / u->unit;
        pv_parallel_for(0, n_units, n_units, pack_units, u);
        PV_TRY(pv_buffer_write(part->data, first * row_bytes, u->data, u->n_rows * row_bytes));
        if (scale_bytes)
            PV_TRY(pv_buffer_write(part->scales, first * scale_bytes, u->scales, u->n_rows * scale_bytes));
    }
    return PV_OK;
}

static enum pv_status upload_rows(const struct pv_tensor *t, struct upload *u)
{
    const size_t row_bytes = (size_t)t->row_words * 16, scale_bytes = (size_t)t->scale_words * 4;
    size_t n_units = UPLOAD_PIECE_BYTES / row_bytes / u->unit;
    if (n_units < pv_n_cores())
        n_units = pv_n_cores();
    const size_t n = n_units * u->unit < t->n_rows ? n_units * u->unit : t->n_rows;
    u->tensor = t;
    u->data = pv_calloc(n, row_bytes);
    u->scales = pv_calloc(n, scale_bytes ? scale_bytes : 4);
    u->floats = u->pieces ? NULL : pv_calloc(n, t->n_cols * sizeof *u->floats);
    enum pv_status status = PV_OK;
    if (!u->data || !u->scales || (!u->pieces && !u->floats))
        status = pv_fail(t->parts[0].data->device->log, PV_ERR_NOMEM, "no memory to pack a %u x %u matrix",
                         t->n_rows, t->n_cols);
    for (uint32_t i = 0; i < t->n_parts && status == PV_OK; i++)
        status = upload_part(&t->parts[i], u, n);
    free(u->data);
    free(u->scales);
    free(u->floats);
    return status;
}

enum pv_status pv_tensor_upload(struct pv_tensor *tensor, const void *gguf_rows)
{
    return pv_tensor_upload_joined(tensor, &(struct pv_gguf_rows){gguf_rows, tensor->n_rows}, 1);
}

enum pv_status pv_tensor_upload_joined(struct pv_tensor *tensor, const struct pv_gguf_rows *pieces,
                                       uint32_t n_pieces)
{
    uint64_t n_rows = 0;
    for (uint32_t i = 0; i < n_pieces; i++)
        n_rows += pieces[i].n_rows;
    assert(n_rows == tensor->n_rows);
    (void)n_rows;
    return upload_rows(tensor, &(struct upload){.pieces = pieces, .unit = PACKED_TOGETHER});
}

enum pv_status pv_tensor_upload_rows(struct pv_tensor *tensor, pv_rows_fn fill, void *user)
{
    return upload_rows(tensor, &(struct upload){.fill = fill, .user = user, .unit = PV_FILLED_ROWS});
}

struct array {
    const float *rows;
    size_t n_cols;
};

static void copy_rows(void *user, size_t first, size_t n, float *out)
{
    const struct array *a = user;
    memcpy(out, a->rows + first * a->n_cols, n * a->n_cols * sizeof *out);
}

enum pv_status pv_tensor_upload_f32(struct pv_tensor *tensor, const float *rows)
{
    return pv_tensor_upload_rows(tensor, copy_rows, &(struct array){rows, tensor->n_cols});
}

uint64_t pv_tensor_bytes(const struct pv_tensor *tensor)
{
    return (uint64_t)tensor->n_rows * ((uint64_t)tensor->row_words * 16 + (uint64_t)tensor->scale_words * 4);
}
