/* One dispatch of one kernel: what every pv_kernel_* fills in, and the checks they share. Private to kernel/.
 */
#ifndef PV_KERNEL_CALL_H
#define PV_KERNEL_CALL_H

#include "iface.h"
#include "kernel/kernels.h"

enum { PV_CALL_MAX_BUFFERS = 13, PV_CALL_N_SPEC = 13 };

/* Zero in spec means the default of shaders/iface.h; buffers go in the order of the kernel's binding letters.
 */
struct pv_call {
    const char *kernel; /* a name of PV_KERNELS */
    const char *type;   /* weight or cache type of the variant; NULL: the kernel has none */
    bool subgroup;      /* the .sg variant */
    uint32_t spec[PV_CALL_N_SPEC];
    struct pv_buffer *buffers[PV_CALL_MAX_BUFFERS];
    const void *push;
    uint32_t push_bytes;
    uint32_t groups[3]; /* 0 counts as 1 in y and z */
    struct pv_buffer *indirect;
    uint64_t indirect_offset;
};
uint32_t pv_call_default(uint32_t constant); /* of a PV_SPEC_* that a call leaves at zero */
/* Chooses storage or texel access (the plan's, but storage where a buffer is past the device's texel limit),
 * checks the dispatch against the device's limits and records it. */
PV_MUST_USE enum pv_status pv_call_record(struct pv_recorder *r, const struct pv_call *call);

/* A buffer that must hold at least `bytes`. */
struct pv_need {
    const struct pv_buffer *buffer;
    uint64_t bytes;
    const char *what; /* its name in the message */
};
PV_MUST_USE enum pv_status pv_call_check(struct pv_recorder *r, const char *kernel,
                                         const struct pv_need *needs, uint32_t n_needs);
/* PV_OK if `holds`, else PV_ERR_ARG with the kernel's name and the condition that it broke. */
PV_MUST_USE enum pv_status pv_call_require(struct pv_recorder *r, const char *kernel, bool holds,
                                           const char *condition);

/* How a matvec's rows are shared out under a plan; the same for matvec and both forms of ffn_up. */
struct pv_row_split {
    uint32_t workgroup, lanes, rows; /* lanes share `rows` rows */
    uint32_t rows_per_workgroup;
    bool subgroup;
};
struct pv_row_split pv_row_split(const struct pv_plan *plan);
/* How many invocations share a row of activations in the row kernels (norms, likelihoods), and their
 * workgroup. */
struct pv_row_split pv_row_split_activations(const struct pv_plan *plan);

/* What must be there of a norm in a product over n_in values, and of a next input of n_out; `other` stands in for what is
 * not used. */
struct pv_need pv_unnormed_need(const struct pv_unnormed *u, const struct pv_buffer *other, uint32_t n_in);
struct pv_need pv_next_need(const struct pv_buffer *buffer, const struct pv_buffer *other, uint32_t n_out,
                            const char *what);

static inline const struct pv_plan *pv_call_plan(struct pv_recorder *r)
{
    return &pv_recorder_device(r)->plan;
}
static inline uint32_t pv_ceil_div(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}
/* PV_PHI_* of shaders/iface.h. */
static inline uint32_t pv_call_phi(enum pv_act act)
{
    return (uint32_t)act + 1;
}

#endif
