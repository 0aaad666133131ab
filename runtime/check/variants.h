/* The variants that conformance forces on a device: its own plan, plans that together reach every shader, and
 * what the plan would be if the device lacked something. Pure, like the plan itself, so that the variants of
 * a device nobody here owns are tested from its saved caps. */
#ifndef PV_CHECK_VARIANTS_H
#define PV_CHECK_VARIANTS_H

#include "check/cases.h"
#include "vk/plan/plan.h"

enum pv_variant_state {
    PV_VARIANT_RUNS,
    PV_VARIANT_SAME,       /* the device's own plan does not change; run only when asked for by name */
    PV_VARIANT_IMPOSSIBLE, /* the device lacks something */
};
struct pv_variant {
    char name[32];
    const char *about;
    enum pv_variant_state state;
    char detail[160];    /* of the last two states */
    uint32_t axes;       /* enum pv_case_axis that it varies: a case runs under it if it has all of them */
    struct pv_caps caps; /* what the kernels see of the device */
    struct pv_plan plan;
};
enum { PV_VARIANTS_MAX = 32 };

/* Fills `out` and returns how many there are. The first is called "plan": `own` as it is. */
uint32_t pv_variants_make(const struct pv_caps *caps, uint32_t quirks, const struct pv_plan *own,
                          struct pv_variant out[PV_VARIANTS_MAX]);

/* Does the case run under this variant, as far as its axes and the params go? */
bool pv_conform_wants(const struct pv_conform_params *params, const struct pv_case *c,
                      const struct pv_variant *variant);
/* Calls `one` for the variant that the params name, or for all of the device in turn; `run` is false for
 * those that are not worth a run or cannot have one. Ends with the first status that is not PV_OK. */
PV_MUST_USE enum pv_status
pv_conform_each_variant(struct pv_context *context, uint32_t device, const struct pv_conform_params *params,
                        enum pv_status (*one)(void *user, const struct pv_variant *variant, bool run),
                        void *user);

#endif
