/* The file is a header of ours, then what the driver gave. Drivers trust their own blob more than they
 * should, so ours carries its size and a hash, and names device and driver: a damaged or foreign file never
 * reaches the driver. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "vk/pipeline/pipeline_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum { VERSION = 1, MAX_CACHE_MIB = 512 };
static const char magic[8] = {'P', 'V', 'P', 'I', 'P', 'E', '\n', '\0'};

/* malloc'ed; NULL where there is no cache folder, or no memory. */
static char *cache_path(const struct pv_device *device)
{
    const char *dir = device->context->cache_dir;
    if (!dir || !*dir)
        return NULL;
    size_t n = strlen(dir) + 96;
    char *path = pv_calloc(n, 1);
    if (path)
        snprintf(path, n, "%s/%s-%08x.pipelines", dir, device->caps.uuid, device->caps.driver_version);
    return path;
}

struct pv_pipeline_cache_header pv_pipeline_cache_header(const VkPhysicalDeviceProperties *driver,
                                                         const void *data, size_t size_bytes)
{
    struct pv_pipeline_cache_header header = {.version = VERSION,
                                              .driver_version = driver->driverVersion,
                                              .size_bytes = size_bytes,
                                              .hash = pv_hash64(data, size_bytes, 0)};
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.cache_uuid, driver->pipelineCacheUUID, sizeof header.cache_uuid);
    return header;
}

const uint8_t *pv_pipeline_cache_payload(const VkPhysicalDeviceProperties *driver, const uint8_t *file,
                                         size_t file_bytes, size_t *size_bytes)
{
    struct pv_pipeline_cache_header wanted;
    if (file_bytes <= sizeof wanted)
        return NULL;
    *size_bytes = file_bytes - sizeof wanted;
    wanted = pv_pipeline_cache_header(driver, file + sizeof wanted, *size_bytes);
    return memcmp(file, &wanted, sizeof wanted) == 0 ? file + sizeof wanted : NULL;
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= (off_t)MAX_CACHE_MIB << 20;
}

enum pv_status pv_pipeline_cache_load(struct pv_device *device, VkPipelineCache *out, bool *loaded)
{
    char *path = cache_path(device), *file = NULL;
    size_t file_bytes = 0, size_bytes = 0;
    const uint8_t *data = NULL;
    VkPhysicalDeviceProperties driver;
    *loaded = false;
    if (path && exists(path) && pv_file_read(path, device->log, &file, &file_bytes) == PV_OK) {
        vkGetPhysicalDeviceProperties(device->physical, &driver);
        data = pv_pipeline_cache_payload(&driver, (const uint8_t *)file, file_bytes, &size_bytes);
        if (!data)
            pv_info(device->log, "%s is damaged or of another driver; it is ignored and will be rewritten",
                    path);
    }
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = data ? size_bytes : 0,
                                      .pInitialData = data};
    VkResult result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, out);
    if (result != VK_SUCCESS && data) { /* the driver refuses its own bytes: start empty */
        info.initialDataSize = 0;
        info.pInitialData = data = NULL;
        result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, out);
    }
    *loaded = result == VK_SUCCESS && data;
    free(file);
    free(path);
    if (result == VK_SUCCESS)
        return PV_OK;
    *out = VK_NULL_HANDLE;
    return pv_vk_fail(device, result, "vkCreatePipelineCache");
}

/* mkdir -p; errors show up when the file is opened. */
static void make_folders(const char *file_path)
{
    char *path = pv_strndup(file_path, strlen(file_path));
    for (char *c = path ? path + 1 : NULL; c && *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        (void)mkdir(path, 0777);
        *c = '/';
    }
    free(path);
}

void pv_pipeline_cache_store(struct pv_device *device, VkPipelineCache cache)
{
    char *path = cache_path(device);
    void *data = NULL;
    size_t size_bytes = 0;
    if (!path || device->lost ||
        device->vk.vkGetPipelineCacheData(device->handle, cache, &size_bytes, NULL) < 0 || size_bytes == 0)
        goto done;
    data = pv_calloc(size_bytes, 1);
    if (!data || device->vk.vkGetPipelineCacheData(device->handle, cache, &size_bytes, data) != VK_SUCCESS)
        goto done;
    make_folders(path);
    struct pv_writer writer = {0};
    VkPhysicalDeviceProperties driver;
    vkGetPhysicalDeviceProperties(device->physical, &driver);
    const struct pv_pipeline_cache_header header = pv_pipeline_cache_header(&driver, data, size_bytes);
    if (pv_writer_open(&writer, path, device->log) != PV_OK)
        goto done;
    pv_writer_put(&writer, &header, sizeof header);
    pv_writer_put(&writer, data, size_bytes);
    if (pv_writer_commit(&writer) == PV_OK)
        pv_log_msg(device->log, PV_LOG_DEBUG, "%s written, %zu bytes", path, size_bytes);
done:
    free(data);
    free(path);
}
