/* A buffer over memory that the host owns (VK_EXT_external_memory_host), so that two devices of any vendors
 * can see the same bytes without a copy between them. */
#include "vk/memory/import.h"

#include <stdlib.h>
#include "base/mem.h"

uint64_t pv_import_alignment(const struct pv_device *device)
{
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &host};
    if (!device->caps.external_host_memory || !device->vk.vkGetMemoryHostPointerPropertiesEXT)
        return 0;
    vkGetPhysicalDeviceProperties2(device->physical, &props);
    return host.minImportedHostPointerAlignment;
}

/* The first coherent type that the pointer and the buffer allow; UINT32_MAX: none. */
static uint32_t find_type(const struct pv_device *device, uint32_t candidates)
{
    const VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties props;
    vkGetPhysicalDeviceMemoryProperties(device->physical, &props);
    for (uint32_t i = 0; i < props.memoryTypeCount; i++)
        if ((candidates >> i & 1u) && (props.memoryTypes[i].propertyFlags & wanted) == wanted)
            return i;
    return UINT32_MAX;
}

static VkResult bind_host(struct pv_buffer *buffer, void *host, uint64_t size_bytes)
{
    const VkExternalMemoryHandleTypeFlagBits kind = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    struct pv_device *device = buffer->device;
    VkMemoryHostPointerPropertiesEXT pointer = {.sType =
                                                    VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, .handleTypes = (VkFlags)kind};
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .pNext = &external,
                               .size = size_bytes,
                               .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                               .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkMemoryRequirements need;
    VkResult result = device->vk.vkGetMemoryHostPointerPropertiesEXT(device->handle, kind, host, &pointer);
    if (result != VK_SUCCESS)
        return result;
    result = device->vk.vkCreateBuffer(device->handle, &info, NULL, &buffer->handle);
    if (result != VK_SUCCESS) {
        buffer->handle = VK_NULL_HANDLE;
        return result;
    }
    device->vk.vkGetBufferMemoryRequirements(device->handle, buffer->handle, &need);
    const uint32_t type = find_type(device, need.memoryTypeBits & pointer.memoryTypeBits);
    if (type == UINT32_MAX || need.size > size_bytes)
        return VK_ERROR_FEATURE_NOT_PRESENT;
    VkImportMemoryHostPointerInfoEXT import = {.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                                               .handleType = kind,
                                               .pHostPointer = host};
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = &import,
                                     .allocationSize = size_bytes,
                                     .memoryTypeIndex = type};
    result = device->vk.vkAllocateMemory(device->handle, &allocate, NULL, &buffer->own_memory);
    if (result != VK_SUCCESS) {
        buffer->own_memory = VK_NULL_HANDLE;
        return result;
    }
    return device->vk.vkBindBufferMemory(device->handle, buffer->handle, buffer->own_memory, 0);
}

struct pv_buffer *pv_buffer_import(struct pv_device *device, void *host, uint64_t size_bytes,
                                   const char *name)
{
    struct pv_buffer *buffer = pv_calloc(1, sizeof *buffer);
    if (!buffer)
        return NULL;
    buffer->device = device;
    buffer->name = name;
    buffer->size_bytes = size_bytes;
    buffer->mapped = host;
    const VkResult result = bind_host(buffer, host, size_bytes);
    if (result == VK_SUCCESS)
        return buffer;
    if (result == VK_ERROR_DEVICE_LOST)
        (void)pv_vk_fail(device, result,
                         "importing host memory"); /* the caller's other way will not work either */
    pv_buffer_destroy(buffer);
    return NULL;
}
