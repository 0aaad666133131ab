/* Conformance: every row of the kernel case table on one device, in every variant the device can run, against
 * the CPU reference. Inputs are random, from a seed; outputs are poisoned. */
#ifndef PARVIN_CONFORM_H
#define PARVIN_CONFORM_H

#include "parvin/device.h"

PV_API_BEGIN

struct pv_conform_row;
struct pv_conform_params {
    /* substring of "kernel/case [variant]"; NULL: all */
    const char *filter;
    /* only this one (see pv_conform_variants); NULL: all that run */
    const char *variant;
    /* 0: 1 */
    uint64_t seed;
    /* only the small cases, and two weight types in variants other than the plan */
    bool quick;
    /* called before each row, which has its kernel, name and variant; false: the row is left out. NULL: none is.
     * `user` is that of the call */
    bool (*starting)(void *user, const struct pv_conform_row *row);
    /* run each case four times: twice alike, with other poison, with the workgroups in another order. What changes
     * is a failure. Without it failed cases alone are repeated */
    bool repeat;
    /* results are ignored: a case passes if every call of it did and the validation layers were silent. For drivers
     * that have no device behind them */
    bool record_only;
};
/* What is wrong with a row that failed. */
enum pv_conform_fault {
    PV_FAULT_NONE,
    PV_FAULT_VALUES,
    PV_FAULT_ROUNDING,   /* wrong values are off by 1/512 at most */
    PV_FAULT_NAN,        /* a NaN where a number belongs */
    PV_FAULT_INFINITE,   /* likewise infinity */
    PV_FAULT_HALF_RANGE, /* infinity, NaN or 65504 where a number past float16 belongs */
    PV_FAULT_DENORMALS,  /* wrong values are zeros where denormal numbers belong */
    PV_FAULT_OUTSIDE,    /* padding, or memory past the end, was written */
    PV_FAULT_UNSTEADY,   /* two runs alike gave different bits */
    PV_FAULT_ORDER,      /* another order of workgroups gave different bits */
    PV_FAULT_POISON,     /* other contents of memory that nothing wrote gave different bits */
    PV_FAULT_SUBGROUPS,  /* subgroups have another size than the driver says */
    PV_FAULT_CALL,       /* a call of Vulkan failed */
    PV_FAULT_LAYERS,     /* the validation layers have spoken */
    PV_FAULT_CRASH,      /* the driver killed the process; the library itself never says so */
};
/* In words: "float16 overflow". */
const char *pv_conform_fault_name(enum pv_conform_fault fault);
struct pv_conform_row {
    char kernel[32];
    /* the case: "shape, type [variant]" */
    char name[96];
    char variant[32];
    bool passed, skipped;
    /* normalised mean squared error, or count of differing words for exact cases */
    double error;
    double tolerance;
    enum pv_conform_fault fault;
    /* why it failed or was skipped */
    char detail[256];
};
struct pv_conform_result {
    uint32_t n_passed, n_failed, n_skipped;
};
/* Calls `row` for each case, and for each variant that the device cannot run, as skipped. An unknown variant,
 * or one the device cannot run, is PV_ERR_ARG. The status is of what makes further cases pointless (memory, a
 * lost device); failed cases are counted in `out` alone. */
PV_MUST_USE enum pv_status pv_conform(struct pv_context *context, uint32_t device,
                                      const struct pv_conform_params *params,
                                      void (*row)(void *user, const struct pv_conform_row *row), void *user,
                                      struct pv_conform_result *out);

/* Tiny random models (dense, routed, gated, quantised), prompt and decode, in every variant (`quick`: the
 * device's own plan only): logits against the CPU reference, and its greedy text. `path` names a file that
 * can be made and removed again. Rows are of kernel "model". */
PV_MUST_USE enum pv_status pv_conform_models(struct pv_context *context, uint32_t device, const char *path,
                                             const struct pv_conform_params *params,
                                             void (*row)(void *user, const struct pv_conform_row *row),
                                             void *user, struct pv_conform_result *out);

/* One pipeline that the kernel cases need, built and not run. */
enum { PV_COMPILE_STATISTICS = 32 };
struct pv_compile_row {
    /* "matvec.f16.storage.sg": kernel, types, access */
    const char *shader;
    /* its first word */
    char kernel[32];
    /* specialization, defaults left out: "WG=128 LANES=64" */
    char constants[160];
    /* the first of the variants that need it */
    char variant[32];
    /* asked of the driver; 0: its own choice */
    uint32_t subgroup_size;
    /* false: `constants` may be empty, `detail` says why */
    bool compiled;
    /* time that the driver took */
    double ms;
    char detail[256];
    /* 0: the driver gives none */
    uint32_t n_statistics;
    struct {
        /* the driver's own words, such as "VGPRs" or "Spill Count" */
        char name[64];
        /* of several executables in a pipeline, the greatest */
        double value;
    } statistics[PV_COMPILE_STATISTICS];
};
struct pv_compile_result {
    uint32_t n_compiled, n_failed;
    bool has_statistics;
};
/* Builds every pipeline that the cases need, in every variant, each once; nothing is allocated on the device
 * and nothing runs, so devices that only `compile` (pv_device_info) will do. `filter`, `variant` and `quick`
 * of the params count. The row's strings live until the call returns. The status is as that of pv_conform. */
PV_MUST_USE enum pv_status pv_conform_compile(struct pv_context *context, uint32_t device,
                                              const struct pv_conform_params *params,
                                              void (*row)(void *user, const struct pv_compile_row *row),
                                              void *user, struct pv_compile_result *out);

struct pv_conform_variant {
    const char *name, *about;
    bool runs;
    /* if it does not */
    const char *why_not;
};
PV_MUST_USE enum pv_status
pv_conform_variants(struct pv_context *context, uint32_t device,
                    void (*variant)(void *user, const struct pv_conform_variant *variant), void *user);

PV_API_END

#endif
