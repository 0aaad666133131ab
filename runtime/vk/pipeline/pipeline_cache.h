/* The pipelines of a device as a whole, and the file that keeps their compiled form between runs. */
#ifndef PV_VK_PIPELINE_PIPELINE_CACHE_H
#define PV_VK_PIPELINE_PIPELINE_CACHE_H

#include "vk/pipeline/pipeline.h"

PV_MUST_USE enum pv_status pv_pipelines_create(struct pv_device *device, struct pv_pipelines **out);
/* Writes the cache file if anything was added; NULL-safe. */
void pv_pipelines_destroy(struct pv_pipelines *pipelines);
uint32_t pv_pipelines_count(const struct pv_pipelines *pipelines);
/* In the order in which they were made; index < pv_pipelines_count. */
const struct pv_pipeline *pv_pipelines_at(const struct pv_pipelines *pipelines, uint32_t index);

/* A VkPipelineCache, filled from the context's cache folder where there is a sound file for this very device
 * and driver. Without a folder, or without a sound file, it is empty: *loaded says which. */
PV_MUST_USE enum pv_status pv_pipeline_cache_load(struct pv_device *device, VkPipelineCache *out,
                                                  bool *loaded);
/* Writes it back, atomically. Failures are logged and change nothing. */
void pv_pipeline_cache_store(struct pv_device *device, VkPipelineCache cache);

/* The file: this header, then the driver's bytes. */
struct pv_pipeline_cache_header {
    char magic[8];
    uint32_t version, driver_version;
    uint8_t cache_uuid[VK_UUID_SIZE];
    uint64_t size_bytes, hash; /* of the driver's bytes */
};
struct pv_pipeline_cache_header pv_pipeline_cache_header(const VkPhysicalDeviceProperties *driver,
                                                         const void *data, size_t size_bytes);
/* The driver's bytes inside a file's, with their size; NULL where the file is damaged or of another driver. */
const uint8_t *pv_pipeline_cache_payload(const VkPhysicalDeviceProperties *driver, const uint8_t *file,
                                         size_t file_bytes, size_t *size_bytes);

#endif
