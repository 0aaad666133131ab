/* Compute pipelines from the embedded SPIR-V, by shader name and specialization constants. Built once per
 * device, kept until it closes, and stored in an on-disk VkPipelineCache if the context has a cache folder (a
 * damaged or foreign cache file is ignored and rewritten). */
#ifndef PV_VK_PIPELINE_PIPELINE_H
#define PV_VK_PIPELINE_PIPELINE_H

#include "vk/device.h"

enum { PV_MAX_BINDINGS = 13, PV_MAX_SPEC = 13 };

struct pv_pipeline {
    const char *shader; /* its name in the SPIR-V table */
    VkPipeline handle;
    VkPipelineLayout layout;
    VkDescriptorSetLayout set_layout;
    uint32_t n_bindings;        /* the highest binding number used, plus one */
    bool used[PV_MAX_BINDINGS]; /* false: the shader has no such binding, whatever is passed there is ignored
                                 */
    VkDescriptorType
        types[PV_MAX_BINDINGS];   /* storage buffer, uniform buffer or uniform texel buffer (reflected) */
    bool writes[PV_MAX_BINDINGS]; /* storage buffer not declared readonly */
    bool counts_workgroups;       /* a dispatch cannot be cut into several */
    uint32_t push_bytes;
    uint32_t spec[PV_MAX_SPEC], n_spec;
    uint32_t subgroup_size; /* asked of the driver; 0: its own choice */
    double compile_ms;
};
/* spec[i] is the value of constant_id i. The pointer lives as long as the device. A missing shader name is
 * PV_ERR_UNSUPPORTED. Workgroup sizes beyond the caps are caught here (PV_ERR_ARG). */
PV_MUST_USE enum pv_status pv_pipeline_get(struct pv_device *device, const char *shader, const uint32_t *spec,
                                           uint32_t n_spec, const struct pv_pipeline **out);

/* A number that the driver's compiler says about a pipeline, in its own words. */
struct pv_statistic {
    char name[64];
    double value;
};
enum { PV_MAX_STATISTICS = 32 };
/* Fills `out` and *n; 0 where the driver says nothing (caps.executable_properties), or on a device that is
 * not open for compiling. */
PV_MUST_USE enum pv_status pv_pipeline_statistics(struct pv_device *device,
                                                  const struct pv_pipeline *pipeline,
                                                  struct pv_statistic out[PV_MAX_STATISTICS], uint32_t *n);

#endif
