/* Conformance: every row of the kernel case table on one device, against the CPU reference. */
#ifndef PARVIN_CONFORM_H
#define PARVIN_CONFORM_H

#include "parvin/device.h"

struct pv_conform_params {
    const char *filter; /* substring of "kernel/case"; NULL: all */
    uint64_t seed;      /* 0: 1 */
    bool quick;         /* only the small cases */
};
struct pv_conform_row {
    char kernel[32];
    char name[96]; /* the case: shape, type, variant */
    bool passed, skipped;
    double error; /* normalised mean squared error, or count of differing words for exact cases */
    double tolerance;
    char detail[256]; /* why it failed or was skipped */
};
struct pv_conform_result {
    uint32_t n_passed, n_failed, n_skipped;
};
PV_MUST_USE enum pv_status pv_conform(struct pv_context *context, uint32_t device,
                                      const struct pv_conform_params *params,
                                      void (*row)(void *user, const struct pv_conform_row *row), void *user,
                                      struct pv_conform_result *out);

#endif
