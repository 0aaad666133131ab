/* The Vulkan instance, the devices on it in an order that does not depend on which driver loads first, and
 * the search for the device a user means. A device that Parvin cannot use stays in the list with its reason.
 */
#include "vk/instance.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "vk/plan/caps_query.h"
#include "vk/plan/quirks.h"
#include "vk/result.h"

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define LOADER_ADVICE                                                                                        \
    "install libvulkan1 (Debian, Ubuntu, openSUSE), vulkan-loader (Fedora) or vulkan-icd-loader (Arch)"
#define DRIVER_ADVICE                                                                                        \
    "install your GPU's driver, or Mesa's for AMD, Intel and the CPU: mesa-vulkan-drivers (Debian, Ubuntu, " \
    "Fedora), "                                                                                              \
    "vulkan-radeon, vulkan-intel or vulkan-swrast (Arch), libvulkan_radeon, libvulkan_intel or "             \
    "libvulkan_lvp "                                                                                         \
    "(openSUSE); and check VK_DRIVER_FILES, if it is set"
#define LAYER_ADVICE                                                                                         \
    "install vulkan-validationlayers (Debian, Ubuntu), vulkan-validation-layers (Fedora, Arch) or "          \
    "vulkan-validationlayers (openSUSE), or run without validation"

/* ---- messages of the validation layers ---- */

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    struct pv_context *context = user;
    if (!(types & ~(VkDebugUtilsMessageTypeFlagsEXT)VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT)) {
        /* the loader's own, such as a driver that finds no device: not a fault of ours */
        pv_log_msg(&context->log, PV_LOG_DEBUG, "Vulkan loader: %s", data->pMessage);
        return VK_FALSE;
    }
    const bool error = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    atomic_fetch_add(&context->n_validation_messages, 1);
    pv_log_msg(&context->log, error ? PV_LOG_ERROR : PV_LOG_WARN, "validation: %s", data->pMessage);
    return VK_FALSE;
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(struct pv_context *context)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = context,
    };
}

/* ---- instance ---- */

static bool has_layer(const char *name)
{
    uint32_t n = 0;
    bool found = false;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkLayerProperties *layers = pv_calloc(n, sizeof *layers);
    if (layers && vkEnumerateInstanceLayerProperties(&n, layers) >= VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found = found || strcmp(layers[i].layerName, name) == 0;
    free(layers);
    return found;
}

static bool has_instance_extension(const char *layer, const char *name)
{
    uint32_t n = 0;
    bool found = false;
    if (vkEnumerateInstanceExtensionProperties(layer, &n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkExtensionProperties *extensions = pv_calloc(n, sizeof *extensions);
    if (extensions && vkEnumerateInstanceExtensionProperties(layer, &n, extensions) >= VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found = found || strcmp(extensions[i].extensionName, name) == 0;
    free(extensions);
    return found;
}

static enum pv_status load_vulkan(const struct pv_log *log, uint32_t *version)
{
    if (!vkGetInstanceProcAddr && volkInitialize() != VK_SUCCESS)
        return pv_fail(log, PV_ERR_NO_DEVICE, "there is no Vulkan loader (libvulkan.so.1) here; %s",
                       LOADER_ADVICE);
    *version = volkGetInstanceVersion();
    if (*version < VK_API_VERSION_1_2)
        return pv_fail(log, PV_ERR_NO_DEVICE,
                       "the Vulkan loader is version %u.%u, Parvin needs 1.2 or newer; %s",
                       VK_API_VERSION_MAJOR(*version), VK_API_VERSION_MINOR(*version), LOADER_ADVICE);
    *version = *version < VK_API_VERSION_1_3 ? VK_API_VERSION_1_2 : VK_API_VERSION_1_3;
    return PV_OK;
}

static enum pv_status create_instance(struct pv_context *context, bool validation, uint32_t version)
{
    context->validation = validation;
    const char *extensions[4];
    uint32_t n_extensions = 0;
    const char *layer = VALIDATION_LAYER;
    if (validation && !has_layer(layer))
        return pv_fail(&context->log, PV_ERR_UNSUPPORTED, "validation was asked for, but %s is missing: %s",
                       layer, LAYER_ADVICE);
    VkInstanceCreateFlags flags = 0;
    if (has_instance_extension(NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
        extensions[n_extensions++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(context);
    const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .pNext = &messenger,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = enables};
    const void *next = NULL;
    if (validation) {
        extensions[n_extensions++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        next = &messenger;
        if (has_instance_extension(layer, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME)) {
            extensions[n_extensions++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
            next = &features;
        }
    }
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "parvin",
                             .pEngineName = "parvin",
                             .apiVersion = version};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pNext = next,
                                 .flags = flags,
                                 .pApplicationInfo = &app,
                                 .enabledLayerCount = validation ? 1 : 0,
                                 .ppEnabledLayerNames = &layer,
                                 .enabledExtensionCount = n_extensions,
                                 .ppEnabledExtensionNames = extensions};
    VkResult result = vkCreateInstance(&info, NULL, &context->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "there is no working Vulkan driver here; %s",
                       DRIVER_ADVICE);
    if (result != VK_SUCCESS) {
        context->instance = VK_NULL_HANDLE;
        return pv_vk_report(&context->log, result, "vkCreateInstance");
    }
    volkLoadInstanceOnly(context->instance);
    if (!validation)
        return PV_OK;
    result = vkCreateDebugUtilsMessengerEXT(context->instance, &messenger, NULL, &context->messenger);
    return result == VK_SUCCESS ? PV_OK
                                : pv_vk_report(&context->log, result, "vkCreateDebugUtilsMessengerEXT");
}

/* ---- devices ---- */

static int type_rank(uint32_t type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 3;
    default:
        return 4;
    }
}

static int compare_physical(const void *a, const void *b)
{
    const struct pv_physical *x = a, *y = b;
    if (x->info.usable != y->info.usable)
        return x->info.usable ? -1 : 1;
    int order = type_rank(x->caps.device_type) - type_rank(y->caps.device_type);
    for (size_t i = 0; order == 0; i++) {
        order = tolower((unsigned char)x->caps.name[i]) - tolower((unsigned char)y->caps.name[i]);
        if (x->caps.name[i] == '\0')
            break;
    }
    return order != 0 ? order : strcmp(x->caps.uuid, y->caps.uuid);
}

static void explain(struct pv_physical *p)
{
    const struct pv_caps *c = &p->caps;
    const char *why = NULL;
    if (c->api_version < VK_API_VERSION_1_2)
        why = "its driver is older than Vulkan 1.2";
    else if (!c->has_compute_queue)
        why = "it has no compute queue";
    else if (!c->timeline)
        why = "it has no timeline semaphores";
    else if (c->device_heap_bytes == 0)
        why = "it reports no memory";
    p->info.usable = !why;
    p->info.compiles = c->api_version >= VK_API_VERSION_1_2 && c->has_compute_queue;
    if (why)
        snprintf(p->info.why_not, sizeof p->info.why_not, "%s", why);
}

static void fill_info(struct pv_physical *p)
{
    static const char *const types[] = {"discrete", "integrated", "virtual", "cpu", "other"};
    const struct pv_caps *c = &p->caps;
    memcpy(p->info.name, c->name, sizeof p->info.name);
    memcpy(p->info.uuid, c->uuid, sizeof p->info.uuid);
    size_t n = strnlen(c->driver_name, sizeof p->info.driver - 1);
    memcpy(p->info.driver, c->driver_name, n);
    if (c->driver_info[0] && n + 2 < sizeof p->info.driver) {
        p->info.driver[n++] = ' ';
        const size_t n_info = strnlen(c->driver_info, sizeof p->info.driver - 1 - n);
        memcpy(p->info.driver + n, c->driver_info, n_info); /* the rest is zeros */
    }
    pv_utf8_clean(p->info.name);
    pv_utf8_clean(p->info.driver);
    snprintf(p->info.type, sizeof p->info.type, "%s", types[type_rank(c->device_type)]);
    VkPhysicalDeviceProperties
        properties; /* the driver's own version: that of the caps is what Parvin uses of it */
    vkGetPhysicalDeviceProperties(p->handle, &properties);
    p->info.api_major = VK_API_VERSION_MAJOR(properties.apiVersion);
    p->info.api_minor = VK_API_VERSION_MINOR(properties.apiVersion);
    p->info.api_patch = VK_API_VERSION_PATCH(properties.apiVersion);
    p->info.memory_bytes = c->device_heap_bytes;
    explain(p);
}

/* A forced plan that one device cannot follow takes that device out; one that none can follow is the user's
 * error. */
static enum pv_status plan_all(struct pv_context *context)
{
    enum pv_status first = PV_OK;
    uint32_t n_planned = 0;
    for (uint32_t i = 0; i < context->n_physical; i++) {
        struct pv_physical *p = &context->physical[i];
        p->quirks = pv_quirks_find(&p->caps);
        const enum pv_status status =
            pv_plan_make(&p->caps, p->quirks, context->plan_overrides, &context->log, &p->plan);
        if (status == PV_OK) {
            n_planned++;
            continue;
        }
        first = first == PV_OK ? status : first;
        p->info.usable = p->info.compiles = false;
        snprintf(p->info.why_not, sizeof p->info.why_not, "it cannot follow the plan overrides");
    }
    return n_planned == 0 && context->n_physical > 0 ? first : PV_OK;
}

static enum pv_status list_devices(struct pv_context *context, uint32_t version)
{
    uint32_t n = 0;
    VkPhysicalDevice *handles = NULL;
    VkResult result = vkEnumeratePhysicalDevices(context->instance, &n, NULL);
    if (result == VK_ERROR_INITIALIZATION_FAILED || (result == VK_SUCCESS && n == 0))
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "no Vulkan device was found; %s", DRIVER_ADVICE);
    if (result != VK_SUCCESS)
        return pv_vk_report(&context->log, result, "vkEnumeratePhysicalDevices");
    enum pv_status status = PV_OK;
    handles = pv_calloc(n, sizeof *handles);
    context->physical = pv_calloc(n, sizeof *context->physical);
    if (!handles || !context->physical) {
        status = pv_fail(&context->log, PV_ERR_NOMEM, "out of memory listing devices");
        goto fail;
    }
    result = vkEnumeratePhysicalDevices(context->instance, &n, handles);
    if (result < VK_SUCCESS) {
        status = pv_vk_report(&context->log, result, "vkEnumeratePhysicalDevices");
        goto fail;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pv_physical *p = &context->physical[i];
        p->handle = handles[i];
        PV_TRY_GOTO(pv_caps_query(p->handle, version, &context->log, &p->caps));
        fill_info(p);
    }
    context->n_physical = n;
    PV_TRY_GOTO(plan_all(context));
    qsort(context->physical, n, sizeof *context->physical, compare_physical);
fail:
    free(handles);
    return status;
}

enum pv_status pv_context_create(const struct pv_context_params *params, struct pv_context **out)
{
    static const struct pv_context_params none = {0};
    *out = NULL;
    params = params ? params : &none;
    struct pv_context *context = pv_calloc(1, sizeof *context);
    if (!context)
        return pv_fail(&params->log, PV_ERR_NOMEM, "out of memory creating the Vulkan context");
    enum pv_status status = PV_OK;
    context->log = params->log;
    context->shaders = pv_spirv_table;
    context->n_shaders = pv_spirv_count;
    atomic_init(&context->n_validation_messages, 0);
    if (params->cache_dir)
        context->cache_dir = pv_strndup(params->cache_dir, strlen(params->cache_dir));
    if (params->plan_overrides)
        context->plan_overrides = pv_strndup(params->plan_overrides, strlen(params->plan_overrides));
    if ((params->cache_dir && !context->cache_dir) || (params->plan_overrides && !context->plan_overrides)) {
        status = pv_fail(&context->log, PV_ERR_NOMEM, "out of memory creating the Vulkan context");
        goto fail;
    }
    uint32_t version = 0;
    PV_TRY_GOTO(load_vulkan(&context->log, &version));
    PV_TRY_GOTO(create_instance(context, params->validation, version));
    PV_TRY_GOTO(list_devices(context, version));
    *out = context;
    return PV_OK;
fail:
    pv_context_destroy(context);
    return status;
}

void pv_context_destroy(struct pv_context *context)
{
    if (!context)
        return;
    if (context->messenger)
        vkDestroyDebugUtilsMessengerEXT(context->instance, context->messenger, NULL);
    if (context->instance)
        vkDestroyInstance(context->instance, NULL);
    free(context->physical);
    free(context->cache_dir);
    free(context->plan_overrides);
    free(context);
}

/* ---- questions ---- */

uint32_t pv_context_n_devices(const struct pv_context *context)
{
    return context->n_physical;
}

const struct pv_device_info *pv_context_device_info(const struct pv_context *context, uint32_t index)
{
    return index < context->n_physical ? &context->physical[index].info : NULL;
}

uint64_t pv_context_validation_messages(const struct pv_context *context)
{
    return atomic_load(&context->n_validation_messages);
}

char *pv_context_caps_json(const struct pv_context *context, uint32_t index)
{
    return index < context->n_physical ? pv_caps_to_json(&context->physical[index].caps) : NULL;
}

char *pv_context_plan_json(const struct pv_context *context, uint32_t index)
{
    return index < context->n_physical ? pv_plan_to_json(&context->physical[index].plan) : NULL;
}

enum pv_status pv_plan_for_caps(const char *caps_json, const char *plan_overrides, const struct pv_log *log,
                                char **out)
{
    struct pv_caps caps;
    struct pv_plan plan;
    *out = NULL;
    PV_TRY(pv_caps_from_json(caps_json, log, &caps));
    PV_TRY(pv_plan_make(&caps, pv_quirks_find(&caps), plan_overrides, log, &plan));
    *out = pv_plan_to_json(&plan);
    return *out ? PV_OK : pv_fail(log, PV_ERR_NOMEM, "out of memory making a plan");
}
