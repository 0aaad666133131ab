/* What the run function of a case works with: inputs, poisoned outputs and comparison. Everything made here
 * is released when the case ends. Every device buffer is filled with poison where no data was given, padding
 * between rows and guard words past the end included, and the guards of outputs must still be there afterwards. */
#ifndef PV_CHECK_CASE_RUN_H
#define PV_CHECK_CASE_RUN_H

#include "base/mem.h"
#include "base/rng.h"
#include "check/cases.h"
#include "kernel/kernels.h"
#include "kernel/reference.h"

enum { PV_CASE_BUFFERS = 24, PV_CASE_TENSORS = 4 };
struct pv_case_run {
    struct pv_device *device;
    struct pv_recorder *recorder;
    struct pv_rng rng;
    struct pv_arena arena;
    struct pv_buffer *buffers[PV_CASE_BUFFERS];
    struct pv_tensor tensors[PV_CASE_TENSORS];
    struct pv_masks masks;
    uint32_t n_buffers, n_tensors;
    uint32_t poison;
    uint64_t digest;         /* of the words read back, those of poison counting alike whatever it is */
    double tolerance, error; /* error: the worst of the checks so far */
    bool failed, skipped;
    enum pv_conform_fault fault; /* of the first failure */
    char detail[256];            /* likewise, or why it was skipped */
};

/* Zeroed host memory. */
PV_MUST_USE enum pv_status pv_case_floats(struct pv_case_run *run, size_t n, float **out);
PV_MUST_USE enum pv_status pv_case_words(struct pv_case_run *run, size_t n, uint32_t **out);
/* Normally distributed floats. */
PV_MUST_USE enum pv_status pv_case_random(struct pv_case_run *run, size_t n, float scale, float **out);

/* Activation rows [T][n] with the stride of kernels.h; rows NULL: all poison. */
PV_MUST_USE enum pv_status pv_case_rows(struct pv_case_run *run, const float *rows, uint32_t n_tokens,
                                        uint32_t n, struct pv_buffer **out);
/* n words as they are; NULL: all poison. */
PV_MUST_USE enum pv_status pv_case_buffer(struct pv_case_run *run, const void *words, size_t n,
                                          struct pv_buffer **out);
/* struct pv_step. */
PV_MUST_USE enum pv_status pv_case_step(struct pv_case_run *run, uint32_t pos, struct pv_buffer **out);
/* A random weight matrix on the device and its dequantised floats. */
PV_MUST_USE enum pv_status pv_case_matrix(struct pv_case_run *run, enum pv_type type, uint32_t n_rows,
                                          uint32_t n_cols, struct pv_tensor **out, struct pv_ref_matrix *ref);

PV_MUST_USE enum pv_status pv_case_begin(struct pv_case_run *run);
PV_MUST_USE enum pv_status pv_case_submit(struct pv_case_run *run); /* and wait */

/* Comparison with what was expected; a difference fails the case, the status is of the transfer alone. */
PV_MUST_USE enum pv_status pv_case_check_rows(struct pv_case_run *run, const char *what,
                                              struct pv_buffer *buffer, const float *expected,
                                              uint32_t n_tokens, uint32_t n);
PV_MUST_USE enum pv_status pv_case_check_words(struct pv_case_run *run, const char *what,
                                               struct pv_buffer *buffer, const void *expected, size_t n);
/* The first failure is what the row says. */
void pv_case_fail(struct pv_case_run *run, enum pv_conform_fault fault, const char *format, ...)
    PV_PRINTF(3, 4);
/* Fails the case with a message unless `holds`. */
void pv_case_expect(struct pv_case_run *run, bool holds, const char *message);
/* The buffer's words, in memory of the case. */
PV_MUST_USE enum pv_status pv_case_read(struct pv_case_run *run, struct pv_buffer *buffer, uint32_t **out);
void pv_case_compare(struct pv_case_run *run, const char *what, const float *got, const float *expected,
                     size_t n);

#endif
