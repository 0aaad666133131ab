/* A weight matrix on a device, in the layout of format/types.h: rows of whole uvec4, block scales apart. A
 * matrix larger than one binding of the device can see lies in several parts of whole rows; a kernel is
 * dispatched once for each. */
#ifndef PV_KERNEL_TENSOR_H
#define PV_KERNEL_TENSOR_H

#include "format/gguf/types.h"
#include "vk/memory/memory.h"

struct pv_tensor {
    enum pv_type type;   /* the layout; variants of kernels have its name */
    enum pv_type source; /* what GGUF rows are to be uploaded */
    uint32_t n_rows, n_cols;
    uint32_t row_words, scale_words; /* uvec4 and uint32 a row */
    struct pv_tensor_part *parts;
    uint32_t n_parts; /* 0: not created */
};
struct pv_tensor_part {
    uint32_t first_row, n_rows; /* both multiples of 4, but for the last part's n_rows */
    struct pv_buffer *data;
    struct pv_buffer
        *scales; /* a one-word dummy for types without scales, so that bindings are never empty */
};
/* Parts are of at most plan.max_binding_bytes; PV_ERR_UNSUPPORTED (naming the limit) if four rows are more.
 */
PV_MUST_USE enum pv_status pv_tensor_create(struct pv_device *device, enum pv_type type, uint32_t n_rows,
                                            uint32_t n_cols, const char *name, struct pv_tensor *out);
void pv_tensor_destroy(struct pv_tensor *tensor); /* safe on a zeroed struct */
/* Packs and uploads all rows from GGUF layout of the type that the tensor was created for. */
PV_MUST_USE enum pv_status pv_tensor_upload(struct pv_tensor *tensor, const void *gguf_rows);
/* The same, the rows in pieces, in order, that have as many as the tensor together. */
struct pv_gguf_rows {
    const void *rows;
    uint32_t n_rows;
};
PV_MUST_USE enum pv_status pv_tensor_upload_joined(struct pv_tensor *tensor,
                                                   const struct pv_gguf_rows *pieces, uint32_t n_pieces);
/* Packs and uploads all rows from floats; types as pv_pack_floats. `fill` makes rows [first, first + n) of n_cols
 * floats each; it is called from several threads, for at most PV_FILLED_ROWS rows at a time (256: a block of the
 * widest type), and once for each row. */
enum { PV_FILLED_ROWS = 256 };
typedef void (*pv_rows_fn)(void *user, size_t first, size_t n, float *rows);
PV_MUST_USE enum pv_status pv_tensor_upload_rows(struct pv_tensor *tensor, pv_rows_fn fill, void *user);
/* The same from an array [n_rows][n_cols]. */
PV_MUST_USE enum pv_status pv_tensor_upload_f32(struct pv_tensor *tensor, const float *rows);
uint64_t pv_tensor_bytes(const struct pv_tensor *tensor); /* bytes one pass over it reads, padding included */

#endif
