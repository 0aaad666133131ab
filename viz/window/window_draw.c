/* Textures, swapchain and frames. One frame is in flight: the host waits for the last before it writes the
 * textures. */
#include <string.h>
#include "viz/say.h"
#include "viz/window/window_vk.h"

static uint32_t find_memory(const struct window_vk *vk, uint32_t types, VkMemoryPropertyFlags flags)
{
    for (uint32_t i = 0; i < vk->memory.memoryTypeCount; i++) {
        if ((types >> i & 1u) && (vk->memory.memoryTypes[i].propertyFlags & flags) == flags)
            return i;
    }
    return UINT32_MAX;
}

static enum pv_status allocate(const struct window_vk *vk, const VkMemoryRequirements *needs,
                               VkMemoryPropertyFlags flags, VkDeviceMemory *out)
{
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs->size,
                                 .memoryTypeIndex = find_memory(vk, needs->memoryTypeBits, flags)};

    if (info.memoryTypeIndex == UINT32_MAX)
        info.memoryTypeIndex = find_memory(vk, needs->memoryTypeBits, 0);
    WINDOW_TRY(vk, vk->AllocateMemory(vk->device, &info, NULL, out), "vkAllocateMemory");
    return PV_OK;
}

static void drop_texture(const struct window_vk *vk, struct window_texture *t)
{
    vk->DestroyImageView(vk->device, t->view, NULL);
    vk->DestroyImage(vk->device, t->image, NULL);
    vk->FreeMemory(vk->device, t->memory, NULL);
    vk->DestroyBuffer(vk->device, t->staging, NULL);
    vk->FreeMemory(vk->device, t->staging_memory, NULL);
    memset(t, 0, sizeof *t);
}

static enum pv_status make_image(const struct window_vk *vk, struct window_texture *t, VkFormat format)
{
    const VkImageCreateInfo image = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                     .imageType = VK_IMAGE_TYPE_2D,
                                     .format = format,
                                     .extent = {t->width, t->height, 1},
                                     .mipLevels = 1,
                                     .arrayLayers = 1,
                                     .samples = VK_SAMPLE_COUNT_1_BIT,
                                     .usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT};
    VkImageViewCreateInfo view = {.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
                                  .viewType = VK_IMAGE_VIEW_TYPE_2D,
                                  .format = format,
                                  .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    VkMemoryRequirements needs;
    enum pv_status status;

    WINDOW_TRY(vk, vk->CreateImage(vk->device, &image, NULL, &t->image), "vkCreateImage");
    vk->GetImageMemoryRequirements(vk->device, t->image, &needs);
    status = allocate(vk, &needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, &t->memory);
    if (status != PV_OK)
        return status;
    WINDOW_TRY(vk, vk->BindImageMemory(vk->device, t->image, t->memory, 0), "vkBindImageMemory");
    view.image = t->image;
    WINDOW_TRY(vk, vk->CreateImageView(vk->device, &view, NULL, &t->view), "vkCreateImageView");
    return PV_OK;
}

static enum pv_status make_staging(const struct window_vk *vk, struct window_texture *t)
{
    const VkBufferCreateInfo buffer = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                       .size = (VkDeviceSize)t->width * t->height * t->texel_bytes,
                                       .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT};
    VkMemoryRequirements needs;
    enum pv_status status;

    WINDOW_TRY(vk, vk->CreateBuffer(vk->device, &buffer, NULL, &t->staging), "vkCreateBuffer");
    vk->GetBufferMemoryRequirements(vk->device, t->staging, &needs);
    status = allocate(vk, &needs, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                      &t->staging_memory);
    if (status != PV_OK)
        return status;
    WINDOW_TRY(vk, vk->BindBufferMemory(vk->device, t->staging, t->staging_memory, 0), "vkBindBufferMemory");
    WINDOW_TRY(vk, vk->MapMemory(vk->device, t->staging_memory, 0, VK_WHOLE_SIZE, 0, &t->pixels),
               "vkMapMemory");
    memset(t->pixels, 0, (size_t)t->width * t->height * t->texel_bytes);
    return PV_OK;
}

enum pv_status window_vk_texture(struct window_vk *vk, uint32_t index, uint32_t width, uint32_t height)
{
    struct window_texture *t = &vk->textures[index];
    VkDescriptorImageInfo image = {.sampler = vk->sampler,
                                   .imageLayout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = vk->set,
                                  .dstBinding = index,
                                  .descriptorCount = 1,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
                                  .pImageInfo = &image};
    const bool heat = index == TEXTURE_HEAT;
    enum pv_status status;

    if (t->image != VK_NULL_HANDLE && t->width == width && t->height == height)
        return PV_OK;
    vk->DeviceWaitIdle(vk->device);
    drop_texture(vk, t);
    t->width = width;
    t->height = height;
    t->texel_bytes = heat ? 1 : 4;
    t->fresh = t->changed = true;
    status = make_image(vk, t, heat ? VK_FORMAT_R8_UNORM : VK_FORMAT_B8G8R8A8_UNORM);
    if (status == PV_OK)
        status = make_staging(vk, t);
    if (status != PV_OK)
        return status;
    image.imageView = t->view;
    vk->UpdateDescriptorSets(vk->device, 1, &write, 0, NULL);
    return PV_OK;
}

static void drop_swapchain(struct window_vk *vk)
{
    for (uint32_t i = 0; i < vk->n_images; i++) {
        vk->DestroyFramebuffer(vk->device, vk->framebuffers[i], NULL);
        vk->DestroyImageView(vk->device, vk->views[i], NULL);
        vk->framebuffers[i] = VK_NULL_HANDLE;
        vk->views[i] = VK_NULL_HANDLE;
    }
    vk->n_images = 0;
    vk->width = vk->height = 0;
}

static enum pv_status make_framebuffers(struct window_vk *vk)
{
    for (uint32_t i = 0; i < vk->n_images; i++) {
        const VkImageViewCreateInfo view = {.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
                                            .image = vk->images[i],
                                            .viewType = VK_IMAGE_VIEW_TYPE_2D,
                                            .format = vk->format.format,
                                            .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
        VkFramebufferCreateInfo framebuffer = {.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
                                               .renderPass = vk->pass,
                                               .attachmentCount = 1,
                                               .pAttachments = &vk->views[i],
                                               .width = vk->width,
                                               .height = vk->height,
                                               .layers = 1};

        WINDOW_TRY(vk, vk->CreateImageView(vk->device, &view, NULL, &vk->views[i]), "vkCreateImageView");
        WINDOW_TRY(vk, vk->CreateFramebuffer(vk->device, &framebuffer, NULL, &vk->framebuffers[i]),
                   "vkCreateFramebuffer");
    }
    return PV_OK;
}

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

static VkCompositeAlphaFlagBitsKHR choose_alpha(VkCompositeAlphaFlagsKHR flags)
{
    VkCompositeAlphaFlagsKHR bit = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR;

    while (bit <= VK_COMPOSITE_ALPHA_INHERIT_BIT_KHR && !(flags & bit))
        bit <<= 1;
    return (VkCompositeAlphaFlagBitsKHR)bit;
}

/* A lost surface (a display that went and came back) is made anew once. */
static VkResult get_capabilities(struct window_vk *vk, VkSurfaceCapabilitiesKHR *caps)
{
    VkResult result = vk->GetPhysicalDeviceSurfaceCapabilitiesKHR(vk->physical, vk->surface, caps);

    if (result != VK_ERROR_SURFACE_LOST_KHR)
        return result;
    vk->DestroySwapchainKHR(vk->device, vk->swapchain, NULL);
    vk->swapchain = VK_NULL_HANDLE;
    vk->DestroySurfaceKHR(vk->instance, vk->surface, NULL);
    vk->surface = VK_NULL_HANDLE;
    result = glfwCreateWindowSurface(vk->instance, vk->window, NULL, &vk->surface);
    if (result != VK_SUCCESS)
        return result;
    return vk->GetPhysicalDeviceSurfaceCapabilitiesKHR(vk->physical, vk->surface, caps);
}

enum pv_status window_vk_fit(struct window_vk *vk)
{
    VkSurfaceCapabilitiesKHR caps;
    VkSwapchainKHR old;
    VkSwapchainCreateInfoKHR info = {.sType = VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR,
                                     .imageArrayLayers = 1,
                                     .imageUsage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT,
                                     .presentMode = VK_PRESENT_MODE_FIFO_KHR,
                                     .clipped = VK_TRUE};
    int width, height;
    VkResult result;

    vk->DeviceWaitIdle(vk->device);
    drop_swapchain(vk);
    WINDOW_TRY(vk, get_capabilities(vk, &caps), "vkGetPhysicalDeviceSurfaceCapabilitiesKHR");
    glfwGetFramebufferSize(vk->window, &width, &height);
    if (caps.currentExtent.width != UINT32_MAX) {
        info.imageExtent = caps.currentExtent;
    } else {
        info.imageExtent.width = clamp((uint32_t)width, caps.minImageExtent.width, caps.maxImageExtent.width);
        info.imageExtent.height =
            clamp((uint32_t)height, caps.minImageExtent.height, caps.maxImageExtent.height);
    }
    if (width <= 0 || height <= 0 || info.imageExtent.width == 0 || info.imageExtent.height == 0)
        return PV_OK; /* minimised: nothing to draw on until it comes back */
    old = vk->swapchain;
    info.surface = vk->surface;
    info.minImageCount = caps.minImageCount + 1;
    if (caps.maxImageCount > 0 && info.minImageCount > caps.maxImageCount)
        info.minImageCount = caps.maxImageCount;
    info.imageFormat = vk->format.format;
    info.imageColorSpace = vk->format.colorSpace;
    info.preTransform = caps.currentTransform;
    info.compositeAlpha = choose_alpha(caps.supportedCompositeAlpha);
    info.oldSwapchain = old;
    vk->swapchain = VK_NULL_HANDLE;
    result = vk->CreateSwapchainKHR(vk->device, &info, NULL, &vk->swapchain);
    vk->DestroySwapchainKHR(vk->device, old, NULL);
    WINDOW_TRY(vk, result, "vkCreateSwapchainKHR");
    vk->n_images = MAX_IMAGES;
    result = vk->GetSwapchainImagesKHR(vk->device, vk->swapchain, &vk->n_images, vk->images);
    if (result != VK_SUCCESS) {
        vk->n_images = 0;
        return window_vk_fail(vk, result, "vkGetSwapchainImagesKHR");
    }
    vk->width = info.imageExtent.width;
    vk->height = info.imageExtent.height;
    vk->stale = false;
    return make_framebuffers(vk);
}

static void move_image(const struct window_vk *vk, VkImage image, VkImageLayout from, VkImageLayout to,
                       VkAccessFlags before, VkAccessFlags after, VkPipelineStageFlags source,
                       VkPipelineStageFlags target)
{
    const VkImageMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
                                          .srcAccessMask = before,
                                          .dstAccessMask = after,
                                          .oldLayout = from,
                                          .newLayout = to,
                                          .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                          .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                          .image = image,
                                          .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};

    vk->CmdPipelineBarrier(vk->command, source, target, 0, 0, NULL, 0, NULL, 1, &barrier);
}

static void upload(const struct window_vk *vk, struct window_texture *t)
{
    const VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                                    .imageExtent = {t->width, t->height, 1}};

    if (!t->changed)
        return;
    move_image(vk, t->image, t->fresh ? VK_IMAGE_LAYOUT_UNDEFINED : VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 0, VK_ACCESS_TRANSFER_WRITE_BIT,
               VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT);
    vk->CmdCopyBufferToImage(vk->command, t->staging, t->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1,
                             &copy);
    move_image(vk, t->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
               VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_SHADER_READ_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
               VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT);
    t->changed = t->fresh = false;
}

static enum pv_status record(struct window_vk *vk, uint32_t index, const struct window_push *push)
{
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    const VkRenderPassBeginInfo pass = {.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
                                        .renderPass = vk->pass,
                                        .framebuffer = vk->framebuffers[index],
                                        .renderArea = {{0, 0}, {vk->width, vk->height}}};
    const VkViewport viewport = {0.0f, 0.0f, (float)vk->width, (float)vk->height, 0.0f, 1.0f};

    WINDOW_TRY(vk, vk->BeginCommandBuffer(vk->command, &begin), "vkBeginCommandBuffer");
    for (uint32_t i = 0; i < N_TEXTURES; i++)
        upload(vk, &vk->textures[i]);
    vk->CmdBeginRenderPass(vk->command, &pass, VK_SUBPASS_CONTENTS_INLINE);
    vk->CmdBindPipeline(vk->command, VK_PIPELINE_BIND_POINT_GRAPHICS, vk->pipeline);
    vk->CmdBindDescriptorSets(vk->command, VK_PIPELINE_BIND_POINT_GRAPHICS, vk->layout, 0, 1, &vk->set, 0,
                              NULL);
    vk->CmdPushConstants(vk->command, vk->layout, VK_SHADER_STAGE_FRAGMENT_BIT, 0, sizeof *push, push);
    vk->CmdSetViewport(vk->command, 0, 1, &viewport);
    vk->CmdSetScissor(vk->command, 0, 1, &pass.renderArea);
    vk->CmdDraw(vk->command, 3, 1, 0, 0);
    vk->CmdEndRenderPass(vk->command);
    WINDOW_TRY(vk, vk->EndCommandBuffer(vk->command), "vkEndCommandBuffer");
    return PV_OK;
}

static bool gone(VkResult result)
{
    return result == VK_ERROR_OUT_OF_DATE_KHR || result == VK_ERROR_SURFACE_LOST_KHR;
}

enum pv_status window_vk_draw(struct window_vk *vk, struct window_push push)
{
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .waitSemaphoreCount = 1,
                           .pWaitSemaphores = &vk->acquired,
                           .pWaitDstStageMask = &stage,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &vk->command,
                           .signalSemaphoreCount = 1};
    VkPresentInfoKHR present = {.sType = VK_STRUCTURE_TYPE_PRESENT_INFO_KHR,
                                .waitSemaphoreCount = 1,
                                .swapchainCount = 1,
                                .pSwapchains = &vk->swapchain};
    uint32_t index = 0;
    VkResult result =
        vk->AcquireNextImageKHR(vk->device, vk->swapchain, 200000000, vk->acquired, VK_NULL_HANDLE, &index);
    enum pv_status status;

    if (result == VK_TIMEOUT || result == VK_NOT_READY)
        return PV_OK; /* hidden windows get no image: a frame is dropped */
    if (gone(result)) {
        vk->stale = true;
        return PV_OK;
    }
    if (result != VK_SUCCESS && result != VK_SUBOPTIMAL_KHR)
        return window_vk_fail(vk, result, "vkAcquireNextImageKHR");
    push.to_linear =
        vk->format.format == VK_FORMAT_B8G8R8A8_SRGB || vk->format.format == VK_FORMAT_R8G8B8A8_SRGB;
    status = record(vk, index, &push);
    if (status != PV_OK)
        return status;
    submit.pSignalSemaphores = present.pWaitSemaphores = &vk->drawn[index];
    present.pImageIndices = &index;
    WINDOW_TRY(vk, vk->ResetFences(vk->device, 1, &vk->done), "vkResetFences");
    WINDOW_TRY(vk, vk->QueueSubmit(vk->queue, 1, &submit, vk->done), "vkQueueSubmit");
    result = vk->QueuePresentKHR(vk->queue, &present);
    WINDOW_TRY(vk, vk->WaitForFences(vk->device, 1, &vk->done, VK_TRUE, UINT64_MAX), "vkWaitForFences");
    if (gone(result) || result == VK_SUBOPTIMAL_KHR)
        vk->stale = true;
    else if (result != VK_SUCCESS)
        return window_vk_fail(vk, result, "vkQueuePresentKHR");
    return PV_OK;
}

void window_vk_destroy(struct window_vk *vk)
{
    if (vk->device != VK_NULL_HANDLE) {
        vk->DeviceWaitIdle(vk->device);
        drop_swapchain(vk);
        vk->DestroySwapchainKHR(vk->device, vk->swapchain, NULL);
        for (uint32_t i = 0; i < N_TEXTURES; i++)
            drop_texture(vk, &vk->textures[i]);
        for (uint32_t i = 0; i < MAX_IMAGES; i++)
            vk->DestroySemaphore(vk->device, vk->drawn[i], NULL);
        vk->DestroySemaphore(vk->device, vk->acquired, NULL);
        vk->DestroyFence(vk->device, vk->done, NULL);
        vk->DestroyCommandPool(vk->device, vk->commands, NULL);
        vk->DestroyPipeline(vk->device, vk->pipeline, NULL);
        vk->DestroyPipelineLayout(vk->device, vk->layout, NULL);
        vk->DestroySampler(vk->device, vk->sampler, NULL);
        vk->DestroyDescriptorPool(vk->device, vk->pool, NULL);
        vk->DestroyDescriptorSetLayout(vk->device, vk->set_layout, NULL);
        vk->DestroyRenderPass(vk->device, vk->pass, NULL);
        vk->DestroyDevice(vk->device, NULL);
    }
    if (vk->instance != VK_NULL_HANDLE) {
        if (vk->surface != VK_NULL_HANDLE)
            vk->DestroySurfaceKHR(vk->instance, vk->surface, NULL);
        vk->DestroyInstance(vk->instance, NULL);
    }
    memset(vk, 0, sizeof *vk);
}
