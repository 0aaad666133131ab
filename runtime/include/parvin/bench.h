/* Benchmarks: kernels (dense against masked, storage against texel access) and whole decode steps, in GB/s
 * and as a share of the device's measured copy bandwidth. Medians of n_reps runs taken alternately. */
#ifndef PARVIN_BENCH_H
#define PARVIN_BENCH_H

#include "parvin/session.h"

PV_API_BEGIN

struct pv_bench_params {
    uint32_t d_model, d_ffn; /* synthetic FFN shape; 0: 1024, 8192 */
    uint32_t n_clusters;     /* 0: 256 */
    double density;          /* 0: 0.2 */
    const char *type;        /* weight type, NULL: "f16" */
    uint32_t n_reps;         /* 0: 9 */
    const char *filter;      /* substring of the row names; NULL: all */
};
struct pv_bench_row {
    char name[64]; /* e.g. "matvec", "ffn dense", "ffn masked" */
    char shape[64];
    char variant[48];   /* e.g. "f16 texel" */
    double ms;          /* median */
    double bytes;       /* read per run */
    double gb_s, share; /* share of the measured copy, 0..1 */
    double gflop_s;     /* 0 where it says nothing */
};
/* Rows go to `row` as they are measured. The first is the copy. */
PV_MUST_USE enum pv_status pv_bench_kernels(struct pv_context *context, uint32_t device,
                                            const struct pv_bench_params *params,
                                            void (*row)(void *user, const struct pv_bench_row *row),
                                            void *user);

PV_API_END

#endif
