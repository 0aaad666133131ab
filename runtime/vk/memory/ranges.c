/* All ranges, used and free, are in one list in address order, so that giving one back only looks at its two
 * neighbours and never needs a new node. Two free ranges are never adjacent. */
#include "vk/memory/ranges.h"

#include <assert.h>
#include <stdlib.h>
#include "base/mem.h"

bool pv_ranges_init(struct pv_ranges *ranges, uint64_t size_bytes)
{
    *ranges = (struct pv_ranges){.first = pv_calloc(1, sizeof *ranges->first)};
    if (ranges->first)
        ranges->first->size_bytes = size_bytes;
    return ranges->first != NULL;
}

void pv_ranges_free(struct pv_ranges *ranges)
{
    for (struct pv_range *r = ranges->first, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    *ranges = (struct pv_ranges){0};
}

/* Cuts `range` after size_bytes; the rest becomes a free range behind it. */
static bool split(struct pv_range *range, uint64_t size_bytes)
{
    struct pv_range *rest = pv_calloc(1, sizeof *rest);
    if (!rest)
        return false;
    rest->offset = range->offset + size_bytes;
    rest->size_bytes = range->size_bytes - size_bytes;
    rest->prev = range;
    rest->next = range->next;
    if (rest->next)
        rest->next->prev = rest;
    range->next = rest;
    range->size_bytes = size_bytes;
    return true;
}

static void merge_with_next(struct pv_range *range)
{
    struct pv_range *next = range->next;
    range->size_bytes += next->size_bytes;
    range->next = next->next;
    if (range->next)
        range->next->prev = range;
    free(next);
}

struct pv_range *pv_ranges_take(struct pv_ranges *ranges, uint64_t size_bytes, uint64_t alignment)
{
    assert(size_bytes > 0 && alignment > 0 && (alignment & (alignment - 1)) == 0);
    for (struct pv_range *r = ranges->first; r; r = r->next) {
        const uint64_t gap = (alignment - r->offset % alignment) % alignment;
        if (r->used || r->size_bytes < gap || r->size_bytes - gap < size_bytes)
            continue;
        if (gap > 0) {
            if (!split(r, gap))
                return NULL;
            r = r->next;
        }
        if (r->size_bytes > size_bytes && !split(r, size_bytes)) {
            if (gap > 0)
                merge_with_next(r->prev);
            return NULL;
        }
        r->used = true;
        ranges->used_bytes += size_bytes;
        return r;
    }
    return NULL;
}

void pv_ranges_give(struct pv_ranges *ranges, struct pv_range *range)
{
    assert(range->used);
    range->used = false;
    ranges->used_bytes -= range->size_bytes;
    if (range->next && !range->next->used)
        merge_with_next(range);
    if (range->prev && !range->prev->used)
        merge_with_next(range->prev);
}
