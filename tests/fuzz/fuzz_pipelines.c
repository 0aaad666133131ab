/* Any bytes as a device's file of compiled pipelines: nothing reaches the driver but what was saved for this very
 * driver. The same bytes, saved and read back, are whole; with one of the file's bytes changed they are refused. */
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "vk/pipeline/pipeline_cache.h"

static const VkPhysicalDeviceProperties driver = {.driverVersion = 7, .pipelineCacheUUID = {1, 2, 3}};

static void check_saved(const uint8_t *data, size_t n)
{
    const size_t file_bytes = sizeof(struct pv_pipeline_cache_header) + n;
    const struct pv_pipeline_cache_header header = pv_pipeline_cache_header(&driver, data, n);
    uint8_t *file = malloc(file_bytes);
    const uint8_t *found;
    size_t found_bytes;
    const size_t at = (data[0] * 256u + data[n - 1]) % file_bytes;

    if (!file)
        abort();
    memcpy(file, &header, sizeof header);
    memcpy(file + sizeof header, data, n);
    found = pv_pipeline_cache_payload(&driver, file, file_bytes, &found_bytes);
    if (found != file + sizeof header || found_bytes != n)
        abort();
    file[at] ^= (uint8_t)(1u << data[n / 2] % 8);
    if (pv_pipeline_cache_payload(&driver, file, file_bytes, &found_bytes) ||
        pv_pipeline_cache_payload(&driver, file, file_bytes - 1, &found_bytes))
        abort();
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    uint8_t *copy = pv_fuzz_copy(data, size_bytes);
    size_t n = 0;
    const uint8_t *payload = pv_pipeline_cache_payload(&driver, copy, size_bytes, &n);

    if (payload && (payload < copy || payload + n != copy + size_bytes))
        abort();
    if (size_bytes != 0)
        check_saved(copy, size_bytes);
    free(copy);
    return 0;
}
