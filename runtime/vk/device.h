/* An open device: logical device, one compute queue, device table, memory blocks, pipelines, one timeline
 * semaphore. Not thread-safe: one thread per device at a time. */
#ifndef PV_VK_DEVICE_H
#define PV_VK_DEVICE_H

#include "vk/instance.h"
#include "vk/result.h"

struct pv_memory;    /* sub-allocator, vk/memory.c */
struct pv_pipelines; /* pipeline table and on-disk cache, vk/pipeline.c */
struct pv_device {
    struct pv_context *context;
    const struct pv_log *log;
    VkPhysicalDevice physical;
    VkDevice handle;
    struct VolkDeviceTable vk;
    VkQueue queue;
    uint32_t queue_family;
    struct pv_caps caps;
    struct pv_plan plan;
    struct pv_memory *memory;
    struct pv_pipelines *pipelines;
    VkSemaphore timeline;
    uint64_t timeline_value;      /* last value a submit will signal */
    uint32_t timestamp_bits;      /* valid bits of the queue's timestamps; 0: none */
    uint64_t hazard_stamp;        /* grows with every barrier of any recorder: see vk/recorder.h */
    struct pv_recorder *transfer; /* staging copies */
    struct pv_buffer *staging;
    bool compile_only; /* has neither memory nor commands: see pv_device_open_compiler */
    bool
        backwards; /* a direct dispatch runs as up to four, the last workgroups first: see pv_device_run_backwards */
    bool lost;
    bool drained; /* lost, and waited for all the same */
    bool failed;  /* a call that was needed has failed: lost, out of memory, or anything else */
};
/* Opens device `index` of the context with its plan (`plan` NULL: the context's). */
PV_MUST_USE enum pv_status pv_device_open(struct pv_context *context, uint32_t index,
                                          const struct pv_plan *plan, struct pv_device **out);
/* Opens it for building pipelines and nothing else, so that it works on a driver that has no device behind
 * it. Buffers made on it have no memory, what is written to them is dropped, a recorder records nothing, and
 * submitting is PV_ERR_UNSUPPORTED: code that records dispatches can be asked which pipelines it needs.
 * Pipelines come from the compiler, not from a cache, and keep its statistics where the driver has any. */
PV_MUST_USE enum pv_status pv_device_open_compiler(struct pv_context *context, uint32_t index,
                                                   const struct pv_plan *plan, struct pv_device **out);
/* From here on workgroups run in another order, to show what depends on it; but those of kernels that walk by their
 * number (gl_NumWorkGroups), and of indirect dispatches, as ever. Before the first pipeline. */
void pv_device_run_backwards(struct pv_device *device);
void pv_device_close(struct pv_device *device); /* waits for the queue; NULL-safe */
/* Waits until the timeline reaches `value`. 10 s without progress (10 min on a software device, which cannot
 * hang but may be slow) are reported as a lost device. */
PV_MUST_USE enum pv_status pv_device_wait(struct pv_device *device, uint64_t value);
/* To be called before anything is destroyed: a device given up as lost may still be at work. */
void pv_device_drain(struct pv_device *device);
uint64_t pv_device_bytes_in_use(const struct pv_device *device);
/* Bytes that may still be allocated: the driver's budget of the largest device-local heap, else (*is_budget
 * false) that heap's size; the host's free memory on a software device. */
uint64_t pv_device_free_bytes(const struct pv_device *device, bool *is_budget);

#endif
