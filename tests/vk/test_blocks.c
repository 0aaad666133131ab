/* label: unit
 * The block allocator on a made-up discrete GPU: the few driver calls it makes are replaced, so that full
 * heaps, odd memory types and failing calls can be tested without one. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "harness.h"
#include "vk/memory/blocks.h"

#define MIB ((uint64_t)1 << 20)
enum { LOCAL, HOST, HOST_CACHED, BAR, WEIRD, N_TYPES };

static struct {
    VkPhysicalDeviceMemoryProperties props;
    uint64_t heap_used[3], heap_limit[3];
    uint32_t n_allocations, n_mapped, n_calls;
    uint64_t type_used[N_TYPES];
    bool map_fails, out_of_host;
} gpu;
struct fake_memory {
    uint64_t size_bytes;
    uint32_t type;
    void *mapped;
};

static void VKAPI_CALL fake_properties(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *out)
{
    (void)physical;
    *out = gpu.props;
}

static VkResult VKAPI_CALL fake_allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                         const VkAllocationCallbacks *callbacks, VkDeviceMemory *out)
{
    (void)device, (void)callbacks;
    const uint32_t heap = gpu.props.memoryTypes[info->memoryTypeIndex].heapIndex;
    gpu.n_calls++;
    ck_assert_uint_le(info->allocationSize, gpu.props.memoryHeaps[heap].size); /* a rule of the API */
    if (gpu.out_of_host)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    if (gpu.heap_used[heap] + info->allocationSize > gpu.heap_limit[heap])
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    struct fake_memory *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    m->size_bytes = info->allocationSize;
    m->type = info->memoryTypeIndex;
    gpu.heap_used[heap] += m->size_bytes;
    gpu.type_used[m->type] += m->size_bytes;
    gpu.n_allocations++;
    *out = (VkDeviceMemory)(uintptr_t)m;
    return VK_SUCCESS;
}

static void VKAPI_CALL fake_free(VkDevice device, VkDeviceMemory memory,
                                 const VkAllocationCallbacks *callbacks)
{
    (void)device, (void)callbacks;
    struct fake_memory *m = (struct fake_memory *)(uintptr_t)memory;
    if (!m)
        return;
    gpu.heap_used[gpu.props.memoryTypes[m->type].heapIndex] -= m->size_bytes;
    gpu.type_used[m->type] -= m->size_bytes;
    gpu.n_allocations--;
    free(m->mapped);
    free(m);
}

static VkResult VKAPI_CALL fake_map(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                                    VkDeviceSize size, VkMemoryMapFlags flags, void **out)
{
    (void)device, (void)size, (void)flags;
    struct fake_memory *m = (struct fake_memory *)(uintptr_t)memory;
    ck_assert_uint_eq(offset, 0);
    ck_assert(gpu.props.memoryTypes[m->type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
    if (gpu.map_fails)
        return VK_ERROR_MEMORY_MAP_FAILED;
    m->mapped = calloc(1, 64); /* nobody writes through it here */
    gpu.n_mapped++;
    *out = m->mapped;
    return VK_SUCCESS;
}

static void VKAPI_CALL fake_unmap(VkDevice device, VkDeviceMemory memory)
{
    (void)device, (void)memory;
    gpu.n_mapped--;
}

static void set_type(uint32_t type, uint32_t heap, VkMemoryPropertyFlags flags)
{
    gpu.props.memoryTypes[type].heapIndex = heap;
    gpu.props.memoryTypes[type].propertyFlags = flags;
}

static struct pv_test_log captured;
static struct pv_log sink;
static struct pv_device device;
static struct pv_memory *memory;

static void setup(void)
{
    const VkMemoryPropertyFlags shared = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    memset(&gpu, 0, sizeof gpu);
    memset(&device, 0, sizeof device);
    set_type(LOCAL, 0, local);
    set_type(HOST, 1, shared);
    set_type(HOST_CACHED, 1, shared | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
    set_type(BAR, 2, local | shared);
    set_type(WEIRD, 0, local | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD);
    gpu.props.memoryTypeCount = N_TYPES;
    gpu.props.memoryHeapCount = 3;
    const uint64_t sizes[] = {1024 * MIB, 4096 * MIB, 256 * MIB};
    for (int i = 0; i < 3; i++)
        gpu.heap_limit[i] = gpu.props.memoryHeaps[i].size = sizes[i];
    vkGetPhysicalDeviceMemoryProperties = fake_properties;
    sink = pv_test_log(&captured);
    device.log = &sink;
    strcpy(device.caps.name, "made-up GPU");
    device.caps.max_allocation = 2048 * MIB;
    device.vk.vkAllocateMemory = fake_allocate;
    device.vk.vkFreeMemory = fake_free;
    device.vk.vkMapMemory = fake_map;
    device.vk.vkUnmapMemory = fake_unmap;
    ck_assert_int_eq(pv_memory_create(&device, &memory), PV_OK);
}

static void teardown(void)
{
    pv_memory_destroy(memory);
    ck_assert_uint_eq(gpu.n_allocations, 0);
    ck_assert_uint_eq(gpu.n_mapped, 0);
}

static enum pv_status alloc(uint64_t size_bytes, enum pv_memory_kind kind, struct pv_memory_range *out)
{
    VkMemoryRequirements need = {.size = size_bytes, .alignment = 256, .memoryTypeBits = (1u << N_TYPES) - 1};
    return pv_memory_alloc(memory, &need, kind, "weights", out);
}

START_TEST(small_ranges_share_a_block)
{
    struct pv_memory_range a, b, c;
    ck_assert_int_eq(alloc(1000, PV_MEM_DEVICE, &a), PV_OK);
    ck_assert_int_eq(alloc(MIB, PV_MEM_DEVICE, &b), PV_OK);
    ck_assert_uint_eq(gpu.n_allocations, 1);
    ck_assert_uint_eq(gpu.type_used[LOCAL], 4 * MIB);
    ck_assert(a.memory == b.memory && a.offset != b.offset && b.offset % 256 == 0 && !a.mapped);
    ck_assert_uint_eq(pv_memory_bytes_in_use(memory), MIB + 1000);
    ck_assert_int_eq(alloc(40 * MIB, PV_MEM_DEVICE, &c), PV_OK); /* large: its own block, of its own size */
    ck_assert_uint_eq(gpu.type_used[LOCAL], 44 * MIB);
    pv_memory_free(memory, a.owner);
    ck_assert_uint_eq(gpu.n_allocations, 2);
    pv_memory_free(memory, b.owner); /* the block is empty: given back */
    ck_assert_uint_eq(gpu.n_allocations, 1);
    pv_memory_free(memory, c.owner);
    pv_memory_free(memory, NULL);
    ck_assert_uint_eq(pv_memory_bytes_in_use(memory), 0);
    ck_assert_uint_eq(pv_memory_n_blocks(memory), 0);
}
END_TEST

START_TEST(shared_blocks_grow_to_64_mib)
{
    static const uint64_t sizes[] = {4, 12, 28, 60, 124, 188}; /* MiB in all, after each new block */
    struct pv_memory_range r[400];
    size_t n = 0;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        do
            ck_assert_int_eq(alloc(MIB, PV_MEM_DEVICE, &r[n++]), PV_OK);
        while (gpu.n_allocations <= i);
        ck_assert_uint_eq(gpu.type_used[LOCAL], sizes[i] * MIB);
        ck_assert_uint_eq(n, i == 0 ? 1 : sizes[i - 1] + 1); /* the others are full */
    }
    while (n > 0)
        pv_memory_free(memory, r[--n].owner);
    ck_assert_int_eq(alloc(20 * MIB, PV_MEM_DEVICE, &r[0]), PV_OK);
    ck_assert_uint_eq(gpu.type_used[LOCAL], 64 * MIB); /* room for another of this size */
    pv_memory_free(memory, r[0].owner);
}
END_TEST

START_TEST(host_memory_is_cached_and_mapped)
{
    struct pv_memory_range a;
    ck_assert_int_eq(alloc(100, PV_MEM_HOST, &a), PV_OK);
    ck_assert_ptr_nonnull(a.mapped);
    ck_assert_uint_gt(gpu.type_used[HOST_CACHED], 0);
    pv_memory_free(memory, a.owner);
}
END_TEST

START_TEST(unified_devices_are_mapped)
{
    struct pv_memory_range a;
    device.caps.unified = true;
    ck_assert_int_eq(alloc(100, PV_MEM_DEVICE, &a), PV_OK);
    ck_assert_ptr_nonnull(a.mapped);
    ck_assert_uint_gt(gpu.type_used[BAR], 0);
    pv_memory_free(memory, a.owner);
}
END_TEST

START_TEST(a_full_device_falls_back_and_warns_once)
{
    struct pv_memory_range r[64];
    int n = 0;
    uint64_t local = 0;
    for (; n < 20; n++) {
        ck_assert_int_eq(alloc(100 * MIB, PV_MEM_DEVICE, &r[n]), PV_OK);
        local += r[n].mapped ? 0 : 1;
    }
    ck_assert_uint_eq(local, 10);                     /* 1 GiB of it */
    ck_assert_uint_eq(gpu.type_used[BAR], 200 * MIB); /* then the window */
    ck_assert_uint_gt(gpu.type_used[HOST_CACHED], 0); /* then the host */
    ck_assert_uint_eq(gpu.type_used[WEIRD], 0);
    ck_assert_uint_eq(captured.n_messages, 1);
    ck_assert(pv_test_logged(&captured, "warning: made-up GPU is out of device memory"));
    for (int i = 0; i < n; i++)
        pv_memory_free(memory, r[i].owner);
}
END_TEST

START_TEST(a_nearly_full_heap_still_serves_small_ones)
{
    struct pv_memory_range a;
    gpu.heap_limit[0] = 3 * MIB; /* no room for a block to share */
    ck_assert_int_eq(alloc(MIB, PV_MEM_DEVICE, &a), PV_OK);
    ck_assert_uint_eq(gpu.type_used[LOCAL], MIB);
    pv_memory_free(memory, a.owner);
}
END_TEST

START_TEST(nothing_left_is_said_with_advice)
{
    struct pv_memory_range a;
    memset(gpu.heap_limit, 0, sizeof gpu.heap_limit);
    ck_assert_int_eq(alloc(MIB, PV_MEM_DEVICE, &a), PV_ERR_DEVICE_MEMORY);
    ck_assert_int_eq(alloc(MIB, PV_MEM_HOST, &a), PV_ERR_DEVICE_MEMORY);
    ck_assert(pv_test_logged(&captured, "weights"));
    ck_assert(pv_test_logged(&captured, "several devices"));
    ck_assert_uint_eq(pv_memory_bytes_in_use(memory), 0);
    gpu.out_of_host = true;
    gpu.n_calls = 0;
    ck_assert_int_eq(alloc(MIB, PV_MEM_DEVICE, &a), PV_ERR_NOMEM);
    ck_assert_uint_le(gpu.n_calls, 2); /* no use in trying other types */
}
END_TEST

START_TEST(a_failing_map_leaks_nothing)
{
    struct pv_memory_range a;
    gpu.map_fails = true;
    ck_assert_int_eq(alloc(MIB, PV_MEM_HOST, &a), PV_ERR_DEVICE_MEMORY);
    ck_assert_uint_eq(gpu.n_allocations, 0);
}
END_TEST

START_TEST(random_use)
{
    enum { SLOTS = 200 };
    static struct pv_memory_range r[SLOTS];
    struct pv_rng rng;
    uint64_t in_use = 0;
    const uint32_t n_overlaps = 0;
    memset(r, 0, sizeof r);
    pv_rng_seed(&rng, 9);
    for (int round = 0; round < 20000; round++) {
        uint32_t i = pv_rng_below(&rng, SLOTS);
        if (r[i].owner) {
            in_use -= r[i].size_bytes;
            pv_memory_free(memory, r[i].owner);
            r[i].owner = NULL;
            continue;
        }
        const uint64_t size_bytes = 1 + pv_rng_below(&rng, 1u << (4 + pv_rng_below(&rng, 23)));
        const enum pv_memory_kind kind = pv_rng_below(&rng, 2) ? PV_MEM_DEVICE : PV_MEM_HOST;
        if (alloc(size_bytes, kind, &r[i]) != PV_OK) {
            r[i].owner = NULL;
            continue;
        }
        in_use += size_bytes;
        for (uint32_t k = 0; k < SLOTS; k++) /* no two overlap */
            if (k != i && r[k].owner && r[k].memory == r[i].memory)
                ck_assert(r[k].offset + r[k].size_bytes <= r[i].offset ||
                          r[i].offset + size_bytes <= r[k].offset);
        ck_assert_uint_eq(pv_memory_bytes_in_use(memory), in_use);
    }
    ck_assert_uint_eq(n_overlaps, 0);
    for (uint32_t i = 0; i < SLOTS; i++)
        pv_memory_free(memory, r[i].owner);
    ck_assert_uint_eq(pv_memory_n_blocks(memory), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vk/blocks");
    TCase *tc = tcase_create("made-up GPU");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, small_ranges_share_a_block);
    tcase_add_test(tc, shared_blocks_grow_to_64_mib);
    tcase_add_test(tc, host_memory_is_cached_and_mapped);
    tcase_add_test(tc, unified_devices_are_mapped);
    tcase_add_test(tc, a_full_device_falls_back_and_warns_once);
    tcase_add_test(tc, a_nearly_full_heap_still_serves_small_ones);
    tcase_add_test(tc, nothing_left_is_said_with_advice);
    tcase_add_test(tc, a_failing_map_leaks_nothing);
    tcase_add_test(tc, random_use);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
