/* The table of kernel cases: kernel, shape, type, tolerance, and how to run it against its reference. The
 * Check suite, pv_conform and the benchmarks all use it. A case is constant; what it makes on a device lives
 * for one pv_case_execute. */
#ifndef PV_CHECK_CASES_H
#define PV_CHECK_CASES_H

#include "format/gguf/types.h"
#include "parvin/conform.h"
#include "parvin/model.h"
#include "vk/recorder.h"

struct pv_case_run;

/* What of a plan changes the code that a case runs. A forced plan that differs in other respects is not worth
 * a run. */
enum pv_case_axis {
    PV_AXIS_ACCESS = 1, /* storage or texel */
    PV_AXIS_REDUCE = 2, /* who shares a row */
    PV_AXIS_KV = 4,     /* type of the KV cache */
    PV_AXIS_TILES = 8,  /* workgroups, tiles, slices */
    PV_AXIS_PARTS = 16, /* weights in several bindings */
};
struct pv_case {
    const char *kernel, *name; /* "linear", "f16 33x172 T=1 bias" */
    enum pv_status (*run)(struct pv_case_run *run, const struct pv_case *c);
    uint32_t axes;
    double tolerance; /* normalised mean squared error; 0: exact */
    bool large;       /* left out by quick runs */
    bool repeats; /* a weight type whose code differs only in unpacking: quick runs have it in the plan alone
                   */
    enum pv_type type;
    enum pv_act act;
    uint32_t t, n, k; /* tokens, and the two sizes the kernel has */
    uint32_t flags;   /* the family's own */
    uint32_t heads, kv_heads, head_dim, ctx, pos;
    uint32_t list; /* neurons the chosen cluster has */
};
uint32_t pv_case_count(void);
const struct pv_case *pv_case_at(uint32_t index); /* index < pv_case_count() */

/* What poison a run has: a NaN, or a number that is large in float32 (2.6e36) and the largest in float16. */
#define PV_POISON_NAN   0xffffffffu
#define PV_POISON_LARGE 0x7bff7bffu
/* How a case is run: inputs drawn from `seed`, other memory filled with `poison` (0: PV_POISON_NAN). */
struct pv_case_how {
    uint64_t seed;
    uint32_t poison;
};
/* Runs one case; fills the row but for the plan's name. Wrong results and failing kernels are rows; the status is of
 * what makes further cases pointless (memory, a lost device). `digest` (may be NULL): of all that it read back; two
 * runs with one seed must give the same. */
PV_MUST_USE enum pv_status pv_case_execute(struct pv_recorder *recorder, const struct pv_case *c,
                                           const struct pv_case_how *how, struct pv_conform_row *row,
                                           uint64_t *digest);

#endif
