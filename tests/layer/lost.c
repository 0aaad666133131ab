/* A Vulkan layer that loses devices and surfaces, for tests of the command from end to end. PV_LOST holds
 * "PART:CALL:N[,...]": the first opened device whose name has PART in it is lost at its N-th CALL
 * (vkQueueSubmit or vkWaitSemaphores), or is out of memory from its N-th vkAllocateMemory on. A second entry
 * of the same PART is for the second such device. A lost device stays lost. With vkAcquireNextImageKHR it is
 * the window's surface that is lost, until another is made. PV_CRASH names a SPIR-V file: a process that builds
 * a pipeline of that module dies of SIGSEGV, as with a driver whose compiler crashes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

enum { MAX_DEVICES = 16, SUBMIT = 0, WAIT = 1, ALLOCATE = 2, ACQUIRE = 3, N_CALLS = 4 };
static const char *const call_names[N_CALLS] = {"vkQueueSubmit", "vkWaitSemaphores", "vkAllocateMemory",
                                                "vkAcquireNextImageKHR"};

struct device {
    void *key;
    PFN_vkGetDeviceProcAddr get;
    PFN_vkQueueSubmit submit;
    PFN_vkWaitSemaphores wait;
    PFN_vkAllocateMemory allocate;
    PFN_vkAcquireNextImageKHR acquire;
    PFN_vkCreateShaderModule create_module;
    PFN_vkCreateComputePipelines create_pipelines;
    PFN_vkDestroyDevice destroy;
    VkShaderModule deadly; /* what PV_CRASH names, once it is a module */
    long left[N_CALLS];    /* until it fails; -1: never */
    int lost;
};
static struct device devices[MAX_DEVICES];
static PFN_vkGetInstanceProcAddr next_instance;
static VkInstance instance;
static PFN_vkGetPhysicalDeviceSurfaceCapabilitiesKHR next_capabilities;
static PFN_vkDestroySurfaceKHR next_destroy_surface;
static int surface_lost;

static void *key_of(const void *handle)
{
    void *key;
    memcpy(&key, handle, sizeof key);
    return key;
}

static struct device *find(const void *handle)
{
    for (int i = 0; i < MAX_DEVICES; i++)
        if (devices[i].key == key_of(handle))
            return &devices[i];
    abort();
}

/* Does the call fail now? */
static int fails(struct device *d, int call)
{
    if (d->left[call] == 0) {
        d->lost = call != ALLOCATE;
        return 1;
    }
    if (d->left[call] > 0)
        d->left[call]--;
    return d->lost;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *info,
                                                   VkFence fence)
{
    struct device *d = find(queue);
    return fails(d, SUBMIT) ? VK_ERROR_DEVICE_LOST : d->submit(queue, n, info, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice device, const VkSemaphoreWaitInfo *info,
                                                      uint64_t timeout)
{
    struct device *d = find(device);
    return fails(d, WAIT) ? VK_ERROR_DEVICE_LOST : d->wait(device, info, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device, const VkMemoryAllocateInfo *info,
                                                      const VkAllocationCallbacks *callbacks,
                                                      VkDeviceMemory *out)
{
    struct device *d = find(device);
    return fails(d, ALLOCATE) ? VK_ERROR_OUT_OF_DEVICE_MEMORY : d->allocate(device, info, callbacks, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL acquire_next_image(VkDevice device, VkSwapchainKHR swapchain,
                                                         uint64_t timeout, VkSemaphore semaphore,
                                                         VkFence fence, uint32_t *index)
{
    struct device *d = find(device);
    if (d->left[ACQUIRE] > 0 && --d->left[ACQUIRE] == 0)
        surface_lost = 1;
    return surface_lost ? VK_ERROR_SURFACE_LOST_KHR
                        : d->acquire(device, swapchain, timeout, semaphore, fence, index);
}

static VKAPI_ATTR VkResult VKAPI_CALL surface_capabilities(VkPhysicalDevice physical, VkSurfaceKHR surface,
                                                           VkSurfaceCapabilitiesKHR *out)
{
    return surface_lost ? VK_ERROR_SURFACE_LOST_KHR : next_capabilities(physical, surface, out);
}

static VKAPI_ATTR void VKAPI_CALL destroy_surface(VkInstance from, VkSurfaceKHR surface,
                                                  const VkAllocationCallbacks *callbacks)
{
    surface_lost = 0;
    next_destroy_surface(from, surface, callbacks);
}

static int is_file(const VkShaderModuleCreateInfo *info, const char *path)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    size_t n = 0;
    if (!file)
        return 0;
    for (int c; (c = fgetc(file)) != EOF; n++)
        if (n >= info->codeSize || c != ((const unsigned char *)info->pCode)[n])
            break;
    const int same = n == info->codeSize && feof(file);
    fclose(file);
    return same;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                    const VkAllocationCallbacks *callbacks,
                                                    VkShaderModule *out)
{
    struct device *d = find(device);
    const VkResult result = d->create_module(device, info, callbacks, out);
    if (result == VK_SUCCESS)
        d->deadly = is_file(info, getenv("PV_CRASH")) ? *out : VK_NULL_HANDLE;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *callbacks,
                                                       VkPipeline *out)
{
    struct device *d = find(device);
    for (uint32_t i = 0; i < n; i++)
        if (d->deadly && infos[i].stage.module == d->deadly)
            raise(SIGSEGV);
    return d->create_pipelines(device, cache, n, infos, callbacks, out);
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice device, const VkAllocationCallbacks *callbacks)
{
    struct device *d = find(device);
    const PFN_vkDestroyDevice destroy = d->destroy;
    memset(d, 0, sizeof *d);
    destroy(device, callbacks);
}

/* Sets what PV_LOST says about a device of this name. */
static void read_plan(struct device *d, const char *name)
{
    static char plan[512];
    if (!plan[0] && getenv("PV_LOST"))
        snprintf(plan, sizeof plan, "%s", getenv("PV_LOST"));
    for (int i = 0; i < N_CALLS; i++)
        d->left[i] = -1;
    for (char *at = plan; *at;) {
        char part[128] = "", call[64] = "";
        long n = 0;
        const size_t length = strcspn(at, ",");
        const int n_read = sscanf(at, "%127[^:]:%63[^:]:%ld", part, call, &n);
        for (int i = 0; n_read == 3 && strstr(name, part) && i < N_CALLS; i++)
            if (!strcmp(call, call_names[i])) {
                d->left[i] = i == ACQUIRE ? n : n - 1;
                memset(at, '-', length); /* it is taken */
                return;
            }
        at += length + (at[length] == ',');
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *callbacks, VkDevice *out)
{
    VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)(uintptr_t)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO &&
                     link->function == VK_LAYER_LINK_INFO))
        link = (VkLayerDeviceCreateInfo *)(uintptr_t)link->pNext;
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    const PFN_vkGetDeviceProcAddr get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    const PFN_vkGetInstanceProcAddr get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    const PFN_vkCreateDevice create = (PFN_vkCreateDevice)get_instance(instance, "vkCreateDevice");
    const PFN_vkGetPhysicalDeviceProperties properties =
        (PFN_vkGetPhysicalDeviceProperties)get_instance(instance, "vkGetPhysicalDeviceProperties");
    const VkResult result = create(physical, info, callbacks, out);
    if (result != VK_SUCCESS)
        return result;
    struct device *d = devices;
    while (d->key)
        if (++d == devices + MAX_DEVICES)
            abort();
    VkPhysicalDeviceProperties p;
    properties(physical, &p);
    d->key = key_of(*out);
    d->get = get;
    d->submit = (PFN_vkQueueSubmit)get(*out, "vkQueueSubmit");
    d->wait = (PFN_vkWaitSemaphores)get(*out, "vkWaitSemaphores");
    d->allocate = (PFN_vkAllocateMemory)get(*out, "vkAllocateMemory");
    d->acquire = (PFN_vkAcquireNextImageKHR)get(*out, "vkAcquireNextImageKHR");
    d->create_module = (PFN_vkCreateShaderModule)get(*out, "vkCreateShaderModule");
    d->create_pipelines = (PFN_vkCreateComputePipelines)get(*out, "vkCreateComputePipelines");
    d->destroy = (PFN_vkDestroyDevice)get(*out, "vkDestroyDevice");
    read_plan(d, p.deviceName);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *callbacks, VkInstance *out)
{
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)(uintptr_t)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO &&
                     link->function == VK_LAYER_LINK_INFO))
        link = (VkLayerInstanceCreateInfo *)(uintptr_t)link->pNext;
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    const PFN_vkCreateInstance create = (PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance");
    const VkResult result = create(info, callbacks, out);
    if (result != VK_SUCCESS)
        return result;
    instance = *out;
    /* now, for later the loader would give this layer's own */
    next_capabilities = (PFN_vkGetPhysicalDeviceSurfaceCapabilitiesKHR)next_instance(
        instance, "vkGetPhysicalDeviceSurfaceCapabilitiesKHR");
    next_destroy_surface = (PFN_vkDestroySurfaceKHR)next_instance(instance, "vkDestroySurfaceKHR");
    return result;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lost_GetDeviceProcAddr(VkDevice device, const char *name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lost_GetInstanceProcAddr(VkInstance from, const char *name);
VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version);

static PFN_vkVoidFunction own(const char *name)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } functions[] = {
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)lost_GetDeviceProcAddr},
        {"vkQueueSubmit", (PFN_vkVoidFunction)queue_submit},
        {"vkWaitSemaphores", (PFN_vkVoidFunction)wait_semaphores},
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate_memory},
        {"vkAcquireNextImageKHR", (PFN_vkVoidFunction)acquire_next_image},
        {"vkGetPhysicalDeviceSurfaceCapabilitiesKHR", (PFN_vkVoidFunction)surface_capabilities},
        {"vkDestroySurfaceKHR", (PFN_vkVoidFunction)destroy_surface},
        {"vkCreateShaderModule", (PFN_vkVoidFunction)create_module},
        {"vkCreateComputePipelines", (PFN_vkVoidFunction)create_pipelines},
        {"vkDestroyDevice", (PFN_vkVoidFunction)destroy_device},
        {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)lost_GetInstanceProcAddr},
        {"vkCreateInstance", (PFN_vkVoidFunction)create_instance},
        {"vkCreateDevice", (PFN_vkVoidFunction)create_device},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(name, functions[i].name))
            return functions[i].function;
    return NULL;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lost_GetDeviceProcAddr(VkDevice device, const char *name)
{
    const PFN_vkVoidFunction mine = own(name);
    return mine ? mine : find(device)->get(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lost_GetInstanceProcAddr(VkInstance from, const char *name)
{
    const PFN_vkVoidFunction mine = own(name);
    return mine ? mine : next_instance ? next_instance(from, name) : NULL;
}

VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version)
{
    version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = lost_GetInstanceProcAddr;
    version->pfnGetDeviceProcAddr = lost_GetDeviceProcAddr;
    version->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
