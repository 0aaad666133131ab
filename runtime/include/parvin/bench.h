/* Benchmarks: kernels (dense against masked, storage against texel access) and whole decode steps, in GB/s
 * and as a share of the device's measured copy bandwidth. Medians of n_reps runs taken alternately. */
#ifndef PARVIN_BENCH_H
#define PARVIN_BENCH_H

#include "parvin/session.h"

PV_API_BEGIN

struct pv_bench_params {
    /* synthetic FFN shape; 0: 1024, 8192 */
    uint32_t d_model, d_ffn;
    /* 0: 256 */
    uint32_t n_clusters;
    /* 0: 0.2 */
    double density;
    /* weight type, NULL: "f16" */
    const char *type;
    /* 0: 9 */
    uint32_t n_reps;
    /* substring of the row names; NULL: all */
    const char *filter;
};
struct pv_bench_row {
    /* e.g. "matvec", "ffn dense", "ffn masked" */
    char name[64];
    char shape[64];
    /* e.g. "f16 texel" */
    char variant[48];
    /* median */
    double ms;
    /* read per run */
    double bytes;
    /* share of the measured copy, 0..1 */
    double gb_s, share;
    /* 0 where it says nothing */
    double gflop_s;
};
/* Rows go to `row` as they are measured. The first is the copy. */
PV_MUST_USE enum pv_status pv_bench_kernels(struct pv_context *context, uint32_t device,
                                            const struct pv_bench_params *params,
                                            void (*row)(void *user, const struct pv_bench_row *row),
                                            void *user);

/* What a device asks for around the work itself, in microseconds; medians. */
struct pv_device_costs {
    /* the call that submits, and waiting for a submit that does nothing */
    double submit_us, wait_us;
    /* one more dispatch of one workgroup in a submit, and what a barrier before it adds */
    double dispatch_us, barrier_us;
};
PV_MUST_USE enum pv_status pv_bench_costs(struct pv_context *context, uint32_t device,
                                          struct pv_device_costs *out);

PV_API_END

#endif
