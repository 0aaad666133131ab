/* Device memory: buffers cut from larger blocks, host access direct where the memory is visible, staged where
 * not. */
#ifndef PV_VK_MEMORY_MEMORY_H
#define PV_VK_MEMORY_MEMORY_H

#include "vk/device.h"

enum pv_memory_kind {
    PV_MEM_DEVICE, /* fastest for shaders; mapped where the device is unified */
    PV_MEM_HOST,   /* host-visible and coherent, cached if possible: step parameters in, results out */
};
enum { PV_BUFFER_MAX_VIEWS = 4 };

struct pv_buffer {
    struct pv_device *device;
    VkBuffer handle;
    const char *name;
    uint64_t size_bytes; /* as asked for; the allocation is rounded up to 16 */
    void *mapped;        /* NULL if the host cannot see it */
    void *block;         /* owner inside the sub-allocator */
    uint64_t block_offset, block_size;
    VkDeviceMemory own_memory; /* imported, of no block */
    struct {
        VkFormat format;
        VkBufferView view;
    } views[PV_BUFFER_MAX_VIEWS];
    /* hazards since the last barrier, kept by the recorder that uses the buffer */
    uint64_t write_stamp, read_stamp;
};
/* Usable as storage, uniform, uniform-texel, indirect and transfer buffer. `name` (static string) appears in
 * errors and as the debug name. size_bytes >= 1. Content is undefined. */
PV_MUST_USE enum pv_status pv_buffer_create(struct pv_device *device, uint64_t size_bytes,
                                            enum pv_memory_kind kind, const char *name,
                                            struct pv_buffer **out);
void pv_buffer_destroy(struct pv_buffer *buffer); /* NULL-safe; the device must be done with it */
/* Copies between host and buffer, staging where needed; blocks until done. */
PV_MUST_USE enum pv_status pv_buffer_write(struct pv_buffer *buffer, uint64_t offset, const void *data,
                                           uint64_t size_bytes);
PV_MUST_USE enum pv_status pv_buffer_read(struct pv_buffer *buffer, uint64_t offset, void *data,
                                          uint64_t size_bytes);
PV_MUST_USE enum pv_status pv_buffer_fill(struct pv_buffer *buffer, uint32_t word); /* all of it */
/* Texel view of the whole buffer, its padding to 16 bytes included; cached, destroyed with the buffer. Fails
 * with PV_ERR_UNSUPPORTED past the device's texel limit. */
PV_MUST_USE enum pv_status pv_buffer_view(struct pv_buffer *buffer, VkFormat format, VkBufferView *out);

#endif
