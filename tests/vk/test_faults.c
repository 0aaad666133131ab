/* Every driver call that can fail is made to fail, one after another, through a whole life of a device:
 * opening, buffers, pipelines, recording, submitting, reading back. Each failure must come out as a status
 * with a message, leak nothing (the sanitizer looks), leave nothing for the validation layers to say, and
 * leave a device that closes. */
#include <stdlib.h>

#include "base/log.h"
#include "fixture.h"
#include "iface.h"

static int calls_left; /* the call that finds 0 fails */
static bool failed;
static VkResult with;
static const char *which;

static bool fails(const char *name)
{
    if (calls_left-- != 0)
        return false;
    failed = true;
    which = name;
    return true;
}

#define FALLIBLE(X)                                                                                          \
    X(vkCreateSemaphore,                                                                                     \
      (VkDevice a, const VkSemaphoreCreateInfo *b, const VkAllocationCallbacks *c, VkSemaphore *d),          \
      (a, b, c, d))                                                                                          \
    X(vkCreatePipelineCache,                                                                                 \
      (VkDevice a, const VkPipelineCacheCreateInfo *b, const VkAllocationCallbacks *c, VkPipelineCache *d),  \
      (a, b, c, d))                                                                                          \
    X(vkCreateBuffer,                                                                                        \
      (VkDevice a, const VkBufferCreateInfo *b, const VkAllocationCallbacks *c, VkBuffer *d), (a, b, c, d))  \
    X(vkCreateBufferView,                                                                                    \
      (VkDevice a, const VkBufferViewCreateInfo *b, const VkAllocationCallbacks *c, VkBufferView *d),        \
      (a, b, c, d))                                                                                          \
    X(vkAllocateMemory,                                                                                      \
      (VkDevice a, const VkMemoryAllocateInfo *b, const VkAllocationCallbacks *c, VkDeviceMemory *d),        \
      (a, b, c, d))                                                                                          \
    X(vkMapMemory,                                                                                           \
      (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e, void **f),          \
      (a, b, c, d, e, f))                                                                                    \
    X(vkBindBufferMemory, (VkDevice a, VkBuffer b, VkDeviceMemory c, VkDeviceSize d), (a, b, c, d))          \
    X(vkCreateShaderModule,                                                                                  \
      (VkDevice a, const VkShaderModuleCreateInfo *b, const VkAllocationCallbacks *c, VkShaderModule *d),    \
      (a, b, c, d))                                                                                          \
    X(vkCreateDescriptorSetLayout,                                                                           \
      (VkDevice a, const VkDescriptorSetLayoutCreateInfo *b, const VkAllocationCallbacks *c,                 \
       VkDescriptorSetLayout *d),                                                                            \
      (a, b, c, d))                                                                                          \
    X(vkCreatePipelineLayout,                                                                                \
      (VkDevice a, const VkPipelineLayoutCreateInfo *b, const VkAllocationCallbacks *c,                      \
       VkPipelineLayout *d),                                                                                 \
      (a, b, c, d))                                                                                          \
    X(vkCreateComputePipelines,                                                                              \
      (VkDevice a, VkPipelineCache b, uint32_t c, const VkComputePipelineCreateInfo *d,                      \
       const VkAllocationCallbacks *e, VkPipeline *f),                                                       \
      (a, b, c, d, e, f))                                                                                    \
    X(vkCreateCommandPool,                                                                                   \
      (VkDevice a, const VkCommandPoolCreateInfo *b, const VkAllocationCallbacks *c, VkCommandPool *d),      \
      (a, b, c, d))                                                                                          \
    X(vkAllocateCommandBuffers, (VkDevice a, const VkCommandBufferAllocateInfo *b, VkCommandBuffer *c),      \
      (a, b, c))                                                                                             \
    X(vkResetCommandPool, (VkDevice a, VkCommandPool b, VkCommandPoolResetFlags c), (a, b, c))               \
    X(vkCreateQueryPool,                                                                                     \
      (VkDevice a, const VkQueryPoolCreateInfo *b, const VkAllocationCallbacks *c, VkQueryPool *d),          \
      (a, b, c, d))                                                                                          \
    X(vkCreateDescriptorPool,                                                                                \
      (VkDevice a, const VkDescriptorPoolCreateInfo *b, const VkAllocationCallbacks *c,                      \
       VkDescriptorPool *d),                                                                                 \
      (a, b, c, d))                                                                                          \
    X(vkResetDescriptorPool, (VkDevice a, VkDescriptorPool b, VkDescriptorPoolResetFlags c), (a, b, c))      \
    X(vkAllocateDescriptorSets, (VkDevice a, const VkDescriptorSetAllocateInfo *b, VkDescriptorSet *c),      \
      (a, b, c))                                                                                             \
    X(vkBeginCommandBuffer, (VkCommandBuffer a, const VkCommandBufferBeginInfo *b), (a, b))                  \
    X(vkEndCommandBuffer, (VkCommandBuffer a), (a))                                                          \
    X(vkQueueSubmit, (VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d), (a, b, c, d))                \
    X(vkWaitSemaphores, (VkDevice a, const VkSemaphoreWaitInfo *b, uint64_t c), (a, b, c))                   \
    X(vkGetSemaphoreCounterValue, (VkDevice a, VkSemaphore b, uint64_t * c), (a, b, c))                      \
    X(vkGetQueryPoolResults,                                                                                 \
      (VkDevice a, VkQueryPool b, uint32_t c, uint32_t d, size_t e, void *f, VkDeviceSize g,                 \
       VkQueryResultFlags h),                                                                                \
      (a, b, c, d, e, f, g, h))                                                                              \
    X(vkGetPipelineCacheData, (VkDevice a, VkPipelineCache b, size_t * c, void *d), (a, b, c, d))

/* clang-format off */
#define WRAPPER(name, parameters, arguments)                \
    static PFN_##name real_##name;                          \
    static VkResult VKAPI_CALL maybe_##name parameters      \
    {                                                       \
        return fails(#name) ? with : real_##name arguments; \
    }
FALLIBLE(WRAPPER)
/* clang-format on */

static PFN_vkGetDeviceProcAddr real_get;
static PFN_vkCreateDevice real_create;

static PFN_vkVoidFunction VKAPI_CALL hooked_get(VkDevice device, const char *name)
{
    PFN_vkVoidFunction found = real_get(device, name);
#define HOOK(function, parameters, arguments)                                                                \
    if (found && strcmp(name, #function) == 0) {                                                             \
        real_##function = (PFN_##function)found;                                                             \
        return (PFN_vkVoidFunction)maybe_##function;                                                         \
    }
    FALLIBLE(HOOK)
    return found;
}

static VkResult VKAPI_CALL hooked_create(VkPhysicalDevice a, const VkDeviceCreateInfo *b,
                                         const VkAllocationCallbacks *c, VkDevice *d)
{
    return fails("vkCreateDevice") ? with : real_create(a, b, c, d);
}

enum { N = 64 };
struct life {
    struct pv_device *device;
    struct pv_recorder *r;
    struct pv_buffer *x, *y;
    float values[N];
};

static enum pv_status dispatch(struct life *l, const char *shader)
{
    static const struct pv_pc_add push = {.n = N};
    struct pv_dispatch d = {.shader = shader,
                            .spec = {16},
                            .n_spec = 1,
                            .buffers = {l->x, l->y},
                            .texel_format = {VK_FORMAT_R32G32B32A32_SFLOAT},
                            .n_buffers = 2,
                            .push = &push,
                            .push_bytes = sizeof push,
                            .groups = {1, 1, 1}};
    return pv_recorder_dispatch(l->r, &d);
}

/* One life up to its first failure; what was made stays in `l`. */
static enum pv_status live(struct life *l, struct pv_context *context, uint32_t index)
{
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(pv_device_open(context, index, NULL, &l->device));
    PV_TRY_GOTO(pv_buffer_create(l->device, sizeof l->values, PV_MEM_HOST, "x", &l->x));
    PV_TRY_GOTO(pv_buffer_create(l->device, sizeof l->values, PV_MEM_DEVICE, "y", &l->y));
    l->y->mapped = NULL; /* so that it is staged */
    for (int i = 0; i < N; i++)
        l->values[i] = 2.0f;
    PV_TRY_GOTO(pv_buffer_write(l->x, 0, l->values, sizeof l->values));
    PV_TRY_GOTO(pv_buffer_fill(l->y, 0x3f800000));
    PV_TRY_GOTO(pv_recorder_create(l->device, &l->r));
    for (int round = 0; round < 2; round++) {
        PV_TRY_GOTO(pv_recorder_begin(l->r, 2));
        pv_recorder_timestamp(l->r, 0);
        PV_TRY_GOTO(dispatch(l, "add.storage"));
        PV_TRY_GOTO(dispatch(l, "add.texel"));
        pv_recorder_timestamp(l->r, 1);
        PV_TRY_GOTO(pv_recorder_end(l->r));
        PV_TRY_GOTO(pv_recorder_run(l->r));
        (void)pv_recorder_ms(l->r, 0, 1);
    }
    PV_TRY_GOTO(pv_buffer_read(l->y, 0, l->values, sizeof l->values));
fail:
    return status;
}

static void end(struct life *l)
{
    pv_buffer_destroy(l->x);
    pv_buffer_destroy(l->y);
    pv_recorder_destroy(l->r);
    pv_device_close(l->device);
}

START_TEST(every_failure_is_reported_and_leaks_nothing)
{
    static const VkResult results[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                       VK_ERROR_DEVICE_LOST};
    struct pv_test_log log;
    struct pv_context_params params = fixture_params(&log);
    struct pv_context *context = NULL;
    ck_assert_int_eq(pv_context_create(&params, &context), PV_OK);
    real_get = vkGetDeviceProcAddr;
    real_create = vkCreateDevice;
    vkGetDeviceProcAddr = hooked_get;
    vkCreateDevice = hooked_create;
    int n_reported = 0;
    for (int kind = 0; kind < 3; kind++) {
        with = results[kind];
        failed = true;
        for (int call = 0; failed; call++) {
            struct life l = {0};
            pv_test_log(&log);
            calls_left = call;
            failed = false;
            enum pv_status status = live(&l, context, (uint32_t)_i);
            size_t n_messages = log.n_messages;
            if (status == PV_OK)
                ck_assert(l.values[0] == 9.0f && l.values[N - 1] == 9.0f);
            else
                ck_assert_msg(failed && n_messages == 1, "%s: %.1000s", which, log.text);
            n_reported += status != PV_OK;
            end(&l);
            ck_assert_msg(pv_context_validation_messages(context) == 0, "%s: %.1500s", which, log.text);
            ck_assert_int_lt(call, 500);
        }
    }
    vkGetDeviceProcAddr = real_get;
    vkCreateDevice = real_create;
    ck_assert_int_gt(n_reported, 150);
    pv_context_destroy(context);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_failure_is_reported_and_leaks_nothing};
    return fixture_main("vk/faults", tests, 1);
}
