/* The Vulkan instance and the list of physical devices (struct pv_context of parvin/device.h). */
#ifndef PV_VK_INSTANCE_H
#define PV_VK_INSTANCE_H

#include <stdatomic.h>
#include <volk.h>
#include "parvin/device.h"
#include "vk/plan/caps.h"
#include "vk/plan/plan.h"
#include "vk/pipeline/spirv.h"

struct pv_physical {
    VkPhysicalDevice handle;
    struct pv_caps caps;
    uint32_t quirks;
    struct pv_plan plan;
    struct pv_device_info info;
};
struct pv_context {
    struct pv_log log;
    VkInstance instance;
    bool validation; /* the validation layers are on */
    VkDebugUtilsMessengerEXT messenger;
    atomic_uint_least64_t n_validation_messages;
    uint32_t n_physical;
    struct pv_physical *physical;
    char *cache_dir, *plan_overrides;
    const struct pv_spirv *shaders; /* sorted by name; the embedded ones, but tests may put in others */
    size_t n_shaders;
};

#endif
