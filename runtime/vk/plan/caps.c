/* Asks a physical device for its facts. A structure goes into the pNext chain only where the device's version
 * or extension list promises it, so an old driver never sees a structure it does not know. */
#include "vk/plan/caps_query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "vk/result.h"

enum pv_status pv_extensions_list(VkPhysicalDevice physical, const struct pv_log *log,
                                  struct pv_extensions *out)
{
    *out = (struct pv_extensions){0};
    VkResult result = VK_INCOMPLETE;
    while (result == VK_INCOMPLETE) { /* a layer may add some between the two calls */
        uint32_t n = 0;
        result = vkEnumerateDeviceExtensionProperties(physical, NULL, &n, NULL);
        if (result != VK_SUCCESS)
            break;
        pv_extensions_free(out);
        out->items = pv_calloc(n, sizeof *out->items);
        if (!out->items)
            return pv_fail(log, PV_ERR_NOMEM, "out of memory listing device extensions");
        result = vkEnumerateDeviceExtensionProperties(physical, NULL, &n, out->items);
        out->n_items = n;
    }
    if (result != VK_SUCCESS) {
        pv_extensions_free(out);
        return pv_vk_report(log, result, "vkEnumerateDeviceExtensionProperties");
    }
    return PV_OK;
}

bool pv_extensions_has(const struct pv_extensions *extensions, const char *name)
{
    for (uint32_t i = 0; i < extensions->n_items; i++)
        if (strcmp(extensions->items[i].extensionName, name) == 0)
            return true;
    return false;
}

void pv_extensions_free(struct pv_extensions *extensions)
{
    free(extensions->items);
    *extensions = (struct pv_extensions){0};
}

bool pv_queue_family_pick(VkPhysicalDevice physical, uint32_t *family, uint32_t *timestamp_bits)
{
    enum { MAX_FAMILIES = 32 };
    VkQueueFamilyProperties props[MAX_FAMILIES];
    uint32_t n = MAX_FAMILIES;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, props);
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!(props[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || props[i].queueCount == 0)
            continue;
        const bool graphics = (props[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0;
        if (!found || graphics) {
            *family = i;
            *timestamp_bits = props[i].timestampValidBits;
            found = true;
        }
        if (graphics)
            break;
    }
    return found;
}

static uint64_t at_most_int64(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : v; /* JSON integers end there */
}

static void push(void **chain, void *structure)
{
    ((VkBaseOutStructure *)structure)->pNext = *chain;
    *chain = structure;
}

static void fill_limits(const VkPhysicalDeviceProperties *p, struct pv_caps *caps)
{
    const VkPhysicalDeviceLimits *l = &p->limits;
    snprintf(caps->name, sizeof caps->name, "%s", p->deviceName);
    caps->vendor_id = p->vendorID;
    caps->device_id = p->deviceID;
    caps->driver_version = p->driverVersion;
    caps->device_type = (uint32_t)p->deviceType;
    caps->max_storage_range = l->maxStorageBufferRange;
    caps->max_uniform_range = l->maxUniformBufferRange;
    caps->max_texel_elements = l->maxTexelBufferElements;
    caps->min_storage_align = at_most_int64(l->minStorageBufferOffsetAlignment);
    caps->min_texel_align = at_most_int64(l->minTexelBufferOffsetAlignment);
    caps->min_uniform_align = at_most_int64(l->minUniformBufferOffsetAlignment);
    caps->non_coherent_atom = at_most_int64(l->nonCoherentAtomSize);
    caps->max_push_constants = l->maxPushConstantsSize;
    caps->max_shared_bytes = l->maxComputeSharedMemorySize;
    caps->max_invocations = l->maxComputeWorkGroupInvocations;
    memcpy(caps->max_workgroup_size, l->maxComputeWorkGroupSize, sizeof caps->max_workgroup_size);
    memcpy(caps->max_workgroup_count, l->maxComputeWorkGroupCount, sizeof caps->max_workgroup_count);
}

static void fill_memory(VkPhysicalDevice physical, struct pv_caps *caps)
{
    VkPhysicalDeviceMemoryProperties m;
    vkGetPhysicalDeviceMemoryProperties(physical, &m);
    const VkMemoryPropertyFlags usual =
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    bool any = false;
    caps->unified = true;
    for (uint32_t i = 0; i < m.memoryTypeCount; i++) {
        const VkMemoryPropertyFlags flags = m.memoryTypes[i].propertyFlags;
        if ((flags & ~usual) || !(flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT))
            continue;
        const uint64_t size = at_most_int64(m.memoryHeaps[m.memoryTypes[i].heapIndex].size);
        any = true;
        if (size > caps->device_heap_bytes)
            caps->device_heap_bytes = size;
        if (!(flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
            caps->unified = false;
        else if (size > caps->host_visible_device_bytes)
            caps->host_visible_device_bytes = size;
    }
    caps->unified = caps->unified && any;
}

static void format_uuid(const uint8_t id[VK_UUID_SIZE], char out[37])
{
    char *p = out;
    for (int i = 0; i < (int)VK_UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += snprintf(p, 3, "%02x", id[i]);
    }
}

/* What the chains may hold: version of the device, or an extension where the structure is newer. */
struct known {
    bool size_control, dot_product, sync2;
};

static void fill_properties(VkPhysicalDevice physical, const struct known *known, struct pv_caps *caps)
{
    VkPhysicalDeviceVulkan11Properties v11 = {.sType =
                                                  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES};
    VkPhysicalDeviceVulkan12Properties v12 = {.sType =
                                                  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceSubgroupSizeControlProperties size_control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    push(&props.pNext, &v11);
    push(&props.pNext, &v12);
    if (known->size_control)
        push(&props.pNext, &size_control);
    if (known->dot_product)
        push(&props.pNext, &dot);
    vkGetPhysicalDeviceProperties2(physical, &props);

    snprintf(caps->driver_name, sizeof caps->driver_name, "%s", v12.driverName);
    snprintf(caps->driver_info, sizeof caps->driver_info, "%s", v12.driverInfo);
    caps->driver_id = (uint32_t)v12.driverID;
    format_uuid(v11.deviceUUID, caps->uuid);
    caps->max_allocation = at_most_int64(v11.maxMemoryAllocationSize);
    caps->subgroup_size = v11.subgroupSize;
    if (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
        caps->subgroup_ops = v11.subgroupSupportedOperations;
    caps->min_subgroup_size = caps->max_subgroup_size = v11.subgroupSize;
    if (known->size_control && size_control.minSubgroupSize > 0) {
        caps->min_subgroup_size = size_control.minSubgroupSize;
        caps->max_subgroup_size = size_control.maxSubgroupSize;
        caps->subgroup_size_control =
            (size_control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    }
    caps->int_dot_accelerated = dot.integerDotProduct4x8BitPackedSignedAccelerated;
}

static void fill_features(VkPhysicalDevice physical, const struct known *known, struct pv_caps *caps)
{
    VkPhysicalDeviceVulkan11Features v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceSubgroupSizeControlFeatures size_control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
    VkPhysicalDeviceSynchronization2Features sync2 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    push(&features.pNext, &v11);
    push(&features.pNext, &v12);
    if (known->size_control)
        push(&features.pNext, &size_control);
    if (known->dot_product)
        push(&features.pNext, &dot);
    if (known->sync2)
        push(&features.pNext, &sync2);
    vkGetPhysicalDeviceFeatures2(physical, &features);

    caps->float16 = v12.shaderFloat16;
    caps->int8 = v12.shaderInt8;
    caps->int16 = features.features.shaderInt16;
    caps->int64 = features.features.shaderInt64;
    caps->float64 = features.features.shaderFloat64;
    caps->storage_8bit = v12.storageBuffer8BitAccess;
    caps->storage_16bit = v11.storageBuffer16BitAccess;
    caps->timeline = v12.timelineSemaphore;
    caps->buffer_address = v12.bufferDeviceAddress;
    caps->scalar_layout = v12.scalarBlockLayout;
    caps->host_query_reset = v12.hostQueryReset;
    caps->sync2 = sync2.synchronization2;
    caps->int_dot_product = dot.shaderIntegerDotProduct;
    caps->subgroup_size_control = caps->subgroup_size_control && size_control.subgroupSizeControl;
}

enum { PATCHES = 1 << 12 }; /* 1.3.x is below VK_API_VERSION_1_3 + PATCHES */

enum pv_status pv_caps_query(VkPhysicalDevice physical, uint32_t api_limit, const struct pv_log *log,
                             struct pv_caps *out)
{
    *out = (struct pv_caps){0};
    VkPhysicalDeviceProperties props;
    vkGetPhysicalDeviceProperties(physical, &props);
    fill_limits(&props, out);
    out->api_version = props.apiVersion < api_limit + PATCHES ? props.apiVersion : api_limit;
    uint32_t family = 0, timestamp_bits = 0;
    out->has_compute_queue = pv_queue_family_pick(physical, &family, &timestamp_bits);
    if (timestamp_bits > 0 &&
        isfinite(props.limits.timestampPeriod)) /* RADV without hardware says infinity */
        out->timestamp_period_ns = props.limits.timestampPeriod;
    fill_memory(physical, out);
    if (out->api_version < VK_API_VERSION_1_2)
        return PV_OK;

    struct pv_extensions extensions;
    PV_TRY(pv_extensions_list(physical, log, &extensions));
    const bool v13 = out->api_version >= VK_API_VERSION_1_3;
    struct known known = {
        .size_control = v13 || pv_extensions_has(&extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME),
        .dot_product =
            v13 || pv_extensions_has(&extensions, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME),
        .sync2 = v13 || pv_extensions_has(&extensions, VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME),
    };
    out->memory_budget = pv_extensions_has(&extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    out->push_descriptor = pv_extensions_has(&extensions, VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME);
    out->external_host_memory = pv_extensions_has(&extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    out->executable_properties =
        pv_extensions_has(&extensions, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    out->cooperative_matrix = pv_extensions_has(&extensions, "VK_KHR_cooperative_matrix");
    pv_extensions_free(&extensions);
    fill_properties(physical, &known, out);
    fill_features(physical, &known, out);
    return PV_OK;
}
