/* Filling struct pv_caps from a physical device: the one part of caps that needs Vulkan handles. */
#ifndef PV_VK_PLAN_CAPS_QUERY_H
#define PV_VK_PLAN_CAPS_QUERY_H

#include <volk.h>
#include "vk/plan/caps.h"

struct pv_extensions {
    VkExtensionProperties *items;
    uint32_t n_items;
};
/* Device extensions; release with pv_extensions_free (safe on a zeroed struct). */
PV_MUST_USE enum pv_status pv_extensions_list(VkPhysicalDevice physical, const struct pv_log *log,
                                              struct pv_extensions *out);
bool pv_extensions_has(const struct pv_extensions *extensions, const char *name);
void pv_extensions_free(struct pv_extensions *extensions);

/* Facts of one device. `api_limit` is the version the instance was created for: newer facts are not asked. A
 * device below Vulkan 1.2 gets its name and limits only. */
PV_MUST_USE enum pv_status pv_caps_query(VkPhysicalDevice physical, uint32_t api_limit,
                                         const struct pv_log *log, struct pv_caps *out);
/* The family to submit compute work to: compute without graphics on a discrete GPU would be a second queue
 * with its own clocks, so the first family with both is preferred, then any with compute. False if there is
 * none. */
bool pv_queue_family_pick(VkPhysicalDevice physical, uint32_t *family, uint32_t *timestamp_bits);

#endif
