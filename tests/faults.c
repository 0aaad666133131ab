/* Every fallible device function is wrapped where the device's table is loaded. The real one is found by the
 * dispatch pointer that a device, its queues and its command buffers share, so that devices of several
 * drivers fail independently. */
#include "faults.h"

#include <string.h>
#include <volk.h>

static long calls_left; /* the call that finds 0 fails; below: none */
static long n_calls;
static bool fired;
static VkResult with;
static const char *which;
static void (*watcher)(const char *name);

static bool fails(const char *name)
{
    n_calls++;
    if (watcher)
        watcher(name);
    if (calls_left < 0 || calls_left-- != 0)
        return false;
    fired = true;
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
    X(vkGetPipelineCacheData, (VkDevice a, VkPipelineCache b, size_t * c, void *d), (a, b, c, d))            \
    X(vkGetMemoryHostPointerPropertiesEXT,                                                                   \
      (VkDevice a, VkExternalMemoryHandleTypeFlagBits b, const void *c,                                      \
       VkMemoryHostPointerPropertiesEXT *d),                                                                 \
      (a, b, c, d))

#define MEMBER(name, parameters, arguments) PFN_##name name;
struct real {
    void *key;
    FALLIBLE(MEMBER)
};
enum { MAX_REAL = 64 }; /* taken in turn: far more than live at once */
static struct real reals[MAX_REAL];
static int next_real;

static struct real *find(const void *handle)
{
    void *key;
    memcpy(&key, handle, sizeof key);
    for (int i = 0; i < MAX_REAL; i++)
        if (reals[i].key == key)
            return &reals[i];
    struct real *made = &reals[next_real++ % MAX_REAL];
    made->key = key;
    return made;
}

/* clang-format off */
#define WRAPPER(name, parameters, arguments)                       \
    static VkResult VKAPI_CALL maybe_##name parameters             \
    {                                                              \
        return fails(#name) ? with : find(a)->name arguments;      \
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
        find(device)->function = (PFN_##function)found;                                                      \
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

void pv_faults_install(void)
{
    pv_faults_arm(-1, 0);
    if (vkCreateDevice == hooked_create)
        return; /* a case before has failed with the hooks in */
    real_get = vkGetDeviceProcAddr;
    real_create = vkCreateDevice;
    vkGetDeviceProcAddr = hooked_get;
    vkCreateDevice = hooked_create;
}

void pv_faults_remove(void)
{
    pv_faults_arm(-1, 0);
    vkGetDeviceProcAddr = real_get;
    vkCreateDevice = real_create;
}

void pv_faults_arm(long call, int32_t result)
{
    n_calls = 0;
    calls_left = call;
    with = (VkResult)result;
    fired = false;
    which = "nothing";
}

void pv_faults_watch(void (*fn)(const char *name))
{
    watcher = fn;
}

bool pv_faults_fired(void)
{
    return fired;
}

const char *pv_faults_which(void)
{
    return which;
}

long pv_faults_n_calls(void)
{
    return n_calls;
}
