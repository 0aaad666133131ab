/* The window's own Vulkan: instance, device, swapchain, one pipeline. Functions are loaded through GLFW into
 * a table of its own, so nothing is shared with the device that runs the model. */
#ifndef PV_VIZ_WINDOW_WINDOW_VK_H
#define PV_VIZ_WINDOW_WINDOW_VK_H

#define VK_NO_PROTOTYPES
#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan.h>
#define GLFW_INCLUDE_NONE
#include <GLFW/glfw3.h>
#include "parvin/status.h"

#define WINDOW_INSTANCE_FUNCTIONS(X)                                                                         \
    X(DestroyInstance)                                                                                       \
    X(EnumeratePhysicalDevices)                                                                              \
    X(GetPhysicalDeviceProperties)                                                                           \
    X(GetPhysicalDeviceQueueFamilyProperties)                                                                \
    X(GetPhysicalDeviceMemoryProperties)                                                                     \
    X(EnumerateDeviceExtensionProperties)                                                                    \
    X(GetPhysicalDeviceSurfaceSupportKHR)                                                                    \
    X(GetPhysicalDeviceSurfaceCapabilitiesKHR)                                                               \
    X(GetPhysicalDeviceSurfaceFormatsKHR)                                                                    \
    X(DestroySurfaceKHR)                                                                                     \
    X(CreateDevice)                                                                                          \
    X(GetDeviceProcAddr)
#define WINDOW_DEVICE_FUNCTIONS(X)                                                                           \
    X(DestroyDevice)                                                                                         \
    X(GetDeviceQueue)                                                                                        \
    X(DeviceWaitIdle)                                                                                        \
    X(CreateSwapchainKHR)                                                                                    \
    X(DestroySwapchainKHR)                                                                                   \
    X(GetSwapchainImagesKHR)                                                                                 \
    X(AcquireNextImageKHR)                                                                                   \
    X(QueuePresentKHR)                                                                                       \
    X(QueueSubmit)                                                                                           \
    X(CreateImage)                                                                                           \
    X(DestroyImage)                                                                                          \
    X(GetImageMemoryRequirements)                                                                            \
    X(BindImageMemory)                                                                                       \
    X(CreateImageView)                                                                                       \
    X(DestroyImageView)                                                                                      \
    X(CreateBuffer)                                                                                          \
    X(DestroyBuffer)                                                                                         \
    X(GetBufferMemoryRequirements)                                                                           \
    X(BindBufferMemory)                                                                                      \
    X(AllocateMemory)                                                                                        \
    X(FreeMemory)                                                                                            \
    X(MapMemory)                                                                                             \
    X(CreateSampler)                                                                                         \
    X(DestroySampler)                                                                                        \
    X(CreateShaderModule)                                                                                    \
    X(DestroyShaderModule)                                                                                   \
    X(CreateDescriptorSetLayout)                                                                             \
    X(DestroyDescriptorSetLayout)                                                                            \
    X(CreateDescriptorPool)                                                                                  \
    X(DestroyDescriptorPool)                                                                                 \
    X(AllocateDescriptorSets)                                                                                \
    X(UpdateDescriptorSets)                                                                                  \
    X(CreatePipelineLayout)                                                                                  \
    X(DestroyPipelineLayout)                                                                                 \
    X(CreateGraphicsPipelines)                                                                               \
    X(DestroyPipeline)                                                                                       \
    X(CreateRenderPass)                                                                                      \
    X(DestroyRenderPass)                                                                                     \
    X(CreateFramebuffer)                                                                                     \
    X(DestroyFramebuffer)                                                                                    \
    X(CreateCommandPool)                                                                                     \
    X(DestroyCommandPool)                                                                                    \
    X(AllocateCommandBuffers)                                                                                \
    X(BeginCommandBuffer)                                                                                    \
    X(EndCommandBuffer)                                                                                      \
    X(CmdPipelineBarrier)                                                                                    \
    X(CmdCopyBufferToImage)                                                                                  \
    X(CmdBeginRenderPass)                                                                                    \
    X(CmdEndRenderPass)                                                                                      \
    X(CmdBindPipeline)                                                                                       \
    X(CmdBindDescriptorSets)                                                                                 \
    X(CmdPushConstants)                                                                                      \
    X(CmdSetViewport)                                                                                        \
    X(CmdSetScissor)                                                                                         \
    X(CmdDraw)                                                                                               \
    X(CreateSemaphore)                                                                                       \
    X(DestroySemaphore)                                                                                      \
    X(CreateFence)                                                                                           \
    X(DestroyFence)                                                                                          \
    X(WaitForFences)                                                                                         \
    X(ResetFences)

enum { MAX_IMAGES = 16, N_TEXTURES = 3, TEXTURE_PANELS = 0, TEXTURE_HEAT = 1, TEXTURE_PALETTE = 2 };

struct window_texture {
    VkImage image;
    VkDeviceMemory memory, staging_memory;
    VkImageView view;
    VkBuffer staging;
    void *pixels; /* of the staging buffer, mapped; the next frame copies them if `changed` */
    uint32_t width, height, texel_bytes;
    bool changed, fresh; /* fresh: never copied to */
};
struct window_push {
    float heat_box[4], size[2], cells[2];
    uint32_t to_linear;
};
struct window_vk {
#define X(name) PFN_vk##name name;
    WINDOW_INSTANCE_FUNCTIONS(X)
    WINDOW_DEVICE_FUNCTIONS(X)
#undef X
    const struct pv_log *log;
    GLFWwindow *window;
    VkInstance instance;
    VkSurfaceKHR surface;
    VkPhysicalDevice physical;
    char device_name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    bool on_cpu; /* a driver in software: what it draws, the machine's cores draw */
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family;
    VkDevice device;
    VkQueue queue;
    VkSurfaceFormatKHR format;
    VkRenderPass pass;
    VkDescriptorSetLayout set_layout;
    VkDescriptorPool pool;
    VkDescriptorSet set;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkSampler sampler;
    VkCommandPool commands;
    VkCommandBuffer command;
    VkFence done;
    VkSemaphore acquired, drawn[MAX_IMAGES];
    struct window_texture textures[N_TEXTURES];
    VkSwapchainKHR swapchain;
    uint32_t n_images, width, height; /* 0 x 0: minimised */
    VkImage images[MAX_IMAGES];
    VkImageView views[MAX_IMAGES];
    VkFramebuffer framebuffers[MAX_IMAGES];
    bool stale; /* the swapchain no longer fits the window */
};

/* Everything but the swapchain. `device`: part of a name, or NULL. On failure call window_vk_destroy all the
 * same. */
PV_MUST_USE enum pv_status window_vk_create(struct window_vk *vk, GLFWwindow *window, const char *device,
                                            const struct pv_log *log);
void window_vk_destroy(struct window_vk *vk);
/* A texture of this size; what it held is lost if the size is new. */
PV_MUST_USE enum pv_status window_vk_texture(struct window_vk *vk, uint32_t index, uint32_t width,
                                             uint32_t height);
/* Makes the swapchain fit the window; width and height are 0 while the window cannot show anything. */
PV_MUST_USE enum pv_status window_vk_fit(struct window_vk *vk);
/* Draws and presents one frame. A swapchain that no longer fits only sets `stale`. */
PV_MUST_USE enum pv_status window_vk_draw(struct window_vk *vk, struct window_push push);
/* Logs a Vulkan failure. */
enum pv_status window_vk_fail(const struct window_vk *vk, VkResult result, const char *call);

#define WINDOW_TRY(vk, call, what)                                                                           \
    do {                                                                                                     \
        VkResult window_result_ = (call);                                                                    \
        if (window_result_ != VK_SUCCESS)                                                                    \
            return window_vk_fail((vk), window_result_, (what));                                             \
    } while (0)

#endif
