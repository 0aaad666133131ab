/* Buffers over the host's own memory. */
#ifndef PV_VK_MEMORY_IMPORT_H
#define PV_VK_MEMORY_IMPORT_H

#include "vk/memory/memory.h"

/* What pointers and sizes must be multiples of; 0: this device cannot import. */
uint64_t pv_import_alignment(const struct pv_device *device);
/* A transfer buffer over `host`, which must outlive it; aligned as above. NULL where the driver will not: the
 * caller has another way, so nothing is logged (but a lost device is). */
struct pv_buffer *pv_buffer_import(struct pv_device *device, void *host, uint64_t size_bytes,
                                   const char *name);

#endif
