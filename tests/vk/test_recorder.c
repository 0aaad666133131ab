/* The recorder on each device, with the `add` kernel (y += x): chains that come out right only with barriers
 * where they belong, recordings submitted again, indirect dispatch, timestamps, refusals, and a device that
 * goes away. */
#include <stdlib.h>

#include "fixture.h"
#include "iface.h"

enum { N = 1000 };

struct scene {
    struct fixture f;
    struct pv_recorder *r;
    struct pv_buffer *x, *y;
};

static void set_all(struct pv_buffer *buffer, float value)
{
    float values[N];
    for (int i = 0; i < N; i++)
        values[i] = value;
    ck_assert_int_eq(pv_buffer_write(buffer, 0, values, sizeof values), PV_OK);
}

/* The value that all elements have; fails if they differ. */
static float get_all(struct pv_buffer *buffer)
{
    float values[N];
    int n_different = 0;
    ck_assert_int_eq(pv_buffer_read(buffer, 0, values, sizeof values), PV_OK);
    for (int i = 0; i < N; i++)
        n_different += values[i] != values[0];
    ck_assert_int_eq(n_different, 0);
    return values[0];
}

static void open_scene(struct scene *s, int device)
{
    fixture_open(&s->f, device);
    s->x = new_buffer(&s->f, N * sizeof(float), PV_MEM_DEVICE);
    s->y = new_buffer(&s->f, N * sizeof(float), PV_MEM_DEVICE);
    ck_assert_int_eq(pv_recorder_create(s->f.device, &s->r), PV_OK);
    set_all(s->x, 1.0f);
    set_all(s->y, 1.0f);
}

static void close_scene(struct scene *s)
{
    pv_recorder_destroy(s->r);
    pv_buffer_destroy(s->x);
    pv_buffer_destroy(s->y);
    fixture_close(&s->f);
}

static const struct pv_pc_add push_all = {.n = N};

static struct pv_dispatch add_dispatch(struct pv_buffer *y, struct pv_buffer *x)
{
    return (struct pv_dispatch){.shader = "add.storage",
                                .spec = {32},
                                .n_spec = 1,
                                .buffers = {x, y},
                                .n_buffers = 2,
                                .push = &push_all,
                                .push_bytes = sizeof push_all,
                                .groups = {(N / 4 + 31) / 32, 1, 1}};
}
static void add(struct scene *s, struct pv_buffer *y, struct pv_buffer *x)
{
    struct pv_dispatch d = add_dispatch(y, x);
    ck_assert_msg(pv_recorder_dispatch(s->r, &d) == PV_OK, "%.2000s", s->f.log.text);
}
static void begin(struct scene *s, uint32_t n_timestamps)
{
    ck_assert_int_eq(pv_recorder_begin(s->r, n_timestamps), PV_OK);
}
static void end_and_run(struct scene *s)
{
    ck_assert_int_eq(pv_recorder_end(s->r), PV_OK);
    ck_assert_int_eq(pv_recorder_run(s->r), PV_OK);
}

/* y += x, x += y, ... : Fibonacci numbers, each step reading what the one before wrote. */
START_TEST(a_chain_is_ordered)
{
    struct scene s;
    open_scene(&s, _i);
    begin(&s, 0);
    for (int i = 0; i < 10; i++) {
        add(&s, s.y, s.x);
        add(&s, s.x, s.y);
    }
    ck_assert_uint_eq(pv_recorder_n_dispatches(s.r), 20);
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 19);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 10946.0f && get_all(s.x) == 17711.0f);
    close_scene(&s);
}
END_TEST

START_TEST(a_texel_binding_is_ordered_too)
{
    struct scene s;
    open_scene(&s, _i);
    begin(&s, 0);
    for (int i = 0; i < 4; i++) {
        struct pv_dispatch d = i % 2 ? add_dispatch(s.x, s.y) : add_dispatch(s.y, s.x);
        d.shader = "add.texel";
        d.texel_format[0] = VK_FORMAT_R32G32B32A32_SFLOAT;
        ck_assert_msg(pv_recorder_dispatch(s.r, &d) == PV_OK, "%.2000s", s.f.log.text);
    }
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 3);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 5.0f && get_all(s.x) == 8.0f);
    close_scene(&s);
}
END_TEST

START_TEST(what_does_not_depend_is_not_ordered)
{
    struct scene s;
    struct pv_buffer *out[4];
    open_scene(&s, _i);
    for (int i = 0; i < 4; i++) {
        out[i] = new_buffer(&s.f, N * sizeof(float), PV_MEM_DEVICE);
        set_all(out[i], (float)i);
    }
    begin(&s, 0);
    for (int i = 0; i < 4; i++)
        add(&s, out[i], s.x); /* four readers of x, four writers of different buffers */
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 0);
    add(&s, s.x, s.y); /* writes what was read: one */
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 1);
    add(&s, out[0], s.y); /* written before that barrier, y only read since */
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 1);
    add(&s, out[0], s.y); /* written twice */
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 2);
    end_and_run(&s);
    ck_assert(get_all(out[0]) == 3.0f && get_all(out[3]) == 4.0f && get_all(s.x) == 2.0f);
    for (int i = 0; i < 4; i++)
        pv_buffer_destroy(out[i]);
    close_scene(&s);
}
END_TEST

START_TEST(copies_and_fills_are_ordered)
{
    struct scene s;
    const uint64_t bytes = N * sizeof(float);
    open_scene(&s, _i);
    begin(&s, 0);
    add(&s, s.y, s.x);                                                         /* y = 2 */
    ck_assert_int_eq(pv_recorder_copy(s.r, s.y, 0, s.x, 0, bytes), PV_OK);     /* x = 2 */
    add(&s, s.y, s.x);                                                         /* y = 4 */
    ck_assert_int_eq(pv_recorder_fill(s.r, s.x, 0, bytes, 0x3f800000), PV_OK); /* x = 1 */
    add(&s, s.y, s.x);                                                         /* y = 5 */
    ck_assert_int_eq(pv_recorder_fill(s.r, s.x, 0, bytes, 0x40000000), PV_OK); /* x = 2 */
    ck_assert_int_eq(pv_recorder_copy(s.r, s.x, 0, s.y, 0, bytes / 2), PV_OK);
    ck_assert_int_eq(pv_recorder_copy(s.r, s.y, 0, s.y, bytes / 2, bytes / 2), PV_OK); /* y = 2 */
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 7);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 2.0f && get_all(s.x) == 2.0f);
    begin(&s, 0);
    ck_assert_int_eq(pv_recorder_copy(s.r, s.x, 0, s.x, 8, 16), PV_ERR_ARG);
    ck_assert_int_eq(pv_recorder_copy(s.r, s.x, bytes, s.y, 0, 4), PV_ERR_ARG);
    ck_assert_int_eq(pv_recorder_copy(s.r, s.x, 0, s.y, UINT64_MAX - 3, 8), PV_ERR_ARG);
    ck_assert_int_eq(pv_recorder_fill(s.r, s.x, 2, 4, 0), PV_ERR_ARG);
    ck_assert_int_eq(pv_recorder_copy(s.r, s.x, 0, s.y, 0, 0), PV_OK);
    close_scene(&s);
}
END_TEST

START_TEST(a_recording_can_be_submitted_again)
{
    struct scene s;
    uint64_t value = 0, before = 0;
    open_scene(&s, _i);
    begin(&s, 0);
    add(&s, s.y, s.x);
    ck_assert_int_eq(pv_recorder_end(s.r), PV_OK);
    for (int i = 0; i < 50; i++) { /* without waiting in between */
        ck_assert_int_eq(pv_recorder_submit(s.r, &value), PV_OK);
        ck_assert(i == 0 || value == before + 1);
        before = value;
    }
    ck_assert_int_eq(pv_device_wait(s.f.device, value), PV_OK);
    ck_assert_int_eq(pv_device_wait(s.f.device, 1), PV_OK);
    ck_assert(get_all(s.y) == 51.0f);
    close_scene(&s);
}
END_TEST

/* Two recorders on one device, recorded in turns: neither may lose a hazard to the other's stamps. */
START_TEST(interleaved_recorders_keep_their_hazards)
{
    struct scene s;
    struct pv_recorder *other = NULL;
    open_scene(&s, _i);
    ck_assert_int_eq(pv_recorder_create(s.f.device, &other), PV_OK);
    begin(&s, 0);
    add(&s, s.y, s.x);
    ck_assert_int_eq(pv_recorder_begin(other, 0), PV_OK);
    struct pv_dispatch d = add_dispatch(s.y, s.x);
    ck_assert_int_eq(pv_recorder_dispatch(other, &d), PV_OK);
    add(&s, s.x, s.y);
    ck_assert_uint_ge(pv_recorder_n_barriers(s.r), 1);
    ck_assert_int_eq(pv_recorder_dispatch(other, &d), PV_OK);
    ck_assert_uint_ge(pv_recorder_n_barriers(other), 1);
    ck_assert_int_eq(pv_recorder_end(other), PV_OK);
    end_and_run(&s);                                 /* y = 2, x = 3 */
    ck_assert_int_eq(pv_recorder_run(other), PV_OK); /* y = 8 */
    ck_assert(get_all(s.y) == 8.0f && get_all(s.x) == 3.0f);
    pv_recorder_destroy(other);
    close_scene(&s);
}
END_TEST

static uint32_t n_pools_made;
static PFN_vkCreateDescriptorPool real_create_pool;
static VkResult VKAPI_CALL counting_create_pool(VkDevice device, const VkDescriptorPoolCreateInfo *info,
                                                const VkAllocationCallbacks *callbacks, VkDescriptorPool *out)
{
    n_pools_made++;
    return real_create_pool(device, info, callbacks, out);
}

START_TEST(long_recordings_grow_once)
{
    enum { LENGTH = 700 };
    struct scene s;
    open_scene(&s, _i);
    real_create_pool = s.f.device->vk.vkCreateDescriptorPool;
    s.f.device->vk.vkCreateDescriptorPool = counting_create_pool;
    n_pools_made = 0;
    for (int round = 0; round < 3; round++) {
        set_all(s.y, 0.0f);
        begin(&s, 0);
        for (int i = 0; i < LENGTH; i++)
            add(&s, s.y, s.x);
        end_and_run(&s);
        ck_assert(get_all(s.y) == (float)LENGTH);
        if (round == 0)
            ck_assert_uint_ge(n_pools_made, 2);
        else
            ck_assert_uint_eq(n_pools_made, 0); /* a later recording takes the same pools */
        n_pools_made = 0;
    }
    close_scene(&s);
}
END_TEST

START_TEST(indirect_arguments_come_from_the_device)
{
    struct scene s;
    const uint32_t arguments[8] = {9, 9, 9, 9, (N / 4 + 31) / 32, 1, 1, 9}, none[3] = {0, 1, 1};
    open_scene(&s, _i);
    struct pv_buffer *from = new_buffer(&s.f, sizeof arguments, PV_MEM_HOST);
    struct pv_buffer *indirect = new_buffer(&s.f, sizeof arguments, PV_MEM_DEVICE);
    ck_assert_int_eq(pv_buffer_write(from, 0, arguments, sizeof arguments), PV_OK);
    begin(&s, 0);
    ck_assert_int_eq(pv_recorder_copy(s.r, from, 0, indirect, 0, sizeof arguments), PV_OK);
    struct pv_dispatch d = add_dispatch(s.y, s.x);
    memset(d.groups, 0, sizeof d.groups);
    d.indirect = indirect;
    d.indirect_offset = 16;
    ck_assert_msg(pv_recorder_dispatch(s.r, &d) == PV_OK, "%.2000s", s.f.log.text);
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 1);
    /* written again after it was read: ordered as well */
    ck_assert_int_eq(pv_recorder_copy(s.r, from, 0, indirect, 0, sizeof arguments), PV_OK);
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 2);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 2.0f);
    ck_assert_int_eq(pv_buffer_write(indirect, 16, none, sizeof none), PV_OK);
    begin(&s, 0);
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_OK);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 2.0f);
    begin(&s, 0);
    d.indirect_offset = 24;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d.indirect_offset = 2;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    pv_buffer_destroy(from);
    pv_buffer_destroy(indirect);
    close_scene(&s);
}
END_TEST

START_TEST(timestamps_measure)
{
    struct scene s;
    open_scene(&s, _i);
    begin(&s, 3);
    pv_recorder_timestamp(s.r, 0);
    for (int i = 0; i < 20; i++)
        add(&s, s.y, s.x);
    pv_recorder_timestamp(s.r, 1);
    pv_recorder_timestamp(s.r, 17); /* beyond: nothing */
    ck_assert_int_eq(pv_recorder_end(s.r), PV_OK);
    ck_assert(pv_recorder_ms(s.r, 0, 1) == 0.0); /* not run yet */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pv_recorder_run(s.r), PV_OK);
        const double ms = pv_recorder_ms(s.r, 0, 1);
        if (s.f.device->timestamp_bits > 0)
            ck_assert_msg(ms > 0.0 && ms < 60000.0, "%g ms", ms);
        ck_assert(pv_recorder_ms(s.r, 0, 17) == 0.0);
    }
    begin(&s, 0);
    pv_recorder_timestamp(s.r, 0);
    end_and_run(&s);
    ck_assert(pv_recorder_ms(s.r, 0, 1) == 0.0);
    begin(&s, 6); /* four dispatches of twenty have room */
    pv_recorder_timestamp(s.r, 0);
    pv_recorder_time_dispatches(s.r, 2);
    for (int i = 0; i < 20; i++)
        add(&s, s.y, s.x);
    pv_recorder_timestamp(s.r, 1);
    end_and_run(&s);
    ck_assert_uint_eq(pv_recorder_n_timed(s.r), s.f.device->timestamp_bits > 0 ? 4 : 0);
    for (uint32_t k = 0; k < pv_recorder_n_timed(s.r); k++) {
        ck_assert_uint_gt(strlen(pv_recorder_timed_shader(s.r, k)), 0);
        ck_assert(pv_recorder_ms(s.r, 0, 2 + k) <= pv_recorder_ms(s.r, 0, 1));
        ck_assert(k == 0 || pv_recorder_ms(s.r, 0, 2 + k) >= pv_recorder_ms(s.r, 0, 1 + k));
    }
    ck_assert_str_eq(pv_recorder_timed_shader(s.r, 4), "");
    begin(&s, 40); /* more than before */
    ck_assert_uint_eq(pv_recorder_n_timed(s.r), 0);
    pv_recorder_timestamp(s.r, 39);
    end_and_run(&s);
    close_scene(&s);
}
END_TEST

START_TEST(wrong_dispatches_are_refused)
{
    struct scene s;
    const struct pv_caps *caps;
    open_scene(&s, _i);
    caps = &s.f.device->caps;
    begin(&s, 0);
    struct pv_dispatch d = add_dispatch(s.y, s.x);
    d.groups[1] = 0;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_OK); /* nothing to do */
    ck_assert_uint_eq(pv_recorder_n_dispatches(s.r), 0);
    ck_assert_uint_eq(s.f.log.n_messages, 0);
    if (caps->max_workgroup_count[1] < UINT32_MAX) {
        d.groups[1] = caps->max_workgroup_count[1] + 1;
        ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    }
    d = add_dispatch(s.y, s.x);
    d.n_buffers = 1;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d = add_dispatch(s.y, NULL);
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d = add_dispatch(s.y, s.x);
    d.push_bytes = 4;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d = add_dispatch(s.y, s.x);
    d.shader = "no.such.shader";
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(&s.f.log, "no.such.shader"));
    d = add_dispatch(s.y, s.x);
    d.spec[0] = caps->max_invocations + 1;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d.spec[0] = 0;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    d.n_spec = PV_MAX_SPEC + 1;
    ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_ARG);
    if (caps->max_storage_range <= 128 << 20) {
        struct pv_buffer *big = new_buffer(&s.f, caps->max_storage_range + 1, PV_MEM_DEVICE);
        d = add_dispatch(big, s.x);
        ck_assert_int_eq(pv_recorder_dispatch(s.r, &d), PV_ERR_UNSUPPORTED);
        ck_assert(pv_test_logged(&s.f.log, "128.0 MiB"));
        pv_buffer_destroy(big);
    }
    ck_assert_uint_eq(pv_recorder_n_dispatches(s.r), 0);
    add(&s, s.y, s.x); /* the recording is still good */
    end_and_run(&s);
    ck_assert(get_all(s.y) == 2.0f);
    close_scene(&s);
}
END_TEST

/* ---- a device that goes away ---- */

static VkResult VKAPI_CALL lost_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos, VkFence fence)
{
    (void)queue, (void)n, (void)infos, (void)fence;
    return VK_ERROR_DEVICE_LOST;
}
static uint64_t waited_ns;
static VkResult VKAPI_CALL endless_wait(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout)
{
    (void)device, (void)info;
    waited_ns += timeout;
    return VK_TIMEOUT;
}
static VkResult VKAPI_CALL no_progress(VkDevice device, VkSemaphore semaphore, uint64_t *value)
{
    (void)device, (void)semaphore;
    *value = 0;
    return VK_SUCCESS;
}
static VkResult VKAPI_CALL no_end(VkCommandBuffer commands)
{
    (void)commands;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

START_TEST(a_lost_device_is_said_once)
{
    struct scene s;
    uint64_t value = 0;
    open_scene(&s, _i);
    begin(&s, 0);
    add(&s, s.y, s.x);
    ck_assert_int_eq(pv_recorder_end(s.r), PV_OK);
    const struct VolkDeviceTable real = s.f.device->vk;
    s.f.device->vk.vkQueueSubmit = lost_submit;
    ck_assert_int_eq(pv_recorder_submit(s.r, &value), PV_ERR_DEVICE_LOST);
    s.f.device->vk = real;
    ck_assert(s.f.device->lost);
    ck_assert(pv_test_logged(&s.f.log, "vkQueueSubmit"));
    ck_assert(pv_test_logged(&s.f.log, "VK_ERROR_DEVICE_LOST"));
    ck_assert_int_eq(pv_recorder_submit(s.r, &value), PV_ERR_DEVICE_LOST);
    ck_assert_int_eq(pv_recorder_begin(s.r, 0), PV_ERR_DEVICE_LOST);
    ck_assert_int_eq(pv_device_wait(s.f.device, 1), PV_ERR_DEVICE_LOST);
    ck_assert_uint_eq(s.f.log.n_messages, 1);
    close_scene(&s);
}
END_TEST

START_TEST(a_device_that_stops_answering_is_lost)
{
    struct scene s;
    open_scene(&s, _i);
    begin(&s, 0);
    add(&s, s.y, s.x);
    end_and_run(&s);
    const struct VolkDeviceTable real = s.f.device->vk;
    s.f.device->vk.vkWaitSemaphores = endless_wait;
    s.f.device->vk.vkGetSemaphoreCounterValue = no_progress;
    const bool cpu = s.f.device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    waited_ns = 0;
    ck_assert_int_eq(pv_device_wait(s.f.device, 1), PV_ERR_DEVICE_LOST);
    ck_assert_uint_eq(waited_ns / 1000000000u, cpu ? 600 : 10);
    ck_assert(pv_test_logged(&s.f.log, "vkWaitSemaphores"));
    s.f.device->vk = real;
    close_scene(&s);
}
END_TEST

START_TEST(a_failed_end_can_be_recorded_again)
{
    struct scene s;
    open_scene(&s, _i);
    begin(&s, 0);
    add(&s, s.y, s.x);
    const struct VolkDeviceTable real = s.f.device->vk;
    s.f.device->vk.vkEndCommandBuffer = no_end;
    ck_assert_int_eq(pv_recorder_end(s.r), PV_ERR_DEVICE_MEMORY);
    s.f.device->vk = real;
    begin(&s, 0);
    add(&s, s.y, s.x);
    end_and_run(&s);
    ck_assert(get_all(s.y) == 2.0f);
    close_scene(&s);
}
END_TEST

static void VKAPI_CALL no_barrier(VkCommandBuffer commands, VkPipelineStageFlags before,
                                  VkPipelineStageFlags after, VkDependencyFlags flags, uint32_t n_memory,
                                  const VkMemoryBarrier *memory, uint32_t n_buffers,
                                  const VkBufferMemoryBarrier *buffers, uint32_t n_images,
                                  const VkImageMemoryBarrier *images)
{
    (void)commands, (void)before, (void)after, (void)flags, (void)n_memory, (void)memory;
    (void)n_buffers, (void)buffers, (void)n_images, (void)images;
}

/* That the other tests hear nothing of the layers means something. */
START_TEST(a_missing_barrier_is_noticed)
{
    struct scene s;
    open_scene(&s, _i);
    s.f.device->vk.vkCmdPipelineBarrier = no_barrier;
    ck_assert_int_eq(pv_recorder_begin(s.r, 0), PV_OK);
    ck_assert_int_eq(pv_recorder_fill(s.r, s.x, 0, N * sizeof(float), 1), PV_OK);
    ck_assert_int_eq(pv_recorder_fill(s.r, s.x, 0, N * sizeof(float), 2), PV_OK);
    ck_assert_uint_eq(pv_recorder_n_barriers(s.r), 1);
    ck_assert_int_eq(pv_recorder_end(s.r), PV_OK);
    ck_assert_uint_gt(pv_context_validation_messages(s.f.context), 0);
    ck_assert_msg(pv_test_logged(&s.f.log, "SYNC-HAZARD-WRITE"), "%.1000s", s.f.log.text);
    pv_recorder_destroy(s.r);
    pv_buffer_destroy(s.x);
    pv_buffer_destroy(s.y);
    pv_device_close(s.f.device);
    pv_context_destroy(s.f.context);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_chain_is_ordered,
                                  a_texel_binding_is_ordered_too,
                                  what_does_not_depend_is_not_ordered,
                                  copies_and_fills_are_ordered,
                                  a_recording_can_be_submitted_again,
                                  interleaved_recorders_keep_their_hazards,
                                  long_recordings_grow_once,
                                  indirect_arguments_come_from_the_device,
                                  timestamps_measure,
                                  wrong_dispatches_are_refused,
                                  a_lost_device_is_said_once,
                                  a_device_that_stops_answering_is_lost,
                                  a_failed_end_can_be_recorded_again,
                                  a_missing_barrier_is_noticed};
    return fixture_main("vk/recorder", tests, sizeof tests / sizeof tests[0]);
}
