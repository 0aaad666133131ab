/* VK_KHR_pipeline_executable_properties: what the driver's compiler made of a pipeline. A driver may make
 * several executables of one (a width each) and choose when it runs; the greatest number of each name stands
 * for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "vk/pipeline/pipeline.h"

static double value_of(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return s->value.b32 ? 1.0 : 0.0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)s->value.u64;
    default:
        return s->value.f64;
    }
}

static void keep(const VkPipelineExecutableStatisticKHR *s, struct pv_statistic out[PV_MAX_STATISTICS],
                 uint32_t *n)
{
    const double value = value_of(s);
    uint32_t i = 0;
    while (i < *n && strncmp(out[i].name, s->name, sizeof out[i].name - 1) != 0)
        i++;
    if (i == PV_MAX_STATISTICS)
        return;
    if (i < *n) {
        out[i].value = value > out[i].value ? value : out[i].value;
        return;
    }
    snprintf(out[i].name, sizeof out[i].name, "%.*s", (int)sizeof out[i].name - 1, s->name);
    out[i].value = value;
    ++*n;
}

static enum pv_status one_executable(struct pv_device *device, const struct pv_pipeline *pipeline,
                                     uint32_t index, struct pv_statistic out[PV_MAX_STATISTICS], uint32_t *n)
{
    VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                        .pipeline = pipeline->handle,
                                        .executableIndex = index};
    VkPipelineExecutableStatisticKHR *all = NULL;
    uint32_t n_all = 0;
    VkResult result = device->vk.vkGetPipelineExecutableStatisticsKHR(device->handle, &info, &n_all, NULL);
    if (result != VK_SUCCESS || n_all == 0)
        return result == VK_SUCCESS ? PV_OK : pv_vk_fail(device, result, "vkGetPipelineExecutableStatistics");
    all = pv_calloc(n_all, sizeof *all);
    if (!all)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for the statistics of a pipeline");
    for (uint32_t i = 0; i < n_all; i++)
        all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    result = device->vk.vkGetPipelineExecutableStatisticsKHR(device->handle, &info, &n_all, all);
    for (uint32_t i = 0; result >= VK_SUCCESS && i < n_all; i++)
        keep(&all[i], out, n);
    free(all);
    return result >= VK_SUCCESS ? PV_OK : pv_vk_fail(device, result, "vkGetPipelineExecutableStatistics");
}

enum pv_status pv_pipeline_statistics(struct pv_device *device, const struct pv_pipeline *pipeline,
                                      struct pv_statistic out[PV_MAX_STATISTICS], uint32_t *n)
{
    VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline->handle};
    uint32_t n_executables = 0;
    *n = 0;
    if (!device->compile_only || !device->caps.executable_properties)
        return PV_OK;
    const VkResult result =
        device->vk.vkGetPipelineExecutablePropertiesKHR(device->handle, &info, &n_executables, NULL);
    if (result != VK_SUCCESS)
        return pv_vk_fail(device, result, "vkGetPipelineExecutableProperties");
    for (uint32_t i = 0; i < n_executables; i++)
        PV_TRY(one_executable(device, pipeline, i, out, n));
    return PV_OK;
}
