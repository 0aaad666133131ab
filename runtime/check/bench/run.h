/* Measuring recordings against each other. Private to the benchmarks. */
#ifndef PV_CHECK_BENCH_RUN_H
#define PV_CHECK_BENCH_RUN_H

#include "base/rng.h"
#include "kernel/kernels.h"
#include "parvin/bench.h"

enum { PV_BENCH_SUBJECTS = 4 };

/* One recording: what a row of the report is about. */
struct pv_bench_subject {
    struct pv_bench_row
        row; /* name, shape, variant, bytes and gflop_s as GFLOP are given; the rest is measured */
    struct pv_recorder *recorder;
    uint32_t n_inner;        /* times the recording does it */
    struct pv_buffer *input; /* filled with fresh random floats before each run; NULL: nothing */
    uint32_t input_floats;
};
struct pv_bench {
    struct pv_context *context;
    uint32_t device;
    uint32_t d_model, d_ffn, n_clusters, n_reps;
    double density;
    enum pv_type type;
    const char *filter;
    void (*row)(void *user, const struct pv_bench_row *row);
    void *user;
    double copy_gb_s; /* measured; 0 before */
    struct pv_rng rng;
    uint8_t *weights; /* [d_ffn][d_model] random, GGUF layout of `type` */
};
/* Begins and ends the timed part of a recording. */
PV_MUST_USE enum pv_status pv_bench_record(struct pv_recorder *recorder);
PV_MUST_USE enum pv_status pv_bench_recorded(struct pv_recorder *recorder);
/* Runs the subjects in turn, n_reps times after a warm-up, and completes their rows with medians. */
PV_MUST_USE enum pv_status pv_bench_measure(struct pv_bench *b, struct pv_bench_subject *subjects,
                                            uint32_t n);
/* Hands rows on to the caller if the filter lets them through. */
void pv_bench_report(struct pv_bench *b, const struct pv_bench_subject *subjects, uint32_t n);
bool pv_bench_wants(const struct pv_bench *b, const char *name);
/* "device clock" or "host clock": where the times of this device come from. */
const char *pv_bench_clock(const struct pv_device *device);

/* bench/ffn.c */
/* The weights as ffn_down lies on a device, whose type may be another. */
PV_MUST_USE enum pv_status pv_bench_down(struct pv_bench *b, struct pv_device *device, struct pv_tensor *out);
PV_MUST_USE enum pv_status pv_bench_ffn(struct pv_bench *b);

#endif
