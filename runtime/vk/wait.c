/* Waiting for a device: until its timeline reaches a value, and before anything of it is destroyed. */
#include "vk/device.h"

#include "vk/result.h"

static const uint64_t wait_step_ns = 10000000000u;
enum { WAIT_STEPS_CPU = 60 };

void pv_device_drain(struct pv_device *device)
{
    if (!device->lost || device->drained || device->timeline_value == 0)
        return; /* at work or done, waited for already, or never sent anything */
    (void)device->vk.vkDeviceWaitIdle(device->handle); /* a device that is truly lost answers at once */
    device->drained = true;
}

/* A device that cannot be waited for may be at work still, whatever the reason: nothing more is sent to it. */
static enum pv_status give_up(struct pv_device *device, VkResult result, const char *what)
{
    device->lost = true;
    return pv_vk_fail(device, result, what);
}

enum pv_status pv_device_wait(struct pv_device *device, uint64_t value)
{
    if (device->lost)
        return PV_ERR_DEVICE_LOST; /* said already, where it was found */
    const uint32_t max_idle = device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU ? WAIT_STEPS_CPU : 1;
    uint32_t n_idle = 0;
    uint64_t last = 0, now = 0;
    VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &device->timeline,
                                .pValues = &value};
    /* The wait is called even where the value was reached long ago, so that how often it is called does not
     * depend on how fast the device is: tests lose a device at the N-th wait. */
    for (;;) {
        VkResult result = device->vk.vkWaitSemaphores(device->handle, &info, wait_step_ns);
        if (result == VK_SUCCESS)
            return PV_OK;
        if (result != VK_TIMEOUT)
            return give_up(device, result, "vkWaitSemaphores");
        result = device->vk.vkGetSemaphoreCounterValue(device->handle, device->timeline, &now);
        if (result != VK_SUCCESS)
            return give_up(device, result, "vkGetSemaphoreCounterValue");
        n_idle = now > last ? 0 : n_idle + 1;
        last = now;
        if (n_idle >= max_idle)
            return give_up(device, VK_TIMEOUT, "vkWaitSemaphores");
    }
}
