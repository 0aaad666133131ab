/* What running and compiling the case table share: which variants, and which cases under each. */
#ifndef PV_CHECK_CONFORM_H
#define PV_CHECK_CONFORM_H

#include "check/cases.h"
#include "check/variants.h"

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
