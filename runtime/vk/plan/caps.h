/* What one physical device can do: plain facts, no decisions, no handles. Can be saved as JSON and loaded
 * again, so that the plan of a device nobody here owns is tested from its file (tests/data/caps). */
#ifndef PV_VK_PLAN_CAPS_H
#define PV_VK_PLAN_CAPS_H

#include <stdbool.h>
#include <stdint.h>
#include "parvin/status.h"

struct pv_caps {
    char name[256], driver_name[256], driver_info[256];
    char uuid[37];
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint32_t api_version; /* as VK_MAKE_API_VERSION */
    uint32_t device_type; /* VkPhysicalDeviceType */
    /* limits */
    uint64_t max_storage_range, max_uniform_range, max_texel_elements, max_allocation;
    uint64_t min_storage_align, min_texel_align, min_uniform_align, non_coherent_atom;
    uint32_t max_push_constants, max_shared_bytes, max_invocations;
    uint32_t max_workgroup_size[3], max_workgroup_count[3];
    float timestamp_period_ns; /* 0: no timestamps on the compute queue */
    /* subgroups */
    uint32_t subgroup_size, min_subgroup_size, max_subgroup_size;
    uint32_t subgroup_ops; /* VkSubgroupFeatureFlags usable in compute */
    bool subgroup_size_control;
    /* features */
    bool float16, int8, int16, int64, float64, storage_8bit, storage_16bit, int_dot_product,
        int_dot_accelerated;
    bool timeline, sync2, buffer_address, scalar_layout, host_query_reset, memory_budget, push_descriptor;
    bool external_host_memory, cooperative_matrix, executable_properties;
    /* memory */
    uint64_t device_heap_bytes; /* largest device-local heap */
    uint64_t
        host_visible_device_bytes; /* largest heap that is device-local and host-visible (UMA or reBAR) */
    bool unified;                  /* every device-local type is host-visible: no staging needed */
    bool has_compute_queue;
};
/* JSON object text, malloc'ed, the caller frees; NULL if memory is out. */
char *pv_caps_to_json(const struct pv_caps *caps);
/* Parses it; unknown keys are ignored, missing ones stay zero, wrong types are PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_caps_from_json(const char *text, const struct pv_log *log, struct pv_caps *out);

#endif
