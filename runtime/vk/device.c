/* Opening a device: one queue, the features that shaders and recorder use and nothing more, the device's own
 * function table (so that several vendors' drivers live in one process), then memory, pipelines and the
 * timeline. */
#include "vk/device.h"

#include <assert.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "vk/memory/blocks.h"
#include "vk/plan/caps_query.h"
#include "vk/pipeline/pipeline.h"
#include "vk/pipeline/pipeline_cache.h"
#include "vk/recorder.h"

uint64_t pv_device_bytes_in_use(const struct pv_device *device)
{
    return pv_memory_bytes_in_use(device->memory);
}

uint64_t pv_device_free_bytes(const struct pv_device *device, bool *is_budget)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 props = {.sType =
                                                   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    const VkPhysicalDeviceMemoryProperties *m = &props.memoryProperties;
    uint64_t size = 0, bytes = 0;
    *is_budget = device->caps.memory_budget;
    if (device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU && !*is_budget) {
        bytes = pv_host_free_bytes(); /* such drivers report a token heap and allow more */
        if (bytes > 0)
            return bytes;
    }
    if (*is_budget)
        props.pNext = &budget;
    vkGetPhysicalDeviceMemoryProperties2(device->physical, &props);
    for (uint32_t i = 0; i < m->memoryHeapCount; i++) {
        if (!(m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || m->memoryHeaps[i].size <= size)
            continue;
        size = m->memoryHeaps[i].size;
        bytes = size;
        if (*is_budget)
            bytes =
                budget.heapBudget[i] > budget.heapUsage[i] ? budget.heapBudget[i] - budget.heapUsage[i] : 0;
    }
    return bytes;
}

static enum pv_status create_handle(struct pv_device *device)
{
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                            .timelineSemaphore = VK_TRUE};
    VkPhysicalDeviceSubgroupSizeControlFeatures size_control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = VK_TRUE};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    struct pv_extensions available;
    PV_TRY(pv_extensions_list(device->physical, device->log, &available));
    const char *names[4];
    uint32_t n_names = 0;
    if (pv_extensions_has(&available, "VK_KHR_portability_subset"))
        names[n_names++] = "VK_KHR_portability_subset"; /* must be enabled where it is there */
    if (device->caps.subgroup_size_control) {
        v12.pNext = &size_control;
        if (device->caps.api_version < VK_API_VERSION_1_3)
            names[n_names++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    if (device->compile_only && device->caps.executable_properties) {
        statistics.pNext = v12.pNext;
        v12.pNext = &statistics;
        names[n_names++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    }
    if (device->caps.external_host_memory)
        names[n_names++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    pv_extensions_free(&available);
    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = device->queue_family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    /* Every device has it. Shaders clamp their indices themselves; should one not, it stays within its buffers. */
    const VkPhysicalDeviceFeatures features = {.robustBufferAccess = device->context->validation};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &v12,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = n_names,
                               .ppEnabledExtensionNames = names,
                               .pEnabledFeatures = &features};
    const VkResult result = vkCreateDevice(device->physical, &info, NULL, &device->handle);
    if (result != VK_SUCCESS) {
        device->handle = VK_NULL_HANDLE;
        return pv_vk_fail(device, result, "vkCreateDevice");
    }
    volkLoadDeviceTable(&device->vk, device->handle);
    device->vk.vkGetDeviceQueue(device->handle, device->queue_family, 0, &device->queue);
    return PV_OK;
}

static enum pv_status create_timeline(struct pv_device *device)
{
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    const VkResult result = device->vk.vkCreateSemaphore(device->handle, &info, NULL, &device->timeline);
    if (result == VK_SUCCESS)
        return PV_OK;
    device->timeline = VK_NULL_HANDLE;
    return pv_vk_fail(device, result, "vkCreateSemaphore");
}

/* What only a device that runs things needs. */
static enum pv_status create_rest(struct pv_device *device)
{
    if (device->compile_only)
        return PV_OK;
    PV_TRY(create_timeline(device));
    return pv_memory_create(device, &device->memory);
}

static enum pv_status open_device(struct pv_context *context, uint32_t index, const struct pv_plan *plan,
                                  bool compile_only, struct pv_device **out)
{
    *out = NULL;
    if (index >= context->n_physical)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "there is no device %u (there are %u)", index,
                       context->n_physical);
    const struct pv_physical *physical = &context->physical[index];
    if (compile_only ? !physical->info.compiles : !physical->info.usable)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "device %u (%s) cannot be used: %s", index,
                       physical->info.name, physical->info.why_not);
    struct pv_device *device = pv_calloc(1, sizeof *device);
    if (!device)
        return pv_fail(&context->log, PV_ERR_NOMEM, "out of memory opening %s", physical->info.name);
    enum pv_status status = PV_OK;
    device->context = context;
    device->log = &context->log;
    device->physical = physical->handle;
    device->caps = physical->caps;
    device->plan = plan ? *plan : physical->plan;
    device->compile_only = compile_only;
    if (!pv_queue_family_pick(device->physical, &device->queue_family, &device->timestamp_bits)) {
        status = pv_fail(device->log, PV_ERR_NO_DEVICE, "%s has no compute queue", device->caps.name);
        goto fail;
    }
    PV_TRY_GOTO(create_handle(device));
    PV_TRY_GOTO(create_rest(device));
    PV_TRY_GOTO(pv_pipelines_create(device, &device->pipelines));
    *out = device;
    return PV_OK;
fail:
    pv_device_close(device);
    return status;
}

enum pv_status pv_device_open(struct pv_context *context, uint32_t index, const struct pv_plan *plan,
                              struct pv_device **out)
{
    return open_device(context, index, plan, false, out);
}

enum pv_status pv_device_open_compiler(struct pv_context *context, uint32_t index, const struct pv_plan *plan,
                                       struct pv_device **out)
{
    return open_device(context, index, plan, true, out);
}

void pv_device_run_backwards(struct pv_device *device)
{
    assert(pv_pipelines_count(device->pipelines) == 0);
    device->backwards = true;
}

void pv_device_close(struct pv_device *device)
{
    if (!device)
        return;
    if (device->timeline_value > 0 && !device->lost)
        device->lost = device->vk.vkDeviceWaitIdle(device->handle) != VK_SUCCESS; /* closed all the same */
    pv_device_drain(device);
    pv_recorder_destroy(device->transfer);
    pv_buffer_destroy(device->staging);
    pv_pipelines_destroy(device->pipelines);
    pv_memory_destroy(device->memory);
    if (device->timeline)
        device->vk.vkDestroySemaphore(device->handle, device->timeline, NULL);
    if (device->handle)
        device->vk.vkDestroyDevice(device->handle, NULL);
    free(device);
}
