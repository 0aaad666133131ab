/* Pools count what is left in them, so that the driver is never asked for more than a pool has: some answer
 * that with an error, some with a crash. A new pool is twice as large as the one before. */
#include "vk/pipeline/descriptors.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

enum { FIRST_SETS = 64, MAX_SETS = 4096, STORAGE_A_SET = 6, UNIFORM_A_SET = 1, TEXEL_A_SET = 6 };

static uint32_t pool_sets(uint32_t index)
{
    uint32_t sets = FIRST_SETS;
    while (index-- > 0 && sets < MAX_SETS)
        sets *= 2;
    return sets;
}

static void refill(struct pv_descriptor_pool *pool, uint32_t index)
{
    const uint32_t sets = pool_sets(index);
    pool->n_sets = sets;
    pool->n_storage = sets * STORAGE_A_SET;
    pool->n_uniform = sets * UNIFORM_A_SET;
    pool->n_texel = sets * TEXEL_A_SET;
}

void pv_descriptors_destroy(struct pv_device *device, struct pv_descriptors *d)
{
    for (uint32_t i = 0; i < d->n_pools; i++)
        device->vk.vkDestroyDescriptorPool(device->handle, d->pools[i].handle, NULL);
    free(d->pools);
    *d = (struct pv_descriptors){0};
}

enum pv_status pv_descriptors_reset(struct pv_device *device, struct pv_descriptors *d)
{
    for (uint32_t i = 0; i < d->n_pools; i++) {
        const VkResult result = device->vk.vkResetDescriptorPool(device->handle, d->pools[i].handle, 0);
        if (result != VK_SUCCESS)
            return pv_vk_fail(device, result, "vkResetDescriptorPool");
        refill(&d->pools[i], i);
    }
    d->current = 0;
    return PV_OK;
}

static enum pv_status add_pool(struct pv_device *device, struct pv_descriptors *d)
{
    void *pools = d->pools;
    if (!pv_grow(&pools, (size_t)d->n_pools + 1, sizeof *d->pools))
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory recording for %s", device->caps.name);
    d->pools = pools;
    struct pv_descriptor_pool *pool = &d->pools[d->n_pools];
    *pool = (struct pv_descriptor_pool){0};
    refill(pool, d->n_pools);
    const VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, pool->n_storage},
        {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, pool->n_uniform},
        {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, pool->n_texel},
    };
    VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = pool->n_sets,
                                       .poolSizeCount = sizeof sizes / sizeof sizes[0],
                                       .pPoolSizes = sizes};
    const VkResult result = device->vk.vkCreateDescriptorPool(device->handle, &info, NULL, &pool->handle);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkCreateDescriptorPool");
    d->n_pools++;
    return PV_OK;
}

/* Takes what the pipeline needs off the pool's account; false if it has not that much. */
static bool reserve(struct pv_descriptor_pool *pool, const struct pv_pipeline *pipeline)
{
    uint32_t n_storage = 0, n_uniform = 0, n_texel = 0;
    for (uint32_t i = 0; i < pipeline->n_bindings; i++) {
        n_storage += pipeline->used[i] && pipeline->types[i] == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        n_uniform += pipeline->used[i] && pipeline->types[i] == VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER;
        n_texel += pipeline->used[i] && pipeline->types[i] == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    }
    if (pool->n_sets < 1 || pool->n_storage < n_storage || pool->n_uniform < n_uniform ||
        pool->n_texel < n_texel)
        return false;
    pool->n_sets--;
    pool->n_storage -= n_storage;
    pool->n_uniform -= n_uniform;
    pool->n_texel -= n_texel;
    return true;
}

enum pv_status pv_descriptors_take(struct pv_device *device, struct pv_descriptors *d,
                                   const struct pv_pipeline *pipeline, VkDescriptorSet *out)
{
    while (d->current == d->n_pools || !reserve(&d->pools[d->current], pipeline)) {
        if (d->current < d->n_pools)
            d->current++;
        if (d->current == d->n_pools)
            PV_TRY(add_pool(device, d));
    }
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = d->pools[d->current].handle,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &pipeline->set_layout};
    const VkResult result = device->vk.vkAllocateDescriptorSets(device->handle, &info, out);
    return result == VK_SUCCESS ? PV_OK : pv_vk_fail(device, result, "vkAllocateDescriptorSets");
}
