/* A batch of sparse rows on its way to the device, where a kernel spreads them out: the entries are a tenth
 * of the bytes of dense rows. Used by one thread at a time; errors as in accel.h. */
#ifndef PV_LEARN_ALGO_DEVICE_ACCEL_BATCH_H
#define PV_LEARN_ALGO_DEVICE_ACCEL_BATCH_H

#include <stdbool.h>
#include "learn/algo/sparse.h"
#include "parvin/status.h"

struct pv_buffer;
struct pv_device;
struct pv_recorder;

/* What the entries of a row become, times the row's scale. */
enum pv_batch_value {
    PV_BATCH_ROOTS,    /* s = sqrt(c) */
    PV_BATCH_BITS,     /* 1 */
    PV_BATCH_ENERGIES, /* c^2 */
};
struct pv_accel_batch {
    struct pv_device *device;
    const struct pv_sparse *x; /* borrowed */
    uint32_t n_batch;          /* rows at most */
    enum pv_batch_value value;
    uint32_t n_threads;
    struct pv_buffer *offset, *entries, *scale, *rows; /* [n_batch + 1], [], [n_batch], [n_batch][F] */
    uint32_t *host_offset, *host_entries;              /* images of them */
    const uint32_t *from;                              /* rows of the batch under way */
    size_t begin;                                      /* or its first row, if `from` is NULL */
};

/* Whether a device's bindings can see batches of n_batch rows of n_cols. */
bool pv_accel_batch_fits(const struct pv_device *device, uint32_t n_batch, uint32_t n_cols);
/* Sets up `b`, whose device, x, n_batch, value and n_threads are given. */
PV_MUST_USE enum pv_status pv_accel_batch_create(struct pv_accel_batch *b);
void pv_accel_batch_destroy(struct pv_accel_batch *b); /* safe on a zeroed struct */
/* Sends the rows from[0..n) of x (from NULL: begin + 0..n) and scale [n]; n <= n_batch. */
PV_MUST_USE enum pv_status pv_accel_batch_send(struct pv_accel_batch *b, const uint32_t *from, size_t begin,
                                               const float *scale, uint32_t n);
/* Records their spreading out into b->rows [n][F]. */
PV_MUST_USE enum pv_status pv_accel_batch_spread(const struct pv_accel_batch *b, struct pv_recorder *recorder,
                                                 uint32_t n);

#endif
