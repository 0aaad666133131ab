/* Pipelines are made on first use and kept in a plain array, found by a hash of name and specialization.
 * Layouts come from the shader's own declarations (vk/reflect.c), so there is nothing to keep in step by
 * hand. */
#include "vk/pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "vk/pipeline/pipeline_cache.h"
#include "vk/pipeline/reflect.h"
#include "vk/pipeline/spirv.h"

struct entry {
    uint64_t key;
    struct pv_pipeline pipeline;
};
struct pv_pipelines {
    struct pv_device *device;
    VkPipelineCache cache;
    struct entry **entries; /* pointers: a pv_pipeline must not move */
    size_t n_entries, n_room;
    bool loaded, changed;
};

enum pv_status pv_pipelines_create(struct pv_device *device, struct pv_pipelines **out)
{
    struct pv_pipelines *p = *out = pv_calloc(1, sizeof *p);
    if (!p)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory opening %s", device->caps.name);
    p->device = device;
    if (device->compile_only) /* statistics are of a compilation */
        return PV_OK;
    return pv_pipeline_cache_load(device, &p->cache, &p->loaded);
}

static void pipeline_destroy(struct pv_device *device, struct pv_pipeline *p)
{
    if (p->handle)
        device->vk.vkDestroyPipeline(device->handle, p->handle, NULL);
    if (p->layout)
        device->vk.vkDestroyPipelineLayout(device->handle, p->layout, NULL);
    if (p->set_layout)
        device->vk.vkDestroyDescriptorSetLayout(device->handle, p->set_layout, NULL);
}

void pv_pipelines_destroy(struct pv_pipelines *p)
{
    if (!p)
        return;
    if (p->cache && p->changed)
        pv_pipeline_cache_store(p->device, p->cache);
    for (size_t i = 0; i < p->n_entries; i++) {
        pipeline_destroy(p->device, &p->entries[i]->pipeline);
        free(p->entries[i]);
    }
    if (p->cache)
        p->device->vk.vkDestroyPipelineCache(p->device->handle, p->cache, NULL);
    free(p->entries);
    free(p);
}

uint32_t pv_pipelines_count(const struct pv_pipelines *p)
{
    return (uint32_t)p->n_entries;
}

const struct pv_pipeline *pv_pipelines_at(const struct pv_pipelines *p, uint32_t index)
{
    return &p->entries[index]->pipeline;
}

static const struct pv_spirv *find_shader(const struct pv_context *context, const char *name)
{
    size_t low = 0, high = context->n_shaders;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, context->shaders[middle].name);
        if (order == 0)
            return &context->shaders[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static enum pv_status check_limits(struct pv_device *device, const char *shader,
                                   const struct pv_reflection *r)
{
    const struct pv_caps *caps = &device->caps;
    const uint32_t *size = r->local_size;
    uint64_t invocations = (uint64_t)size[0] * size[1] * size[2];
    if (r->n_bindings > PV_MAX_BINDINGS || r->push_bytes > caps->max_push_constants)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                       "shader %s needs %u bindings and %u bytes of push constants", shader, r->n_bindings,
                       r->push_bytes);
    for (int i = 0; i < 3; i++)
        if (size[i] == 0 || size[i] > caps->max_workgroup_size[i])
            invocations = UINT64_MAX;
    if (invocations > caps->max_invocations)
        return pv_fail(
            device->log, PV_ERR_ARG,
            "shader %s: a workgroup of %u x %u x %u is beyond what %s can do (%u x %u x %u, %u together)",
            shader, size[0], size[1], size[2], caps->name, caps->max_workgroup_size[0],
            caps->max_workgroup_size[1], caps->max_workgroup_size[2], caps->max_invocations);
    return PV_OK;
}

static enum pv_status create_layouts(struct pv_device *device, const struct pv_reflection *r,
                                     struct pv_pipeline *p)
{
    static const VkDescriptorType types[] = {
        [PV_BINDING_NONE] = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        [PV_BINDING_STORAGE] = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        [PV_BINDING_UNIFORM] = VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
        [PV_BINDING_TEXEL] = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
    };
    VkDescriptorSetLayoutBinding bindings[PV_MAX_BINDINGS];
    uint32_t n = 0;
    p->n_bindings = r->n_bindings;
    p->push_bytes = r->push_bytes;
    p->counts_workgroups = r->counts_workgroups;
    for (uint32_t i = 0; i < r->n_bindings; i++) {
        p->used[i] = r->bindings[i].kind != PV_BINDING_NONE;
        p->types[i] = types[r->bindings[i].kind];
        p->writes[i] = r->bindings[i].writes;
        if (p->used[i])
            bindings[n++] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                           .descriptorType = p->types[i],
                                                           .descriptorCount = 1,
                                                           .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    }
    VkDescriptorSetLayoutCreateInfo set_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                .bindingCount = n,
                                                .pBindings = bindings};
    VkResult result = device->vk.vkCreateDescriptorSetLayout(device->handle, &set_info, NULL, &p->set_layout);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkCreateDescriptorSetLayout");
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = p->push_bytes};
    VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                       .setLayoutCount = 1,
                                       .pSetLayouts = &p->set_layout,
                                       .pushConstantRangeCount = p->push_bytes > 0 ? 1 : 0,
                                       .pPushConstantRanges = &push};
    result = device->vk.vkCreatePipelineLayout(device->handle, &info, NULL, &p->layout);
    return result == VK_SUCCESS ? PV_OK : pv_vk_fail(device, result, "vkCreatePipelineLayout");
}

/* Subgroup kernels get the size the plan assumes, where the device lets one choose. */
static bool wants_size(const struct pv_device *device, const struct pv_reflection *r)
{
    const uint32_t size = device->plan.subgroup_size;
    return r->subgroups && device->caps.subgroup_size_control && size >= device->caps.min_subgroup_size &&
           size <= device->caps.max_subgroup_size;
}

static enum pv_status create_pipeline(struct pv_pipelines *pipelines, const struct pv_spirv *shader,
                                      const struct pv_reflection *r, const uint32_t *spec, uint32_t n_spec,
                                      struct pv_pipeline *p)
{
    struct pv_device *device = pipelines->device;
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                            .codeSize = shader->size_bytes,
                                            .pCode = shader->words};
    VkResult result = device->vk.vkCreateShaderModule(device->handle, &module_info, NULL, &module);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkCreateShaderModule");
    VkSpecializationMapEntry map[PV_MAX_SPEC];
    for (uint32_t i = 0; i < n_spec; i++)
        map[i] = (VkSpecializationMapEntry){.constantID = i, .offset = i * 4, .size = 4};
    VkSpecializationInfo special = {
        .mapEntryCount = n_spec, .pMapEntries = map, .dataSize = n_spec * sizeof *spec, .pData = spec};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->plan.subgroup_size};
    const bool sized = wants_size(device, r);
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = (device->compile_only && device->caps.executable_properties
                      ? (VkPipelineCreateFlags)VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR
                      : 0) |
                 (device->backwards ? (VkPipelineCreateFlags)VK_PIPELINE_CREATE_DISPATCH_BASE_BIT : 0),
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = sized ? &size : NULL,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = n_spec > 0 ? &special : NULL},
        .layout = p->layout,
    };
    const double start = pv_now_s();
    result =
        device->vk.vkCreateComputePipelines(device->handle, pipelines->cache, 1, &info, NULL, &p->handle);
    p->compile_ms = (pv_now_s() - start) * 1e3;
    p->subgroup_size = sized ? size.requiredSubgroupSize : 0;
    p->n_spec = n_spec;
    for (uint32_t i = 0; i < n_spec; i++)
        p->spec[i] = spec[i];
    device->vk.vkDestroyShaderModule(device->handle, module, NULL);
    if (result == VK_SUCCESS)
        return PV_OK;
    p->handle = VK_NULL_HANDLE;
    char what[128];
    snprintf(what, sizeof what, "compiling the shader %.64s (vkCreateComputePipelines)", shader->name);
    return pv_vk_fail(device, result, what);
}

static enum pv_status add(struct pv_pipelines *p, uint64_t key, const char *shader, const uint32_t *spec,
                          uint32_t n_spec, const struct pv_pipeline **out)
{
    struct pv_device *device = p->device;
    enum pv_status status = PV_OK;
    struct pv_reflection reflection;
    const struct pv_spirv *code = find_shader(device->context, shader);
    if (!code)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED, "this build of Parvin has no shader called %s",
                       shader);
    PV_TRY(pv_reflect(code->words, code->size_bytes, spec, n_spec, shader, device->log, &reflection));
    PV_TRY(check_limits(device, shader, &reflection));
    struct entry *entry = pv_calloc(1, sizeof *entry);
    if (!entry)
        return pv_fail(device->log, PV_ERR_NOMEM, "out of memory making the pipeline %s", shader);
    entry->key = key;
    entry->pipeline.shader = code->name;
    PV_TRY_GOTO(create_layouts(device, &reflection, &entry->pipeline));
    PV_TRY_GOTO(create_pipeline(p, code, &reflection, spec, n_spec, &entry->pipeline));
    if (p->n_entries == p->n_room) {
        const size_t room = p->n_room ? p->n_room * 2 : 32;
        void *entries = p->entries;
        if (!pv_grow(&entries, room, sizeof *p->entries)) {
            status = pv_fail(device->log, PV_ERR_NOMEM, "out of memory making the pipeline %s", shader);
            goto fail;
        }
        p->entries = entries;
        p->n_room = room;
    }
    p->entries[p->n_entries++] = entry;
    p->changed = true;
    *out = &entry->pipeline;
    return PV_OK;
fail:
    pipeline_destroy(device, &entry->pipeline);
    free(entry);
    return status;
}

enum pv_status pv_pipeline_get(struct pv_device *device, const char *shader, const uint32_t *spec,
                               uint32_t n_spec, const struct pv_pipeline **out)
{
    struct pv_pipelines *p = device->pipelines;
    if (n_spec > PV_MAX_SPEC)
        return pv_fail(device->log, PV_ERR_ARG, "shader %s: %u specialization constants, the most is %d",
                       shader, n_spec, PV_MAX_SPEC);
    const uint64_t key = pv_hash64(shader, strlen(shader), pv_hash64(spec, n_spec * sizeof *spec, n_spec));
    for (size_t i = 0; i < p->n_entries; i++) {
        if (p->entries[i]->key == key) {
            *out = &p->entries[i]->pipeline;
            return PV_OK;
        }
    }
    return add(p, key, shader, spec, n_spec, out);
}
