/* Records dispatches into one command buffer, puts in the barriers they need, submits it. A recording may be
 * submitted many times (decode) or re-recorded (prefill). Descriptor sets belong to the recorder.
 *
 * Hazards: before each dispatch the recorder compares the buffers it reads and writes with those touched
 * since the last barrier and inserts one global compute-to-compute (and indirect, and host) memory barrier
 * only where there is a read-after-write, write-after-read or write-after-write. Dispatches without a hazard
 * between them may overlap. */
#ifndef PV_VK_RECORDER_H
#define PV_VK_RECORDER_H

#include "vk/memory/memory.h"
#include "vk/pipeline/pipeline.h"

struct pv_recorder;

struct pv_dispatch {
    const char *shader; /* name in the SPIR-V table */
    uint32_t spec[PV_MAX_SPEC];
    uint32_t n_spec;
    /* In order of binding number; more than the shader uses is fine. How each is bound (storage, uniform,
     * texel) is the shader's own declaration; reads and writes likewise. texel_format[i] is used for texel
     * bindings only. */
    struct pv_buffer *buffers[PV_MAX_BINDINGS];
    VkFormat texel_format[PV_MAX_BINDINGS];
    uint32_t n_buffers;
    const void *push;
    uint32_t push_bytes;
    uint32_t groups[3];
    struct pv_buffer
        *indirect; /* VkDispatchIndirectCommand at indirect_offset instead of groups; NULL: direct */
    uint64_t indirect_offset;
};

PV_MUST_USE enum pv_status pv_recorder_create(struct pv_device *device, struct pv_recorder **out);
void pv_recorder_destroy(struct pv_recorder *recorder);
/* Starts over; the previous recording must have finished on the device. n_timestamps: how many may be taken.
 */
PV_MUST_USE enum pv_status pv_recorder_begin(struct pv_recorder *recorder, uint32_t n_timestamps);
PV_MUST_USE enum pv_status pv_recorder_dispatch(struct pv_recorder *recorder,
                                                const struct pv_dispatch *dispatch);
PV_MUST_USE enum pv_status pv_recorder_copy(struct pv_recorder *recorder, struct pv_buffer *src,
                                            uint64_t src_offset, struct pv_buffer *dst, uint64_t dst_offset,
                                            uint64_t size_bytes);
/* Takes timestamp `index` < n_timestamps after everything before it has finished. No-op without timestamps.
 */
void pv_recorder_timestamp(struct pv_recorder *recorder, uint32_t index);
/* From here to the end of the recording the k-th dispatch is followed by timestamp first + k, as far as
 * n_timestamps goes. Dispatches that may overlap then finish one after the other in the times, not in truth.
 */
void pv_recorder_time_dispatches(struct pv_recorder *recorder, uint32_t first);
/* How many dispatches have a timestamp, and the shader of the k-th. */
uint32_t pv_recorder_n_timed(const struct pv_recorder *recorder);
const char *pv_recorder_timed_shader(const struct pv_recorder *recorder, uint32_t k);
/* Sets size_bytes (a multiple of 4) from dst_offset (likewise) to `word`. */
PV_MUST_USE enum pv_status pv_recorder_fill(struct pv_recorder *recorder, struct pv_buffer *dst,
                                            uint64_t dst_offset, uint64_t size_bytes, uint32_t word);
PV_MUST_USE enum pv_status
pv_recorder_end(struct pv_recorder *recorder); /* makes writes visible to the host */
/* Submits the recording; *value is what the device's timeline reaches when it is done. */
PV_MUST_USE enum pv_status pv_recorder_submit(struct pv_recorder *recorder, uint64_t *value);
/* submit and wait. */
PV_MUST_USE enum pv_status pv_recorder_run(struct pv_recorder *recorder);
/* Milliseconds between two timestamps of the last finished submit; 0 without timestamps. */
double pv_recorder_ms(struct pv_recorder *recorder, uint32_t from, uint32_t to);
struct pv_device *pv_recorder_device(struct pv_recorder *recorder);
uint32_t pv_recorder_n_dispatches(const struct pv_recorder *recorder);
uint32_t
pv_recorder_n_barriers(const struct pv_recorder *recorder); /* put in by hazards, the last one not counted */

#endif
