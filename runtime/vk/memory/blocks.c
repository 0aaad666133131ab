/* Vulkan allows few allocations (4096 by the standard's minimum) and makes each dear, so memory is taken in
 * blocks of up to 64 MiB and cut into ranges; a large buffer gets a block of its own. The memory types are tried in
 * order of how well they suit the kind, so that a full device falls back to the host's memory by going on
 * down the list. */
#include "vk/memory/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "vk/memory/ranges.h"

#define MIN_BLOCK_BYTES ((uint64_t)4 << 20)
#define MAX_BLOCK_BYTES ((uint64_t)64 << 20)

struct block {
    struct block *next;
    VkDeviceMemory handle;
    uint32_t type;
    void *mapped;
    struct pv_ranges ranges;
};
struct owner { /* what a buffer holds on to */
    struct block *block;
    struct pv_range *range;
};
struct pv_memory {
    struct pv_device *device;
    VkPhysicalDeviceMemoryProperties props;
    struct block *blocks;
    uint64_t bytes_in_use;
    uint32_t n_blocks;
    bool warned;
};

enum pv_status pv_memory_create(struct pv_device *device, struct pv_memory **out)
{
    *out = pv_calloc(1, sizeof **out);
    if (!*out)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory opening %s", device->caps.name);
    (*out)->device = device;
    vkGetPhysicalDeviceMemoryProperties(device->physical, &(*out)->props);
    return PV_OK;
}

static void block_destroy(struct pv_memory *memory, struct block *block)
{
    struct pv_device *device = memory->device;
    if (block->mapped)
        device->vk.vkUnmapMemory(device->handle, block->handle);
    device->vk.vkFreeMemory(device->handle, block->handle, NULL);
    pv_ranges_free(&block->ranges);
    free(block);
    memory->n_blocks--;
}

void pv_memory_destroy(struct pv_memory *memory)
{
    if (!memory)
        return;
    for (struct block *b = memory->blocks, *next; b; b = next) {
        next = b->next;
        block_destroy(memory, b);
    }
    free(memory);
}

static VkMemoryPropertyFlags type_flags(const struct pv_memory *memory, uint32_t type)
{
    return memory->props.memoryTypes[type].propertyFlags;
}

static bool has_all(VkMemoryPropertyFlags flags, VkMemoryPropertyFlags wanted)
{
    return (flags & wanted) == wanted;
}

/* How well a type suits a kind; negative: not at all. Types with vendor flags (uncached, protected, lazy) are
 * left alone. Only coherent memory is mapped, so nothing is ever flushed. */
static int type_score(const struct pv_memory *memory, uint32_t type, enum pv_memory_kind kind)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                shared = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryPropertyFlags flags = type_flags(memory, type);
    if (flags & ~(local | shared | cached))
        return -1;
    const int is_local = has_all(flags, local), is_shared = has_all(flags, shared),
              is_cached = has_all(flags, cached);
    if (kind == PV_MEM_HOST)
        return is_shared ? 4 * is_cached + 2 * !is_local : -1;
    if (memory->device->caps.unified)
        return 8 * is_local + 4 * is_shared + is_cached;
    return 8 * is_local + 4 * !is_shared + is_cached;
}

/* Taking a range from a block there is, or from a new one. VK_ERROR_OUT_OF_DEVICE_MEMORY: try another type.
 */
static VkResult block_create(struct pv_memory *memory, uint32_t type, uint64_t size_bytes, struct block **out)
{
    struct pv_device *device = memory->device;
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
    const uint64_t heap = memory->props.memoryHeaps[memory->props.memoryTypes[type].heapIndex].size;
    const uint64_t max = device->caps.max_allocation;
    if (size_bytes > heap || (max > 0 && size_bytes > max))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY; /* asking would break a rule of the API */
    struct block *block = pv_calloc(1, sizeof *block);
    if (!block || !pv_ranges_init(&block->ranges, size_bytes))
        goto fail;
    block->type = type;
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = size_bytes,
                                 .memoryTypeIndex = type};
    result = device->vk.vkAllocateMemory(device->handle, &info, NULL, &block->handle);
    if (result != VK_SUCCESS)
        goto fail;
    if (has_all(type_flags(memory, type),
                VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        result = device->vk.vkMapMemory(device->handle, block->handle, 0, VK_WHOLE_SIZE, 0, &block->mapped);
        if (result != VK_SUCCESS) {
            device->vk.vkFreeMemory(device->handle, block->handle, NULL);
            goto fail;
        }
    }
    block->next = memory->blocks;
    memory->blocks = block;
    memory->n_blocks++;
    *out = block;
    return VK_SUCCESS;
fail:
    if (block)
        pv_ranges_free(&block->ranges);
    free(block);
    return result;
}

/* The size of a new block for small buffers: twice as large for each block of the type there is, so that a small model
 * takes little memory; `size_bytes` fills half of it at most. */
static uint64_t block_bytes(const struct pv_memory *memory, uint32_t type, uint64_t size_bytes)
{
    uint64_t bytes = MIN_BLOCK_BYTES;

    for (const struct block *b = memory->blocks; b && bytes < MAX_BLOCK_BYTES; b = b->next)
        bytes *= b->type == type ? 2 : 1;
    while (bytes < 2 * size_bytes && bytes < MAX_BLOCK_BYTES)
        bytes *= 2;
    return bytes;
}

static VkResult take(struct pv_memory *memory, uint32_t type, const VkMemoryRequirements *need,
                     struct owner *out)
{
    const bool dedicated = need->size > MAX_BLOCK_BYTES / 2;
    for (struct block *b = memory->blocks; b && !dedicated; b = b->next) {
        if (b->type != type)
            continue;
        out->block = b;
        out->range = pv_ranges_take(&b->ranges, need->size, need->alignment);
        if (out->range)
            return VK_SUCCESS;
    }
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    const uint64_t heap = memory->props.memoryHeaps[memory->props.memoryTypes[type].heapIndex].size;
    const uint64_t shared = block_bytes(memory, type, need->size);
    if (!dedicated && heap >= 8 * shared)
        result = block_create(memory, type, shared, &out->block);
    if (result != VK_SUCCESS)
        result = block_create(memory, type, need->size, &out->block);
    if (result != VK_SUCCESS)
        return result;
    out->range = pv_ranges_take(&out->block->ranges, need->size, need->alignment);
    if (out->range)
        return VK_SUCCESS;
    memory->blocks = out->block->next; /* the host is out of memory; a new block is always first */
    block_destroy(memory, out->block);
    return VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* The best type not tried yet; UINT32_MAX when there is none. */
static uint32_t next_type(const struct pv_memory *memory, uint32_t candidates, enum pv_memory_kind kind)
{
    uint32_t best = UINT32_MAX;
    int best_score = -1;
    for (uint32_t i = 0; i < memory->props.memoryTypeCount; i++) {
        const int score = (candidates >> i & 1u) ? type_score(memory, i, kind) : -1;
        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    return best;
}

static void warn_fallback(struct pv_memory *memory, const char *name, uint64_t size_bytes)
{
    if (!memory->warned)
        pv_warn(memory->device->log,
                "%s is out of device memory: %s (%.1f MiB) and what follows goes to the host's memory and "
                "will be slow; "
                "use a smaller model or context, or split it over several devices",
                memory->device->caps.name, name, (double)size_bytes / (1 << 20));
    memory->warned = true;
}

enum pv_status pv_memory_alloc(struct pv_memory *memory, const VkMemoryRequirements *need,
                               enum pv_memory_kind kind, const char *name, struct pv_memory_range *out)
{
    struct pv_device *device = memory->device;
    uint32_t candidates = need->memoryTypeBits;
    bool left_device = false;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    struct owner *owner = pv_calloc(1, sizeof *owner);
    if (!owner)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory creating the buffer %s", name);
    for (;;) {
        const uint32_t type = next_type(memory, candidates, kind);
        if (type == UINT32_MAX)
            break;
        const bool local = has_all(type_flags(memory, type), VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
        result = take(memory, type, need, owner);
        if (result == VK_SUCCESS) {
            if (kind == PV_MEM_DEVICE && !local && left_device)
                warn_fallback(memory, name, need->size);
            *out = (struct pv_memory_range){.memory = owner->block->handle,
                                            .offset = owner->range->offset,
                                            .size_bytes = need->size,
                                            .owner = owner};
            if (owner->block->mapped)
                out->mapped = (char *)owner->block->mapped + out->offset;
            memory->bytes_in_use += need->size;
            return PV_OK;
        }
        if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY)
            break;
        left_device = left_device || local;
        candidates &= ~((uint32_t)1 << type);
    }
    free(owner);
    char what[160];
    snprintf(what, sizeof what, "allocating %.1f MiB for %.80s", (double)need->size / (1 << 20), name);
    return pv_vk_fail(device, result, what);
}

void pv_memory_free(struct pv_memory *memory, void *owner)
{
    struct owner *o = owner;
    if (!o)
        return;
    struct block *block = o->block;
    memory->bytes_in_use -= o->range->size_bytes;
    pv_ranges_give(&block->ranges, o->range);
    free(o);
    if (block->ranges.used_bytes > 0)
        return;
    struct block **link = &memory->blocks;
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    block_destroy(memory, block);
}

uint64_t pv_memory_bytes_in_use(const struct pv_memory *memory)
{
    return memory->bytes_in_use;
}

uint32_t pv_memory_n_blocks(const struct pv_memory *memory)
{
    return memory->n_blocks;
}
