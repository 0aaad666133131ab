/* Threads pack the rows' entries one behind the other into an image that is sent in one piece. There is room
 * for as many of the longest row as a batch has rows, so any rows may come. */
#include "learn/algo/device/accel_batch.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "kernel/kernels.h"
#include "vk/recorder.h"

enum { CHUNK_ROWS = 32, ONE = 0x3c00 /* 1.0 as float16 */ };

static uint32_t n_entries(const struct pv_sparse *x, size_t row)
{
    return (uint32_t)(x->offset[row + 1] - x->offset[row]);
}

static size_t row_at(const struct pv_accel_batch *b, size_t i)
{
    return b->from ? b->from[i] : b->begin + i;
}

bool pv_accel_batch_fits(const struct pv_device *device, uint32_t n_batch, uint32_t n_cols)
{
    return pv_rows_bytes(n_batch, n_cols) <= device->caps.max_storage_range &&
           n_batch <= device->caps.max_workgroup_count[1];
}

enum pv_status pv_accel_batch_create(struct pv_accel_batch *b)
{
    uint64_t words = (uint64_t)b->n_batch * sizeof(uint32_t), longest = 1, entries;

    for (size_t i = 0; i < b->x->n_rows; i++)
        longest = n_entries(b->x, i) > longest ? n_entries(b->x, i) : longest;
    entries = words * longest;
    b->host_offset = pv_calloc(b->n_batch + (size_t)1, sizeof(uint32_t));
    b->host_entries = pv_calloc(entries, 1);
    if (!b->host_offset || !b->host_entries)
        return pv_fail(b->device->log, PV_ERR_NOMEM,
                       "no memory for batches to learn from on %s; learn on the host instead",
                       b->device->caps.name);
    PV_TRY(pv_buffer_create(b->device, words + sizeof(uint32_t), PV_MEM_HOST, "row offsets", &b->offset));
    PV_TRY(pv_buffer_create(b->device, entries, PV_MEM_HOST, "row entries", &b->entries));
    PV_TRY(pv_buffer_create(b->device, words, PV_MEM_HOST, "row scales", &b->scale));
    return pv_buffer_create(b->device, pv_rows_bytes(b->n_batch, b->x->n_cols), PV_MEM_DEVICE, "rows",
                            &b->rows);
}

void pv_accel_batch_destroy(struct pv_accel_batch *b)
{
    pv_buffer_destroy(b->offset);
    pv_buffer_destroy(b->entries);
    pv_buffer_destroy(b->scale);
    pv_buffer_destroy(b->rows);
    free(b->host_offset);
    free(b->host_entries);
    *b = (struct pv_accel_batch){0};
}

static void pack_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct pv_accel_batch *b = user;
    const struct pv_sparse *x = b->x;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const uint64_t from = x->offset[row_at(b, i)];
        uint32_t *to = b->host_entries + b->host_offset[i];

        for (size_t p = 0; p < b->host_offset[i + 1] - b->host_offset[i]; p++)
            to[p] = x->col[from + p] | (b->value == PV_BATCH_BITS ? (uint32_t)ONE : x->root[from + p]) << 16;
    }
}

enum pv_status pv_accel_batch_send(struct pv_accel_batch *b, const uint32_t *from, size_t begin,
                                   const float *scale, uint32_t n)
{
    b->from = from;
    b->begin = begin;
    for (uint32_t i = 0; i < n; i++)
        b->host_offset[i + 1] = b->host_offset[i] + n_entries(b->x, row_at(b, i));
    pv_parallel_for(b->n_threads, n, (n + CHUNK_ROWS - 1) / CHUNK_ROWS, pack_rows, b);
    PV_TRY(pv_buffer_write(b->offset, 0, b->host_offset, (n + (uint64_t)1) * sizeof(uint32_t)));
    if (b->host_offset[n] > 0)
        PV_TRY(
            pv_buffer_write(b->entries, 0, b->host_entries, (uint64_t)b->host_offset[n] * sizeof(uint32_t)));
    return pv_buffer_write(b->scale, 0, scale, (uint64_t)n * sizeof *scale);
}

enum pv_status pv_accel_batch_spread(const struct pv_accel_batch *b, struct pv_recorder *recorder, uint32_t n)
{
    const struct pv_sparse_rows_args args = {.offset = b->offset,
                                             .entries = b->entries,
                                             .scale = b->scale,
                                             .x = b->rows,
                                             .n_tokens = n,
                                             .n_cols = b->x->n_cols,
                                             .energy = b->value == PV_BATCH_ENERGIES};

    return pv_kernel_sparse_rows(recorder, &args);
}
