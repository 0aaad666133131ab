/* One table from VkResult to name, status and advice. Whatever is not in it is a plain device failure with
 * its number, so a driver that invents a code still gets a readable message. */
#include "vk/result.h"

#include <stdio.h>
#include "base/log.h"
#include "vk/device.h"

struct result_row {
    VkResult result;
    const char *name;
    enum pv_status status;
    const char *advice;
};
#define DRIVER_ADVICE "update the graphics driver, or choose another device"
static const struct result_row rows[] = {
    {VK_SUCCESS, "VK_SUCCESS", PV_OK, "nothing is wrong"},
    {VK_NOT_READY, "VK_NOT_READY", PV_ERR_DEVICE, DRIVER_ADVICE},
    {VK_TIMEOUT, "VK_TIMEOUT", PV_ERR_DEVICE_LOST,
     "the device did not finish in time; use a smaller n_batch"},
    {VK_INCOMPLETE, "VK_INCOMPLETE", PV_ERR_DEVICE, DRIVER_ADVICE},
    {VK_ERROR_OUT_OF_HOST_MEMORY, "VK_ERROR_OUT_OF_HOST_MEMORY", PV_ERR_NOMEM,
     "the host is out of memory; close other programs or use a smaller model"},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, "VK_ERROR_OUT_OF_DEVICE_MEMORY", PV_ERR_DEVICE_MEMORY,
     "use a smaller model or context, or split it over several devices"},
    {VK_ERROR_INITIALIZATION_FAILED, "VK_ERROR_INITIALIZATION_FAILED", PV_ERR_DEVICE, DRIVER_ADVICE},
    {VK_ERROR_DEVICE_LOST, "VK_ERROR_DEVICE_LOST", PV_ERR_DEVICE_LOST,
     "the driver reset the device: look into the kernel log, update the driver, or use a smaller n_batch"},
    {VK_ERROR_MEMORY_MAP_FAILED, "VK_ERROR_MEMORY_MAP_FAILED", PV_ERR_DEVICE_MEMORY,
     "the host could not map device memory; close other programs"},
    {VK_ERROR_LAYER_NOT_PRESENT, "VK_ERROR_LAYER_NOT_PRESENT", PV_ERR_UNSUPPORTED,
     "install the Vulkan validation layers"},
    {VK_ERROR_EXTENSION_NOT_PRESENT, "VK_ERROR_EXTENSION_NOT_PRESENT", PV_ERR_UNSUPPORTED, DRIVER_ADVICE},
    {VK_ERROR_FEATURE_NOT_PRESENT, "VK_ERROR_FEATURE_NOT_PRESENT", PV_ERR_UNSUPPORTED, DRIVER_ADVICE},
    {VK_ERROR_INCOMPATIBLE_DRIVER, "VK_ERROR_INCOMPATIBLE_DRIVER", PV_ERR_NO_DEVICE,
     "no Vulkan driver could be loaded"},
    {VK_ERROR_TOO_MANY_OBJECTS, "VK_ERROR_TOO_MANY_OBJECTS", PV_ERR_DEVICE_MEMORY,
     "the driver allows no more allocations; use a smaller model"},
    {VK_ERROR_FORMAT_NOT_SUPPORTED, "VK_ERROR_FORMAT_NOT_SUPPORTED", PV_ERR_UNSUPPORTED, DRIVER_ADVICE},
    {VK_ERROR_FRAGMENTED_POOL, "VK_ERROR_FRAGMENTED_POOL", PV_ERR_DEVICE_MEMORY, DRIVER_ADVICE},
    {VK_ERROR_OUT_OF_POOL_MEMORY, "VK_ERROR_OUT_OF_POOL_MEMORY", PV_ERR_DEVICE_MEMORY, DRIVER_ADVICE},
    {VK_ERROR_FRAGMENTATION, "VK_ERROR_FRAGMENTATION", PV_ERR_DEVICE_MEMORY, DRIVER_ADVICE},
    {VK_ERROR_UNKNOWN, "VK_ERROR_UNKNOWN", PV_ERR_DEVICE, DRIVER_ADVICE},
};

static const struct result_row *find(VkResult result)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].result == result)
            return &rows[i];
    return NULL;
}

const char *pv_vk_result_name(VkResult result)
{
    const struct result_row *row = find(result);
    return row ? row->name : "unknown VkResult";
}

enum pv_status pv_vk_status(VkResult result)
{
    const struct result_row *row = find(result);
    return row ? row->status : PV_ERR_DEVICE;
}

enum pv_status pv_vk_report(const struct pv_log *log, VkResult result, const char *what)
{
    const struct result_row *row = find(result);
    if (!row)
        return pv_fail(log, PV_ERR_DEVICE, "%s failed with VkResult %d: %s", what, (int)result,
                       DRIVER_ADVICE);
    return pv_fail(log, row->status, "%s failed: %s (%s)", what, row->name, row->advice);
}

enum pv_status pv_vk_fail(struct pv_device *device, VkResult result, const char *what)
{
    char text[600];
    device->failed = true;
    if (result == VK_ERROR_DEVICE_LOST)
        device->lost = true;
    snprintf(text, sizeof text, "%s: %s", device->caps.name, what);
    return pv_vk_report(device->log, result, text);
}
