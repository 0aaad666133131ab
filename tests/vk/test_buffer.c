/* Buffers on each device: written, read and filled mapped and staged, created and destroyed at random, texel
 * views and their limits, and calls that fail. */
#include <stdlib.h>

#include "base/rng.h"
#include "fixture.h"

static void fill_random(struct pv_rng *rng, uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)pv_rng_u64(rng);
}

/* Writes and reads odd pieces of a buffer against a host copy. staged: as if the host could not see it. */
static void check_pieces(struct fixture *f, bool staged)
{
    enum { SIZE = (4 << 20) + (1 << 20) + 5 }; /* more than one piece of staging */
    struct pv_buffer *buffer = new_buffer(f, SIZE, PV_MEM_DEVICE);
    uint8_t *copy = malloc(SIZE), *back = malloc(SIZE);
    struct pv_rng rng;
    pv_rng_seed(&rng, 1);
    fill_random(&rng, copy, SIZE);
    if (staged)
        buffer->mapped = NULL;
    ck_assert_int_eq(pv_buffer_write(buffer, 0, copy, SIZE), PV_OK);
    for (int round = 0; round < 30; round++) {
        uint64_t offset = pv_rng_below(&rng, SIZE), n = pv_rng_below(&rng, (uint32_t)(SIZE - offset) + 1);
        if (round % 3 == 0)
            n = n < 9 ? n : 9;
        fill_random(&rng, copy + offset, n);
        ck_assert_int_eq(pv_buffer_write(buffer, offset, copy + offset, n), PV_OK);
        memset(back, 0, n);
        ck_assert_int_eq(pv_buffer_read(buffer, offset, back, n), PV_OK);
        ck_assert(memcmp(back, copy + offset, n) == 0);
    }
    ck_assert_int_eq(pv_buffer_read(buffer, 0, back, SIZE), PV_OK);
    ck_assert(memcmp(back, copy, SIZE) == 0);
    ck_assert_int_eq(pv_buffer_fill(buffer, 0xa1b2c3d4u), PV_OK);
    ck_assert_int_eq(pv_buffer_read(buffer, 0, back, SIZE), PV_OK);
    uint32_t n_wrong = 0;
    for (uint32_t i = 0; i < SIZE; i++)
        n_wrong += back[i] != (uint8_t)(0xa1b2c3d4u >> (i % 4 * 8));
    ck_assert_uint_eq(n_wrong, 0);
    free(copy);
    free(back);
    pv_buffer_destroy(buffer);
}

START_TEST(mapped_and_staged_access_agree)
{
    struct fixture f;
    fixture_open(&f, _i);
    check_pieces(&f, false);
    check_pieces(&f, true);
    ck_assert_ptr_nonnull(f.device->staging); /* it was used */
    fixture_close(&f);
}
END_TEST

START_TEST(ranges_are_checked)
{
    struct fixture f;
    uint8_t data[32] = {0};
    fixture_open(&f, _i);
    struct pv_buffer *buffer = new_buffer(&f, 17, PV_MEM_HOST);
    ck_assert_int_eq(pv_buffer_write(buffer, 17, data, 0), PV_OK);
    ck_assert_int_eq(pv_buffer_write(buffer, 16, data, 1), PV_OK);
    ck_assert_uint_eq(f.log.n_messages, 0);
    ck_assert_int_eq(pv_buffer_write(buffer, 16, data, 2), PV_ERR_ARG);
    ck_assert_int_eq(pv_buffer_write(buffer, 18, data, 0), PV_ERR_ARG);
    ck_assert_int_eq(pv_buffer_write(buffer, UINT64_MAX, data, 2), PV_ERR_ARG);
    ck_assert_int_eq(pv_buffer_read(buffer, 1, data, 17), PV_ERR_ARG);
    ck_assert_int_eq(pv_buffer_read(buffer, 2, data, UINT64_MAX), PV_ERR_ARG);
    ck_assert_uint_eq(f.log.n_messages, 5);
    struct pv_buffer *none = buffer;
    ck_assert_int_eq(pv_buffer_create(f.device, 0, PV_MEM_HOST, "empty", &none), PV_ERR_ARG);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(pv_buffer_create(f.device, UINT64_MAX, PV_MEM_HOST, "endless", &none), PV_ERR_ARG);
    ck_assert_int_eq(pv_buffer_create(f.device, (uint64_t)1 << 50, PV_MEM_DEVICE, "huge", &none),
                     PV_ERR_DEVICE_MEMORY);
    ck_assert(pv_test_logged(&f.log, "huge"));
    pv_buffer_destroy(buffer);
    pv_buffer_destroy(NULL);
    ck_assert_uint_eq(pv_device_bytes_in_use(f.device), 0);
    fixture_close(&f);
}
END_TEST

/* Buffers come and go; each is painted with its own colour, which must still be there when it goes. */
START_TEST(random_create_and_destroy_never_overlap)
{
    enum { SLOTS = 64, ROUNDS = 1500 };
    struct pv_buffer *live[SLOTS] = {0};
    struct fixture f;
    struct pv_rng rng;
    uint64_t n_wrong = 0;
    fixture_open(&f, _i);
    pv_rng_seed(&rng, 77);
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t slot = pv_rng_below(&rng, SLOTS);
        const uint8_t colour = (uint8_t)(slot + 1);
        if (live[slot]) {
            uint8_t ends[2] = {0};
            ck_assert_int_eq(pv_buffer_read(live[slot], 0, &ends[0], 1), PV_OK);
            ck_assert_int_eq(pv_buffer_read(live[slot], live[slot]->size_bytes - 1, &ends[1], 1), PV_OK);
            n_wrong += ends[0] != colour || ends[1] != colour;
            const uint8_t *bytes = live[slot]->mapped;
            for (uint64_t i = 0; bytes && i < live[slot]->size_bytes; i += 61)
                n_wrong += bytes[i] != colour;
            pv_buffer_destroy(live[slot]);
            live[slot] = NULL;
            continue;
        }
        const uint64_t size_bytes = 1 + pv_rng_below(&rng, 1u << (4 + pv_rng_below(&rng, 17)));
        live[slot] = new_buffer(&f, size_bytes, pv_rng_below(&rng, 2) ? PV_MEM_DEVICE : PV_MEM_HOST);
        ck_assert_int_eq(pv_buffer_fill(live[slot], colour * 0x01010101u), PV_OK);
    }
    for (int i = 0; i < SLOTS; i++)
        pv_buffer_destroy(live[i]);
    ck_assert_uint_eq(n_wrong, 0);
    const uint64_t staging = f.device->staging ? f.device->staging->block_size : 0;
    ck_assert_uint_eq(pv_device_bytes_in_use(f.device), staging);
    fixture_close(&f);
}
END_TEST

START_TEST(texel_views_are_cached_and_limited)
{
    struct fixture f;
    VkBufferView first, again, other;
    fixture_open(&f, _i);
    struct pv_buffer *small = new_buffer(&f, 100, PV_MEM_DEVICE);
    ck_assert_int_eq(pv_buffer_view(small, VK_FORMAT_R32G32B32A32_UINT, &first), PV_OK);
    ck_assert_int_eq(pv_buffer_view(small, VK_FORMAT_R32G32B32A32_SFLOAT, &other), PV_OK);
    ck_assert_int_eq(pv_buffer_view(small, VK_FORMAT_R32G32B32A32_UINT, &again), PV_OK);
    ck_assert(first == again && first != other);
    ck_assert_int_eq(pv_buffer_view(small, VK_FORMAT_R32_UINT, &again), PV_OK);
    ck_assert_int_eq(pv_buffer_view(small, VK_FORMAT_BC1_RGB_UNORM_BLOCK, &again), PV_ERR_ARG);
    pv_buffer_destroy(small);
    const uint64_t limit = f.device->caps.max_texel_elements * 16;
    if (limit <= 64 << 20) {
        struct pv_buffer *fits = new_buffer(&f, limit, PV_MEM_DEVICE),
                         *over = new_buffer(&f, limit + 1, PV_MEM_DEVICE);
        ck_assert_int_eq(pv_buffer_view(fits, VK_FORMAT_R32G32B32A32_UINT, &first), PV_OK);
        ck_assert_int_eq(pv_buffer_view(over, VK_FORMAT_R32G32B32A32_UINT, &first), PV_ERR_UNSUPPORTED);
        ck_assert(pv_test_logged(&f.log, "access=storage"));
        pv_buffer_destroy(fits);
        pv_buffer_destroy(over);
    }
    fixture_close(&f);
}
END_TEST

/* ---- calls that fail ---- */

static VkResult VKAPI_CALL no_memory(VkDevice device, const VkMemoryAllocateInfo *info,
                                     const VkAllocationCallbacks *callbacks, VkDeviceMemory *out)
{
    (void)device, (void)info, (void)callbacks, (void)out;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}
static VkResult VKAPI_CALL no_buffer(VkDevice device, const VkBufferCreateInfo *info,
                                     const VkAllocationCallbacks *callbacks, VkBuffer *out)
{
    (void)device, (void)info, (void)callbacks, (void)out;
    return VK_ERROR_OUT_OF_HOST_MEMORY;
}
static VkResult VKAPI_CALL no_bind(VkDevice device, VkBuffer buffer, VkDeviceMemory memory,
                                   VkDeviceSize offset)
{
    (void)device, (void)buffer, (void)memory, (void)offset;
    return VK_ERROR_DEVICE_LOST;
}
static VkResult VKAPI_CALL no_view(VkDevice device, const VkBufferViewCreateInfo *info,
                                   const VkAllocationCallbacks *callbacks, VkBufferView *out)
{
    (void)device, (void)info, (void)callbacks, (void)out;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

START_TEST(failing_calls_leak_nothing)
{
    struct fixture f;
    struct pv_buffer *buffer = NULL;
    VkBufferView view;
    fixture_open(&f, _i);
    const struct VolkDeviceTable real = f.device->vk;
    f.device->vk.vkAllocateMemory = no_memory;
    ck_assert_int_eq(pv_buffer_create(f.device, 100, PV_MEM_DEVICE, "kv cache", &buffer),
                     PV_ERR_DEVICE_MEMORY);
    ck_assert(pv_test_logged(&f.log, "kv cache"));
    ck_assert(pv_test_logged(&f.log, "VK_ERROR_OUT_OF_DEVICE_MEMORY"));
    f.device->vk = real;
    f.device->vk.vkCreateBuffer = no_buffer;
    ck_assert_int_eq(pv_buffer_create(f.device, 100, PV_MEM_DEVICE, "kv cache", &buffer), PV_ERR_NOMEM);
    f.device->vk = real;
    buffer = new_buffer(&f, 100, PV_MEM_DEVICE);
    f.device->vk.vkCreateBufferView = no_view;
    ck_assert_int_eq(pv_buffer_view(buffer, VK_FORMAT_R32_UINT, &view), PV_ERR_DEVICE_MEMORY);
    f.device->vk = real;
    ck_assert_int_eq(pv_buffer_view(buffer, VK_FORMAT_R32_UINT, &view), PV_OK);
    pv_buffer_destroy(buffer);
    f.device->vk.vkBindBufferMemory = no_bind;
    ck_assert_int_eq(pv_buffer_create(f.device, 100, PV_MEM_DEVICE, "kv cache", &buffer), PV_ERR_DEVICE_LOST);
    f.device->vk = real;
    ck_assert(f.device->lost);
    ck_assert_int_eq(pv_buffer_create(f.device, 100, PV_MEM_DEVICE, "kv cache", &buffer), PV_ERR_DEVICE_LOST);
    ck_assert_ptr_null(buffer);
    ck_assert_uint_eq(pv_device_bytes_in_use(f.device), 0);
    ck_assert_uint_eq(f.log.n_messages, 4); /* each failure once, none for the refusal after the loss */
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {mapped_and_staged_access_agree, ranges_are_checked,
                                  random_create_and_destroy_never_overlap, texel_views_are_cached_and_limited,
                                  failing_calls_leak_nothing};
    return fixture_main("vk/buffer", tests, sizeof tests / sizeof tests[0]);
}
