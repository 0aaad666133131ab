/* Gains of gain.h on the device: a batch's energies, spread out, times the masks as a matrix of zeros and
 * ones. Errors as in accel.h. */
#ifndef PV_LEARN_ALGO_DEVICE_ACCEL_GAIN_H
#define PV_LEARN_ALGO_DEVICE_ACCEL_GAIN_H

#include "kernel/tensor.h"
#include "learn/algo/device/accel_batch.h"

struct pv_gain;

struct pv_accel_gain {
    struct pv_accel_batch batch;
    struct pv_tensor masks;  /* [K][F] float16 */
    struct pv_buffer *gains; /* [n_batch][K] */
    float *scale;            /* [n_batch] the gain's */
};

/* Whether the device's bindings can see the masks and batches of n_batch rows. */
bool pv_accel_gain_fits(const struct pv_device *device, const struct pv_gain *gain, uint32_t n_batch);
/* `gain` need not outlive it, its rows must. */
PV_MUST_USE enum pv_status pv_accel_gain_create(struct pv_device *device, const struct pv_gain *gain,
                                                uint32_t n_batch, uint32_t n_threads,
                                                struct pv_accel_gain *out);
void pv_accel_gain_destroy(struct pv_accel_gain *a); /* safe on a zeroed struct */
/* Sends the rows[0..n) of the gain's x. */
PV_MUST_USE enum pv_status pv_accel_gain_send(struct pv_accel_gain *a, const uint32_t *rows, uint32_t n);
/* Records their gains into a->gains. */
PV_MUST_USE enum pv_status pv_accel_gain_record(const struct pv_accel_gain *a, struct pv_recorder *recorder,
                                                uint32_t n);

#endif
