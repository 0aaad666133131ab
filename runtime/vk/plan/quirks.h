/* Known driver troubles that Parvin can hit: a table of {vendor, driver, versions, symptom, URL}. The only
 * place that looks at vendorID and driverID. */
#ifndef PV_VK_PLAN_QUIRKS_H
#define PV_VK_PLAN_QUIRKS_H

#include "vk/plan/caps.h"

enum pv_quirk { /* bits; named by symptom */
                PV_QUIRK_SLOW_STORAGE_READS =
                    1u << 0, /* storage-buffer reads many times slower than texel reads */
                PV_QUIRK_SLOW_BARRIERS = 1u << 1, /* in-shader barriers cost more than the work they save */
                PV_QUIRK_NO_SUBGROUP_SPEEDUP =
                    1u << 2, /* subgroup reductions slower than one row per invocation */
                PV_QUIRK_WIDE_SUBGROUPS_SPILL =
                    1u << 3, /* at the usual subgroup size registers run out; half of it does */
};
struct pv_quirk_row {
    uint32_t vendor_id, driver_id;     /* 0: any */
    uint32_t min_version, max_version; /* driver_version, inclusive; 0, UINT32_MAX: any */
    uint32_t quirk;
    const char *symptom, *url;
};
uint32_t pv_quirks_find(const struct pv_caps *caps); /* OR of enum pv_quirk */
const struct pv_quirk_row *pv_quirks_table(uint32_t *n_rows);

#endif
