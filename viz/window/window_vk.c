/* Instance, device and the one pipeline. Vulkan 1.0 and a swapchain are all it needs. */
#include "viz/window/window_vk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/say.h"

static const uint32_t vertex_spirv[] =
#include "view.vert.inc"
    ;
static const uint32_t fragment_spirv[] =
#include "view.frag.inc"
    ;

enum pv_status window_vk_fail(const struct window_vk *vk, VkResult result, const char *call)
{
    const enum pv_status status = result == VK_ERROR_DEVICE_LOST            ? PV_ERR_DEVICE_LOST
                                  : result == VK_ERROR_OUT_OF_DEVICE_MEMORY ? PV_ERR_DEVICE_MEMORY
                                  : result == VK_ERROR_OUT_OF_HOST_MEMORY   ? PV_ERR_NOMEM
                                                                            : PV_ERR_DEVICE;

    return pv_say_fail(vk->log, status,
                       "the window: %s failed on %s (VkResult %d); --view term needs no Vulkan", call,
                       vk->device_name[0] != '\0' ? vk->device_name : "Vulkan", (int)result);
}

static enum pv_status make_instance(struct window_vk *vk)
{
    uint32_t n = 0;
    const char **extensions = glfwGetRequiredInstanceExtensions(&n);
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                   .pApplicationName = "parvin view",
                                   .apiVersion = VK_API_VERSION_1_0};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &app,
                                       .enabledExtensionCount = n,
                                       .ppEnabledExtensionNames = extensions};
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)glfwGetInstanceProcAddress(NULL, "vkCreateInstance");

    if (!extensions || !create)
        return pv_say_fail(vk->log, PV_ERR_UNSUPPORTED,
                           "the window: no Vulkan that can draw to this display; --view term needs none");
    WINDOW_TRY(vk, create(&info, NULL, &vk->instance), "vkCreateInstance");
#define X(name) vk->name = (PFN_vk##name)glfwGetInstanceProcAddress(vk->instance, "vk" #name);
    WINDOW_INSTANCE_FUNCTIONS(X)
#undef X
    WINDOW_TRY(vk, glfwCreateWindowSurface(vk->instance, vk->window, NULL, &vk->surface),
               "glfwCreateWindowSurface");
    return PV_OK;
}

/* A queue family that draws and presents; UINT32_MAX if there is none. */
static uint32_t find_family(const struct window_vk *vk, VkPhysicalDevice physical)
{
    VkQueueFamilyProperties families[32];
    VkExtensionProperties *extensions;
    uint32_t n = 32, n_extensions = 0, found = UINT32_MAX;
    bool swapchain = false;

    vk->EnumerateDeviceExtensionProperties(physical, NULL, &n_extensions, NULL);
    extensions = calloc((size_t)n_extensions + 1, sizeof *extensions);
    if (!extensions)
        return UINT32_MAX;
    vk->EnumerateDeviceExtensionProperties(physical, NULL, &n_extensions, extensions);
    for (uint32_t i = 0; i < n_extensions; i++)
        swapchain = swapchain || strcmp(extensions[i].extensionName, VK_KHR_SWAPCHAIN_EXTENSION_NAME) == 0;
    free(extensions);
    vk->GetPhysicalDeviceQueueFamilyProperties(physical, &n, families);
    for (uint32_t i = 0; i < n && swapchain && found == UINT32_MAX; i++) {
        VkBool32 presents = VK_FALSE;

        vk->GetPhysicalDeviceSurfaceSupportKHR(physical, i, vk->surface, &presents);
        if (presents && (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT))
            found = i;
    }
    return found;
}

static enum pv_status choose_device(struct window_vk *vk, const char *wanted)
{
    static const VkPhysicalDeviceType order[] = {
        VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
        VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, VK_PHYSICAL_DEVICE_TYPE_CPU, VK_PHYSICAL_DEVICE_TYPE_OTHER};
    VkPhysicalDevice devices[16];
    uint32_t n = 16;
    const VkResult result = vk->EnumeratePhysicalDevices(vk->instance, &n, devices);

    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return window_vk_fail(vk, result, "vkEnumeratePhysicalDevices");
    for (size_t kind = 0; kind < sizeof order / sizeof order[0]; kind++) {
        for (uint32_t i = 0; i < n; i++) {
            VkPhysicalDeviceProperties properties;

            vk->GetPhysicalDeviceProperties(devices[i], &properties);
            if (properties.deviceType != order[kind] || (wanted && !strstr(properties.deviceName, wanted)))
                continue;
            vk->family = find_family(vk, devices[i]);
            if (vk->family == UINT32_MAX)
                continue;
            vk->physical = devices[i];
            vk->on_cpu = order[kind] == VK_PHYSICAL_DEVICE_TYPE_CPU;
            snprintf(vk->device_name, sizeof vk->device_name, "%s", properties.deviceName);
            vk->GetPhysicalDeviceMemoryProperties(vk->physical, &vk->memory);
            return PV_OK;
        }
    }
    if (wanted)
        return pv_say_fail(vk->log, PV_ERR_NO_DEVICE,
                           "the window: no Vulkan device with '%s' in its name can draw to this display; "
                           "'parvin devices' names them",
                           wanted);
    return pv_say_fail(vk->log, PV_ERR_NO_DEVICE,
                       "the window: no Vulkan device can draw to this display; --view term needs none");
}

static enum pv_status make_device(struct window_vk *vk)
{
    const float priority = 0.0f; /* the model goes first */
    const char *extension = VK_KHR_SWAPCHAIN_EXTENSION_NAME;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = vk->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = 1,
                                     .ppEnabledExtensionNames = &extension};

    WINDOW_TRY(vk, vk->CreateDevice(vk->physical, &info, NULL, &vk->device), "vkCreateDevice");
#define X(name) vk->name = (PFN_vk##name)vk->GetDeviceProcAddr(vk->device, "vk" #name);
    WINDOW_DEVICE_FUNCTIONS(X)
#undef X
    vk->GetDeviceQueue(vk->device, vk->family, 0, &vk->queue);
    return PV_OK;
}

/* Eight bits a channel, plain values if possible: colours are chosen for those. */
static enum pv_status choose_format(struct window_vk *vk)
{
    VkSurfaceFormatKHR formats[64];
    uint32_t n = 64;
    const VkResult result = vk->GetPhysicalDeviceSurfaceFormatsKHR(vk->physical, vk->surface, &n, formats);

    if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || n == 0)
        return window_vk_fail(vk, result, "vkGetPhysicalDeviceSurfaceFormatsKHR");
    vk->format = formats[0];
    if (vk->format.format == VK_FORMAT_UNDEFINED)
        vk->format.format = VK_FORMAT_B8G8R8A8_UNORM;
    for (uint32_t i = n; i-- > 0;) {
        if (formats[i].format == VK_FORMAT_B8G8R8A8_UNORM || formats[i].format == VK_FORMAT_R8G8B8A8_UNORM)
            vk->format = formats[i];
    }
    return PV_OK;
}

static enum pv_status make_pass(struct window_vk *vk)
{
    const VkAttachmentDescription attachment = {.format = vk->format.format,
                                                .samples = VK_SAMPLE_COUNT_1_BIT,
                                                .loadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
                                                .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
                                                .stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
                                                .stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
                                                .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
                                                .finalLayout = VK_IMAGE_LAYOUT_PRESENT_SRC_KHR};
    const VkAttachmentReference reference = {.layout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
    const VkSubpassDescription subpass = {.pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS,
                                          .colorAttachmentCount = 1,
                                          .pColorAttachments = &reference};
    const VkSubpassDependency dependency = {.srcSubpass = VK_SUBPASS_EXTERNAL,
                                            .srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
                                            .dstStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
                                            .dstAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT};
    const VkRenderPassCreateInfo info = {.sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO,
                                         .attachmentCount = 1,
                                         .pAttachments = &attachment,
                                         .subpassCount = 1,
                                         .pSubpasses = &subpass,
                                         .dependencyCount = 1,
                                         .pDependencies = &dependency};

    WINDOW_TRY(vk, vk->CreateRenderPass(vk->device, &info, NULL, &vk->pass), "vkCreateRenderPass");
    return PV_OK;
}

static enum pv_status make_set(struct window_vk *vk)
{
    VkDescriptorSetLayoutBinding bindings[N_TEXTURES];
    const VkDescriptorSetLayoutCreateInfo layout = {.sType =
                                                        VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                    .bindingCount = N_TEXTURES,
                                                    .pBindings = bindings};
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, N_TEXTURES};
    const VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = 1,
                                             .poolSizeCount = 1,
                                             .pPoolSizes = &size};
    const VkSamplerCreateInfo sampler = {.sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO,
                                         .addressModeU = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
                                         .addressModeV = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
                                         .addressModeW = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE};
    VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                       .descriptorSetCount = 1};

    for (uint32_t i = 0; i < N_TEXTURES; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){.binding = i,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
                                           .descriptorCount = 1,
                                           .stageFlags = VK_SHADER_STAGE_FRAGMENT_BIT};
    WINDOW_TRY(vk, vk->CreateDescriptorSetLayout(vk->device, &layout, NULL, &vk->set_layout),
               "vkCreateDescriptorSetLayout");
    WINDOW_TRY(vk, vk->CreateDescriptorPool(vk->device, &pool, NULL, &vk->pool), "vkCreateDescriptorPool");
    WINDOW_TRY(vk, vk->CreateSampler(vk->device, &sampler, NULL, &vk->sampler), "vkCreateSampler");
    set.descriptorPool = vk->pool;
    set.pSetLayouts = &vk->set_layout;
    WINDOW_TRY(vk, vk->AllocateDescriptorSets(vk->device, &set, &vk->set), "vkAllocateDescriptorSets");
    return PV_OK;
}

static VkResult make_shader(const struct window_vk *vk, const uint32_t *code, size_t size_bytes,
                            VkShaderModule *out)
{
    const VkShaderModuleCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = size_bytes, .pCode = code};

    return vk->CreateShaderModule(vk->device, &info, NULL, out);
}

static VkResult create_pipeline(struct window_vk *vk, VkShaderModule vertex, VkShaderModule fragment)
{
    const VkPipelineShaderStageCreateInfo stages[2] = {
        {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
         .stage = VK_SHADER_STAGE_VERTEX_BIT,
         .module = vertex,
         .pName = "main"},
        {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
         .stage = VK_SHADER_STAGE_FRAGMENT_BIT,
         .module = fragment,
         .pName = "main"}};
    const VkPipelineVertexInputStateCreateInfo input = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
    const VkPipelineInputAssemblyStateCreateInfo assembly = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
        .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST};
    const VkPipelineViewportStateCreateInfo viewport = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
        .viewportCount = 1,
        .scissorCount = 1};
    const VkPipelineRasterizationStateCreateInfo raster = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO, .lineWidth = 1.0f};
    const VkPipelineMultisampleStateCreateInfo samples = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
        .rasterizationSamples = VK_SAMPLE_COUNT_1_BIT};
    const VkPipelineColorBlendAttachmentState attachment = {.colorWriteMask = 0xf};
    const VkPipelineColorBlendStateCreateInfo blend = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
        .attachmentCount = 1,
        .pAttachments = &attachment};
    const VkDynamicState states[2] = {VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
    const VkPipelineDynamicStateCreateInfo dynamic = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
        .dynamicStateCount = 2,
        .pDynamicStates = states};
    const VkGraphicsPipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
                                               .stageCount = 2,
                                               .pStages = stages,
                                               .pVertexInputState = &input,
                                               .pInputAssemblyState = &assembly,
                                               .pViewportState = &viewport,
                                               .pRasterizationState = &raster,
                                               .pMultisampleState = &samples,
                                               .pColorBlendState = &blend,
                                               .pDynamicState = &dynamic,
                                               .layout = vk->layout,
                                               .renderPass = vk->pass};

    return vk->CreateGraphicsPipelines(vk->device, VK_NULL_HANDLE, 1, &info, NULL, &vk->pipeline);
}

static enum pv_status make_pipeline(struct window_vk *vk)
{
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_FRAGMENT_BIT,
                                       .size = sizeof(struct window_push)};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &vk->set_layout,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &range};
    VkShaderModule vertex = VK_NULL_HANDLE, fragment = VK_NULL_HANDLE;
    VkResult result;

    WINDOW_TRY(vk, vk->CreatePipelineLayout(vk->device, &layout, NULL, &vk->layout),
               "vkCreatePipelineLayout");
    result = make_shader(vk, vertex_spirv, sizeof vertex_spirv, &vertex);
    if (result == VK_SUCCESS)
        result = make_shader(vk, fragment_spirv, sizeof fragment_spirv, &fragment);
    if (result == VK_SUCCESS)
        result = create_pipeline(vk, vertex, fragment);
    vk->DestroyShaderModule(vk->device, vertex, NULL);
    vk->DestroyShaderModule(vk->device, fragment, NULL);
    WINDOW_TRY(vk, result, "vkCreateGraphicsPipelines");
    return PV_OK;
}

static enum pv_status make_commands(struct window_vk *vk)
{
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = vk->family};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO,
                                     .flags = VK_FENCE_CREATE_SIGNALED_BIT};
    const VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                          .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                          .commandBufferCount = 1};

    WINDOW_TRY(vk, vk->CreateCommandPool(vk->device, &pool, NULL, &vk->commands), "vkCreateCommandPool");
    buffer.commandPool = vk->commands;
    WINDOW_TRY(vk, vk->AllocateCommandBuffers(vk->device, &buffer, &vk->command), "vkAllocateCommandBuffers");
    WINDOW_TRY(vk, vk->CreateFence(vk->device, &fence, NULL, &vk->done), "vkCreateFence");
    WINDOW_TRY(vk, vk->CreateSemaphore(vk->device, &semaphore, NULL, &vk->acquired), "vkCreateSemaphore");
    for (uint32_t i = 0; i < MAX_IMAGES; i++)
        WINDOW_TRY(vk, vk->CreateSemaphore(vk->device, &semaphore, NULL, &vk->drawn[i]), "vkCreateSemaphore");
    return PV_OK;
}

enum pv_status window_vk_create(struct window_vk *vk, GLFWwindow *window, const char *device,
                                const struct pv_log *log)
{
    enum pv_status status;

    memset(vk, 0, sizeof *vk);
    vk->window = window;
    vk->log = log;
    vk->stale = true;
    status = make_instance(vk);
    if (status == PV_OK)
        status = choose_device(vk, device);
    if (status == PV_OK)
        status = make_device(vk);
    if (status == PV_OK)
        status = choose_format(vk);
    if (status == PV_OK)
        status = make_pass(vk);
    if (status == PV_OK)
        status = make_set(vk);
    if (status == PV_OK)
        status = make_pipeline(vk);
    return status == PV_OK ? make_commands(vk) : status;
}
