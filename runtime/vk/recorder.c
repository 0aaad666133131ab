/* One command buffer, recorded and submitted. A buffer remembers the device-wide stamp of its last write and
 * read; a barrier raises the stamp. So whether a dispatch depends on something since the last barrier is one
 * comparison per binding, and a buffer that another recorder touched meanwhile costs a needless barrier at
 * most, never a missing one. Every recording ends in a barrier towards the host and whatever is submitted
 * later. */
#include "vk/recorder.h"

#include <assert.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "vk/pipeline/descriptors.h"

enum state { EMPTY, RECORDING, RECORDED };
struct pv_recorder {
    struct pv_device *device;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkQueryPool queries;
    uint32_t n_queries;    /* room in `queries` */
    uint32_t n_timestamps; /* of this recording */
    const char **shaders;  /* [n_queries] of the dispatches that are timed */
    uint32_t n_timed, first_timed;
    bool timing;
    struct pv_descriptors descriptors;
    VkPipeline bound;
    enum state state;
    uint64_t since;     /* stamp of the last barrier */
    uint64_t submitted; /* timeline value of the last submit; 0: none */
    uint32_t n_dispatches, n_barriers;
};

static const VkPipelineStageFlags all_stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                                               VK_PIPELINE_STAGE_TRANSFER_BIT |
                                               VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT;
static const VkAccessFlags all_writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
static const VkAccessFlags all_accesses = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT |
                                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_UNIFORM_READ_BIT |
                                          VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_INDIRECT_COMMAND_READ_BIT;

/* ---- life ---- */

enum pv_status pv_recorder_create(struct pv_device *device, struct pv_recorder **out)
{
    *out = NULL;
    struct pv_recorder *r = pv_calloc(1, sizeof *r);
    if (!r)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory creating a recorder for %s",
                       device->caps.name);
    enum pv_status status = PV_OK;
    r->device = device;
    if (device->compile_only) {
        *out = r;
        return PV_OK;
    }
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = device->queue_family};
    VkResult result = device->vk.vkCreateCommandPool(device->handle, &pool, NULL, &r->pool);
    if (result != VK_SUCCESS) {
        r->pool = VK_NULL_HANDLE;
        status = pv_vk_fail(device, result, "vkCreateCommandPool");
        goto fail;
    }
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = r->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    result = device->vk.vkAllocateCommandBuffers(device->handle, &info, &r->commands);
    if (result != VK_SUCCESS) {
        status = pv_vk_fail(device, result, "vkAllocateCommandBuffers");
        goto fail;
    }
    *out = r;
    return PV_OK;
fail:
    pv_recorder_destroy(r);
    return status;
}

void pv_recorder_destroy(struct pv_recorder *r)
{
    if (!r)
        return;
    struct pv_device *device = r->device;
    if (r->submitted == 0 || pv_device_wait(device, r->submitted) != PV_OK)
        pv_device_drain(device);
    pv_descriptors_destroy(device, &r->descriptors);
    free(r->shaders);
    if (r->queries)
        device->vk.vkDestroyQueryPool(device->handle, r->queries, NULL);
    if (r->pool)
        device->vk.vkDestroyCommandPool(device->handle, r->pool, NULL);
    free(r);
}

static enum pv_status need_queries(struct pv_recorder *r, uint32_t n)
{
    struct pv_device *device = r->device;
    r->n_timestamps = 0;
    if (n == 0 || device->timestamp_bits == 0)
        return PV_OK;
    if (n > r->n_queries) {
        if (r->queries)
            device->vk.vkDestroyQueryPool(device->handle, r->queries, NULL);
        r->n_queries = 0;
        VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                      .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                      .queryCount = n};
        const VkResult result = device->vk.vkCreateQueryPool(device->handle, &info, NULL, &r->queries);
        if (result != VK_SUCCESS) {
            r->queries = VK_NULL_HANDLE;
            return pv_vk_fail(device, result, "vkCreateQueryPool");
        }
        free(r->shaders);
        r->shaders = pv_calloc(n, sizeof *r->shaders);
        if (!r->shaders)
            return pv_fail(device->log, PV_ERR_NOMEM, "out of memory timing dispatches on %s",
                           device->caps.name);
        r->n_queries = n;
    }
    r->n_timestamps = n;
    return PV_OK;
}

enum pv_status pv_recorder_begin(struct pv_recorder *r, uint32_t n_timestamps)
{
    struct pv_device *device = r->device;
    if (device->lost)
        return PV_ERR_DEVICE_LOST;
    if (device->compile_only) {
        r->state = RECORDING;
        return PV_OK;
    }
    if (r->submitted > 0)
        PV_TRY(pv_device_wait(device, r->submitted));
    r->state = EMPTY;
    VkResult result = device->vk.vkResetCommandPool(device->handle, r->pool, 0);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkResetCommandPool");
    PV_TRY(pv_descriptors_reset(device, &r->descriptors));
    PV_TRY(need_queries(r, n_timestamps));
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    result = device->vk.vkBeginCommandBuffer(r->commands, &info);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkBeginCommandBuffer");
    if (r->n_timestamps > 0)
        device->vk.vkCmdResetQueryPool(r->commands, r->queries, 0, r->n_timestamps);
    r->state = RECORDING;
    r->bound = VK_NULL_HANDLE;
    r->since = ++device->hazard_stamp;
    r->n_dispatches = r->n_barriers = r->n_timed = 0;
    r->timing = false;
    return PV_OK;
}

/* ---- hazards ---- */

static bool conflicts(const struct pv_recorder *r, const struct pv_buffer *buffer, bool writes)
{
    return buffer->write_stamp >= r->since || (writes && buffer->read_stamp >= r->since);
}

static void touch(const struct pv_recorder *r, struct pv_buffer *buffer, bool writes)
{
    buffer->read_stamp = r->device->hazard_stamp;
    if (writes)
        buffer->write_stamp = r->device->hazard_stamp;
}

static void barrier(struct pv_recorder *r)
{
    struct pv_device *device = r->device;
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = all_writes,
                              .dstAccessMask = all_accesses};
    device->vk.vkCmdPipelineBarrier(r->commands, all_stages, all_stages, 0, 1, &memory, 0, NULL, 0, NULL);
    r->since = ++device->hazard_stamp;
    r->n_barriers++;
}

/* ---- dispatch ---- */

static enum pv_status check_dispatch(const struct pv_recorder *r, const struct pv_dispatch *d,
                                     const struct pv_pipeline *p)
{
    const struct pv_log *log = r->device->log;
    const struct pv_caps *caps = &r->device->caps;
    if (d->n_buffers < p->n_bindings)
        return pv_fail(log, PV_ERR_ARG, "%s: %u buffers given, the shader binds %u", d->shader, d->n_buffers,
                       p->n_bindings);
    for (uint32_t i = 0; i < p->n_bindings; i++)
        if (p->used[i] && !d->buffers[i])
            return pv_fail(log, PV_ERR_ARG, "%s: no buffer for binding %u", d->shader, i);
    if (p->push_bytes > 0 && d->push_bytes != p->push_bytes)
        return pv_fail(log, PV_ERR_ARG, "%s: %u bytes of push constants given, the shader has %u", d->shader,
                       d->push_bytes, p->push_bytes);
    if (d->indirect &&
        (d->indirect_offset % 4 != 0 || d->indirect->size_bytes < sizeof(VkDispatchIndirectCommand) ||
         d->indirect_offset > d->indirect->size_bytes - sizeof(VkDispatchIndirectCommand)))
        return pv_fail(log, PV_ERR_ARG, "%s: no indirect arguments at byte %llu of %s", d->shader,
                       (unsigned long long)d->indirect_offset, d->indirect->name);
    for (int i = 0; i < 3 && !d->indirect; i++)
        if (d->groups[i] > caps->max_workgroup_count[i])
            return pv_fail(log, PV_ERR_ARG, "%s: %u workgroups along axis %d, %s can do %u", d->shader,
                           d->groups[i], i, caps->name, caps->max_workgroup_count[i]);
    return PV_OK;
}

/* The exact range, for VK_WHOLE_SIZE may be more than the device can bind. */
static enum pv_status buffer_range(const struct pv_dispatch *d, uint32_t i, uint64_t limit,
                                   VkDescriptorBufferInfo *out)
{
    const struct pv_buffer *buffer = d->buffers[i];
    const uint64_t bytes = (buffer->size_bytes + 15) / 16 * 16;
    if (bytes > limit)
        return pv_fail(
            buffer->device->log, PV_ERR_UNSUPPORTED,
            "%s: the buffer %s (binding %u) has %.1f MiB, %s can bind %.1f MiB; use a smaller context, batch "
            "or model",
            d->shader, buffer->name, i, (double)bytes / (1 << 20), buffer->device->caps.name,
            (double)limit / (1 << 20));
    *out = (VkDescriptorBufferInfo){.buffer = buffer->handle, .offset = 0, .range = bytes};
    return PV_OK;
}

static enum pv_status bind_buffers(struct pv_recorder *r, const struct pv_dispatch *d,
                                   const struct pv_pipeline *p)
{
    struct pv_device *device = r->device;
    VkDescriptorSet set;
    VkDescriptorBufferInfo infos[PV_MAX_BINDINGS];
    VkBufferView views[PV_MAX_BINDINGS];
    VkWriteDescriptorSet writes[PV_MAX_BINDINGS];
    uint32_t n = 0;
    PV_TRY(pv_descriptors_take(device, &r->descriptors, p, &set));
    for (uint32_t i = 0; i < p->n_bindings; i++) {
        if (!p->used[i])
            continue;
        writes[n] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = p->types[i]};
        if (p->types[i] == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER) {
            PV_TRY(pv_buffer_view(d->buffers[i], d->texel_format[i], &views[i]));
            writes[n++].pTexelBufferView = &views[i];
        } else {
            const bool uniform = p->types[i] == VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER;
            const uint64_t limit = uniform ? device->caps.max_uniform_range : device->caps.max_storage_range;
            PV_TRY(buffer_range(d, i, limit, &infos[i]));
            writes[n++].pBufferInfo = &infos[i];
        }
    }
    device->vk.vkUpdateDescriptorSets(device->handle, n, writes, 0, NULL);
    device->vk.vkCmdBindDescriptorSets(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &set, 0,
                                       NULL);
    return PV_OK;
}

static void order(struct pv_recorder *r, const struct pv_dispatch *d, const struct pv_pipeline *p)
{
    bool hazard = d->indirect && conflicts(r, d->indirect, false);
    for (uint32_t i = 0; i < p->n_bindings; i++)
        hazard = hazard || (p->used[i] && conflicts(r, d->buffers[i], p->writes[i]));
    if (hazard)
        barrier(r);
    for (uint32_t i = 0; i < p->n_bindings; i++)
        if (p->used[i])
            touch(r, d->buffers[i], p->writes[i]);
    if (d->indirect)
        touch(r, d->indirect, false);
}

/* The last workgroups first. */
static void dispatch_backwards(struct pv_recorder *r, const uint32_t groups[3])
{
    const int axis = groups[0] > 1 ? 0 : groups[1] > 1 ? 1 : 2;
    const uint32_t n_pieces = groups[axis] < 4 ? groups[axis] : 4;
    for (uint32_t piece = n_pieces; piece-- > 0;) {
        uint32_t base[3] = {0, 0, 0}, count[3] = {groups[0], groups[1], groups[2]};
        base[axis] = (uint32_t)((uint64_t)groups[axis] * piece / n_pieces);
        count[axis] = (uint32_t)((uint64_t)groups[axis] * (piece + 1) / n_pieces) - base[axis];
        r->device->vk.vkCmdDispatchBase(r->commands, base[0], base[1], base[2], count[0], count[1], count[2]);
    }
}

enum pv_status pv_recorder_dispatch(struct pv_recorder *r, const struct pv_dispatch *d)
{
    struct pv_device *device = r->device;
    const struct pv_pipeline *p;
    assert(r->state == RECORDING);
    if (!d->indirect && (d->groups[0] == 0 || d->groups[1] == 0 || d->groups[2] == 0))
        return PV_OK;
    PV_TRY(pv_pipeline_get(device, d->shader, d->spec, d->n_spec, &p));
    PV_TRY(check_dispatch(r, d, p));
    if (device->compile_only)
        return PV_OK;
    PV_TRY(bind_buffers(r, d, p));
    order(r, d, p);
    if (r->bound != p->handle)
        device->vk.vkCmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, p->handle);
    r->bound = p->handle;
    if (p->push_bytes > 0)
        device->vk.vkCmdPushConstants(r->commands, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, p->push_bytes,
                                      d->push);
    if (d->indirect)
        device->vk.vkCmdDispatchIndirect(r->commands, d->indirect->handle, d->indirect_offset);
    else if (device->backwards && !p->counts_workgroups)
        dispatch_backwards(r, d->groups);
    else
        device->vk.vkCmdDispatch(r->commands, d->groups[0], d->groups[1], d->groups[2]);
    r->n_dispatches++;
    if (r->timing && r->first_timed + r->n_timed < r->n_timestamps) {
        pv_recorder_timestamp(r, r->first_timed + r->n_timed);
        r->shaders[r->n_timed++] = p->shader;
    }
    return PV_OK;
}

/* ---- copies ---- */

static enum pv_status check_span(const struct pv_buffer *buffer, uint64_t offset, uint64_t size_bytes)
{
    const uint64_t room = (buffer->size_bytes + 15) / 16 * 16;
    if (offset <= room && size_bytes <= room - offset)
        return PV_OK;
    return pv_fail(buffer->device->log, PV_ERR_ARG, "copy: the buffer %s has no %llu bytes at %llu",
                   buffer->name, (unsigned long long)size_bytes, (unsigned long long)offset);
}

enum pv_status pv_recorder_copy(struct pv_recorder *r, struct pv_buffer *src, uint64_t src_offset,
                                struct pv_buffer *dst, uint64_t dst_offset, uint64_t size_bytes)
{
    assert(r->state == RECORDING);
    PV_TRY(check_span(src, src_offset, size_bytes));
    PV_TRY(check_span(dst, dst_offset, size_bytes));
    if (src == dst && src_offset < dst_offset + size_bytes && dst_offset < src_offset + size_bytes)
        return pv_fail(r->device->log, PV_ERR_ARG, "copy: the two ranges of %s overlap", src->name);
    if (size_bytes == 0 || r->device->compile_only)
        return PV_OK;
    if (conflicts(r, src, false) || conflicts(r, dst, true))
        barrier(r);
    touch(r, src, false);
    touch(r, dst, true);
    VkBufferCopy region = {.srcOffset = src_offset, .dstOffset = dst_offset, .size = size_bytes};
    r->device->vk.vkCmdCopyBuffer(r->commands, src->handle, dst->handle, 1, &region);
    return PV_OK;
}

enum pv_status pv_recorder_fill(struct pv_recorder *r, struct pv_buffer *dst, uint64_t dst_offset,
                                uint64_t size_bytes, uint32_t word)
{
    assert(r->state == RECORDING);
    PV_TRY(check_span(dst, dst_offset, size_bytes));
    if (dst_offset % 4 != 0 || size_bytes % 4 != 0)
        return pv_fail(r->device->log, PV_ERR_ARG, "fill: the range of %s is not in whole words", dst->name);
    if (size_bytes == 0 || r->device->compile_only)
        return PV_OK;
    if (conflicts(r, dst, true))
        barrier(r);
    touch(r, dst, true);
    r->device->vk.vkCmdFillBuffer(r->commands, dst->handle, dst_offset, size_bytes, word);
    return PV_OK;
}

/* ---- end, submit, times ---- */

void pv_recorder_timestamp(struct pv_recorder *r, uint32_t index)
{
    assert(r->state == RECORDING);
    if (index < r->n_timestamps)
        r->device->vk.vkCmdWriteTimestamp(r->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, r->queries,
                                          index);
}

void pv_recorder_time_dispatches(struct pv_recorder *r, uint32_t first)
{
    assert(r->state == RECORDING);
    r->timing = true;
    r->first_timed = first;
}

uint32_t pv_recorder_n_timed(const struct pv_recorder *r)
{
    return r->n_timed;
}

const char *pv_recorder_timed_shader(const struct pv_recorder *r, uint32_t k)
{
    return k < r->n_timed ? r->shaders[k] : "";
}

enum pv_status pv_recorder_end(struct pv_recorder *r)
{
    struct pv_device *device = r->device;
    assert(r->state == RECORDING);
    if (device->compile_only) {
        r->state = RECORDED;
        return PV_OK;
    }
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = all_writes,
                              .dstAccessMask =
                                  all_accesses | VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT};
    device->vk.vkCmdPipelineBarrier(r->commands, all_stages, all_stages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                    &memory, 0, NULL, 0, NULL);
    ++device->hazard_stamp;
    r->state = EMPTY;
    const VkResult result = device->vk.vkEndCommandBuffer(r->commands);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkEndCommandBuffer");
    r->state = RECORDED;
    return PV_OK;
}

enum pv_status pv_recorder_submit(struct pv_recorder *r, uint64_t *value)
{
    struct pv_device *device = r->device;
    assert(r->state == RECORDED);
    if (device->lost)
        return PV_ERR_DEVICE_LOST;
    if (device->compile_only)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED, "%s is open for compiling only", device->caps.name);
    if (r->submitted > 0) /* a command buffer may be in flight only once */
        PV_TRY(pv_device_wait(device, r->submitted));
    uint64_t signal = device->timeline_value + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                              .signalSemaphoreValueCount = 1,
                                              .pSignalSemaphoreValues = &signal};
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .pNext = &timeline,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &r->commands,
                         .signalSemaphoreCount = 1,
                         .pSignalSemaphores = &device->timeline};
    const VkResult result = device->vk.vkQueueSubmit(device->queue, 1, &info, VK_NULL_HANDLE);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkQueueSubmit");
    device->timeline_value = signal;
    r->submitted = signal;
    if (value)
        *value = signal;
    return PV_OK;
}

enum pv_status pv_recorder_run(struct pv_recorder *r)
{
    uint64_t value = 0;
    PV_TRY(pv_recorder_submit(r, &value));
    return pv_device_wait(r->device, value);
}

static bool read_timestamp(struct pv_recorder *r, uint32_t index, uint64_t *out)
{
    struct pv_device *device = r->device;
    return index < r->n_timestamps && r->submitted > 0 && !device->lost &&
           device->vk.vkGetQueryPoolResults(device->handle, r->queries, index, 1, sizeof *out, out,
                                            sizeof *out, VK_QUERY_RESULT_64_BIT) == VK_SUCCESS;
}

double pv_recorder_ms(struct pv_recorder *r, uint32_t from, uint32_t to)
{
    uint64_t a = 0, b = 0;
    if (!read_timestamp(r, from, &a) || !read_timestamp(r, to, &b))
        return 0.0;
    uint64_t ticks = b - a; /* wraps at the queue's width */
    if (r->device->timestamp_bits < 64)
        ticks &= ((uint64_t)1 << r->device->timestamp_bits) - 1;
    return (double)ticks * (double)r->device->caps.timestamp_period_ns * 1e-6;
}

struct pv_device *pv_recorder_device(struct pv_recorder *r)
{
    return r->device;
}

uint32_t pv_recorder_n_dispatches(const struct pv_recorder *r)
{
    return r->n_dispatches;
}

uint32_t pv_recorder_n_barriers(const struct pv_recorder *r)
{
    return r->n_barriers;
}
