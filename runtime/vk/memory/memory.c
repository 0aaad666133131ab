/* Buffers. One VkBuffer each, bound to a range of a block. Every buffer can be bound in every way Parvin binds
 * buffers, so that the same buffer serves storage and texel kernels. */
#include "vk/memory/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "vk/memory/blocks.h"

enum { ROUND_BYTES = 16 };

static void set_debug_name(struct pv_device *device, VkBuffer buffer, const char *name)
{
    if (!device->context->messenger || !vkSetDebugUtilsObjectNameEXT)
        return;
    VkDebugUtilsObjectNameInfoEXT info = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                          .objectType = VK_OBJECT_TYPE_BUFFER,
                                          .objectHandle = (uint64_t)buffer,
                                          .pObjectName = name};
    (void)vkSetDebugUtilsObjectNameEXT(device->handle, &info); /* a nicety */
}

static enum pv_status create_handle(struct pv_buffer *buffer, uint64_t size_bytes)
{
    struct pv_device *device = buffer->device;
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = size_bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |
                 VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    const VkResult result = device->vk.vkCreateBuffer(device->handle, &info, NULL, &buffer->handle);
    if (result == VK_SUCCESS)
        return PV_OK;
    char what[160];
    snprintf(what, sizeof what, "vkCreateBuffer of %.1f MiB for %.80s", (double)size_bytes / (1 << 20),
             buffer->name);
    buffer->handle = VK_NULL_HANDLE;
    return pv_vk_fail(device, result, what);
}

enum pv_status pv_buffer_create(struct pv_device *device, uint64_t size_bytes, enum pv_memory_kind kind,
                                const char *name, struct pv_buffer **out)
{
    *out = NULL;
    if (device->lost)
        return PV_ERR_DEVICE_LOST;
    if (size_bytes == 0 || size_bytes > INT64_MAX - ROUND_BYTES)
        return pv_fail(device->log, PV_ERR_ARG, "buffer %s: %llu bytes", name,
                       (unsigned long long)size_bytes);
    struct pv_buffer *buffer = pv_calloc(1, sizeof *buffer);
    if (!buffer)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory creating the buffer %s", name);
    enum pv_status status = PV_OK;
    buffer->device = device;
    buffer->name = name;
    buffer->size_bytes = size_bytes;
    const uint64_t rounded = (size_bytes + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
    const uint64_t max = device->caps.max_allocation;
    if (device->compile_only) {
        *out = buffer;
        return PV_OK;
    }
    if (max > 0 && rounded > max) {
        device->failed = true;
        status = pv_fail(
            device->log, PV_ERR_DEVICE_MEMORY,
            "%s: the buffer %s needs %.1f MiB, the largest allocation is %.1f MiB; use a smaller model or "
            "context, or split it over several devices",
            device->caps.name, name, (double)rounded / (1 << 20), (double)max / (1 << 20));
        goto fail;
    }
    PV_TRY_GOTO(create_handle(buffer, rounded));
    VkMemoryRequirements need;
    device->vk.vkGetBufferMemoryRequirements(device->handle, buffer->handle, &need);
    struct pv_memory_range range;
    PV_TRY_GOTO(pv_memory_alloc(device->memory, &need, kind, name, &range));
    buffer->block = range.owner;
    buffer->block_offset = range.offset;
    buffer->block_size = range.size_bytes;
    buffer->mapped = range.mapped;
    const VkResult result =
        device->vk.vkBindBufferMemory(device->handle, buffer->handle, range.memory, range.offset);
    if (result != VK_SUCCESS) {
        status = pv_vk_fail(device, result, "vkBindBufferMemory");
        goto fail;
    }
    set_debug_name(device, buffer->handle, name);
    *out = buffer;
    return PV_OK;
fail:
    pv_buffer_destroy(buffer);
    return status;
}

void pv_buffer_destroy(struct pv_buffer *buffer)
{
    if (!buffer)
        return;
    struct pv_device *device = buffer->device;
    pv_device_drain(device);
    for (int i = 0; i < PV_BUFFER_MAX_VIEWS; i++)
        if (buffer->views[i].view)
            device->vk.vkDestroyBufferView(device->handle, buffer->views[i].view, NULL);
    if (buffer->handle)
        device->vk.vkDestroyBuffer(device->handle, buffer->handle, NULL);
    pv_memory_free(device->memory, buffer->block);
    if (buffer->own_memory)
        device->vk.vkFreeMemory(device->handle, buffer->own_memory, NULL);
    free(buffer);
}

/* ---- texel views ---- */

static uint64_t texel_bytes(VkFormat format)
{
    switch (format) {
    case VK_FORMAT_R32_UINT:
    case VK_FORMAT_R32_SFLOAT:
    case VK_FORMAT_R32_SINT:
    case VK_FORMAT_R8G8B8A8_UINT:
    case VK_FORMAT_R16G16_SFLOAT:
        return 4;
    case VK_FORMAT_R32G32_UINT:
    case VK_FORMAT_R32G32_SFLOAT:
    case VK_FORMAT_R16G16B16A16_SFLOAT:
        return 8;
    case VK_FORMAT_R32G32B32A32_UINT:
    case VK_FORMAT_R32G32B32A32_SFLOAT:
        return 16;
    default:
        return 0;
    }
}

enum pv_status pv_buffer_view(struct pv_buffer *buffer, VkFormat format, VkBufferView *out)
{
    struct pv_device *device = buffer->device;
    int free_slot = -1;
    for (int i = PV_BUFFER_MAX_VIEWS - 1; i >= 0; i--) {
        if (!buffer->views[i].view) {
            free_slot = i;
        } else if (buffer->views[i].format == format) {
            *out = buffer->views[i].view;
            return PV_OK;
        }
    }
    const uint64_t unit = texel_bytes(format);
    if (unit == 0 || free_slot < 0)
        return pv_fail(device->log, PV_ERR_ARG, "buffer %s: no texel view of format %d (or too many formats)",
                       buffer->name, (int)format);
    const uint64_t rounded = (buffer->size_bytes + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
    const uint64_t n_texels = rounded / unit;
    if (n_texels > device->caps.max_texel_elements)
        return pv_fail(
            device->log, PV_ERR_UNSUPPORTED,
            "buffer %s has %llu texels, %s can see %llu; force access=storage, or use a smaller model",
            buffer->name, (unsigned long long)n_texels, device->caps.name,
            (unsigned long long)device->caps.max_texel_elements);
    VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                   .buffer = buffer->handle,
                                   .format = format,
                                   .range = n_texels * unit};
    const VkResult result =
        device->vk.vkCreateBufferView(device->handle, &info, NULL, &buffer->views[free_slot].view);
    if (result != VK_SUCCESS) {
        buffer->views[free_slot].view = VK_NULL_HANDLE;
        return pv_vk_fail(device, result, "vkCreateBufferView");
    }
    buffer->views[free_slot].format = format;
    *out = buffer->views[free_slot].view;
    return PV_OK;
}
