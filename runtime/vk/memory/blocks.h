/* Device memory in blocks, and ranges of them: what vk/memory.c puts buffers into. */
#ifndef PV_VK_MEMORY_BLOCKS_H
#define PV_VK_MEMORY_BLOCKS_H

#include "vk/memory/memory.h"

struct pv_memory_range {
    VkDeviceMemory memory;
    uint64_t offset, size_bytes;
    void *mapped; /* start of the range, or NULL */
    void *owner;  /* for pv_memory_free */
};
PV_MUST_USE enum pv_status pv_memory_create(struct pv_device *device, struct pv_memory **out);
void pv_memory_destroy(struct pv_memory *memory); /* NULL-safe; all ranges must have been freed */
/* `name` appears in errors. Falls back from device to host memory with a warning. */
PV_MUST_USE enum pv_status pv_memory_alloc(struct pv_memory *memory, const VkMemoryRequirements *need,
                                           enum pv_memory_kind kind, const char *name,
                                           struct pv_memory_range *out);
void pv_memory_free(struct pv_memory *memory, void *owner);
uint64_t pv_memory_bytes_in_use(const struct pv_memory *memory);
uint32_t pv_memory_n_blocks(const struct pv_memory *memory);

#endif
