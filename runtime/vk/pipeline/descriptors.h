/* Descriptor sets for a recorder: pools that grow while recording and are only reset, never freed, between
 * recordings. */
#ifndef PV_VK_PIPELINE_DESCRIPTORS_H
#define PV_VK_PIPELINE_DESCRIPTORS_H

#include "vk/pipeline/pipeline.h"

struct pv_descriptor_pool {
    VkDescriptorPool handle;
    uint32_t n_sets, n_storage, n_uniform, n_texel; /* left */
};
struct pv_descriptors {
    struct pv_descriptor_pool *pools;
    uint32_t n_pools, current;
};
void pv_descriptors_destroy(struct pv_device *device, struct pv_descriptors *d); /* safe on a zeroed struct */
/* All sets are free again; the device must be done with them. */
PV_MUST_USE enum pv_status pv_descriptors_reset(struct pv_device *device, struct pv_descriptors *d);
PV_MUST_USE enum pv_status pv_descriptors_take(struct pv_device *device, struct pv_descriptors *d,
                                               const struct pv_pipeline *pipeline, VkDescriptorSet *out);

#endif
