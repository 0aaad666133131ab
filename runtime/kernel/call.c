/* From a kernel's name and buffers to a recorded dispatch. The table of shaders/iface.h says how each binding
 * is read; from it come the variant's name, the texel formats and the fallback from texel to storage access.
 */
#include "kernel/call.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

struct kernel_desc {
    const char *name, *letters;
    uint32_t push_bytes;
};
#define ROW(kernel, letters, pc) {#kernel, letters, (uint32_t)sizeof(struct pc)},
static const struct kernel_desc kernels[] = {PV_KERNELS(ROW)};
#undef ROW

static const struct kernel_desc *find_kernel(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

/* Bytes that a texel of a layout's scales has; 0 for types without. */
static uint32_t scale_texel_bytes(const char *type)
{
    enum pv_type layout;
    if (!type || !pv_type_from_name(type, &layout) || pv_type_block(layout) == 1)
        return 0;
    return layout == PV_Q8_0 || layout == PV_Q4_0 ? 4 : 16;
}

/* Types without scales have no S bindings; S always comes last. */
static uint32_t count_bindings(const struct kernel_desc *k, const char *type)
{
    const char *scales = strchr(k->letters, 'S');
    const bool scaled = scale_texel_bytes(type) != 0;
    return (uint32_t)(scales && !scaled ? (size_t)(scales - k->letters) : strlen(k->letters));
}

static VkFormat texel_format(char letter, const char *type)
{
    switch (letter) {
    case 'W':
        return VK_FORMAT_R32G32B32A32_UINT;
    case 'X':
        return VK_FORMAT_R32G32B32A32_SFLOAT;
    case 'C':
        return type && strcmp(type, "f16") == 0 ? VK_FORMAT_R32G32B32A32_UINT : VK_FORMAT_R32G32B32A32_SFLOAT;
    case 'S':
        return scale_texel_bytes(type) == 16 ? VK_FORMAT_R32G32B32A32_UINT : VK_FORMAT_R32_UINT;
    default:
        return VK_FORMAT_UNDEFINED;
    }
}

/* Texel access only where every buffer is within the device's limit. */
static bool use_texel(const struct pv_device *device, const struct kernel_desc *k, const struct pv_call *call,
                      uint32_t n)
{
    if (device->plan.access != PV_ACCESS_TEXEL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t texel_bytes = k->letters[i] == 'S' ? scale_texel_bytes(call->type) : 16;
        const uint64_t too_many = (uint64_t)device->caps.max_texel_elements + 1;
        if (k->letters[i] != 'B' && call->buffers[i]->size_bytes + 15 >= too_many * texel_bytes)
            return false;
    }
    return true;
}

static enum pv_status check_limits(const struct pv_device *device, const struct kernel_desc *k,
                                   const struct pv_dispatch *d, bool texel)
{
    for (uint32_t i = 0; i < d->n_buffers; i++)
        if ((!texel || k->letters[i] == 'B') && d->buffers[i]->size_bytes > device->caps.max_storage_range)
            return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                           "%s: buffer %u has %llu bytes, past the %llu that a storage binding of %s can see",
                           d->shader, i, (unsigned long long)d->buffers[i]->size_bytes,
                           (unsigned long long)device->caps.max_storage_range, device->caps.name);
    for (uint32_t i = 0; i < 3; i++)
        if (!d->indirect && d->groups[i] > device->caps.max_workgroup_count[i])
            return pv_fail(device->log, PV_ERR_ARG, "%s: %u workgroups in dimension %u, past the device's %u",
                           d->shader, d->groups[i], i, device->caps.max_workgroup_count[i]);
    return PV_OK;
}

uint32_t pv_call_default(uint32_t constant)
{
    switch (constant) {
    case PV_SPEC_WG:
    case PV_SPEC_HEAD_DIM:
        return 64;
    case PV_SPEC_LANES:
    case PV_SPEC_ROWS:
    case PV_SPEC_TOKENS:
        return 1;
    default:
        return 0;
    }
}

enum pv_status pv_call_record(struct pv_recorder *r, const struct pv_call *call)
{
    const struct pv_device *device = pv_recorder_device(r);
    const struct kernel_desc *k = find_kernel(call->kernel);
    if (!k || call->push_bytes != k->push_bytes)
        return pv_fail(device->log, PV_ERR_ARG,
                       "%s: no such kernel in shaders/iface.h, or other push constants", call->kernel);
    const uint32_t n = count_bindings(k, call->type);
    const bool has_access = strspn(k->letters, "B") != strlen(k->letters);
    const bool texel = has_access && use_texel(device, k, call, n);
    char name[64];
    snprintf(name, sizeof name, "%s%s%s%s%s", k->name, call->type ? "." : "", call->type ? call->type : "",
             !has_access ? "" : (texel ? ".texel" : ".storage"), call->subgroup ? ".sg" : "");

    struct pv_dispatch d = {.shader = name,
                            .n_spec = PV_CALL_N_SPEC,
                            .n_buffers = n,
                            .push = call->push,
                            .push_bytes = call->push_bytes,
                            .indirect = call->indirect,
                            .indirect_offset = call->indirect_offset};
    for (uint32_t i = 0; i < PV_CALL_N_SPEC; i++)
        d.spec[i] = call->spec[i] ? call->spec[i] : pv_call_default(i);
    for (uint32_t i = 0; i < n; i++) {
        d.buffers[i] = call->buffers[i];
        d.texel_format[i] = texel_format(k->letters[i], call->type);
    }
    for (uint32_t i = 0; i < 3; i++)
        d.groups[i] = call->groups[i] ? call->groups[i] : 1;
    PV_TRY(check_limits(device, k, &d, texel));
    return pv_recorder_dispatch(r, &d);
}

enum pv_status pv_call_check(struct pv_recorder *r, const char *kernel, const struct pv_need *needs,
                             uint32_t n_needs)
{
    const struct pv_log *log = pv_recorder_device(r)->log;
    for (uint32_t i = 0; i < n_needs; i++) {
        const struct pv_need *need = &needs[i];
        if (!need->buffer)
            return pv_fail(log, PV_ERR_ARG, "%s: no buffer for %s", kernel, need->what);
        if (need->buffer->size_bytes < need->bytes)
            return pv_fail(log, PV_ERR_ARG, "%s: %s has %llu bytes, the shape needs %llu", kernel, need->what,
                           (unsigned long long)need->buffer->size_bytes, (unsigned long long)need->bytes);
        if (need->bytes / 4 > UINT32_MAX) /* shaders count floats in 32 bits */
            return pv_fail(log, PV_ERR_ARG, "%s: %s is past 2^32 values", kernel, need->what);
    }
    return PV_OK;
}

enum pv_status pv_call_require(struct pv_recorder *r, const char *kernel, bool holds, const char *condition)
{
    if (holds)
        return PV_OK;
    return pv_fail(pv_recorder_device(r)->log, PV_ERR_ARG, "%s: the shape must have %s", kernel, condition);
}

struct pv_need pv_unnormed_need(const struct pv_unnormed *u, const struct pv_buffer *other, uint32_t n_in)
{
    return (struct pv_need){u->stream ? u->stream : other, u->stream ? pv_rows_bytes(1, n_in) : 0, "stream"};
}

struct pv_need pv_next_need(const struct pv_buffer *buffer, const struct pv_buffer *other, uint32_t n_out,
                            const char *what)
{
    return (struct pv_need){buffer ? buffer : other, buffer ? (uint64_t)n_out * sizeof(float) : 0, what};
}

static uint32_t power_of_two_below(uint32_t n)
{
    uint32_t p = 1;
    while (p <= n / 2)
        p *= 2;
    return p;
}

struct pv_row_split pv_row_split(const struct pv_plan *plan)
{
    struct pv_row_split s = {.workgroup = plan->matvec_workgroup, .lanes = 1, .rows = plan->matvec_rows};
    if (plan->reduce == PV_REDUCE_SUBGROUP) {
        s.subgroup = true;
        s.lanes = plan->subgroup_size ? plan->subgroup_size : 1;
        s.workgroup = s.workgroup < s.lanes ? s.lanes : s.workgroup / s.lanes * s.lanes;
    } else if (plan->reduce == PV_REDUCE_WORKGROUP) {
        s.workgroup = s.lanes = power_of_two_below(s.workgroup);
    }
    s.rows_per_workgroup = s.workgroup / s.lanes * s.rows;
    return s;
}

struct pv_row_split pv_row_split_activations(const struct pv_plan *plan)
{
    struct pv_row_split s = {
        .workgroup = power_of_two_below(plan->elementwise_workgroup), .lanes = 1, .rows = 1};
    if (plan->reduce != PV_REDUCE_INVOCATION)
        s.lanes = s.workgroup;
    s.rows_per_workgroup = s.workgroup / s.lanes;
    return s;
}
