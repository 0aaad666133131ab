/* What the host writes to buffers and reads from them: straight in mapped memory, and through one small staging
 * buffer where there is none. */
#include <string.h>
#include "base/log.h"
#include "vk/memory/memory.h"
#include "vk/recorder.h"

enum { ROUND_BYTES = 16, STAGING_BYTES = 4 << 20 };

static enum pv_status check_range(const struct pv_buffer *buffer, uint64_t offset, uint64_t size_bytes)
{
    if (offset <= buffer->size_bytes && size_bytes <= buffer->size_bytes - offset)
        return PV_OK;
    return pv_fail(buffer->device->log, PV_ERR_ARG,
                   "buffer %s has %llu bytes: there are no %llu bytes at %llu", buffer->name,
                   (unsigned long long)buffer->size_bytes, (unsigned long long)size_bytes,
                   (unsigned long long)offset);
}

static enum pv_status need_staging(struct pv_device *device)
{
    if (device->compile_only)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED, "%s is open for compiling only", device->caps.name);
    if (!device->transfer)
        PV_TRY(pv_recorder_create(device, &device->transfer));
    if (!device->staging)
        PV_TRY(pv_buffer_create(device, STAGING_BYTES, PV_MEM_HOST, "staging", &device->staging));
    return PV_OK;
}

/* One copy between buffer and staging buffer, waited for. */
static enum pv_status copy_piece(struct pv_buffer *src, uint64_t src_offset, struct pv_buffer *dst,
                                 uint64_t dst_offset, uint64_t size_bytes)
{
    struct pv_recorder *transfer = src->device->transfer;
    PV_TRY(pv_recorder_begin(transfer, 0));
    PV_TRY(pv_recorder_copy(transfer, src, src_offset, dst, dst_offset, size_bytes));
    PV_TRY(pv_recorder_end(transfer));
    return pv_recorder_run(transfer);
}

enum pv_status pv_buffer_write(struct pv_buffer *buffer, uint64_t offset, const void *data,
                               uint64_t size_bytes)
{
    struct pv_device *device = buffer->device;
    PV_TRY(check_range(buffer, offset, size_bytes));
    if (size_bytes == 0 || device->compile_only)
        return PV_OK;
    if (buffer->mapped) {
        memcpy((char *)buffer->mapped + offset, data, (size_t)size_bytes);
        return PV_OK;
    }
    PV_TRY(need_staging(device));
    for (uint64_t done = 0; done < size_bytes; done += STAGING_BYTES) {
        const uint64_t n = size_bytes - done < STAGING_BYTES ? size_bytes - done : STAGING_BYTES;
        memcpy(device->staging->mapped, (const char *)data + done, (size_t)n);
        PV_TRY(copy_piece(device->staging, 0, buffer, offset + done, n));
    }
    return PV_OK;
}

enum pv_status pv_buffer_read(struct pv_buffer *buffer, uint64_t offset, void *data, uint64_t size_bytes)
{
    struct pv_device *device = buffer->device;
    PV_TRY(check_range(buffer, offset, size_bytes));
    if (size_bytes == 0)
        return PV_OK;
    if (buffer->mapped) {
        memcpy(data, (const char *)buffer->mapped + offset, (size_t)size_bytes);
        return PV_OK;
    }
    PV_TRY(need_staging(device));
    for (uint64_t done = 0; done < size_bytes; done += STAGING_BYTES) {
        const uint64_t n = size_bytes - done < STAGING_BYTES ? size_bytes - done : STAGING_BYTES;
        PV_TRY(copy_piece(buffer, offset + done, device->staging, 0, n));
        memcpy((char *)data + done, device->staging->mapped, (size_t)n);
    }
    return PV_OK;
}

enum pv_status pv_buffer_fill(struct pv_buffer *buffer, uint32_t word)
{
    struct pv_device *device = buffer->device;
    const uint64_t n_words =
        (buffer->size_bytes + ROUND_BYTES - 1) / ROUND_BYTES * (ROUND_BYTES / sizeof word);
    if (device->compile_only)
        return PV_OK;
    if (buffer->mapped) {
        uint32_t *words = buffer->mapped;
        for (uint64_t i = 0; i < n_words; i++)
            words[i] = word;
        return PV_OK;
    }
    PV_TRY(need_staging(device));
    PV_TRY(pv_recorder_begin(device->transfer, 0));
    PV_TRY(pv_recorder_fill(device->transfer, buffer, 0, n_words * sizeof word, word));
    PV_TRY(pv_recorder_end(device->transfer));
    return pv_recorder_run(device->transfer);
}
