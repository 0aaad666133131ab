/* Cutting a span of bytes into ranges: first fit, address order, neighbours merged when freed. Pure
 * bookkeeping, no Vulkan. Freeing never allocates. Not thread-safe. */
#ifndef PV_VK_MEMORY_RANGES_H
#define PV_VK_MEMORY_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct pv_range {
    uint64_t offset, size_bytes;
    bool used;
    struct pv_range *prev, *next; /* neighbours in address order */
};
struct pv_ranges {
    struct pv_range *first;
    uint64_t used_bytes;
};
/* False if host memory is out; the struct is then empty. size_bytes >= 1. */
bool pv_ranges_init(struct pv_ranges *ranges, uint64_t size_bytes);
void pv_ranges_free(struct pv_ranges *ranges); /* safe on a zeroed struct */
/* A range whose offset is a multiple of `alignment` (a power of two); NULL if nothing fits or host memory is
 * out. */
struct pv_range *pv_ranges_take(struct pv_ranges *ranges, uint64_t size_bytes, uint64_t alignment);
void pv_ranges_give(struct pv_ranges *ranges, struct pv_range *range);

#endif
